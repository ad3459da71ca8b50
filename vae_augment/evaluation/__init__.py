"""What a user asks of a model or of images: does it help, which labels, how likely, how small."""

from typing import TYPE_CHECKING, Any

from ..packages import require

require("vae_augment.evaluation", "scipy", "sklearn", "tqdm")

if TYPE_CHECKING:
    from ..privacy.audit import audit
    from .comparison import compare
    from .pseudo_labels import label_pool
    from .samples_only import measure_samples_only

__all__ = ["audit", "compare", "label_pool", "measure_samples_only"]


def __getattr__(name: str) -> Any:
    # On first use: a command that only draws a picture needs no scikit-learn.
    if name == "audit":
        from ..privacy.audit import audit

        return audit
    if name == "compare":
        from .comparison import compare

        return compare
    if name == "label_pool":
        from .pseudo_labels import label_pool

        return label_pool
    if name == "measure_samples_only":
        from .samples_only import measure_samples_only

        return measure_samples_only
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
