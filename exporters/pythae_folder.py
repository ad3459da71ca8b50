"""The source that is a folder saved by pythae: model_config.json, model.pt and perhaps pickled networks."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from ..errors import ExportError, InputError, ModelFormatError
from ..spec import Spec
from .parts import EXPORTER, VAEParts, check_parts, image_decoder, parse_image_shape
from .torch_module import load_weights

CONFIG, WEIGHTS = "model_config.json", "model.pt"
# Those whose latent is a Gaussian around the encoder's output and goes into the decoder as it is. Others put a flow,
# a codebook, a sphere or nothing random in between.
MODELS = frozenset(
    "BetaTCVAE BetaVAE CIWAE DisentangledBetaVAE FactorVAE HVAE INFOVAE_MMD IWAE MIWAE MSSSIM_VAE PIWAE RHVAE VAE "
    "VAEGAN VAMP".split(" ")
)


def from_pythae(
    folder: str | os.PathLike[str],
    image_shape: Sequence[int] | None = None,
    classes: Sequence[str] = (),
    decoder_output: str = "image",
    allow_pickle: bool = False,
) -> VAEParts:
    """Load what `model.save(folder)` of pythae wrote.

    Raises:
        ModelFormatError: not such a folder, or damaged.
        ExportError: a model that is not a Gaussian VAE.
        InputError: the folder holds pickled networks and `allow_pickle` is false.
    """
    folder = Path(folder)
    config = _read_config(folder)
    _check_pickles(folder, allow_pickle)
    model = _load(folder, str(config.get("name", "")).removesuffix("Config").removesuffix("_"))

    def encode(image: Tensor, label: Tensor | None = None) -> tuple[Tensor, Tensor]:
        output = model.encoder(image)
        return output.embedding, output.log_covariance

    def decode(latent: Tensor, label: Tensor | None = None) -> Tensor:
        return model.decoder(latent).reconstruction

    shape = parse_image_shape(image_shape, config.get("input_dim"))
    facts = {"source": f"pythae {model.model_name}"}
    spec = Spec(shape, model.latent_dim, tuple(classes), training=facts, exporter=EXPORTER)
    return check_parts(VAEParts(model, encode, image_decoder(decode, spec, decoder_output), spec))


def _read_config(folder: Path) -> dict[str, Any]:
    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError) as error:
        raise ModelFormatError(f"{folder} is not a folder saved by pythae: {CONFIG} is missing or damaged.") from error
    if not isinstance(config, dict) or not (folder / WEIGHTS).is_file():
        raise ModelFormatError(f"{folder} is not a folder saved by pythae: {WEIGHTS} is missing.")
    return config


def _check_pickles(folder: Path, allow_pickle: bool) -> None:
    pickles = sorted(file.name for file in folder.glob("*.pkl"))
    if pickles and not allow_pickle:
        raise InputError(
            f"{folder} holds pickled networks ({', '.join(pickles)}). Opening a pickle runs whatever code is in it, "
            "with all your rights. If you made the folder yourself, pass --allow-pickle (allow_pickle=True)."
        )


def _load(folder: Path, name: str) -> Any:
    if name not in MODELS:
        raise ExportError(
            f"pythae's {name!r} has no Gaussian posterior that its decoder takes as it is. What can be exported: "
            f"{', '.join(sorted(MODELS))}."
        )
    try:
        from pythae import models
    except ImportError as error:
        raise ExportError(f"Reading {folder} needs pythae ({error}). Install it: pip install pythae") from None
    # pythae reads the weights itself, with whatever torch.load allows; reading them first shows that they are plain.
    load_weights(folder / WEIGHTS)
    return getattr(models, name).load_from_folder(str(folder)).eval()
