"""Plans, formats read back by their own readers, resuming, verifying, and refusals."""

import dataclasses
import hashlib
import json
import os
import signal
import subprocess
import sys
import tarfile
import termios
import threading
import warnings
from pathlib import Path

import numpy as np
import pytest
from torchvision.datasets import MNIST, ImageFolder
from typer.testing import CliRunner

from tests.helpers import largest_file
from vae_augment import VAESyntheticDataset, load
from vae_augment.cli import app
from vae_augment.errors import GenerationError, InputError, OutputExistsError, UnsafeModelError
from vae_augment.generation import Job, Plan, generate, make_job, make_plan, run, verify
from vae_augment.generation.engines.ranks import run_serially, torchrun_share
from vae_augment.generation.formats import FORMATS
from vae_augment.generation.plan import BLOCK_IMAGES, Share, block_size
from vae_augment.generation.shard import Worker, read_record
from vae_augment.model.file import read_model
from vae_augment.processes import Interruptible

COUNT, SHARD = (
    300,
    130,
)  # more than two blocks of the decoder, and shards that no block fits into evenly
runner = CliRunner()


def make(model: Path, output: Path, n: int = COUNT, **options: object) -> Path:
    """`generate` in this process, faster than a pool and, as the engines' tests show, the same."""
    wanted = {"format": "npz", "labels": "balanced", "seed": 0, "shard_size": SHARD, **options}
    assert run(make_job(model, n, output, **wanted), run_serially) is not None
    return output


def expected(model: Path, n: int = COUNT) -> tuple[np.ndarray, np.ndarray]:
    batches = list(VAESyntheticDataset(model, n, output="uint8", provider="cpu").batches(70))
    images, labels = zip(*batches, strict=True)
    return np.concatenate(images), np.concatenate(labels)


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def command(*arguments: object) -> tuple[int, str]:
    result = runner.invoke(app, ["generate", *map(str, arguments)])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.output


# Formats


def read_npz(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    shards = [np.load(path) for path in sorted(folder.glob("train-*.npz"))]
    assert shards[0]["classes"].tolist() == list("0123456789")
    return np.concatenate([shard["images"] for shard in shards]), np.concatenate(
        [shard["labels"] for shard in shards]
    )


def read_idx(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    shards = [MNIST(path) for path in sorted(folder.glob("train-*"))]
    images = np.concatenate([shard.data.numpy() for shard in shards])[:, None]
    return images, np.concatenate([shard.targets.numpy() for shard in shards])


def read_imagefolder(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    data = ImageFolder(folder / "train")
    order = np.argsort(
        [Path(path).stem for path, _ in data.samples]
    )  # by index rather than by class
    images = np.stack([np.asarray(data[row][0])[None, :, :, 0] for row in order])
    return images, np.array(data.targets)[order]


def read_parquet(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    datasets = pytest.importorskip("datasets")
    data = datasets.load_dataset(str(folder), split="train", cache_dir=str(folder.parent / "cache"))
    assert data.features["label"].names == list("0123456789")
    return np.stack([np.asarray(row["image"])[None] for row in data]), np.array(data["label"])


def read_webdataset(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    webdataset = pytest.importorskip("webdataset")
    urls = [str(path) for path in sorted(folder.glob("train-*.tar"))]
    for url in urls:
        with tarfile.open(url) as tar:
            assert {member.mtime for member in tar} == {
                0
            }  # a clock in it would differ between two runs
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", ResourceWarning
        )  # the reader leaves its files to the garbage collector
        data = webdataset.WebDataset(urls, shardshuffle=False).decode("pill").to_tuple("png", "cls")
        images, labels = zip(*data, strict=True)
    return np.stack([np.asarray(image)[None] for image in images]), np.array(labels)


READERS = {
    "npz": read_npz,
    "idx": read_idx,
    "imagefolder": read_imagefolder,
    "parquet": read_parquet,
    "webdataset": read_webdataset,
}


@pytest.mark.parametrize("name", FORMATS)
def test_each_format_is_read_back_by_its_own_reader(
    name: str, tiny_model_path: Path, tmp_path: Path
) -> None:
    folder = make(tiny_model_path, tmp_path / "out", format=name)
    images, labels = READERS[name](folder)
    wanted_images, wanted_labels = expected(tiny_model_path)
    np.testing.assert_array_equal(images, wanted_images)
    np.testing.assert_array_equal(labels, wanted_labels)
    assert len(np.unique(images)) > 100
    assert verify(folder).plan.count == COUNT


@pytest.mark.parametrize("name", FORMATS)
def test_a_second_run_elsewhere_gives_the_same_bytes(
    name: str, tiny_model_path: Path, tmp_path: Path
) -> None:
    first = make(tiny_model_path, tmp_path / "a", 20, format=name, shard_size=7)
    second = make(tiny_model_path, tmp_path / "b", 20, format=name, shard_size=7)
    assert contents(first) == contents(second)


def test_the_shard_size_does_not_change_an_image(tiny_model_path: Path, tmp_path: Path) -> None:
    whole, split = (
        read_npz(make(tiny_model_path, tmp_path / str(size), shard_size=size))
        for size in (COUNT, 7)
    )
    np.testing.assert_array_equal(whole[0], split[0])


def test_blocks_depend_on_the_image_shape_alone() -> None:
    assert block_size((1, 28, 28)) == BLOCK_IMAGES
    assert block_size((3, 256, 256)) == 2
    assert block_size((3, 4096, 4096)) == 1


@pytest.mark.parametrize(
    ("labels", "wanted"),
    [("3", [3] * 6), ("2,5", [2, 5, 2, 5, 2, 5]), ("7:1,8:0", [7] * 6), ("9:2", [9] * 6)],
)
def test_labels_on_the_command_line(
    labels: str, wanted: list[int], tiny_model_path: Path, tmp_path: Path
) -> None:
    code, text = command(
        tiny_model_path, "-n", 6, "-o", tmp_path, "--labels", labels, "--workers", 1
    )
    assert (code, np.load(tmp_path / "train-00000-of-00001.npz")["labels"].tolist()) == (
        0,
        wanted,
    ), text


def test_class_folders_of_a_subset_keep_the_class_index(
    tiny_model_path: Path, tmp_path: Path
) -> None:
    make(tiny_model_path, tmp_path / "out", 4, format="imagefolder", labels=[3, 7])
    assert sorted(path.name for path in (tmp_path / "out" / "train").iterdir()) == ["3", "7"]


def test_class_folders_sort_as_their_indices(tiny_model_path: Path) -> None:
    from vae_augment.model.sampling import LabelPolicy

    plan = make_plan(read_model(tiny_model_path), 12, format="imagefolder")
    many = dataclasses.replace(
        plan, classes=tuple("abcdefghijkl"), labels=LabelPolicy(tuple(range(12)))
    )
    names = Job(many, tiny_model_path, tiny_model_path).names(0)
    assert (names[2], names[10]) == ("train/02/02.png", "train/10/10.png")
    assert sorted(names) == names


# Plan, manifest, resume


def test_the_plan_and_the_manifest_say_what_is_there(tiny_model_path: Path, tmp_path: Path) -> None:
    folder = make(tiny_model_path, tmp_path / "out")
    plan, manifest = (
        json.loads((folder / name).read_text()) for name in ("plan.json", "manifest.json")
    )
    assert plan == manifest["plan"]
    assert plan["model"] == hashlib.sha256(tiny_model_path.read_bytes()).hexdigest()
    assert {"vae-augment", "onnxruntime", "numpy", "zlib"} == plan["versions"].keys()
    assert [(record["shard"], record["images"]) for record in manifest["shards"]] == [
        (0, 130),
        (1, 130),
        (2, 40),
    ]
    for record in manifest["shards"]:
        content = (folder / f"train-{record['shard']:05d}-of-00003.npz").read_bytes()
        assert (len(content), hashlib.sha256(content).hexdigest()) == (
            record["bytes"],
            record["sha256"],
        )


def test_a_resumed_run_makes_only_what_is_missing(tiny_model_path: Path, tmp_path: Path) -> None:
    folder = make(tiny_model_path, tmp_path / "out")
    before = contents(folder)
    (folder / "train-00001-of-00003.npz").unlink()
    (
        folder / "train-00000-of-00003.npz"
    ).touch()  # a shard that is whole is left alone, whatever its time
    times = {path: path.stat().st_mtime_ns for path in folder.glob("train-*")}
    reports: list[int] = []
    job = make_job(
        tiny_model_path, COUNT, folder, format="npz", labels="balanced", seed=0, shard_size=SHARD
    )
    assert run(job, run_serially, report=reports.append) is not None
    assert reports == [170, 300]
    assert contents(folder) == before
    assert all(path.stat().st_mtime_ns == time for path, time in times.items())


def test_a_truncated_shard_is_made_again(tiny_model_path: Path, tmp_path: Path) -> None:
    folder = make(tiny_model_path, tmp_path / "out")
    before = contents(folder)
    shard = folder / "train-00002-of-00003.npz"
    shard.write_bytes(shard.read_bytes()[:100])
    assert contents(make(tiny_model_path, folder)) == before


def test_the_manifest_is_gone_while_a_shard_is_missing(
    tiny_model_path: Path, tmp_path: Path
) -> None:
    folder = make(tiny_model_path, tmp_path / "out")
    (folder / "train-00001-of-00003.npz").unlink()
    job = make_job(
        tiny_model_path, COUNT, folder, format="npz", labels="balanced", seed=0, shard_size=SHARD
    )
    assert run(job, lambda job, shards: (record for record in ())) is None
    assert not (folder / "manifest.json").exists()


def test_the_shares_of_an_array_make_the_whole(tiny_model_path: Path, tmp_path: Path) -> None:
    folder = tmp_path / "shares"
    options = ["-n", COUNT, "--shard-size", SHARD, "--workers", 1, "--json", "-o", folder]
    summaries = []
    for index in range(2):
        code, text = command(tiny_model_path, *options, "--num-shards", 2, "--shard-index", index)
        assert code == 0
        summaries.append(json.loads(text))
    assert [(summary["done"], summary["made"]) for summary in summaries] == [
        (False, 170),
        (True, 130),
    ]
    assert contents(folder) == contents(make(tiny_model_path, tmp_path / "whole"))


def test_another_plan_in_the_same_folder_is_refused(tiny_model_path: Path, tmp_path: Path) -> None:
    folder = make(tiny_model_path, tmp_path / "out")
    before = contents(folder)
    code, text = command(
        tiny_model_path, "-n", COUNT, "-o", folder, "--shard-size", SHARD, "--seed", 1
    )
    assert (code, text) == (
        2,
        f"error: {folder} belongs to another plan: seed is 0 there and 1 here. It was left as it "
        "is. Use another folder, or the plan that is there.\n",
    )
    assert contents(folder) == before


def test_a_model_that_changed_since_the_plan_is_refused(
    bare_model_path: Path, tmp_path: Path
) -> None:
    model = tmp_path / "model.onnx"
    model.write_bytes(bare_model_path.read_bytes())
    folder = make(model, tmp_path / "out")
    (folder / "train-00001-of-00003.npz").unlink()
    before = contents(folder)
    model.write_bytes(changed(model.read_bytes()))
    there, here_ = (
        hashlib.sha256(path.read_bytes()).hexdigest() for path in (bare_model_path, model)
    )
    code, text = command(model, "-n", COUNT, "-o", folder, "--shard-size", SHARD)
    assert code == 2
    assert f'model is "{there}" there and "{here_}" here.' in text
    assert contents(folder) == before


def changed(model: bytes) -> bytes:
    import onnx

    proto = onnx.load_from_string(model)
    proto.doc_string = "another model"
    return proto.SerializeToString()


def test_a_model_that_changes_in_mid_run_ends_it(tiny_model_path: Path, tmp_path: Path) -> None:
    model = tmp_path / "model.onnx"
    model.write_bytes(tiny_model_path.read_bytes())
    job = make_job(
        model, COUNT, tmp_path / "out", format="npz", labels="balanced", seed=0, shard_size=SHARD
    )
    model.write_bytes(changed(model.read_bytes()))
    with pytest.raises(UnsafeModelError, match="it is not the file that was meant"):
        run(job, run_serially)
    assert list(job.output.glob("train*")) == []


def test_images_of_another_origin_are_left_alone(tiny_model_path: Path, tmp_path: Path) -> None:
    (tmp_path / "train" / "3").mkdir(parents=True)
    with pytest.raises(OutputExistsError, match=r"holds train and no plan\.json"):
        make(tiny_model_path, tmp_path, format="imagefolder")
    assert [path.name for path in tmp_path.rglob("*")] == ["train", "3"]


# Verify


def test_verify_finds_one_flipped_bit(tiny_model_path: Path, tmp_path: Path) -> None:
    folder = make(tiny_model_path, tmp_path / "out")
    before = contents(folder)
    assert command("-o", folder, "--verify") == (
        0,
        f"{folder}: 300 images in 3 shards, {verify(folder).bytes:,} bytes, as planned\n",
    )
    shard = folder / "train-00001-of-00003.npz"
    content = bytearray(shard.read_bytes())
    content[500] ^= 1
    shard.write_bytes(content)
    assert command("-o", folder, "--verify") == (
        1,
        f"error: 1 of 3 shards in {folder} are not what the manifest says. Delete their records "
        "(shards/00001.json) and give the same command as before: it makes them again.\n",
    )
    (folder / "shards" / "00001.json").unlink()
    assert contents(make(tiny_model_path, folder)) == before


@pytest.mark.parametrize("name", ["idx", "imagefolder"])
def test_verify_looks_into_every_file_of_a_shard(
    name: str, tiny_model_path: Path, tmp_path: Path
) -> None:
    folder = make(tiny_model_path, tmp_path / "out", 20, format=name)
    file = sorted(path for path in folder.rglob("train*/**/*") if path.is_file())[-1]
    file.write_bytes(file.read_bytes()[:-1] + b"\0")
    with pytest.raises(GenerationError, match="1 of 1 shards"):
        verify(folder)
    file.unlink()
    with pytest.raises(GenerationError, match="1 of 1 shards"):
        verify(folder)


def test_verify_of_a_folder_that_is_not_finished(tmp_path: Path) -> None:
    with pytest.raises(GenerationError, match=r"no manifest\.json, so it is not finished"):
        verify(tmp_path)


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"plan": {}, "shards": []}'])
def test_verify_of_something_else(text: str, tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(GenerationError, match=r"manifest\.json"):
        verify(tmp_path)


# Progress


def on_a_terminal(*arguments: object) -> str:
    """What the command writes to a terminal as its standard error."""
    ours, theirs = os.openpty()
    termios.tcsetwinsize(theirs, (24, 100))
    code = "from vae_augment.cli import main; main()"
    command = [sys.executable, "-c", code, "generate", *map(str, arguments)]
    subprocess.run(command, stderr=theirs, stdout=subprocess.DEVNULL, timeout=60, check=True)
    os.close(theirs)
    with open(ours, "rb", buffering=0) as terminal:
        return terminal.read(65536).decode()


def test_the_bar_of_a_resumed_run_starts_where_it_stopped(
    tiny_model_path: Path, tmp_path: Path
) -> None:
    folder = make(tiny_model_path, tmp_path / "out")
    (folder / "train-00001-of-00003.npz").unlink()
    text = on_a_terminal(
        tiny_model_path, "-n", COUNT, "--shard-size", SHARD, "-o", folder, "--workers", 1
    )
    assert "| 170/300 [00:00<?" in text
    assert "| 300/300 [00:0" in text.splitlines()[-1]
    assert " images/s]" in text


# Plans that cannot be carried out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["-n", 0], "n is 0; it must be at least 1."),
        (["-n", 5, "--shard-size", 0], "shard_size is 0; it must be at least 1."),
        (["-n", 5, "--seed", 2**64], f"seed is {2**64}; it must lie in 0..2**64 - 1."),
        (
            ["-n", 5, "--labels", "dog"],
            "There is no class 'dog'; there are 0..9: 0, 1, 2, 3, 4, 5, 6, 7, 8, 9.",
        ),
        (
            ["-n", 5, "--labels", "3:much"],
            "--labels '3:much' (CLASS:WEIGHT,...): the weight is 'much'; it must be a number.",
        ),
        (
            ["-n", 5, "--format", "zip"],
            "format is 'zip'; choose one of npz, idx, imagefolder, parquet, webdataset.",
        ),
        (["-n", 5, "--engine", "dask"], "--engine is 'dask'; choose local, torchrun or ray."),
        (
            ["-n", 5, "--num-shards", 2, "--shard-index", 2],
            "--shard-index is 2; with --num-shards 2 it must be below that.",
        ),
    ],
)
def test_bad_plans_end_with_one_line(
    options: list[object], message: str, tiny_model_path: Path, tmp_path: Path
) -> None:
    assert command(tiny_model_path, "-o", tmp_path / "out", *options) == (1, f"error: {message}\n")
    assert not (tmp_path / "out").exists()


def test_no_model_and_no_torchrun(tiny_model_path: Path, tmp_path: Path) -> None:
    assert command("-n", 5, "-o", tmp_path)[1].startswith("error: No MODEL was given.")
    with pytest.raises(InputError, match="RANK and WORLD_SIZE are not set"):
        torchrun_share({})
    assert torchrun_share({"RANK": "1", "WORLD_SIZE": "3"}) == Share(1, 3)
    with pytest.raises(InputError, match="workers is 0"):
        generate(tiny_model_path, 5, tmp_path, workers=0)


def test_a_missing_library_is_named(
    tiny_model_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from importlib import metadata

    def absent(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", absent)
    code, text = command(
        tiny_model_path, "-n", 5, "-o", tmp_path / "out", "--format", "imagefolder"
    )
    assert (code, text) == (
        1,
        "error: This format needs pillow, which is not installed: pip install pillow\n",
    )


@pytest.mark.skipif(sys.platform != "linux", reason="needs a folder that not even root can write")
def test_a_folder_that_cannot_be_written(tiny_model_path: Path) -> None:
    code, text = command(tiny_model_path, "-n", 5, "-o", "/sys/vae-augment")
    assert code == 1
    assert text.startswith("error: /sys/vae-augment cannot be written: ")
    assert text.count("\n") == 1


# No file of imagefolder is large enough.
@pytest.mark.parametrize("name", ["npz", "idx", "parquet", "webdataset"])
def test_no_space_leaves_no_half_of_a_shard(
    name: str, tiny_model_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Python would cut its own .pyc files at the limit.
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    folder = tmp_path / "out"
    job = make_job(
        tiny_model_path, 300, folder, format=name, labels="balanced", seed=0, shard_size=150
    )
    with (
        largest_file(6_000),
        pytest.raises(GenerationError) as caught,
    ):
        run(job, run_serially)
    assert str(caught.value) == (
        f"{folder} cannot be written: File too large. Finished shards stay, and there is no half "
        "of one. Put that right, and the same command goes on."
    )
    assert {path.name for path in folder.iterdir()} == {"plan.json", "staging"}
    assert list((folder / "staging").iterdir()) == []


# Interrupts


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_finishes_the_shard_in_hand(
    number: signal.Signals, code: int, tiny_model_path: Path, tmp_path: Path
) -> None:
    job = make_job(
        tiny_model_path,
        COUNT,
        tmp_path / "out",
        format="npz",
        labels="balanced",
        seed=0,
        shard_size=SHARD,
    )

    def engine(job: object, shards: object) -> object:
        for shard in (0, 1):
            signal.raise_signal(number)
            yield Worker(job).make(shard)

    with pytest.raises((KeyboardInterrupt, SystemExit)) as caught:
        run(job, engine)
    assert getattr(caught.value, "code", 130) == code
    assert [read_record(job, shard) is not None for shard in range(3)] == [True, False, False]
    assert run(job, run_serially) is not None


def test_two_signals_at_the_same_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    lost: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", lost.append)
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        with Interruptible() as interrupt:
            signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
            for number in numbers:
                signal.pthread_kill(threading.get_ident(), number)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, numbers)
        assert interrupt.requested == signal.SIGINT
        assert signal.getsignal(signal.SIGTERM) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGTERM, before)
    assert lost == []


def test_generation_does_without_torch(tiny_model_path: Path, tmp_path: Path) -> None:
    code = (
        "import sys; from vae_augment.generation.engines.ranks import run_serially; "
        "from vae_augment.generation import *; "
        f"run(make_job({str(tiny_model_path)!r}, 5, {str(tmp_path)!r}, format='npz', "
        "labels='balanced', seed=0, shard_size=None), run_serially); "
        "assert 'torch' not in sys.modules; print('done')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.stdout, done.stderr) == ("done\n", "")


def test_a_loaded_model_does_too(tiny_model_path: Path, tmp_path: Path) -> None:
    job = make_job(
        load(tiny_model_path),
        COUNT,
        tmp_path / "a",
        format="npz",
        labels="balanced",
        seed=0,
        shard_size=SHARD,
    )
    assert run(job, run_serially) is not None
    assert contents(tmp_path / "a") == contents(make(tiny_model_path, tmp_path / "b"))


def test_the_plan_of_a_model_of_three_channels(tiny_model_path: Path, tmp_path: Path) -> None:
    file = read_model(tiny_model_path)
    colour = dataclasses.replace(file, spec=dataclasses.replace(file.spec, image_shape=(3, 8, 8)))
    assert make_plan(colour, 5, format="parquet").image_shape == (3, 8, 8)
    with pytest.raises(InputError, match="idx holds images of 1 channels; the model makes 3"):
        make_plan(colour, 5, format="idx")


def test_a_plan_is_its_own_json(tiny_model_path: Path) -> None:
    plan = make_plan(read_model(tiny_model_path), 5, labels={"3": 0.3, 5: 0.1})
    assert Plan.from_json(plan.to_json()) == plan


def test_numbers_of_numpy_give_the_plan_of_pythons(tiny_model_path: Path, tmp_path: Path) -> None:
    manifest = generate(
        tiny_model_path, np.int64(5), tmp_path, seed=np.uint8(7), shard_size=np.int32(3), workers=1
    )
    assert manifest.plan.to_json()["seed"] == 7
    assert [record.images for record in manifest.shards] == [3, 2]
    for wrong in ({"seed": 1.0}, {"seed": True}, {"shard_size": 2.5}):
        with pytest.raises(InputError, match="it must be an integer"):
            generate(tiny_model_path, 5, tmp_path / "no", **wrong)
    assert not (tmp_path / "no").exists()
