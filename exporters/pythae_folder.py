"""The source that is a folder saved by pythae: model_config.json, model.pt, pickled networks."""

import json
import os
from pathlib import Path
from typing import Any

from torch import Tensor

from ..errors import ExportError, InputError, ModelFormatError
from .foreign import ForeignVAE
from .torch_module import load_weights

CONFIG = "model_config.json"
WEIGHTS = "model.pt"
# Models whose latent is a Gaussian around the encoder's output and goes into the decoder unchanged.
# The others have a flow, a codebook, a sphere or nothing random in between.
MODELS = frozenset(
    "BetaTCVAE BetaVAE CIWAE DisentangledBetaVAE FactorVAE HVAE INFOVAE_MMD IWAE MIWAE MSSSIM_VAE "
    "PIWAE RHVAE VAE VAEGAN VAMP".split(" ")
)


def from_pythae(folder: str | os.PathLike[str], allow_pickle: bool) -> ForeignVAE:
    """Load what pythae's `model.save(folder)` wrote."""
    folder = Path(folder)
    config = _read_config(folder)
    pickles = sorted(file.name for file in folder.glob("*.pkl"))
    if pickles and not allow_pickle:
        raise InputError(
            f"{folder} holds pickled networks ({', '.join(pickles)}). Opening a pickle runs "
            "whatever code is in it, with all your rights. If you made the folder yourself, pass "
            "--allow-pickle (allow_pickle=True)."
        )
    model = _load(folder, str(config.get("name", "")).removesuffix("Config").removesuffix("_"))

    def encode(image: Tensor) -> tuple[Tensor, Tensor]:
        output = model.encoder(image)
        return output.embedding, output.log_covariance

    def decode(latent: Tensor) -> Tensor:
        return model.decoder(latent).reconstruction

    return ForeignVAE(f"pythae {model.model_name}", model, encode, decode, config.get("input_dim"))


def _read_config(folder: Path) -> dict[str, Any]:
    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError, RecursionError) as error:
        raise ModelFormatError(
            f"{folder} is not a folder saved by pythae: {CONFIG} is missing or damaged."
        ) from error
    if not isinstance(config, dict) or not (folder / WEIGHTS).is_file():
        raise ModelFormatError(f"{folder} is not a folder saved by pythae: {WEIGHTS} is missing.")
    return config


def _load(folder: Path, name: str) -> Any:
    if name not in MODELS:
        raise ExportError(
            f"pythae's {name!r} has no Gaussian posterior whose latent its decoder takes "
            f"unchanged. Models that can be exported: {', '.join(sorted(MODELS))}."
        )
    try:
        from pythae import models
    except ImportError as error:
        raise ExportError(
            f"Reading {folder} needs pythae ({error}). Install it: pip install pythae"
        ) from None
    # pythae reads the weights itself, with whatever torch.load allows; reading them first shows
    # that they are plain.
    load_weights(folder / WEIGHTS)
    try:
        return getattr(models, name).load_from_folder(str(folder)).eval()
    except Exception as error:  # pythae raises whatever a damaged config or other weights lead to
        raise ModelFormatError(
            f"pythae cannot load {folder}; {CONFIG} or {WEIGHTS} is damaged: "
            f"{type(error).__name__}: {error}"
        ) from None
