"""The table and the chart of docs/benefit.md, from the results that are committed.

python -m benchmarks.figures    # prints the table and draws docs/benefit.png
"""

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from benchmarks import benefit, redrawing, samples
from benchmarks.benefit import PAIRS, Pair
from benchmarks.common import RESULTS, Row, read_lines
from vae_augment import load
from vae_augment.evaluation.intervals import Estimate, paired

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D

CHART = RESULTS.parents[1] / "docs" / "benefit.png"
WITH_FILES = ("mnist", "fashion-mnist")  # whose samples are compared with the images
COLOURS = {
    "mnist": "#3f51b5",
    "fashion-mnist": "#ef8a17",
    "symbols": "#00897b",
    "omniglot": "#8e24aa",
}
DOT_AREA = 45  # in points
LOWEST = 70  # percent, where the chart begins
SAMPLES_ALONE = "samples only"


class Figure(NamedTuple):
    """Two methods of one setting: mean accuracies in percent, and what the second adds."""

    setting: str
    data: str
    base: str
    method: str
    base_mean: float
    method_mean: float
    gain: Estimate
    in_chart: bool = True


def figures() -> list[Figure]:
    """All figures of the committed results."""
    rows = read_lines(benefit.FILE)
    redrawn = redrawing.measured(read_lines(redrawing.FILE))
    return [
        *(samples_alone(data) for data in WITH_FILES),
        *(of_redrawing(found) for found in redrawn),
        *(of_pair(pair, rows) for pair in PAIRS),
    ]


def of_redrawing(found: redrawing.Measured) -> Figure:
    """The figure of a model that redraws."""
    labels, data, distortion, _ = found.setting
    plural = "s" if labels > 1 else ""
    setting = f"redrawn, {labels} label{plural}"
    method = f"{found.model.replace(', ', ' of ')}+{distortion}"
    made = figure(setting, data, distortion, method, found.distorted, found.redrawn)
    is_best = distortion == redrawing.THICK
    return made._replace(in_chart=found.model == "glyphs" and is_best == (labels == 1))


def of_pair(pair: Pair, rows: Sequence[Row]) -> Figure:
    """The figure of a pair of methods."""

    def accuracies(method: str) -> dict[int, float]:
        wanted = (pair.setting, pair.data, method)
        found = [row for row in rows if (row["setting"], row["data"], row["method"]) == wanted]
        return {row["seed"]: row["accuracy"] for row in found if row["seed"] < pair.seeds}

    base, method = accuracies(pair.base), accuracies(pair.method)
    found = figure(pair.setting, pair.data, pair.base, pair.method, base, method)
    return found._replace(in_chart=pair.in_chart)


def samples_alone(data: str) -> Figure:
    """What a classifier of a bundled model's samples has, minus one of real images."""
    accuracies = samples.by_key(read_lines(samples.FILE))
    real = accuracies[data, benefit.UPDATES, "small_cnn", "real", ""]
    model = load(data, provider="cpu")
    digest = model.weights_sha256
    generated = accuracies[data, benefit.UPDATES, "small_cnn", "samples", digest]
    return figure(SAMPLES_ALONE, data, "real images", f"samples of {data}", real, generated)


def figure(
    setting: str,
    data: str,
    base: str,
    method: str,
    base_accuracies: dict[int, float],
    accuracies: dict[int, float],
) -> Figure:
    """The figure of two methods' accuracies by seed."""
    gain = paired(accuracies, base_accuracies)
    if gain is None:
        raise ValueError(f"{setting}, {data}: no seed has both {base} and {method}.")
    base_mean = statistics.fmean(base_accuracies.values())
    method_mean = statistics.fmean(accuracies.values())
    return Figure(setting, data, base, method, base_mean, method_mean, gain)


def table(found: Sequence[Figure]) -> str:
    """A row for each figure, in Markdown."""
    header = ["labels, data", "without", "%", "with", "%", "difference", "repetitions"]
    alignment = [":--", ":--", "--:", ":--", "--:", "--:", "--:"]
    lines = [header, alignment, *map(cells, found)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def cells(shown: Figure) -> list[str]:
    """A row of the table. Names of methods may break at their plus signs."""
    return [
        f"{shown.setting}, {shown.data}",
        shown.base.replace("+", " + "),
        f"{shown.base_mean:.2f}",
        shown.method.replace("+", " + "),
        f"{shown.method_mean:.2f}",
        str(shown.gain),
        str(shown.gain.repetitions),
    ]


def draw(found: Sequence[Figure], path: Path) -> None:
    """Draw the chart: accuracy without and with a VAE, and what the VAE adds, a line per figure."""
    import matplotlib
    from matplotlib.figure import Figure as Canvas

    matplotlib.rcParams.update(
        {"font.size": 11, "axes.spines.top": False, "axes.spines.right": False}
    )
    canvas = Canvas(figsize=(6.4, 5.4), layout="constrained")
    axes = canvas.subplots()
    for place, each in enumerate(found):
        draw_line(axes, place, each)
    axes.set_yticks(range(len(found)), [f"{each.setting}, {each.data}" for each in found])
    axes.invert_yaxis()
    axes.set_xlim(LOWEST, 100)
    axes.set_xticks(range(LOWEST, 101, 10))
    axes.set_xlabel("accuracy on test images, %")
    canvas.legend(loc="outside upper center", ncols=2, frameon=False, handles=legend())
    canvas.savefig(path, dpi=150, metadata={"Software": None})


def draw_line(axes: "Axes", place: int, shown: Figure) -> None:
    """A line from the accuracy without to that with a VAE, and their difference at the right."""
    colour = COLOURS[shown.data]
    ends = [shown.base_mean, shown.method_mean]
    axes.plot(ends, [place, place], color=colour, linewidth=2, zorder=1)
    for end, fill in zip(ends, ["white", colour], strict=True):
        axes.scatter(
            [end], [place], DOT_AREA, linewidth=1.6, zorder=2, facecolor=fill, edgecolor=colour
        )
    axes.text(101.5, place, difference(shown.gain), va="center", fontsize=10)


def difference(gain: Estimate) -> str:
    """As in the table, without the minus of -0.00."""
    return str(gain._replace(mean=round(gain.mean, 2) + 0.0))


def legend() -> list["Line2D"]:
    """What the two dots of a line are."""
    from matplotlib.lines import Line2D

    meanings = {"white": "without a VAE", "black": "with a VAE (right: difference)"}
    return [
        Line2D(
            [],
            [],
            marker="o",
            linestyle="none",
            markeredgecolor="black",
            markerfacecolor=fill,
            label=meaning,
        )
        for fill, meaning in meanings.items()
    ]


def main() -> None:
    found = figures()
    print(table(found))
    draw([each for each in found if each.in_chart], CHART)


if __name__ == "__main__":
    main()
