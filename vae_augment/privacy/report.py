"""What an audit found: the measures, the sentences, and their form in a file's metadata."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from .copying import Copying
from .intervals import Interval
from .membership import Attack

# From where on the near end of an interval is a finding.
WORRYING_AUC = 0.6
WORRYING_TPR = 0.03  # at 1 % false ones
WORRYING_RARE_TPR = 0.01  # at 0.1 % false ones
WORRYING_C_T = -3.0
WORRYING_COPIED = 0.2

NOTHING_FOUND = (
    "Nothing was found. An audit finds leaks; it does not prove that there are none, and distances "
    "alone certify nothing."
)


class ClassRow(NamedTuple):
    """The measures of one class; None where it has too few images or samples."""

    name: str
    auc: Interval | None
    tpr_at_1_percent: Interval | None
    copying: float | None
    authentic_share: Interval | None


class Closest(NamedTuple):
    """The samples that lie nearest to a training image, the nearest first.

    Each with that training image and, for scale, with the unseen image that lies nearest to the
    sample: [N, C, H, W] in [0, 1]. Distances are Euclidean over the pixels, [N].
    """

    samples: Tensor
    train: Tensor
    test: Tensor
    to_train: NDArray[np.float64]
    to_test: NDArray[np.float64]


@dataclass(frozen=True)
class Audit:
    """What an audit found.

    Attributes:
        model: the model's name.
        digest: of the graph and latents that were looked at, as `weights_digest` gives it.
        train: how many training images were attacked.
        test: how many unseen images.
        attacks: what each membership attack reached.
        copying_by_space: the measures of data copying, by the space in which distances are taken;
            empty for a model that redraws images.
        classes: a row for each class.
        closest: the pairs for the picture; None for a model that redraws images.
        bank: how many latents of training images the file carries.
        exposed: how many components of the latent distribution are single training images.
    """

    model: str
    digest: str
    train: int
    test: int
    attacks: Mapping[str, Attack]
    copying_by_space: Mapping[str, Copying]
    classes: tuple[ClassRow, ...]
    closest: Closest | None = field(repr=False)
    bank: int
    exposed: int

    @property
    def strongest(self) -> str:
        """The name of the membership attack with the highest AUC."""
        return max(self.attacks, key=lambda name: self.attacks[name].auc.value)

    @property
    def membership_auc(self) -> float:
        """The AUC of the strongest attack: 0.5 is guessing, 1 is certainty."""
        return self.attacks[self.strongest].auc.value

    @property
    def membership_interval(self) -> tuple[float, float]:
        """Its 95 % interval, which holds for all attacks together."""
        auc = self.attacks[self.strongest].auc
        return auc.low, auc.high

    @property
    def tpr_at_1_percent(self) -> float | None:
        """The largest share of training images that an attack finds at 1 % false ones.

        None with fewer than 100 unseen images.
        """
        rates = [attack.tpr_at_1_percent for attack in self.attacks.values()]
        return max((rate.value for rate in rates if rate is not None), default=None)

    @property
    def copying(self) -> float | None:
        """The lowest C_T over the spaces; None for a model that redraws images."""
        return min((each.c_t for each in self.copying_by_space.values()), default=None)

    @property
    def authentic_share(self) -> float | None:
        """The lowest share of authentic samples over the spaces; None as for `copying`."""
        shares = [each.authentic.value for each in self.copying_by_space.values()]
        return min(shares, default=None)

    @property
    def findings(self) -> tuple[str, ...]:
        """What gives cause for concern, a sentence each; empty when nothing was found."""
        found = []
        for name, attack in self.attacks.items():
            found += _membership_findings(name, attack)
        for space, copying in self.copying_by_space.items():
            if copying.c_t < WORRYING_C_T and copying.copied.low > WORRYING_COPIED:
                found.append(
                    f"Samples copy training images: by {space}, C_T is {copying.c_t:.1f}, and a "
                    f"share of {copying.copied} of the samples must be copies to explain how often "
                    "their nearest image is a training image."
                )
        if self.bank:
            found.append(
                f"The file carries the latents of {self.bank} training images (its bank), which "
                "its decoder turns back into images close to them. Export it again without "
                "--keep-bank."
            )
        if self.exposed:
            found.append(
                f"{self.exposed} components of the latent distribution are the latents of single "
                "training images, which the decoder turns back into images close to them. Fit "
                "more images per class."
            )
        return tuple(found)

    def table(self) -> str:
        """The audit as text: attacks, copying, classes and findings."""
        lines = [
            f"audit of {self.model}: {self.train} training images against {self.test} unseen ones",
            *_attack_lines(self.attacks),
            *_copying_lines(self.copying_by_space),
            *_class_lines(self.classes),
        ]
        findings = [f"FOUND: {sentence}" for sentence in self.findings]
        return "\n".join(lines + (findings or [NOTHING_FOUND]))

    def to_evidence(self) -> dict[str, Any]:
        """The entry "audit" of a file's evidence: plain numbers and the findings."""
        auc = self.attacks[self.strongest].auc
        return {
            "train": self.train,
            "test": self.test,
            "strongest_attack": self.strongest,
            "membership_auc": [round(value, 4) for value in auc],
            "tpr_at_1_percent": _rounded(self.tpr_at_1_percent),
            "copying": _rounded(self.copying),
            "authentic_share": _rounded(self.authentic_share),
            "findings": list(self.findings),
        }


def _membership_findings(name: str, attack: Attack) -> list[str]:
    rates = (
        (attack.tpr_at_1_percent, WORRYING_TPR, "1 %"),
        (attack.tpr_at_01_percent, WORRYING_RARE_TPR, "0.1 %"),
    )
    found = []
    if attack.auc.low > WORRYING_AUC:
        found.append(
            f"Training images can be told from others by their {name}: AUC {attack.auc}, where "
            "0.5 is guessing."
        )
    for rate, worrying, false_ones in rates:
        if rate is not None and rate.low > worrying:
            found.append(
                f"Some training images are exposed: their {name} finds a share of {rate} of them "
                f"at {false_ones} false ones."
            )
    return found


def _attack_lines(attacks: Mapping[str, Attack]) -> list[str]:
    title = f"  {'membership attack':<28}{'AUC':<26}{'found at 1 % false':<26}found at 0.1 % false"
    rows = [
        f"  {name:<28}{attack.auc!s:<26}{_text(attack.tpr_at_1_percent):<26}"
        f"{_text(attack.tpr_at_01_percent)}"
        for name, attack in attacks.items()
    ]
    return [title, *rows]


def _copying_lines(spaces: Mapping[str, Copying]) -> list[str]:
    lines = []
    for space, found in spaces.items():
        lowest = min(found.z_values)
        highest = max(found.z_values)
        lines += [
            f"  copying, by {space}:",
            f"    C_T {found.c_t:.1f}; z-values of {len(found.z_values)} cells from {lowest:.1f} "
            f"to {highest:.1f}; below {WORRYING_C_T:.0f}: nearer than unseen images",
            f"    share of copies that explains the nearest images: {found.copied}",
            f"    authentic samples: {found.authentic}; of unseen images: {found.authentic_unseen}",
        ]
    return lines


def _class_lines(classes: tuple[ClassRow, ...]) -> list[str]:
    if not classes:
        return []
    title = f"  {'class':<28}{'AUC':<26}{'found at 1 % false':<26}{'z':>6}  authentic"
    rows = []
    for row in classes:
        z_value = "-" if row.copying is None else f"{row.copying:.1f}"
        rows.append(
            f"  {row.name[:26]:<28}{_text(row.auc):<26}{_text(row.tpr_at_1_percent):<26}"
            f"{z_value:>6}  {_text(row.authentic_share)}"
        )
    return [title, *rows]


def _text(value: Interval | None) -> str:
    return "-" if value is None else str(value)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
