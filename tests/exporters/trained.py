"""Small VAEs of the digits, trained on images in other ranges than [0, 1]."""

import functools

import torch
from torch import Tensor, nn

from vae_augment import load
from vae_augment.training import ImageData, load_data

LASTS = {"tanh": nn.Tanh, "sigmoid": nn.Sigmoid, "none": nn.Identity}


class RangeVAE(nn.Module):
    """Images of 1x8x8; the last layer of the decoder is to choose."""

    def __init__(self, last: str) -> None:
        super().__init__()
        self.enter = nn.Sequential(nn.Flatten(), nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 16))
        self.leave = nn.Sequential(nn.Linear(8, 128), nn.ReLU(), nn.Linear(128, 64), LASTS[last]())

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        mean, logvar = self.enter(x).chunk(2, 1)
        return mean, logvar

    def decode(self, z: Tensor) -> Tensor:
        return self.leave(z).view(-1, 1, 8, 8)


@functools.cache
def digits() -> ImageData:
    return load_data("digits")


@functools.cache
def trained(last: str, low: float, high: float, target: str = "image") -> RangeVAE:
    """Trained on images in [low, high]; `target` "unit" or "logits" for a decoder of [0, 1]."""
    torch.manual_seed(0)
    model = RangeVAE(last)
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    unit = digits().images.float() / 255
    for _ in range(150):
        batch = unit[torch.randint(len(unit), (128,))]
        image = low + (high - low) * batch
        mean, logvar = model.encode(image)
        decoded = model.decode(mean + (0.5 * logvar).exp() * torch.randn_like(mean))
        if target == "logits":
            error = nn.functional.binary_cross_entropy_with_logits(decoded, batch)
        else:
            error = (decoded - (image if target == "image" else batch)).square().mean()
        kl = (mean**2 + logvar.exp() - 1 - logvar).mean()
        optimizer.zero_grad()
        (error / (high - low) + 1e-4 * kl).backward()
        optimizer.step()
    return model.eval()


def share_of_error(path: object) -> float:
    """The squared error of the file's reconstructions as a share of the mean image's."""
    images = digits().images.float() / 255
    rebuilt = load(path).reconstruct(images)
    return ((rebuilt - images).square().mean() / (images.mean(0) - images).square().mean()).item()
