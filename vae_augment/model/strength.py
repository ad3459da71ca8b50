"""The unit of `VAEAugment`'s strength, as a file states it. Without torch at import.

How far noise of the posterior moves an image depends on how the VAE was trained. So a file says of
how many spreads of the posterior strength 1 is. It was measured when the model was made
(`vae_augment.training.strength_unit`). Files without a unit count in spreads.
"""

from collections.abc import Mapping
from typing import Any

from ..errors import ModelFormatError

STRENGTH = "strength"  # the entry of the evidence
LARGEST_UNIT = 1000.0  # far beyond what any posterior needs, far below what overflows


def stated_unit(evidence: Mapping[str, Mapping[str, Any]]) -> float | None:
    """How many spreads of the posterior strength 1 is; None where that was not measured.

    `ModelFormatError` where it is no number above 0 and up to `LARGEST_UNIT`.
    """
    if STRENGTH not in evidence:
        return None
    unit: Any = evidence[STRENGTH].get("unit")
    is_number = isinstance(unit, int | float) and not isinstance(unit, bool)
    if not is_number or not 0 < unit <= LARGEST_UNIT:
        raise ModelFormatError(
            f"Its unit of strength is {str(unit)[:100]!r}; it must be a number above 0 and at most "
            f"{LARGEST_UNIT:g}. Export the model again."
        )
    return float(unit)


def strength_in_words(entry: Mapping[str, Any]) -> list[str]:
    """What a file says of its unit, in lines. It may be a stranger's."""
    lines = [f"strength 1 is {entry.get('unit')} spreads of the posterior"]
    if "changes" in entry:
        lines.append(f"it changes a pixel by {entry['changes']} of the range on average")
    return lines
