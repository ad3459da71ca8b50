"""An encoder and a decoder made elsewhere become one file."""

from pathlib import Path

import onnx
import onnx.parser
import pytest
import torch
from typer.testing import CliRunner

from vae_augment import load
from vae_augment.cli import app
from vae_augment.errors import ExportError, InputError, ModelFormatError, NotFoundError
from vae_augment.exporters import export
from vae_augment.training import ImageData, load_data

ENCODER = """<ir_version: 8, opset_import: ["": {opset}]>
encoder (float[{batch},{shape}] x) => (float[{batch},4] mu, float[{batch},4] log_var)
<float[64,4] a = {{{a}}}, float[64,4] b = {{{b}}}> {{
    rows = Flatten (x)
    mu = MatMul (rows, a)
    log_var = MatMul (rows, b)
}}"""
DECODER = """<ir_version: 8, opset_import: ["": {opset}]>
decoder (float[n,4] z) => (float[n,64] y) <float[4,64] a = {{{a}}}> {{
    pixels = MatMul (z, a)
    y = {last} (pixels)
}}"""

UNTRAINED = pytest.mark.filterwarnings("ignore:Reconstructions of .* mean image's squared error")


def numbers(seed: int) -> str:
    generator = torch.Generator().manual_seed(seed)
    return ",".join(
        f"{value:.4f}" for value in torch.randn(256, generator=generator).mul(0.1).tolist()
    )


def matrix(seed: int, *shape: int) -> torch.Tensor:
    return torch.tensor([float(value) for value in numbers(seed).split(",")]).view(shape)


def make_pair(
    folder: Path, shape: str = "1,8,8", opset: int = 13, last: str = "Sigmoid", batch: str = "n"
) -> tuple[Path, Path]:
    texts = {
        "encoder": ENCODER.format(
            opset=opset, batch=batch, shape=shape, a=numbers(1), b=numbers(2)
        ),
        "decoder": DECODER.format(opset=opset, last=last, a=numbers(3)),
    }
    for name, text in texts.items():
        onnx.save(onnx.parser.parse_model(text), folder / f"{name}.onnx")
    return folder / "encoder.onnx", folder / "decoder.onnx"


@pytest.mark.parametrize("opset", [13, 18, 21])
def test_a_pair_of_another_opset_and_layout_becomes_one_file(opset: int, tmp_path: Path):
    report = export(make_pair(tmp_path, opset=opset), tmp_path / "model.onnx", classes=("a", "b"))
    assert report.worst <= 1e-5
    model = load(tmp_path / "model.onnx")
    assert model.spec.classes == ("a", "b")
    assert model.spec.training == {"source": "onnx pair encoder.onnx, decoder.onnx"}
    images = torch.rand(3, 1, 8, 8)
    mean, logvar = model.encode(images)
    torch.testing.assert_close(mean, images.flatten(1) @ matrix(1, 64, 4))
    torch.testing.assert_close(logvar, images.flatten(1) @ matrix(2, 64, 4))
    torch.testing.assert_close(
        model.decode(mean), (mean @ matrix(3, 4, 64)).sigmoid().view(3, 1, 8, 8)
    )


def test_flat_images_need_a_shape_and_logits_a_word(tmp_path: Path):
    pair = make_pair(tmp_path, shape="64", last="Identity")
    with pytest.raises(InputError, match=r"Pass it as \(channels, height, width\)"):
        export(pair, tmp_path / "model.onnx")
    with pytest.raises(ExportError, match="pass decoder_output='logits'"):
        export(pair, tmp_path / "model.onnx", image_shape=(1, 8, 8))
    export(pair, tmp_path / "model.onnx", image_shape=(1, 8, 8), decoder_output="logits")
    latent = torch.randn(2, 4)
    expected = (latent @ matrix(3, 4, 64)).sigmoid().view(2, 1, 8, 8)
    torch.testing.assert_close(load(tmp_path / "model.onnx").decode(latent), expected)


def test_old_files_list_weights_as_inputs(tmp_path: Path):
    pair = make_pair(tmp_path)
    for path in pair:
        model = onnx.load(path)
        model.ir_version = 3
        for weight in model.graph.initializer:
            model.graph.input.append(
                onnx.helper.make_tensor_value_info(weight.name, weight.data_type, weight.dims)
            )
        onnx.save(model, path)
    assert export(pair, tmp_path / "model.onnx").worst <= 1e-5


def test_a_pair_of_two_opsets_becomes_one_file(tmp_path: Path):
    encoder = make_pair(tmp_path, opset=13)[0].rename(tmp_path / "old.onnx")
    _, decoder = make_pair(tmp_path, opset=21)
    assert export((encoder, decoder), tmp_path / "model.onnx").worst <= 1e-5


def test_an_open_image_size_is_settled_by_the_caller(tmp_path: Path):
    pair = make_pair(tmp_path, shape="1,h,w")
    with pytest.raises(InputError, match=r"Pass it as \(channels, height, width\)"):
        export(pair, tmp_path / "model.onnx")
    export(pair, tmp_path / "model.onnx", image_shape=(1, 8, 8))
    assert load(tmp_path / "model.onnx").spec.image_shape == (1, 8, 8)


def test_int8_leaves_the_layers_of_the_latent_alone(tmp_path: Path):
    pair = make_pair(tmp_path)
    assert 40 < (export(pair, tmp_path / "model.onnx", precision="int8").psnr or 0) < 100
    images = torch.rand(3, 1, 8, 8)
    mean, _ = load(tmp_path / "model.onnx").encode(images)
    torch.testing.assert_close(mean, images.flatten(1) @ matrix(1, 64, 4))


def test_a_fixed_batch_is_named(tmp_path: Path):
    with pytest.raises(ExportError) as caught:
        export(make_pair(tmp_path, batch="1"), tmp_path / "model.onnx")
    assert str(caught.value) == (
        "The encoder has the batch size 1 baked in. Export it again with a dynamic first axis."
    )


def test_three_outputs_are_ambiguous(tmp_path: Path):
    pair = make_pair(tmp_path)
    model = onnx.load(pair[0])
    model.graph.output.append(
        onnx.helper.make_tensor_value_info("rows", onnx.TensorProto.FLOAT, ["n", 64])
    )
    onnx.save(model, pair[0])
    with pytest.raises(
        ExportError, match=r"The encoder has the outputs \['mu', 'log_var', 'rows'\]\. Give it two"
    ):
        export(pair, tmp_path / "model.onnx")


def test_files_that_are_not_there_or_not_onnx(tmp_path: Path):
    encoder, decoder = make_pair(tmp_path)
    with pytest.raises(NotFoundError, match=r"There is no file .*absent\.onnx"):
        export((encoder, tmp_path / "absent.onnx"), tmp_path / "model.onnx")
    decoder.write_bytes(b"not a model")
    with pytest.raises(ModelFormatError, match="cannot be read as ONNX"):
        export((encoder, decoder), tmp_path / "model.onnx")
    assert not (tmp_path / "model.onnx").exists()


@UNTRAINED
def test_a_fit_of_the_latents_gives_classes(tmp_path: Path):
    export(make_pair(tmp_path), tmp_path / "model.onnx", images=load_data("digits"))
    model = load(tmp_path / "model.onnx")
    assert model.spec.classes == tuple("0123456789")
    assert model.spec.latents is not None
    images, labels = model.sample(20)
    assert images.shape == (20, 1, 8, 8)
    assert labels is not None
    assert labels.tolist() == [*range(10), *range(10)]


@UNTRAINED
def test_a_fit_without_labels_gives_one_group(tmp_path: Path):
    unlabelled = ImageData("unlabelled", load_data("digits").images[:200], torch.full((200,), -1))
    export(make_pair(tmp_path), tmp_path / "model.onnx", images=unlabelled)
    spec = load(tmp_path / "model.onnx").spec
    assert spec.classes == ()
    assert spec.latents is not None
    assert len(spec.latents.weights) == 1


def test_a_fit_on_other_images_is_refused(tmp_path: Path):
    large = ImageData("large", torch.zeros(5, 1, 9, 9, dtype=torch.uint8), torch.full((5,), -1))
    with pytest.raises(
        InputError,
        match=r"large has images \(1, 9, 9\) of the classes \(\); the model takes \(1, 8, 8\)",
    ):
        export(make_pair(tmp_path), tmp_path / "model.onnx", images=large)


@UNTRAINED
def test_the_command_line_takes_a_pair(tmp_path: Path):
    encoder, decoder = map(str, make_pair(tmp_path))
    output = tmp_path / "model.onnx"
    command = ["export", "--encoder", encoder, "--decoder", decoder, "-o", str(output)]
    good = CliRunner().invoke(
        app, [*command, "--fit-latents", "digits", "--classes", ",".join("0123456789")]
    )
    assert good.exit_code == 0, good.output
    assert "batch 1     batch 2     batch 5    batch 64" in good.output
    assert f'augment = VAEAugment("{output}", strength=1.0, p=0.5)' in good.output
    assert f"opset 18, {output.stat().st_size:,} bytes, sha256 {load(output).sha256}" in good.output
    assert load(output).spec.generates_classes
    again = CliRunner().invoke(app, command)
    assert again.exit_code == 1
    assert again.output.endswith(
        "exists already and was left as it is. Pass --overwrite (overwrite=True) to replace it.\n"
    )


def test_the_command_line_takes_one_source(tmp_path: Path):
    encoder, _ = make_pair(tmp_path)
    alone = CliRunner().invoke(
        app, ["export", "--encoder", str(encoder), "-o", str(tmp_path / "model.onnx")]
    )
    assert alone.exit_code == 2
    assert "give one of" in alone.output


def attacked(folder: Path, text: str) -> tuple[Path, Path]:
    """A pair whose encoder is another graph with the same interface."""
    pair = make_pair(folder)
    onnx.save(onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["": 18]> {text}'), pair[0])
    return pair


INTERFACE = "encoder (float[n,1,8,8] x) => (float[n,4] mu, float[n,4] log_var)"
FINISH = "log_var = Identity (mu)"
HOSTILE = {
    "an endless loop": (
        f"{INTERFACE} {{ rows = ReduceMean <axes = [1, 2]> (x) more = Constant <value = bool "
        "{1}> () mu = Loop (, more, rows) <body = body (int64 i, bool c, float[n,8] s) => (bool "
        f"d, float[n,8] t) {{ d = Identity (c) t = Identity (s) }}> {FINISH} }}",
        "the operator 'Loop'",
    ),
    "eight gigabytes": (
        (
            f"{INTERFACE} {{ size = Constant <value = int64[1] {{2147483648}}> () mu = "
            f"ConstantOfShape (size) {FINISH} }}"
        ),
        "the operator 'ConstantOfShape'",
    ),
    "a matrix of two vectors": (
        f"{INTERFACE} {{ sizes = Constant <value = int64[2] {{-1, 1}}> () column = Reshape (x, "
        f"sizes) row = Transpose (column) mu = Mul (column, row) {FINISH} }}",
        "grows faster than the batch",
    ),
    "an integer division": (
        (
            f"{INTERFACE} {{ whole = Cast <to = 6> (x) ratio = Div (whole, whole) mu = Cast <to = 1> "
            f"(ratio) {FINISH} }}"
        ),
        "Div computes with integers",
    ),
    "a null pointer": (
        f"{INTERFACE} {{ rows = Flatten (x) mu = Slice (rows, , rows) {FINISH} }}",
        "left out by an empty name",
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_nothing_of_a_hostile_pair_runs(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    import onnxruntime

    def opened(*args: object, **kwargs: object) -> None:
        pytest.fail("onnxruntime has seen it")

    monkeypatch.setattr(onnxruntime, "InferenceSession", opened)
    text, words = HOSTILE[name]
    try:
        pair = attacked(tmp_path, text)
    except onnx.parser.ParseError:
        pytest.skip("this onnx cannot write the attack")
    with pytest.raises((ExportError, ModelFormatError), match=words):
        export(pair, tmp_path / "model.onnx")


def test_weights_beside_the_file_are_read_but_not_without_limit(tmp_path: Path):
    pair = make_pair(tmp_path)
    model = onnx.load(pair[0])
    for tensor in model.graph.initializer:
        tensor.CopyFrom(
            onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(tensor), tensor.name)
        )
    onnx.save(model, pair[0], save_as_external_data=True, location="weights.bin", size_threshold=0)
    assert export(pair, tmp_path / "model.onnx").worst <= 1e-5
    model = onnx.load(pair[0], load_external_data=False)
    length = next(
        entry for entry in model.graph.initializer[0].external_data if entry.key == "length"
    )
    length.value = str(1 << 40)
    onnx.save(model, pair[0])
    with pytest.raises(ModelFormatError, match="bytes of weights are outside the file"):
        export(pair, tmp_path / "second.onnx")
