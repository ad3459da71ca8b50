"""The tutorial's other promises: embedding, compression, denoising, scoring."""

import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from PIL import Image

from tests.helpers import run_command as run
from vae_augment import VAEModel, load
from vae_augment.errors import InputError, ModelFormatError
from vae_augment.evaluation import projection
from vae_augment.evaluation.compression import compress, decompress, load_compressed
from vae_augment.evaluation.pictures import save_scatter
from vae_augment.evaluation.projection import project, rows_to_draw
from vae_augment.model.pixels import psnr, to_pil
from vae_augment.model.spec import SPEC_KEY
from vae_augment.training import ImageData, load_data
from vae_augment.training.data.image_data import to_float


def test_embed_writes_latents_and_a_map(tiny_model_path: Path, tmp_path: Path) -> None:
    code, text = run(
        "embed",
        tiny_model_path,
        "digits",
        "--test",
        "-o",
        tmp_path / "e.npz",
        "--plot",
        tmp_path / "e.png",
    )
    assert code == 0, text
    test = load_data("digits", train=False)
    with np.load(tmp_path / "e.npz") as arrays:
        mean, logvar = load(tiny_model_path).encode(test.images)
        np.testing.assert_allclose(arrays["mean"], mean, atol=1e-6)
        np.testing.assert_allclose(arrays["logvar"], logvar, atol=1e-6)
        assert arrays["labels"].tolist() == test.labels.tolist()
    with Image.open(tmp_path / "e.png") as picture:
        assert len(picture.getcolors(1 << 20) or []) >= 11  # ten classes and the paper


def test_a_plot_without_matplotlib_says_how_to_install_it(
    tiny_model_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    output = tmp_path / "e.npz"
    code, text = run("embed", tiny_model_path, "digits", "-o", output, "--plot", tmp_path / "e.png")
    assert (code, text) == (
        1,
        "error: --plot of embed needs matplotlib. Install it: pip install matplotlib.\n",
    )
    assert not output.exists()


def test_points_without_a_label_are_drawn_too(tmp_path: Path) -> None:
    points = np.random.default_rng(0).normal(size=(60, 2)).astype(np.float32)
    save_scatter(points, np.arange(60) % 3 - 1, ("a", "b"), tmp_path / "s.png")
    with Image.open(tmp_path / "s.png") as picture:
        assert (0, 0, 0) in {colour[:3] for _, colour in picture.getcolors(1 << 20) or []}


def test_tsne_says_how_many_images_it_draws(
    tmp_path: Path, tiny_model_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = rows_to_draw(10_000, "tsne")
    assert (len(np.unique(rows)), rows[0], rows[-1]) == (2_000, 0, 9_999)
    assert rows_to_draw(5, "tsne").tolist() == rows_to_draw(5, "pca").tolist() == [*range(5)]
    monkeypatch.setattr(projection, "_TSNE_IMAGES", 200)  # 2,000 take long
    picture, arguments = tmp_path / "e.png", ("--projection", "tsne")
    np.savez(
        tmp_path / "many.npz",
        images=np.zeros((210, 8, 8), np.uint8) + np.arange(210, dtype=np.uint8)[:, None, None],
    )
    code, text = run(
        "embed",
        tiny_model_path,
        tmp_path / "many.npz",
        "-o",
        tmp_path / "e",
        "--plot",
        picture,
        *arguments,
    )
    assert code == 0, text
    assert f"wrote {picture}: 200 of 210 images, as t-SNE takes long for more\n" in text


def test_file_names_and_labels_are_written(
    tiny_model_path: Path, tmp_path: Path, digits: ImageData
) -> None:
    names = ["a/x.png", "b/y.png", "z.png"]
    for name, image in zip(names, digits.images, strict=False):
        (tmp_path / "mine" / name).parent.mkdir(parents=True, exist_ok=True)
        to_pil(image).save(tmp_path / "mine" / name)
    for command, output in (("score", "s.csv"), ("embed", "e.npz")):
        code, text = run(command, tiny_model_path, tmp_path / "mine", "-o", tmp_path / output)
        assert code == 0, text
    header, *rows = (line.split(",") for line in (tmp_path / "s.csv").read_text().splitlines())
    assert header == ["index", "file", "label", "score"]
    assert [row[:3] for row in rows] == [
        ["0", "a/x.png", "0"],
        ["1", "b/y.png", "1"],
        ["2", "z.png", "-1"],
    ]
    with np.load(tmp_path / "e.npz") as arrays:
        assert arrays["files"].tolist() == names
        assert (arrays["labels"].tolist(), arrays["classes"].tolist()) == ([0, 1, -1], ["a", "b"])


def test_denoise_warns_of_a_model_that_was_not_trained_for_it(
    tiny_model_path: Path, tmp_path: Path
) -> None:
    warning = "warning: this model was not trained to denoise"
    assert warning in run("denoise", tiny_model_path, "digits", "-o", tmp_path / "a.png")[1]
    model = onnx.load(tiny_model_path)
    (spec,) = (entry for entry in model.metadata_props if entry.key == SPEC_KEY)
    assert '"denoise": 0.0' in spec.value
    spec.value = spec.value.replace('"denoise": 0.0', '"denoise": 0.3')
    onnx.save(model, tmp_path / "m.onnx")
    code, text = run("denoise", tmp_path / "m.onnx", "digits", "-o", tmp_path / "b.png")
    assert (code, warning in text) == (0, False)


def test_projections() -> None:
    points = np.random.default_rng(0).normal(size=(60, 5)).astype(np.float32)
    assert project(points).shape == project(points, "tsne").shape == (60, 2)
    with pytest.raises(InputError, match="projection is 'umap'; choose one of pca, tsne"):
        project(points, "umap")


def test_compress_and_decompress(tiny_model_path: Path, tmp_path: Path) -> None:
    packed, unpacked = tmp_path / "c.npz", tmp_path / "d.npz"
    picture = tmp_path / "c.png"
    code, text = run("compress", tiny_model_path, "digits", "-o", packed, "--plot", picture)
    assert code == 0, text
    with Image.open(picture) as image:
        assert image.size[1] > 100
    assert "bytes per image (PNG" in text
    assert run("decompress", tiny_model_path, packed, "-o", unpacked)[0] == 0
    model, images = load(tiny_model_path), load_data("digits").images
    with np.load(unpacked) as arrays:
        restored = torch.from_numpy(arrays["images"])
    # 8 bits per dimension lose next to nothing of what the model itself keeps.
    assert psnr(to_float(restored), model.reconstruct(images)) > 40


def test_only_the_same_model_decompresses(
    tiny_model: VAEModel, digits: ImageData, tmp_path: Path
) -> None:
    compressed = compress(tiny_model, digits.images[:5])
    with pytest.raises(InputError, match="Only the same model can decode it"):
        decompress(tiny_model, compressed._replace(sha256="0" * 64))
    (tmp_path / "junk.npz").write_bytes(b"junk")
    with pytest.raises(ModelFormatError, match="is not a file of vae-augment compress"):
        load_compressed(tmp_path / "junk.npz")


def test_denoise_writes_a_picture_and_the_images(tiny_model_path: Path, tmp_path: Path) -> None:
    picture, images = tmp_path / "d.png", tmp_path / "d.npz"
    code, text = run("denoise", tiny_model_path, "digits", "-o", picture, "--cleaned", images)
    assert code == 0, text
    assert "dB before" in text
    with np.load(images) as arrays:
        assert arrays["images"].shape == (500, 1, 8, 8)


def test_score_ranks_noise_above_digits(tiny_model_path: Path, tmp_path: Path) -> None:
    test = load_data("digits", train=False).images[:50]
    noise = 255 * torch.randint(0, 2, (5, 1, 8, 8), dtype=torch.uint8)
    np.savez(tmp_path / "mixed.npz", images=torch.cat([noise, test]).numpy())
    output = tmp_path / "s.csv"
    code, text = run(
        "score", tiny_model_path, tmp_path / "mixed.npz", "-o", output, "--plot", tmp_path / "s.png"
    )
    assert code == 0, text
    header, *rows = output.read_text().splitlines()
    assert header == "index,label,score"
    order = sorted(rows, key=lambda row: -float(row.split(",")[2]))
    assert {int(row.split(",")[0]) for row in order[:5]} == set(range(5))


@pytest.mark.parametrize("command", ["embed", "compress", "score"])
def test_outputs_are_not_replaced(command: str, tiny_model_path: Path, tmp_path: Path) -> None:
    (tmp_path / "there").write_text("precious")
    code, text = run(command, tiny_model_path, "digits", "-o", tmp_path / "there")
    assert code == 1
    assert "exists already" in text
    assert (tmp_path / "there").read_text() == "precious"
