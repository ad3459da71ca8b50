"""The settings of a training run."""

import math
from dataclasses import dataclass, replace

from ..arguments import check_seed, number, whole_number
from ..errors import InputError
from .data.image_data import ImageData
from .defaults import SHARE_FROM_START, USUAL_BATCH, default_distort, suited_to
from .half_precision import check_device
from .networks import find_network

PRECISIONS = ("auto", "float32", "bfloat16")


@dataclass(frozen=True)
class FitConfig:
    """The settings of a training run.

    The same config and data give the same weights on the same machine, except with `minutes`, and
    where a run with neither `minutes` nor `epochs` is ended after half an hour.

    Attributes:
        network: what is trained. "mlp" is the classic example, trained as that is, by Adam at a
            constant rate. "conv-small", "conv" and "conv-large" are convolutional, trained with
            warm-up and cosine decay of the learning rate, warm-up of the KL term (Sonderby et al.,
            "Ladder Variational Autoencoders", 2016), gradient clipping and averaged weights.
            "energy" ("energy-small", "energy-large") adds random detail, so that samples have
            texture and teach a classifier more (see `EnergyVAE`); its loss is no bound of a
            likelihood. "redrawing" learns from pairs of images of one class to redraw any image as
            another one of its class could look (see `RedrawingVAE`). None = "energy" for labelled
            images with grey levels or colours, more than 20 per class and of up to 38x38 pixels (a
            few hundred: 52x52), "conv" for others and with `denoise`.
        latent_dim: size of the latent, without the detail of "energy". None = 32 for "energy" of
            any size, and for "conv" of any size and labelled drawings in black and white, more than
            20 per class; 20 otherwise.
        conditional: give the labels to encoder and decoder. None = where the images have labels of
            at least two classes, except for "redrawing".
        label_dropout: share of labels hidden, 0 to 1; more hidden for images without labels, fewer
            for truer samples.
        epochs: passes over the training images. None = as many as give 240 times the cube root of
            their number, but at least 1,500, in updates: 1,608 for 300 images, 5,171 for 10,000 and
            9,396 (20 epochs) for 60,000. Of labelled drawings that "conv" learns with 32 latent
            dimensions, more: 3,125 for 1,000, and 16,000 from 5,120 on, or fewer of more than 28x28
            pixels, so that it takes no longer. At most so many as two cores do in half an hour,
            roughly: "energy" 5,739 of 28x28 and 2,812 of 40x40, others 6,347 of 64x64 and 1,586 of
            128x128; on a slower machine it ends after half an hour with fewer. Half of that for a
            run that starts from the weights of another one.
        minutes: instead of `epochs`, as many updates as let the whole `fit` end after about so many
            minutes. They depend on the speed of the machine, and so do the weights.
        batch_size: images per update, on all ranks together.
        learning_rate: of Adam; its peak, except for "mlp".
        beta: weight of the KL term (Higgins et al., "beta-VAE", 2017). Below 1 reconstructions are
            sharper and perturbed images keep their class more often. None = for "conv" of any size
            0.3 where the latent has 32 dimensions by default, else as suits the images (see
            `beta_of_likelihood`); 0.1 for "energy" of any size; 1 for other networks. The reported
            loss is always that of beta 1.
        distort: turn, stretch and shift each image a little at random before each update, input and
            target alike, so that a VAE does not learn few images by heart (see `small_moves`);
            samples are like the images as they were. None = where there are fewer than 50,000
            images, except for "mlp" and "redrawing".
        denoise: standard deviation, in [0, 1] pixel units, of noise added to the input but not to
            the target (Im et al., "Denoising criterion for variational auto-encoding framework",
            2017); 0 = none.
        held_out: share of the images kept out of training to measure the model, 0 to below 1. Above
            0, the weights of the best epoch are kept, and training stops after `patience` epochs
            without a better one.
        patience: None = a tenth of `epochs`, but at least 10.
        precision: "float32", "bfloat16", or "auto": bfloat16 where matrix units make it faster (for
            "mlp" only in matrix products), else float32.
        seed: of weights, order, noise and dropped labels.
        device: "cpu" or "cuda".

    Raises:
        InputError: a value out of range, or two that do not go together.
    """

    network: str | None = None
    latent_dim: int | None = None
    conditional: bool | None = None
    label_dropout: float = 0.25
    epochs: int | None = None
    minutes: float | None = None
    batch_size: int = USUAL_BATCH
    learning_rate: float = 1e-3
    beta: float | None = None
    distort: bool | None = None
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
        for name in ("learning_rate", "denoise", "label_dropout", "held_out"):
            object.__setattr__(self, name, number(name, getattr(self, name)))
        for name in ("beta", "minutes"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, number(name, getattr(self, name)))
        self._check_ranges()
        self._check_network()
        check_device(self.device)

    def _check_ranges(self) -> None:
        if not self.learning_rate > 0:
            raise InputError(f"learning_rate is {self.learning_rate}; it must be greater than 0.")
        for name in ("beta", "denoise"):
            value = getattr(self, name)
            if value is not None and not 0 <= value < math.inf:
                raise InputError(f"{name} is {value}; it must be finite and at least 0.")
        if self.minutes is not None and self.epochs is not None:
            raise InputError(
                f"epochs is {self.epochs} and minutes is {self.minutes:g}. Give one of the two."
            )
        if self.minutes is not None and not 0 < self.minutes < math.inf:
            raise InputError(f"minutes is {self.minutes}; it must be finite and greater than 0.")
        if not 0 <= self.label_dropout <= 1:
            raise InputError(f"label_dropout is {self.label_dropout}; it must lie in [0, 1].")
        if not 0 <= self.held_out < 1:
            raise InputError(f"held_out is {self.held_out}; it must lie in [0, 1).")
        if self.precision not in PRECISIONS:
            raise InputError(
                f"precision is {self.precision!r}; choose one of {', '.join(PRECISIONS)}."
            )

    def _check_network(self) -> None:
        if self.samples:
            return
        if self.conditional or self.distort or self.denoise or self.held_out:
            raise InputError(
                f"network={self.network!r} does not go with conditional, distort, denoise or "
                "held_out. Leave those out."
            )

    @property
    def samples(self) -> bool:
        """Whether what is trained draws images of its own, as all but "redrawing" do."""
        return self.network is None or find_network(self.network).network.kind.samples

    def for_data(
        self, data: ImageData, updates: int | None = None, *, is_started: bool = False
    ) -> "FitConfig":
        """This config with nothing left open that follows from the training images.

        `updates` is how many `minutes` hold, where a budget is given; `is_started` whether the
        weights are those of a run of other images.
        """
        known = data.labels[data.labels >= 0]
        classes = len(known.unique())
        conditional = self.conditional
        if conditional is None:
            conditional = classes > 1 and self.samples
        # Those whose samples are to teach a classifier; random texture cleans nothing.
        per_class = len(known) / max(1, classes) if conditional and not self.denoise else 0
        suited = suited_to(data.images, per_class=per_class, network=self.network)
        usual = math.ceil(suited.updates * (SHARE_FROM_START if is_started else 1))
        updates_per_epoch = math.ceil(len(data) / self.batch_size)
        epochs = self.epochs or math.ceil((updates or usual) / updates_per_epoch)
        return replace(
            self,
            network=suited.network,
            latent_dim=self.latent_dim or suited.latent_dim,
            epochs=epochs,
            minutes=None,
            patience=self.patience or max(10, epochs // 10),
            conditional=conditional,
            beta=suited.beta if self.beta is None else self.beta,
            distort=(
                default_distort(suited.network, len(data)) if self.distort is None else self.distort
            ),
        )
