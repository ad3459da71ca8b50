"""Learn from images without labels: a perturbed view must get the answer that the image gets.

    python examples/consistency.py --updates 300

Of scikit-learn's digits, five of each class have a label. The others teach a classifier too, by
`consistency_loss` between each image and a view of it that a VAE of all images perturbed.
"""

import argparse
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vae_augment import VAEAugment
from vae_augment.exporters import export
from vae_augment.training import FitConfig, fit, load_data

Function = Callable[[Tensor], Tensor]


def consistency_loss(
    classifier: Function, images: Tensor, view: Function, threshold: float = 0.95
) -> Tensor:
    """How far the answers to views are from the confident answers to the images themselves.

    Equation 4 of Sohn et al., "FixMatch" (2020): the cross-entropy between the answer to the view
    and the most probable class of the image, averaged over all images; those whose most probable
    class has less than `threshold` count as 0. Add it to the loss of the labelled images.

    Args:
        classifier: images [B, C, H, W] -> logits [B, classes].
        images: [B, C, H, W].
        view: images -> their perturbed views, in the same order.
        threshold: a probability, 0 to 1.
    """
    with torch.no_grad():
        confidence, answers = classifier(images).softmax(1).max(1)
    losses = F.cross_entropy(classifier(view(images)), answers, reduction="none")
    return (losses * (confidence >= threshold)).mean()


def train(images: Tensor, labels: Tensor, view: Function, updates: int, weight: float) -> nn.Module:
    """A classifier of all images, of which only the first `len(labels)` have a label."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 256), nn.ReLU(), nn.Linear(256, 10))
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    for _ in range(updates):
        loss = F.cross_entropy(model(view(images[: len(labels)])), labels)
        unlabelled = images[torch.randint(len(images), (128,))]
        loss = loss + weight * consistency_loss(model, unlabelled, view, threshold=0.8)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model.eval()


def main() -> None:
    """Train with and without the consistency loss, and print both accuracies."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--updates", type=int, default=300)
    parser.add_argument("--epochs", type=int, default=60, help="of the VAE")
    options = parser.parse_args()

    data = load_data("digits")
    with TemporaryDirectory() as folder:
        checkpoint = Path(folder, "digits.safetensors")
        fit(data, checkpoint, FitConfig(network="conv-small", beta=0.2, epochs=options.epochs))
        export(checkpoint, Path(folder, "digits.onnx"))
        view = VAEAugment(Path(folder, "digits.onnx"), p=1.0)

        few = torch.cat([(data.labels == digit).nonzero()[:5, 0] for digit in range(10)])
        others = (~torch.isin(torch.arange(len(data)), few)).nonzero()[:, 0]
        images = torch.cat([data.images[few], data.images[others]]) / 255
        test = load_data("digits", train=False)
        for weight in (0.0, 1.0):
            model = train(images, data.labels[few], view, options.updates, weight)
            is_right = model(test.images / 255).argmax(1) == test.labels
            print(f"weight {weight:.0f} of the consistency: {100 * is_right.float().mean():.1f} %")


if __name__ == "__main__":
    main()
