"""What `VAEAugment` does to a batch of images: it moves their latents and decodes them."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import InputError
from ..model.labels import checked_labels
from ..model.sampling import draw_latents
from ..model.vae_model import VAEModel
from .latent import extrapolate, interpolate, nearest_partner, partner_in_batch
from .pixels import add_change, pick

PARTNER_MODES = ("interpolation", "extrapolation")
MODES = ("posterior", *PARTNER_MODES, "prior")


@dataclass(frozen=True)
class Perturbation:
    """One way of moving latents.

    Random numbers are arguments, one row per image, so that a call can be repeated exactly.
    """

    model: VAEModel
    mode: str
    residual: bool

    def check(self, has_labels: bool) -> None:
        """Raise `InputError` when the mode needs labels, classes or partners that are missing."""
        spec = self.model.spec
        name = self.model.name
        spec.kind.check_mode(name, self.mode, self.residual)
        if self.mode not in MODES:
            raise InputError(f"`mode` should be one of {', '.join(MODES)}, but got {self.mode!r}.")
        if has_labels and not spec.classes:
            raise InputError(
                f"labels_getter is given, but the model {name!r} knows no classes. Leave it out."
            )
        if self.mode == "prior" and not (has_labels and spec.generates_classes):
            raise InputError(
                "mode='prior' draws a fresh sample of the image's class: it needs "
                "labels_getter='default' and a model that generates by class, but labels_getter "
                f"is {'given' if has_labels else 'None'} and {name!r} "
                f"{'does' if spec.generates_classes else 'does not'}."
            )
        if self.mode in PARTNER_MODES and not has_labels and spec.latents is None:
            raise InputError(
                f"mode={self.mode!r} needs partners, but {name!r} carries no distribution of "
                "latents and no labels_getter is given. Export the model with --fit-latents DATA, "
                "or pass labels_getter='default' and batches."
            )

    def checked_labels(self, labels: object, count: int) -> Tensor:
        """Labels as int64 [count].

        `InputError` when they do not fit, or when the mode needs them all and has -1.
        """
        labels = checked_labels(labels, count, self.model.spec)
        unknown = int((labels < 0).sum())
        if self.mode == "prior" and unknown:
            raise InputError(
                f"mode='prior' needs the class of every image, but {unknown} of {count} labels "
                "are -1 (unknown). Leave those images out, or use another mode."
            )
        return labels

    def draw(self, count: int) -> dict[str, Tensor]:
        """The random numbers for `count` images, from torch's global generator."""
        rows = {}
        if self.mode in ("posterior", "prior"):
            shape = (count, self.model.spec.latent_dim)
            rows["noise"] = torch.randn(shape, device="cpu", dtype=torch.float32)
        if self.mode != "posterior":
            rows["choice"] = torch.rand(count, device="cpu", dtype=torch.float32)
        return rows

    def __call__(
        self, batch: Tensor, rows: dict[str, Tensor], strength: float, frames: int = 1
    ) -> Tensor:
        """Perturb the images where rows["apply"] [B] is true, and return those alone.

        Args:
            batch: float32 [B, C, H, W] in [0, 1]; all of them may be partners.
            rows: "apply", the numbers of `draw` and, where known, "labels" [B] int64.
            strength: how far the latents move.
            frames: how many images in a row are one clip, whose rows are equal.
        """
        if not self._is_paired(rows, frames):
            batch, rows = _marked(batch, rows)
        labels = rows.get("labels")
        if self.mode == "posterior":
            return self.model.perturb_batch(
                batch, rows["noise"], strength, labels, residual=self.residual
            )
        mean, logvar = (moment.cpu() for moment in self.model.encode_batch(batch, labels))
        moved = self._move(mean, logvar, rows, strength, frames)
        return self._decoded(*_marked(batch, rows | {"mean": mean, "moved": moved}))

    def _decoded(self, batch: Tensor, rows: dict[str, Tensor]) -> Tensor:
        labels = rows.get("labels")
        if not self.residual:
            return self.model.decode_batch(rows["moved"], labels).to(batch.device)
        twice = None if labels is None else labels.repeat(2)
        latents = torch.cat([rows["moved"], rows["mean"]])
        after, before = self.model.decode_batch(latents, twice).to(batch.device).chunk(2)
        return add_change(batch, after, before)

    def _move(
        self, mean: Tensor, logvar: Tensor, rows: dict[str, Tensor], strength: float, frames: int
    ) -> Tensor:
        if self.mode == "prior":
            labels, choice, noise = (rows[name].numpy() for name in ("labels", "choice", "noise"))
            fresh = draw_latents(self.model.spec.latents, labels, choice, noise)
            return torch.lerp(mean, torch.from_numpy(fresh), strength)
        move = interpolate if self.mode == "interpolation" else extrapolate
        return move(mean, logvar, self._partner(mean, rows, frames), strength)

    def _is_paired(self, rows: dict[str, Tensor], frames: int) -> bool:
        """Whether partners come from the batch, of which there must be several images or clips."""
        return self.mode in PARTNER_MODES and "labels" in rows and len(rows["labels"]) > frames

    def _partner(self, mean: Tensor, rows: dict[str, Tensor], frames: int) -> Tensor:
        """The latent that each image moves towards or away from, [B, D]."""
        labels = rows.get("labels")
        clips = mean.unflatten(0, (-1, frames))
        if labels is not None and self._is_paired(rows, frames):
            chosen = partner_in_batch(labels[::frames], rows["choice"][::frames])
            return clips[chosen].flatten(0, 1)
        partners = self.model.partners
        if partners is None:
            raise InputError(
                "A single image needs a partner from the model's distribution of latents, which "
                f"{self.model.name!r} lacks. Give batches."
            )
        is_unknown = labels is None or bool((labels < 0).all())
        latents = partners.without_label if is_unknown else partners.given_label
        partner = nearest_partner(
            clips.mean(1),
            None if labels is None else labels[::frames],
            rows["choice"][::frames],
            latents,
            partners.labels,
        )
        return partner.repeat_interleave(frames, 0)


def _marked(batch: Tensor, rows: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
    apply = rows["apply"]
    if all(apply.tolist()):
        return batch, rows
    return pick(batch, apply), {name: pick(value, apply) for name, value in rows.items()}
