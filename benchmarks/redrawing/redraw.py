"""A VAE conditioned on an image, p(x' | x, z): x and x' are two people's drawings of one character.

python redraw.py NAME [KEY=VALUE ...]    # trains Config(KEY=VALUE ...) and writes NAME.pt and
NAME.png
"""

import copy
import dataclasses
import json
import math
import sys
import time
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vae_augment.training.networks.redrawing import blur, spline

SIDE = 28


@dataclass(frozen=True)
class Config:
    """How a VAE is built and trained.

    Attributes: parts: of Omniglot, joined by "+": "background" or "background+evaluation". output:
        "pixels", or "warp": the decoder predicts a displacement field that is applied to x.
        thickness: "same" for x and x', or "free". beta: weight of the KL term. common: strength of
        the random warp that x and x' share; 0 leaves quarter turns and mirroring.
    """

    parts: str = "background"
    output: str = "pixels"
    thickness: str = "same"
    latent: int = 16
    widths: tuple[int, int] = (32, 64)
    beta: float = 1.0
    common: float = 1.0
    updates: int = 3000
    batch: int = 64
    rate: float = 2e-3
    seed: int = 0


class Redraw(nn.Module):
    """Encoder, learned prior and decoder, all at 14x14 and 7x7: an image is taken as 4 channels of 14x14.

    5.1 M multiplications per redrawing with the usual widths.
    """

    def __init__(self, config: Config):
        super().__init__()
        self.config = config
        b, c = config.widths
        d = config.latent
        self.see14, self.see7 = _conv(4, b), _conv(b, c, 2)
        self.prior = nn.Linear(c * 49, 2 * d)
        nn.init.zeros_(self.prior.weight)
        nn.init.zeros_(self.prior.bias)
        self.encoder = nn.Sequential(
            nn.PixelUnshuffle(2), _conv(8, 32), nn.ReLU(), _conv(32, 64, 2), nn.ReLU(), nn.Flatten(),
            nn.Linear(64 * 49, 2 * d),
        )  # fmt: skip
        self.place = nn.Linear(d, c * 49)
        self.scale = nn.Linear(d, 2 * (c + b))
        self.at7 = _conv(c, c)
        if config.output == "warp":
            self.more7 = _conv(c, c)
            self.field = _conv(c, 2)
            nn.init.zeros_(self.field.weight)
            nn.init.zeros_(self.field.bias)
            self.register_buffer("spline", spline(7, SIDE))
        else:
            self.down14, self.at14 = nn.Conv2d(c, b, 1), _conv(b, b)
            self.last = _conv(b, 4)

    def look(self, x: Tensor) -> list[Tensor]:
        at14 = F.relu(self.see14(F.pixel_unshuffle(x, 2)))
        return [F.relu(self.see7(at14)), at14]

    def prior_of(self, features: list[Tensor]) -> tuple[Tensor, Tensor]:
        return self.prior(features[0].flatten(1)).chunk(2, 1)

    def posterior(self, x: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
        return self.encoder(torch.cat([x, other], 1)).chunk(2, 1)

    def decode(self, x: Tensor, features: list[Tensor], z: Tensor) -> Tensor:
        """Logits of the redrawing, or for "warp" its pixels."""
        b, c = self.config.widths
        films = self.scale(z)[:, :, None, None].split([c, c, b, b], 1)
        h = F.relu(
            self.at7(features[0] + self.place(z).view(-1, c, 7, 7)) * (1 + films[0]) + films[1]
        )
        if self.config.output == "warp":
            h = F.relu(self.more7(h)) + h
            return warped(x, self.spline @ self.field(h) @ self.spline.T)
        h = _double(self.down14(h)) + features[1]
        h = F.relu(self.at14(h) * (1 + films[2]) + films[3])
        return F.pixel_shuffle(self.last(h), 2)

    @torch.inference_mode()
    def redraw(
        self, x: Tensor, strength: float = 1.0, sharpen: float = 1.0, seen: Tensor | None = None
    ) -> Tensor:
        """New drawings of what [B, 1, 28, 28] shows, in [0, 1]; `sharpen` multiplies the logits.

        With `seen`, the control: the displacement fields are those of these other images.
        """
        features = self.look(x if seen is None else seen)
        mean, log_var = self.prior_of(features)
        out = self.decode(
            x, features, mean + strength * (0.5 * log_var).exp() * torch.randn_like(mean)
        )
        return out if self.config.output == "warp" else (sharpen * out).sigmoid()


def warped(x: Tensor, field: Tensor) -> Tensor:
    """x moved by a field [B, 2, 28, 28] in grid coordinates."""
    identity = F.affine_grid(
        torch.eye(2, 3).expand(len(x), 2, 3), list(x.shape), align_corners=False
    )
    return F.grid_sample(x, identity + field.permute(0, 2, 3, 1), align_corners=False)


def losses(model: Redraw, x: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
    """Reconstruction and KL terms, both per image."""
    features = model.look(x)
    mean, log_var = model.posterior(x, other)
    prior_mean, prior_log_var = model.prior_of(features)
    z = mean + (0.5 * log_var).exp() * torch.randn_like(mean)
    out = model.decode(x, features, z)
    if model.config.output == "warp":
        # The squared distance at three resolutions: a stroke that lies beside its place still feels
        # the pull.
        error = sum(
            weight * (blurred(out, sigma) - blurred(other, sigma)).square().sum()
            for sigma, weight in ((0.7, 2.0), (1.5, 4.0), (3.0, 10.0))
        )
    else:
        error = F.binary_cross_entropy_with_logits(out, other, reduction="sum")
    gap = mean - prior_mean
    kl = (
        0.5
        * (prior_log_var - log_var + (log_var.exp() + gap.square()) / prior_log_var.exp() - 1).sum()
    )
    return error / len(x), kl / len(x)


class Pairs:
    """Batches of two drawings of one character under one random warp."""

    def __init__(self, config: Config):
        parts = [torch.load(f"{part}.pt") for part in config.parts.split("+")]
        self.images = torch.cat(parts, 1)  # [thickness, character, drawing, 28, 28]
        self.config = config

    def draw(self, count: int) -> tuple[Tensor, Tensor]:
        levels, characters, drawings = self.images.shape[:3]
        character = torch.randint(characters, (count,))
        first = torch.randint(drawings, (count,))
        second = (first + torch.randint(1, drawings, (count,))) % drawings
        level = torch.randint(levels, (count,))
        other = level if self.config.thickness == "same" else torch.randint(levels, (count,))
        both = torch.stack(
            [self.images[level, character, first], self.images[other, character, second]], 1
        )
        return common_warp(both.float() / 255, self.config.common).split(1, 1)


def common_warp(images: Tensor, strength: float) -> Tensor:
    """One warp for all channels of an image.

    A quarter turn, perhaps mirrored, and a mild turn, stretch and bend.
    """
    count = len(images)
    angle = math.pi / 2 * torch.randint(4, (count,)) + 0.3 * strength * _either(count)
    cos, sin = angle.cos(), angle.sin()
    turn = torch.stack([cos, -sin, sin, cos], 1).view(-1, 2, 2)
    stretch = torch.exp(0.12 * strength * torch.stack([_either(count), _either(count)], 1))
    stretch[:, 0] *= 1 - 2 * torch.randint(2, (count,))
    shear = torch.eye(2).repeat(count, 1, 1)
    shear[:, 0, 1] = 0.25 * strength * _either(count)
    theta = torch.cat([turn @ shear * stretch[:, None], torch.zeros(count, 2, 1)], 2)
    grid = F.affine_grid(theta, list(images.shape), align_corners=False)
    bend = 0.06 * strength * torch.randn(count, 2, 4, 4)
    smooth = spline(4, SIDE)
    grid = grid + (smooth @ bend @ smooth.T).permute(0, 2, 3, 1)
    return F.grid_sample(images, grid, align_corners=False).clamp(0, 1)


def train(config: Config, name: str) -> Redraw:
    torch.manual_seed(config.seed)
    model, pairs, start = (
        Redraw(config).to(memory_format=torch.channels_last),
        Pairs(config),
        time.time(),
    )
    optimizer = torch.optim.AdamW(model.parameters(), config.rate, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, config.rate, total_steps=config.updates
    )
    average, seen = copy.deepcopy(model), torch.zeros(2)
    for update in range(config.updates):
        error, kl = losses(model, *pairs.draw(config.batch))
        warmed = min(1.0, update / (0.2 * config.updates))
        optimizer.zero_grad()
        (error + config.beta * warmed * kl).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 100.0)
        optimizer.step()
        schedule.step()
        with torch.no_grad():
            for kept, now in zip(average.parameters(), model.parameters(), strict=True):
                kept.lerp_(now, 0.005 if update > 500 else 0.05)
        seen += torch.stack([error, kl]).detach()
        if (update + 1) % 250 == 0:
            print(
                name,
                update + 1,
                [round(v, 2) for v in (seen / 250).tolist()],
                round(time.time() - start),
                flush=True,
            )
            last, seen = (seen / 250).tolist(), torch.zeros(2)
    record = {
        "vae": name,
        **dataclasses.asdict(config),
        "error": last[0],
        "kl": last[1],
        "seconds": time.time() - start,
    }
    torch.save(
        {"config": dataclasses.asdict(config), "state": average.state_dict(), "record": record},
        f"{name}.pt",
    )
    with open("vaes.jsonl", "a") as file:
        file.write(json.dumps(record) + "\n")
    return average.eval()


def load(name: str) -> Redraw:
    found = torch.load(f"{name}.pt")
    config = Config(**{**found["config"], "widths": tuple(found["config"]["widths"])})
    model = Redraw(config)
    model.load_state_dict(found["state"])
    return model.eval()


def parse(arguments: list[str]) -> Config:
    given = dict(argument.split("=") for argument in arguments)
    types = {field.name: type(field.default) for field in dataclasses.fields(Config)}
    return Config(**{key: types[key](value) for key, value in given.items()})


def _conv(channels: int, out: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(channels, out, 3, stride, padding=1)


def blurred(images: Tensor, sigma: float) -> Tensor:
    weight = blur(sigma, SIDE)
    return weight @ images @ weight


def _double(h: Tensor) -> Tensor:
    return F.interpolate(h, scale_factor=2, mode="nearest")


def _either(count: int) -> Tensor:
    return 2 * torch.rand(count) - 1


if __name__ == "__main__":
    torch.set_num_threads(1)
    train(parse(sys.argv[2:]), sys.argv[1])
