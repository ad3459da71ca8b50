"""The settings of a training run."""

import math
from dataclasses import dataclass

import torch

from ..errors import InputError

PRECISIONS = ("auto", "float32", "bfloat16")


@dataclass(frozen=True)
class FitConfig:
    """The settings of a training run. The same config and data give the same weights on the same machine.

    Attributes:
        network: "mlp", trained like the classic example by Adam at a constant rate; or "conv", which adds warm-up and
            cosine decay of the learning rate, warm-up of the KL term (Sonderby et al., "Ladder Variational
            Autoencoders", 2016), gradient clipping and averaged weights.
        width: of `conv`: "small", "base" or "large".
        latent_dim: size of the latent.
        conditional: give the labels to encoder and decoder.
        label_dropout: share of labels hidden in training, 0 to 1, so that a conditional model works without them too.
        learning_rate: of Adam; for `conv` its peak.
        beta: weight of the KL term (Higgins et al., "beta-VAE", 2017). Below 1 reconstructions are sharper and
            perturbed images keep their class more often. The reported loss is always that of beta 1.
        denoise: standard deviation, in [0, 1] pixel units, of noise added to the input but not to the target (Im et
            al., "Denoising criterion for variational auto-encoding framework", 2017); 0 = none.
        held_out: share of the images kept out of training to measure the model, 0 to below 1. Above 0, the weights of
            the best epoch are kept, and training stops after `patience` epochs without a better one.
        precision: "float32", "bfloat16", or "auto": bfloat16 where matrix units make it faster (for `mlp` only in
            matrix products), else float32.
        seed: of weights, order, noise and dropped labels.
        device: "cpu" or "cuda".
    """

    network: str = "conv"
    width: str = "base"
    latent_dim: int = 20
    conditional: bool = False
    label_dropout: float = 0.5
    epochs: int = 20
    batch_size: int = 128
    learning_rate: float = 1e-3
    beta: float = 1.0
    denoise: float = 0.0
    held_out: float = 0.0
    patience: int = 10
    precision: str = "auto"
    seed: int = 0
    device: str = "cpu"

    def __post_init__(self) -> None:
        for name in ("latent_dim", "epochs", "batch_size", "learning_rate", "patience"):
            if not getattr(self, name) > 0:
                raise InputError(f"{name} is {getattr(self, name)}; it must be greater than 0.")
        for name in ("beta", "denoise"):
            if not 0 <= getattr(self, name) < math.inf:
                raise InputError(f"{name} is {getattr(self, name)}; it must be finite and at least 0.")
        if not 0 <= self.label_dropout <= 1:
            raise InputError(f"label_dropout is {self.label_dropout}; it must lie in [0, 1].")
        if not 0 <= self.held_out < 1:
            raise InputError(f"held_out is {self.held_out}; it must lie in [0, 1).")
        if self.precision not in PRECISIONS:
            raise InputError(f"precision is {self.precision!r}; choose one of {', '.join(PRECISIONS)}.")
        if self.device == "cuda" and not torch.cuda.is_available():
            raise InputError("device is 'cuda', but torch finds no CUDA device here. Use device='cpu'.")
