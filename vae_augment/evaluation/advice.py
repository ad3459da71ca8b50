"""What a comparison says, in words."""

import math
from collections.abc import Sequence

from .arms import WITH_VAE
from .results import Run
from .statistics import Estimate, estimate
from .tables import best_classical, by_arm, gain

NO_AUGMENTATION = "none"
USES = {
    "VAE only": "VAEAugment(MODEL, p=0.5) and no other augmentation",
    "affine+elastic+VAE": "VAEAugment(MODEL, p=0.5) after affine and elastic distortion",
    "flip+shift+VAE": "VAEAugment(MODEL, p=0.5, strength=3, residual=True) after mirroring and shifting",
}


def advise(runs: Sequence[Run]) -> str:
    """A recommendation from the runs of one regime and data set, which hold arms with and without a VAE.

    A gain or a loss is called so when its 95 % interval does not hold 0. Of the arms with a VAE the best one is judged,
    against the best one without.
    """
    base = best_classical(runs)
    arms = by_arm(run for run in runs if run.kind == WITH_VAE)
    arm = max(arms, key=lambda name: estimate([*arms[name].values()]).mean)
    assert base is not None
    found = gain(runs, arm, base)
    assert found is not None
    return f"{_without(runs, base)}\n{_verdict(found, arm, base)}"


def _without(runs: Sequence[Run], base: str) -> str:
    found = None if base == NO_AUGMENTATION else gain(runs, base, NO_AUGMENTATION)
    if found is None:
        return "Without a VAE, no augmentation did best."
    return f"Without a VAE, {base} did best: {found} points over no augmentation."


def _verdict(found: Estimate, arm: str, base: str) -> str:
    difference = f"{arm}, {found} points against {'no augmentation' if base == NO_AUGMENTATION else base}"
    if not math.isfinite(found.half_width):
        return f"One draw cannot tell a gain from luck: {difference}. Give more draws."
    if found.low > 0:
        return f"VAE augmentation helps on your data: {difference}. Use {USES.get(arm, arm)}."
    if found.high < 0:
        return f"VAE augmentation is harmful on your data: {difference}. Leave it out."
    return (
        f"No measurable difference: {difference}, in {found.draws} draws. Leave the VAE out; more draws would narrow "
        "the interval."
    )
