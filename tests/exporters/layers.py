"""The layers that the table in docs/export.md is about, each in a small VAE.

`VAE_AUGMENT_WRITE=1 python -m pytest -m slow tests/exporters/test_layers.py` writes the table anew.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations, parametrize
from torch.utils.checkpoint import checkpoint

PAGE = Path(__file__).parents[2] / "docs" / "export.md"
BEGIN = "<!-- layers -->\n"
END = "<!-- /layers -->\n"
CHANNELS, SIDE = 4, 8
SHAPE = (1, SIDE, SIDE)


class Of(nn.Module):
    """A function of an image, and of layers that it uses."""

    def __init__(self, function: Callable[..., Tensor], *layers: nn.Module) -> None:
        super().__init__()
        self.function = function
        self.layers = nn.ModuleList(layers)

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x, *self.layers)


@dataclass(frozen=True)
class Row:
    """A layer on features [B, 4, 8, 8].

    Attributes:
        name: as the page has it.
        make: builds it.
        instead: what to write in its place, if it is refused.
        replacement: builds that.
        same: whether the replacement computes the same.
    """

    name: str
    make: Callable[[], nn.Module]
    instead: str = ""
    replacement: Callable[[], nn.Module] | None = None
    same: bool = True


class Joined(nn.Module):
    """Several layers beside each other on the same features."""

    def __init__(self, layers: list[nn.Module]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([layer(x).flatten(1) for layer in self.layers], 1)


class LayerVAE(nn.Module):
    """A VAE with the layer in its encoder and in its decoder."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer.eval()
        self.enter = nn.Conv2d(1, CHANNELS, 3, padding=1)
        with torch.no_grad():
            made = self.layer(torch.rand(2, CHANNELS, SIDE, SIDE)).flatten(1).shape[1]
        self.moments = nn.Linear(made, 6)
        self.up = nn.Linear(3, CHANNELS * SIDE * SIDE)
        self.last = nn.Linear(made, SIDE * SIDE)

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        mean, logvar = self.moments(self.layer(self.enter(x)).flatten(1)).chunk(2, 1)
        return mean, logvar

    def decode(self, z: Tensor) -> Tensor:
        features = self.layer(self.up(z).view(-1, CHANNELS, SIDE, SIDE))
        return self.last(features.flatten(1)).sigmoid().view(-1, *SHAPE)


def tokens(x: Tensor) -> Tensor:
    """[B, C, H, W] -> [B, H*W, C]."""
    return x.flatten(2).transpose(1, 2)


def _half(x: Tensor) -> Tensor:
    return (x.half() * 2).float()


def _assigned(x: Tensor) -> Tensor:
    y = x.clone()
    y[:, 0] = 0.5
    return y


def _in_place(x: Tensor) -> Tensor:
    y = x.clone()
    y += 1
    return y.mul_(2)


def _reduced(x: Tensor) -> Tensor:
    return x.sum(1) + x.mean(1) + x.amax(1) + x.prod(1)


def _coordinates(x: Tensor) -> Tensor:
    """A spatial broadcast decoder (Watters et al. 2019): the latent and the place everywhere."""
    row = torch.linspace(-1, 1, SIDE)
    places = torch.stack(torch.meshgrid(row, row, indexing="ij"))
    batch = x.shape[0]
    everywhere = x.mean((2, 3))[:, :, None, None].expand(batch, -1, SIDE, SIDE)
    return torch.cat([everywhere, places.expand(batch, -1, -1, -1)], 1)


def _class_token(x: Tensor, layer: nn.Linear) -> Tensor:
    return torch.cat([layer.weight.expand(x.shape[0], -1, -1), tokens(x)], 1)


def _attention(x: Tensor, layer: nn.Conv2d) -> Tensor:
    query, key, value = layer(x).flatten(2).chunk(3, 1)
    weights = torch.softmax(query.transpose(1, 2) @ key / 2, -1)
    return x + (value @ weights.transpose(1, 2)).reshape(x.shape)


def _heads(x: Tensor) -> Tensor:
    return F.scaled_dot_product_attention(*[tokens(x).unsqueeze(1)] * 3).squeeze(1)


def _residual(x: Tensor, block: nn.Sequential) -> Tensor:
    return x + block(x)


def _squeeze(x: Tensor, layer: nn.Linear) -> Tensor:
    return x * layer(x.mean((2, 3))).sigmoid()[:, :, None, None]


def _padded(mode: str) -> Callable[[], nn.Module]:
    return lambda: nn.Conv2d(CHANNELS, 3, 3, padding=1, padding_mode=mode)


def _function(function: Callable[..., Tensor]) -> Callable[[], nn.Module]:
    return lambda: Of(function)


def _layers(names: str) -> list[Row]:
    return [Row(f"`nn.{name}`", getattr(nn, name)) for name in names.split(" ")]


def _block() -> nn.Module:
    layers = nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.Conv2d(4, 4, 3, padding=1), nn.SiLU()
    return Of(_residual, nn.Sequential(*layers, nn.Conv2d(4, 4, 1)))


def _transformer() -> nn.Module:
    layer = nn.TransformerEncoderLayer(4, 2, 8, batch_first=True, activation="gelu")
    return Of(lambda x, layer: layer(tokens(x)), layer)


def _multihead() -> nn.Module:
    layer = nn.MultiheadAttention(4, 2, batch_first=True)
    return Of(lambda x, layer: layer(*[tokens(x)] * 3)[0], layer)


def _unpooled() -> nn.Module:
    layers = nn.MaxPool2d(2, return_indices=True), nn.MaxUnpool2d(2)
    return Of(lambda x, pool, unpool: unpool(*pool(x)), *layers)


def _recurrent() -> nn.Module:
    return Of(lambda x, layer: layer(tokens(x))[0], nn.GRU(4, 3, batch_first=True))


def _orthogonal() -> nn.Linear:
    torch.manual_seed(0)
    return parametrizations.orthogonal(nn.Linear(SIDE, 3))


def _orthogonal_removed() -> nn.Module:
    return parametrize.remove_parametrizations(_orthogonal(), "weight")


SUPPORTED: dict[str, list[Row]] = {
    "activations": [
        *_layers(
            "ReLU ReLU6 LeakyReLU PReLU ELU SELU CELU GELU SiLU Mish Softplus Softsign Hardswish "
            "Hardsigmoid Hardtanh Hardshrink Softshrink Tanhshrink Tanh Sigmoid LogSigmoid"
        ),
        Row("`nn.GELU('tanh')`", lambda: nn.GELU("tanh")),
        Row("`nn.Threshold`", lambda: nn.Threshold(0.1, 0.2)),
        Row("`nn.GLU`", lambda: nn.GLU(1)),
        Row("`nn.Softmax`", lambda: nn.Softmax(1)),
        Row("`nn.LogSoftmax`", lambda: nn.LogSoftmax(1)),
        Row("`x * x.sigmoid()`", _function(lambda x: x * x.sigmoid())),
    ],
    "norms": [
        Row("`nn.BatchNorm1d`", lambda: nn.Sequential(nn.Flatten(), nn.BatchNorm1d(256))),
        Row("`nn.BatchNorm2d`", lambda: nn.BatchNorm2d(CHANNELS)),
        Row("`nn.LayerNorm`", lambda: nn.LayerNorm([CHANNELS, SIDE, SIDE])),
        Row("`nn.GroupNorm`", lambda: nn.GroupNorm(2, CHANNELS)),
        Row("`nn.InstanceNorm2d`", lambda: nn.InstanceNorm2d(CHANNELS, affine=True)),
        Row("`nn.RMSNorm`", lambda: nn.RMSNorm(SIDE)),
        Row("`nn.LocalResponseNorm`", lambda: nn.LocalResponseNorm(2)),
        Row("`F.normalize`", _function(lambda x: F.normalize(x, dim=1))),
        Row(
            "`parametrizations.weight_norm`",
            lambda: parametrizations.weight_norm(nn.Conv2d(CHANNELS, 3, 3)),
        ),
        Row(
            "`parametrizations.spectral_norm`",
            lambda: parametrizations.spectral_norm(nn.Conv2d(CHANNELS, 3, 3)),
        ),
    ],
    "convolutions and linear layers": [
        Row("`nn.Linear`", lambda: nn.Linear(SIDE, 5)),
        Row("`nn.Bilinear`", lambda: Of(lambda x, layer: layer(x, x), nn.Bilinear(8, 8, 3))),
        Row("`nn.Conv2d`", lambda: nn.Conv2d(CHANNELS, 3, 3, 2, 1)),
        Row("`padding='same'`", lambda: nn.Conv2d(CHANNELS, 3, 3, padding="same", dilation=2)),
        Row("`groups`", lambda: nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1, groups=CHANNELS)),
        Row("`padding_mode='reflect'`", _padded("reflect")),
        Row("`'replicate'`", _padded("replicate")),
        Row("`'circular'`", _padded("circular")),
        Row("`nn.Conv1d`", lambda: Of(lambda x, layer: layer(x.flatten(2)), nn.Conv1d(4, 3, 3))),
        Row("`nn.Conv3d`", lambda: Of(lambda x, layer: layer(x[:, None]), nn.Conv3d(1, 2, 3))),
        Row("`nn.Dropout`", nn.Dropout),
        Row("`nn.Embedding` of positions", lambda: Of(
            lambda x, layer: tokens(x) + layer(torch.arange(SIDE * SIDE)), nn.Embedding(64, 4)
        )),
    ],
    "upsampling": [
        Row("`nn.ConvTranspose2d`", lambda: nn.ConvTranspose2d(CHANNELS, 3, 4, 2, 1)),
        Row("`output_padding`", lambda: nn.ConvTranspose2d(CHANNELS, 3, 3, 2, 1, output_padding=1)),
        Row("`nn.Upsample` nearest", lambda: nn.Upsample(scale_factor=2)),
        Row("`nn.Upsample` bilinear", lambda: nn.Upsample(scale_factor=2, mode="bilinear")),
        Row("`nn.Upsample` bicubic", lambda: nn.Upsample(scale_factor=2, mode="bicubic")),
        Row("`align_corners=True`", lambda: nn.UpsamplingBilinear2d(scale_factor=2)),
        Row("`F.interpolate` to a size", _function(
            lambda x: F.interpolate(x, size=(13, 11), mode="bilinear")
        )),
        Row("`nn.PixelShuffle`", lambda: nn.PixelShuffle(2)),
        Row("`nn.PixelUnshuffle`", lambda: nn.PixelUnshuffle(2)),
        Row("`repeat_interleave`", _function(lambda x: x.repeat_interleave(2, 2))),
    ],
    "pooling and padding": [
        Row("`nn.MaxPool2d`", lambda: nn.MaxPool2d(2)),
        Row("`nn.AvgPool2d`", lambda: nn.AvgPool2d(3, 2, 1, count_include_pad=False)),
        Row("`nn.AdaptiveAvgPool2d` to 1 or a divisor", lambda: nn.AdaptiveAvgPool2d(4)),
        Row("`nn.AdaptiveMaxPool2d` to 1 or a divisor", lambda: nn.AdaptiveMaxPool2d(1)),
        Row("`nn.ReflectionPad2d`", lambda: nn.ReflectionPad2d(1)),
        Row("`nn.ReplicationPad2d`", lambda: nn.ReplicationPad2d(1)),
        Row("`nn.ZeroPad2d`", lambda: nn.ZeroPad2d(1)),
        Row("`F.pad` with negative numbers", _function(lambda x: F.pad(x, (-1, -1, -1, -1)))),
    ],
    "shapes": [
        Row("`nn.Flatten`", lambda: nn.Sequential(nn.Flatten(), nn.Unflatten(1, (2, 128)))),
        Row("`nn.Unflatten`", lambda: nn.Sequential(nn.Flatten(), nn.Unflatten(1, (4, 8, 8)))),
        Row("`view`", _function(lambda x: x.view(x.size(0), -1).view(-1, 2, 128))),
        Row("`reshape`", _function(lambda x: x.reshape(x.shape[0], 16, 16).transpose(1, 2))),
        Row("`permute`", _function(lambda x: x.permute(0, 2, 3, 1).contiguous())),
        Row("`squeeze`", _function(lambda x: x.mean((2, 3), keepdim=True).squeeze(3).squeeze(2))),
        Row("`expand`", _function(lambda x: x[:, :1].expand(x.shape[0], 3, -1, -1))),
        Row("`repeat`", _function(lambda x: x.mean((2, 3))[:, :, None, None].repeat(1, 1, 8, 8))),
        Row("`torch.zeros(x.shape[0], ...)`", _function(
            lambda x: torch.cat([x, torch.zeros(x.shape[0], 1, 8, 8)], 1)
        )),
        Row("`x.new_ones(x.shape[0], ...)`", _function(
            lambda x: torch.cat([x, x.new_ones(x.shape[0], 1, 8, 8)], 1)
        )),
        Row("`cat`", _function(lambda x: torch.cat([x, -x], 1))),
        Row("`stack`, `unbind`", _function(lambda x: torch.stack(x.unbind(1)[::-1], 1))),
        Row("`chunk`", _function(lambda x: torch.cat(x.chunk(2, 1)[::-1], 1))),
        Row("`split`", _function(lambda x: torch.cat(x.split([1, 3], 1)[::-1], 1))),
        Row("slices", _function(lambda x: x[:, 1:, ::2, ::2])),
        Row("`index_select`", _function(lambda x: x.index_select(1, torch.tensor([3, 1])))),
        Row("`flip`", _function(lambda x: x.flip(3))),
        Row("`roll`", _function(lambda x: x.roll(1, 3))),
    ],
    "arithmetic": [
        Row("`where`", _function(lambda x: torch.where(x > 0, x, 0.1 * x))),
        Row("`masked_fill`", _function(lambda x: x.masked_fill(x < 0, 0.0))),
        Row("comparisons", _function(lambda x: ((x > -0.1) & (x <= 0.1)).float())),
        Row("`clamp`", _function(lambda x: x.clamp(-0.5, 0.5) + x.clamp(min=0.1))),
        Row("`maximum`, `minimum`", _function(lambda x: x.maximum(-x) - x.minimum(2 * x))),
        Row("`abs`, `sign`", _function(lambda x: x.abs() * x.sign())),
        Row("`exp`, `log1p`", _function(lambda x: torch.log1p(x.exp()))),
        Row("`sqrt`, `rsqrt`, `pow`", _function(lambda x: (x**2 + 1).sqrt() + (x**2 + 1).rsqrt())),
        Row("`sin`, `cos`", _function(lambda x: x.sin() + x.cos())),
        Row("`sum`, `mean`, `amax`, `prod`", _function(_reduced)),
        Row("`std`, `var`", _function(lambda x: torch.cat([x.std((2, 3)), x.var((2, 3))], 1))),
        Row("`norm`, `logsumexp`", _function(lambda x: x.norm(dim=1) + x.logsumexp(1))),
        Row("`matmul`", _function(lambda x: x @ x.transpose(-1, -2))),
        Row("`einsum`", _function(lambda x: torch.einsum("bchw,bcvw->bhv", x, x))),
        Row("in-place arithmetic", _function(_in_place)),
    ],
    "blocks": [
        Row("residual blocks", _block),
        Row("squeeze-and-excitation", lambda: Of(_squeeze, nn.Linear(CHANNELS, CHANNELS))),
        Row("attention over places", lambda: Of(_attention, nn.Conv2d(4, 12, 1))),
        Row("`nn.MultiheadAttention`", _multihead),
        Row("`F.scaled_dot_product_attention`", _function(_heads)),
        Row("`nn.TransformerEncoderLayer`", _transformer),
        Row("class tokens", lambda: Of(_class_token, nn.Linear(CHANNELS, 1))),
        Row("spatial broadcast decoders", _function(_coordinates)),
        Row("`F.grid_sample`", _function(
            lambda x: F.grid_sample(x, x[:, :2].permute(0, 2, 3, 1), align_corners=False)
        )),
        Row("`torch.utils.checkpoint`", lambda: Of(
            lambda x, layer: checkpoint(layer, x, use_reentrant=False), nn.Conv2d(4, 4, 1)
        )),
        Row("`nn.DataParallel`", lambda: nn.DataParallel(nn.Conv2d(4, 4, 1))),
    ],
}  # fmt: skip

REFUSED: list[Row] = [
    Row(
        "`nn.RReLU(lower, upper)`", nn.RReLU,
        "`nn.LeakyReLU((lower + upper) / 2)`", lambda: nn.LeakyReLU((1 / 8 + 1 / 3) / 2),
    ),
    Row(
        "`x[:, [3, 1]]`", _function(lambda x: x[:, [3, 1]]),
        "`x.index_select(1, torch.tensor([3, 1]))`",
        _function(lambda x: x.index_select(1, torch.tensor([3, 1]))),
    ),
    Row(
        "`y[:, 0] = 0.5`", _function(_assigned),
        "`torch.cat([torch.full_like(y[:, :1], 0.5), y[:, 1:]], 1)`",
        _function(lambda y: torch.cat([torch.full_like(y[:, :1], 0.5), y[:, 1:]], 1)),
    ),
    Row(
        "`nn.AdaptiveAvgPool2d(3)` of a map of 8 x 8", lambda: nn.AdaptiveAvgPool2d(3),
        "a size that divides the map's, such as 4", lambda: nn.AdaptiveAvgPool2d(4), same=False,
    ),
    Row(
        "`F.interpolate(x, scale_factor=2, mode='nearest-exact')`",
        _function(lambda x: F.interpolate(x, scale_factor=2, mode="nearest-exact")),
        "`mode='nearest'`",
        _function(lambda x: F.interpolate(x, scale_factor=2, mode="nearest")),
    ),
    Row(
        "`nn.Unfold(2, stride=2)`", lambda: nn.Unfold(2, stride=2),
        "`nn.Sequential(nn.PixelUnshuffle(2), nn.Flatten(2))`",
        lambda: nn.Sequential(nn.PixelUnshuffle(2), nn.Flatten(2)),
    ),
    Row(
        "`nn.Fold((8, 8), 2, stride=2)`",
        _function(lambda x: F.fold(x.reshape(-1, 16, 16), (8, 8), 2, stride=2)),
        "`nn.Sequential(nn.Unflatten(2, (4, 4)), nn.PixelShuffle(2))`",
        _function(lambda x: F.pixel_shuffle(x.reshape(-1, 16, 16).unflatten(2, (4, 4)), 2)),
    ),
    Row(
        "`nn.MaxUnpool2d(2)`", _unpooled, "`nn.Upsample(scale_factor=2)`",
        lambda: nn.Sequential(nn.MaxPool2d(2), nn.Upsample(scale_factor=2)), same=False,
    ),
    Row(
        "`x.cumsum(1)`", _function(lambda x: x.cumsum(1)),
        "`torch.einsum('bchw,cd->bdhw', x, torch.ones(C, C).triu())`",
        _function(lambda x: torch.einsum("bchw,cd->bdhw", x, torch.ones(4, 4).triu())),
    ),
    Row(
        "`F.scaled_dot_product_attention(q, k, v)` of [B, N, C]",
        _function(lambda x: F.scaled_dot_product_attention(*[tokens(x)] * 3)),
        "`q.unsqueeze(1)` and so on, and `.squeeze(1)` of the result", _function(_heads),
    ),
    Row(
        "`torch.cdist(x, y)`", _function(lambda x: torch.cdist(x, x + 1)),
        "`(x.unsqueeze(-2) - y.unsqueeze(-3)).norm(dim=-1)`",
        _function(lambda x: (x.unsqueeze(-2) - (x + 1).unsqueeze(-3)).norm(dim=-1)),
    ),
    Row(
        "`parametrizations.orthogonal`", _orthogonal,
        "`nn.utils.parametrize.remove_parametrizations(layer, 'weight')` before the export",
        _orthogonal_removed,
    ),
    Row(
        "`x.half()`, `torch.autocast`", _function(_half),
        "float32", _function(lambda x: x * 2), same=False,
    ),
    Row(
        "`x.round()`", _function(lambda x: (255 * x).round() / 255),
        "leave it out: the file gives floats", nn.Identity, same=False,
    ),
    Row(
        "`x.sort(1)`, `x.topk(2, 1)`, `x.argmax(1)`", _function(lambda x: x.sort(1).values),
        "`x.amax(1)`, or a softmax", _function(lambda x: x.amax(1)), same=False,
    ),
    Row(
        "`nn.LSTM`, `nn.GRU`", _recurrent, "attention or convolutions", _transformer, same=False,
    ),
]  # fmt: skip


def filled(page: str, exported: Mapping[str, list[str]], refused: list[Row]) -> str:
    """The page with these names in its table."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    lines = ["| kind | exported, and compared with PyTorch |", "|---|---|"]
    lines += [f"| {group} | {', '.join(names)} |" for group, names in exported.items()]
    lines += ["", "| refused | in its place |", "|---|---|"]
    lines += [f"| {row.name} | {row.instead} |" for row in refused]
    table = "\n".join(lines)
    return f"{before}{BEGIN}{table}\n{END}{after}"
