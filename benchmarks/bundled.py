"""Bundled models of labelled images, one command each, and what all files say of themselves.

`symbols` is made and measured by such a command too, but not bundled.

    python -m benchmarks.bundled make devanagari DATA FOLDER
    python -m benchmarks.bundled audit devanagari DATA
    python -m benchmarks.bundled describe

`make` trains on the training part of a data set in DATA (as ../shared/data), measures on its test
part what a classifier learns from samples, and writes the model file into FOLDER, and into the
package where it is one of the bundled ones. FOLDER keeps the checkpoint, so that the command can be
repeated; on a machine that would train for more than half an hour, `fit` makes fewer updates.
`audit` looks for what a file gives away of the images of its training, and writes the result into
it. `describe` writes source, licence and the figures of results/samples.jsonl into every bundled
file; it changes neither weights nor latents, and nothing where they are in it already.
"""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks import samples
from benchmarks.common import Row, read_lines
from vae_augment import VAEModel, evaluation, load
from vae_augment.evaluation.intervals import paired
from vae_augment.evaluation.samples_only import difference_of
from vae_augment.exporters import export
from vae_augment.files import atomic_path
from vae_augment.model.evidence import SAMPLES_ONLY, with_evidence
from vae_augment.model.file import BUNDLED
from vae_augment.model.file.bundled import BUNDLED_FOLDER
from vae_augment.privacy.audit import store as store_audit
from vae_augment.training import ImageData, fit, load_checkpoint, load_data

CLASSIFIERS = ("small_cnn", "logistic", "small_resnet")
app = typer.Typer(add_completion=False)


@dataclass(frozen=True)
class Origin:
    """Where the images of a bundled model come from; and how many, where its file does not say."""

    source: str
    licence: str
    images: int | None = None


ORIGINS = {
    "mnist": Origin("MNIST (LeCun, Cortes)", "CC BY-SA 3.0"),
    "fashion-mnist": Origin("Fashion-MNIST (Zalando)", "MIT"),
    "glyphs": Origin("Omniglot (Lake et al. 2015); DHCD (UCI)", "MIT; CC BY 4.0"),
    "strokes": Origin("Omniglot; DHCD (UCI)", "MIT; CC BY 4.0"),
    "objects": Origin("CIFAR-10 (Krizhevsky 2009), grey", "licence not stated", 46_400),
    "devanagari": Origin("DHCD (Acharya, Pant, Gyawali 2015; UCI)", "CC BY 4.0"),
    "bloodmnist": Origin("BloodMNIST, 3,200 of it (MedMNIST v2, Yang et al. 2023)", "CC BY 4.0"),
    "breastmnist": Origin("BreastMNIST (MedMNIST v2, Yang et al. 2023)", "CC BY 4.0"),
    "symbols": Origin("Basic Handwritten Math Symbols Dataset", "MIT"),
}


@dataclass(frozen=True)
class Parts:
    """The images that a model is trained on, and those that it is measured on, below DATA."""

    train: str
    test: str


PARTS = {
    "devanagari": Parts("handwriting/dhcd-train.npz", "handwriting/dhcd-test.npz"),
    "bloodmnist": Parts("medmnist/bloodmnist-4600.npz", "medmnist/bloodmnist-4600.npz"),
    "breastmnist": Parts("medmnist/breastmnist.npz", "medmnist/breastmnist.npz"),
    "symbols": Parts("symbols/symbols-train.npz", "symbols/symbols-test.npz"),
}
UPDATES = 1500  # of the classifiers that learn from their samples
# Which rows of the results are about a bundled model: the name of the data, and the updates.
MEASURED = {
    "mnist": ("mnist", 5000),
    "fashion-mnist": ("fashion-mnist", 5000),
    **{name: (Path(parts.train).name, UPDATES) for name, parts in PARTS.items()},
}


@app.command()
def make(
    name: str,
    data: Path,
    folder: Path,
    seeds: int = 5,
    classifier: Annotated[list[str] | None, typer.Option(help="All if not given.")] = None,
) -> None:
    """Train a model with the defaults, export and measure it."""
    train = images(name, data)
    checkpoint = folder / f"{name}.safetensors"
    if not (checkpoint.exists() and load_checkpoint(checkpoint).is_finished):
        fit(train, checkpoint, report=print)
    made = folder / f"{name}.onnx"
    export(checkpoint, made, precision="fp16", overwrite=True)
    model = load(made, provider="cpu")
    test = images(name, data, train=False)
    for name_of_classifier in classifier or CLASSIFIERS:
        rows = wanted(model, name, name_of_classifier, range(seeds))
        samples.add_missing(model, train, test, rows, samples.FILE)
    write_description(name, made, len(test))
    if name in BUNDLED:
        shutil.copyfile(made, BUNDLED_FOLDER / f"{name}.onnx")


def wanted(model: VAEModel, name: str, classifier: str, seeds: Sequence[int]) -> list[Row]:
    """The rows of results that a model needs."""
    data, updates = MEASURED[name]
    same = {"data": data, "updates": updates, "classifier": classifier, "labels": "real"}
    digest = model.weights_sha256
    return [
        {"kind": kind, "seed": seed, "model": digest if kind == "samples" else "", **same}
        for seed in seeds
        for kind in ("real", "samples")
    ]


@app.command()
def audit(name: str, data: Path) -> None:
    """Audit a model of labelled images, and write the result into its file."""
    model = load(name, provider="cpu")
    result = evaluation.audit(model, images(name, data), images(name, data, train=False))
    print(result.table())
    store_audit(result, model)


def images(name: str, data: Path, *, train: bool = True) -> ImageData:
    """The training or test images of a model; DATA as for `make`, or torchvision's data sets."""
    if name not in PARTS:
        return load_data(name, data, train=train)
    parts = PARTS[name]
    return load_data(data / (parts.train if train else parts.test), train=train)


@app.command()
def describe() -> None:
    """Write source, licence and figures into the bundled files."""
    for name in BUNDLED:
        write_description(name, load(name, provider="cpu").path)


def write_description(name: str, path: Path, test_images: int = 10_000) -> None:
    """Write what is known of a bundled model into its file."""
    model = load(path, provider="cpu")
    origin = ORIGINS[name]
    facts: dict[str, Any] = dict(model.spec.training)
    facts |= {"images_from": origin.source, "images_licence": origin.licence}
    if origin.images is not None:
        facts["images"] = origin.images
    spec = replace(model.spec, training=facts)
    known = dict(model.spec.evidence)
    measured = figure(name, model)
    if measured:
        before = known.get(SAMPLES_ONLY, {})
        known[SAMPLES_ONLY] = {"test_images": before.get("test_images", test_images), **measured}
    content = with_evidence(model.file.content, spec, known)
    if content != model.file.content:
        with atomic_path(path) as temporary:
            temporary.write_bytes(content)
    print(f"{name}: sha256 {load(path, provider='cpu').sha256}, {len(content):,} bytes")


def figure(name: str, model: VAEModel) -> dict[str, Any]:
    """The entry "samples_only" of a model's evidence; empty where it was not measured."""
    if name not in MEASURED:
        return {}
    data, updates = MEASURED[name]
    accuracies = samples.by_key(read_lines(samples.FILE))
    found: dict[str, dict[str, Any]] = {}
    for classifier in CLASSIFIERS:
        key = (data, updates, classifier)
        real = accuracies.get((*key, "real", ""), {})
        drawn = accuracies.get((*key, "samples", model.weights_sha256), {})
        difference = paired(drawn, real)
        if difference is not None:
            seeds = sorted(drawn.keys() & real.keys())
            found[classifier] = {
                "samples": round(sum(drawn[seed] for seed in seeds) / len(seeds), 2),
                "real": round(sum(real[seed] for seed in seeds) / len(seeds), 2),
                "difference": difference_of(difference),
                "updates": updates,
                "seeds": seeds,
            }
    if "small_cnn" not in found:
        return {}
    others = {name: entry for name, entry in found.items() if name != "small_cnn"}
    return {"classifier": "small_cnn", **found["small_cnn"], "others": others}


if __name__ == "__main__":
    app()
