"""Do samples teach more when the decoder learns the distribution of detail, not its mean?

    python -m benchmarks.energy DIR RESULTS.jsonl --data fashion-mnist --epochs 14 --draws 100:102
    python -m benchmarks.energy DIR RESULTS.jsonl --noise-dim 0         # the same network without noise

DIR holds torchvision's data sets. A VAE of all training images is trained, or read from the .safetensors beside
RESULTS; 60,000 samples of balanced classes are drawn from the mixtures of its latents, and a small CNN learns from them
alone. docs/notes/samples.md has what came of it.

The decoder gets noise beside the latent, and two of its images are compared with the original by the energy score
(Gneiting and Raftery, "Strictly proper scoring rules", 2007, equation 22), on patches of several sizes and on the
features of small classifiers. Its expectation is lowest for the true distribution of the detail that the latent leaves
open, where a cross-entropy or a distance asks for the mean: a blur.
"""

import argparse
import copy
import json
import math
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.swa_utils import get_ema_multi_avg_fn

from benchmarks.benefit.__main__ import numbers
from benchmarks.common import machine
from vae_augment.evaluation.classifier import accuracy, same, train, train_classifier
from vae_augment.latent import kl_divergence, perturb
from vae_augment.sampling import LabelPolicy, draw
from vae_augment.spec import Spec
from vae_augment.training import ImageData, load_data
from vae_augment.training.data import to_float
from vae_augment.training.mixture import fit_latents
from vae_augment.training.networks import VAE, Residual

CLASSES, SAMPLES = 10, 60_000
SIDES = (1, 3, 5)  # of the patches that the energy score compares


@dataclass(frozen=True)
class Config:
    """How the VAE is trained.

    Attributes:
        noise_dim: inputs of the decoder that the encoder does not see; 0 = none, which leaves a plain distance.
        beta: weight of the KL term.
        trained, untrained: how many classifiers, of the images or with random weights, give features to compare.
    """

    data: str = "fashion-mnist"
    epochs: int = 14
    latent_dim: int = 64
    noise_dim: int = 48
    beta: float = 0.1
    trained: int = 1
    untrained: int = 2
    batch: int = 128
    rate: float = 2e-3
    label_dropout: float = 0.1
    seed: int = 0


class Decoder(nn.Module):
    """Residual blocks at 7 and 14 pixels; the latent also scales and shifts the channels at 14."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.hidden, self.wide = nn.Linear(inputs, 128), nn.Linear(128, 64 * 49)
        self.at_7, self.up_14 = Residual(64), nn.ConvTranspose2d(64, 32, 4, 2, 1)
        self.at_14, self.up_28 = Residual(32), nn.ConvTranspose2d(32, 1, 4, 2, 1)
        self.style = nn.Linear(inputs, 2 * 32)

    def forward(self, inputs: Tensor) -> Tensor:
        rows = self.at_7(self.wide(self.hidden(inputs).relu()).view(-1, 64, 7, 7))
        scale, shift = self.style(inputs)[:, :, None, None].chunk(2, 1)
        rows = self.at_14(self.up_14(rows.relu()) * (1 + scale) + shift)
        return self.up_28(rows.relu()).sigmoid()


class NoisyVAE(VAE):
    """A class-conditional VAE of 1x28x28 images whose decoder gets noise [B, E] too."""

    def __init__(self, config: Config) -> None:
        super().__init__("conv", (1, 28, 28), config.latent_dim, CLASSES)
        self.noise_dim = config.noise_dim
        self.leave, self.render = nn.Identity(), Decoder(config.latent_dim + config.noise_dim + CLASSES)

    def decode(self, latent: Tensor, label: Tensor) -> Tensor:
        noise = torch.randn(len(latent), self.noise_dim)
        return self.render(self._with_label(torch.cat([latent, noise], 1), label))


class Features:
    """Feature maps of small classifiers, and the usual distance between two images' maps."""

    def __init__(self, config: Config, images: Tensor, labels: Tensor) -> None:
        self.networks = [feature_network() for _ in range(config.trained + config.untrained)]
        for network in self.networks[: config.trained]:
            train(network, images, labels, same, 6000)
        for network in self.networks:
            network.eval().requires_grad_(False)
        self.sizes = [found.std(0).norm(dim=0).mean() for found in self(images[:500])]

    def __call__(self, images: Tensor) -> list[Tensor]:
        found = []
        for network in self.networks:
            first = network[:2](images)
            found += [first, network[2:4](first)]
        return found

    def distance(self, one: list[Tensor], other: list[Tensor]) -> Tensor:
        """The mean over places of the distance between the channels, for each image [B]."""
        parts = zip(one, other, self.sizes, strict=True)
        total = [((a - b).square().sum(1) + 1e-4).sqrt().flatten(1).mean(1) / size for a, b, size in parts]
        return 100 * torch.stack(total).mean(0) if total else torch.zeros(1)  # without networks


def feature_network() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(1, 16, 5, 2, 2), nn.ReLU(), nn.Conv2d(16, 32, 3, 2, 1), nn.ReLU(),
        nn.Flatten(), nn.Dropout(0.3), nn.Linear(32 * 49, CLASSES),
    )  # fmt: skip


def patch_distance(difference: Tensor) -> Tensor:
    """The mean over patches of their root-mean-square difference, times the number of pixels, for each image [B]."""
    square, total = difference.square(), torch.zeros(len(difference))
    for side in SIDES:
        # The first patch starts elsewhere in each call, so that no pixel is always at the edge of one.
        first = int(torch.randint(side, (1,)))
        means = F.avg_pool2d(F.pad(square, (first, 0, first, 0)), side, (side + 1) // 2)
        total = total + (means + 1e-6).sqrt().flatten(1).mean(1)
    return total * 784 / len(SIDES)


def energy_score(one: Tensor, other: Tensor, image: Tensor, features: Features) -> Tensor:
    """Two of the decoder's images against the original, all [B, 1, 28, 28]: [B]. Without noise: the distance."""
    pictures = (one, other, image)
    maps = [features(picture) for picture in pictures]

    def apart(first: int, second: int) -> Tensor:
        pixels = patch_distance(pictures[first] - pictures[second])
        return pixels + features.distance(maps[first], maps[second])

    return (apart(0, 2) + apart(1, 2) - apart(0, 1)) / 2


def fit(data: ImageData, config: Config) -> NoisyVAE:
    """Adam with a warm-up and a cosine decay of its rate, the KL term warmed up, and averaged weights, as `fit`'s."""
    torch.manual_seed(config.seed)
    images, labels = to_float(data.images), data.labels
    features, model = Features(config, images, labels), NoisyVAE(config).to(memory_format=torch.channels_last)
    optimizer, average = torch.optim.Adam(model.parameters(), config.rate, fused=True), copy.deepcopy(model)
    total = config.epochs * math.ceil(len(images) / config.batch)
    order = torch.cat([torch.randperm(len(images)) for _ in range(config.epochs)])
    for step, rows in enumerate(order.split(config.batch)):
        image = images[rows].contiguous(memory_format=torch.channels_last)
        label = labels[rows].masked_fill(torch.rand(len(rows)) < config.label_dropout, -1)
        mean, logvar = model.encode(image, label)
        latent = perturb(mean, logvar, torch.randn_like(mean), 1.0)
        one, other = model.decode(latent.repeat(2, 1), label.repeat(2)).chunk(2)
        weight = config.beta * min(1, step / (0.2 * total))
        loss = (energy_score(one, other, image, features) + weight * kl_divergence(mean, logvar)).mean()
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 200.0)
        decay = 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * step / total))
        optimizer.param_groups[0]["lr"] = config.rate * min(1, (step + 1) / 300) * decay
        optimizer.step()
        share = min(0.999, (2 + step) / (11 + step))
        get_ema_multi_avg_fn(share)(list(average.parameters()), list(model.parameters()), step)
        if step % 200 == 0:
            print(f"{step}/{total}  loss {loss.item():.2f}", flush=True)
    return average.to(memory_format=torch.contiguous_format)  # as safetensors asks for


@torch.inference_mode()
def samples(model: NoisyVAE, spec: Spec, seed: int) -> tuple[Tensor, Tensor]:
    """60,000 images in 256 grey levels [N, 1, 28, 28] and their classes [N], all classes in turn."""
    drawn, labels = draw(spec, LabelPolicy(tuple(range(CLASSES))), torch.arange(SAMPLES).numpy(), seed)
    latent, label = torch.from_numpy(drawn), torch.from_numpy(labels)
    torch.manual_seed(seed)
    images = [model.decode(*rows) for rows in zip(latent.split(1000), label.split(1000), strict=True)]
    return torch.cat(images).mul(255).round().div(255), label


def read_or_fit(data: ImageData, config: Config, weights: Path) -> NoisyVAE:
    """The VAE of the file `weights`, which is trained and written first where there is none."""
    model = NoisyVAE(config)
    if not weights.exists():
        save_file(fit(data, config).state_dict(), weights, {"config": json.dumps(asdict(config))})
    with safe_open(weights, "pt") as file:
        if json.loads(file.metadata()["config"]) != asdict(config):
            sys.exit(f"{weights} was trained with other settings: {file.metadata()['config']}.")
    model.load_state_dict(load_file(weights))
    return model.eval()


def measure(config: Config, root: str, draws: range, updates: int, results: Path) -> None:
    """For each draw, train a classifier on its own samples of one VAE; write a line per draw to `results`."""
    data, test = load_data(config.data, root), load_data(config.data, root, train=False)
    model = read_or_fit(data, config, results.with_suffix(".safetensors"))
    latents = fit_latents(model.encode, data, config.seed)
    spec = Spec(data.image_shape, config.latent_dim, data.classes, conditional=True, latents=latents)
    facts = asdict(config) | {"updates": updates} | machine()
    test_images = to_float(test.images)
    for seed in draws:
        images, labels = samples(model, spec, seed)
        found = train_classifier(images, labels, CLASSES, updates=updates, seed=seed)
        percent = round(accuracy(found, test_images, test.labels), 2)
        print(f"draw {seed}: {percent} %", flush=True)
        with results.open("a") as file:
            print(json.dumps({"draw": seed, "accuracy": percent} | facts), file=file)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", help="folder that holds torchvision's data sets")
    parser.add_argument("results", type=Path)
    parser.add_argument("--draws", type=numbers, default=range(100, 101), help="FIRST:END, END not included")
    parser.add_argument("--updates", type=int, default=5000, help="of the classifier")
    for name, default in asdict(Config()).items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(default), default=default)
    options = vars(parser.parse_args())
    root, results, draws, updates = (options.pop(name) for name in ("root", "results", "draws", "updates"))
    measure(Config(**options), root, draws, updates, results)


if __name__ == "__main__":
    main()
