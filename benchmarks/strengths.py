"""How far `VAEAugment` moves images, and which of them keep the label of a classifier.

    python -m benchmarks.strengths MODEL TRAIN [TEST] [--root DIR] [--updates N]
    python -m benchmarks.strengths mnist mnist --root DIR --updates 3000

The classifier is trained on TRAIN, without the VAE. The images are those of TEST, or the test part
of a named data set. Every image is perturbed, p=1.
"""

import argparse
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from vae_augment import VAEAugment, VAEModel, load
from vae_augment.evaluation.classifier import predict, train_classifier
from vae_augment.evaluation.report import markdown
from vae_augment.training import load_data
from vae_augment.training.data.image_data import to_float

STRENGTHS = (0.25, 0.5, 1.0, 2.0, 4.0)
HEAD = ["model", "residual", "strength", "moves", "two differ", "labels kept", "right"]


def lines(
    model: VAEModel, classifier: nn.Module, images: Tensor, labels: Tensor, strength: float
) -> list[list[str]]:
    """A line of the table for each value that `residual` may have.

    "moves" and "two differ" are means over all pixels of the absolute difference between an image
    and its perturbation, and between two perturbations of it; "labels kept" are the images of which
    the classifier says the same before and after; "right" are those that it then gives their label.
    """
    before = predict(classifier, images).argmax(1)
    found = []
    for residual in model.spec.kind.residuals:
        augment = VAEAugment(model, strength=strength, p=1.0, residual=residual)
        torch.manual_seed(0)
        one = augment(images)
        two = augment(images)
        after = predict(classifier, one).argmax(1)
        moves = (one - images).abs().mean().item()
        differ = (one - two).abs().mean().item()
        kept = 100 * (after == before).double().mean().item()
        right = 100 * (after == labels).double().mean().item()
        numbers = [f"{moves:.3f}", f"{differ:.3f}", f"{kept:.1f} %", f"{right:.1f} %"]
        found.append([model.name, str(residual), f"{strength:g}", *numbers])
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", help="a bundled name, or the path of an .onnx file")
    parser.add_argument("train", help="images of the classifier, as for fit")
    parser.add_argument("test", nargs="?", help="images to perturb, as for fit")
    parser.add_argument("--root", help="folder of torchvision's data sets")
    parser.add_argument("--updates", type=int, default=5000, help="of the classifier")
    parser.add_argument("--strength", type=float, nargs="*", default=STRENGTHS)
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    train = load_data(options.train, options.root)
    test = load_data(options.test or options.train, options.root, train=options.test is not None)
    classifier = train_classifier(
        to_float(train.images), train.labels, len(train.classes), updates=options.updates
    )
    model = load(options.model, provider="cpu", threads=1)
    images = to_float(test.images)
    rows: list[list[str]] = []
    for strength in options.strength:
        rows += lines(model, classifier, images, test.labels, strength)
    print(f"{len(test)} images of {test.name}, classifier after {options.updates} updates")
    print(markdown(HEAD, rows))


if __name__ == "__main__":
    main()
