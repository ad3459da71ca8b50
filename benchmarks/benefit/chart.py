"""Draws docs/benefit.png, what a VAE adds to the best method without one.

Python -m benchmarks.benefit.chart
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from benchmarks.common import RESULTS
from vae_augment.evaluation.experiment import Run
from vae_augment.evaluation.report import Estimate, by_method, paired

from .regimes import with_shared
from .results import read_results, runs_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PICTURE = RESULTS.parents[1] / "docs" / "benefit.png"
COLOURS = {"mnist": "#3f51b5", "fashion-mnist": "#ef8a17"}
HEIGHT = 0.38  # of a bar; a regime has two


class Bar(NamedTuple):
    """`method` uses a VAE; `base` has the best mean of those without."""

    regime: str
    data: str
    method: str
    base: str


BARS = (
    Bar("10 labels", "mnist", "affine+elastic+strong VAE", "affine+elastic"),
    Bar("10 labels", "fashion-mnist", "strong VAE", "none"),
    Bar("100 labels", "mnist", "affine+elastic+strong VAE", "affine+elastic"),
    Bar("100 labels", "fashion-mnist", "flip+shift+strong VAE", "flip+shift"),
    Bar("long tail", "mnist", "affine+elastic+strong VAE", "affine+elastic"),
    Bar("long tail", "fashion-mnist", "flip+shift+strong VAE", "flip+shift"),
    Bar("10 labels + pool", "mnist", "pseudo-labels+samples", "pseudo-labels"),
    Bar("10 labels + pool", "fashion-mnist", "pseudo-labels+samples", "pseudo-labels"),
    Bar("all labels", "mnist", "gentle VAE", "affine"),
    Bar("all labels", "fashion-mnist", "gentle VAE", "none"),
    Bar("synthetic only", "mnist", "samples", "affine"),
    Bar("synthetic only", "fashion-mnist", "samples", "none"),
)


def added(bar: Bar, runs: Sequence[Run]) -> Estimate:
    """The paired difference that a bar shows, in points of accuracy."""
    methods = by_method(run for run in runs if (run.regime, run.data) == (bar.regime, bar.data))
    found = paired(methods[bar.method], methods[bar.base])
    assert found is not None
    return found


def main() -> None:
    import matplotlib
    from matplotlib.figure import Figure

    matplotlib.rcParams.update(
        {"font.size": 11, "axes.spines.top": False, "axes.spines.right": False}
    )
    runs = with_shared(runs_of(read_results(RESULTS / "benefit.json")))
    figure = Figure(figsize=(6.4, 4.6), layout="constrained")
    axes = figure.subplots()
    regimes = list(dict.fromkeys(bar.regime for bar in BARS))
    for number, data in enumerate(COLOURS):
        bars = [bar for bar in BARS if bar.data == data]
        draw_bars(axes, data, (number - 0.5) * HEIGHT, [added(bar, runs) for bar in bars])
    axes.axvline(0, color="black", linewidth=0.8)
    axes.set_yticks(range(len(regimes)), regimes)
    axes.invert_yaxis()
    axes.set_xlabel("points of accuracy against the best method without a VAE,\n95 % intervals")
    axes.set_xlim(-4.8, 3.6)
    axes.legend(loc="lower right", frameon=False)
    figure.savefig(PICTURE, dpi=150, metadata={"Software": None})


def draw_bars(axes: "Axes", data: str, offset: float, values: Sequence[Estimate]) -> None:
    """One data set's bars, a row per regime, each with its interval and its figure."""
    rows = [row + offset for row in range(len(values))]
    means, errors = [value.mean for value in values], [value.half_width for value in values]
    axes.barh(
        rows, means, HEIGHT, xerr=errors, color=COLOURS[data], label=data, error_kw={"capsize": 3}
    )
    for row, value in zip(rows, values, strict=True):
        direction, side = (-1, "right") if value.mean < -0.2 else (1, "left")
        axes.text(
            value.mean + direction * (value.half_width + 0.08),
            row,
            f"{round(value.mean, 2) + 0.0:+.2f}",
            va="center",
            ha=side,
            fontsize=9,
        )  # no "-0.00"


if __name__ == "__main__":
    main()
