"""The settings of a training run."""

import math
from dataclasses import dataclass, replace

from ..arguments import check_seed, number, whole_number
from ..errors import InputError
from .half_precision import check_device

PRECISIONS = ("auto", "float32", "bfloat16")
FEWEST_UPDATES, UPDATES_PER_CUBE_ROOT = 1500, 240  # of a training without a given number of epochs


@dataclass(frozen=True)
class FitConfig:
    """The settings of a training run. The same config and data give the same weights on the same machine.

    Attributes: network: "mlp", trained like the classic example by Adam at a constant rate; or
        "conv", which adds warm-up and
            cosine decay of the learning rate, warm-up of the KL term (Sonderby et al., "Ladder
            Variational Autoencoders", 2016), gradient clipping and averaged weights.
        width: of `conv`: "small", "base" or "large".
        condition: "nothing", or "image": train on pairs of images of one class, to redraw any image
            as another one of its class could look (see `RedrawingVAE`); `network` and `width` then
            do not count.
        objective: what the decoder of `conv` learns: "cross-entropy", the mean of the images of a
            latent; or "energy", their distribution, from 16 more dimensions of the latent (see
            `EnergyVAE`), so that samples have texture and teach a classifier more. The loss is then
            no bound of a likelihood, and `beta` 0.1 suits it.
        latent_dim: size of the latent, without the detail.
        conditional: give the labels to encoder and decoder.
        label_dropout: share of labels hidden, 0 to 1; more hidden for images without labels, fewer
            for truer samples.
        learning_rate: of Adam; for `conv` its peak.
        beta: weight of the KL term (Higgins et al., "beta-VAE", 2017). Below 1 reconstructions are
            sharper and perturbed images keep their class more often. The reported loss is always
            that of beta 1.
        epochs: passes over the training images. None = as many as give 240 times the cube root of
            their number, but at least 1,500, in updates: 1,608 for 300 images, 5,171 for 10,000 and
            9,396 (20 epochs) for 60,000.
        denoise: standard deviation, in [0, 1] pixel units, of noise added to the input but not to
            the target (Im et al., "Denoising criterion for variational auto-encoding framework",
            2017); 0 = none.
        held_out: share of the images kept out of training to measure the model, 0 to below 1. Above
            0, the weights of the best epoch are kept, and training stops after `patience` epochs
            without a better one.
        patience: None = a tenth of `epochs`, but at least 10.
        precision: "float32", "bfloat16", or "auto": bfloat16 where matrix units make it faster (for
            `mlp` only in matrix products), else float32.
        seed: of weights, order, noise and dropped labels.
        device: "cpu" or "cuda".
    """

    network: str = "conv"
    width: str = "base"
    condition: str = "nothing"
    objective: str = "cross-entropy"
    latent_dim: int = 20
    conditional: bool = False
    label_dropout: float = 0.25
    epochs: int | None = None
    batch_size: int = 128
    learning_rate: float = 1e-3
    beta: float = 1.0
    denoise: float = 0.0
    held_out: float = 0.0
    patience: int | None = None
    precision: str = "auto"
    seed: int = 0
    device: str = "cpu"

    def __post_init__(self) -> None:
        # As Python's own numbers, because they are written as JSON.
        for name in ("latent_dim", "epochs", "batch_size", "patience"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, whole_number(name, getattr(self, name), 1))
        object.__setattr__(self, "seed", check_seed(self.seed))
        for name in ("learning_rate", "beta", "denoise", "label_dropout", "held_out"):
            object.__setattr__(self, name, number(name, getattr(self, name)))
        if not self.learning_rate > 0:
            raise InputError(f"learning_rate is {self.learning_rate}; it must be greater than 0.")
        for name in ("beta", "denoise"):
            if not 0 <= getattr(self, name) < math.inf:
                raise InputError(
                    f"{name} is {getattr(self, name)}; it must be finite and at least 0."
                )
        if self.condition not in ("nothing", "image"):
            raise InputError(f"condition is {self.condition!r}; choose 'nothing' or 'image'.")
        if self.condition == "image" and (self.conditional or self.denoise or self.held_out):
            raise InputError(
                "condition='image' does not go with conditional, denoise or held_out. Leave those "
                "out."
            )
        if self.objective not in ("cross-entropy", "energy"):
            raise InputError(
                f"objective is {self.objective!r}; choose 'cross-entropy' or 'energy'."
            )
        if self.objective == "energy" and (self.network != "conv" or self.condition == "image"):
            raise InputError(
                "objective='energy' goes with the network 'conv' only, and not with "
                "condition='image'."
            )
        if not 0 <= self.label_dropout <= 1:
            raise InputError(f"label_dropout is {self.label_dropout}; it must lie in [0, 1].")
        if not 0 <= self.held_out < 1:
            raise InputError(f"held_out is {self.held_out}; it must lie in [0, 1).")
        if self.precision not in PRECISIONS:
            raise InputError(
                f"precision is {self.precision!r}; choose one of {', '.join(PRECISIONS)}."
            )
        check_device(self.device)

    def for_images(self, count: int) -> "FitConfig":
        """This config with the `epochs` and `patience` for `count` training images where they are None."""
        per_epoch = math.ceil(count / self.batch_size)
        updates = max(FEWEST_UPDATES, UPDATES_PER_CUBE_ROOT * count ** (1 / 3))
        epochs = self.epochs or math.ceil(updates / per_epoch)
        return replace(self, epochs=epochs, patience=self.patience or max(10, epochs // 10))
