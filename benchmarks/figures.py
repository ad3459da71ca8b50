"""The table and the chart of docs/benefit.md, from the results that are committed.

python -m benchmarks.figures    # prints the table and draws docs/benefit.png
"""

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from benchmarks import benefit, samples
from benchmarks.benefit import PAIRS, Pair
from benchmarks.common import RESULTS, Row, read_lines
from vae_augment import load
from vae_augment.evaluation.intervals import Estimate, paired
from vae_augment.evaluation.report import markdown

if TYPE_CHECKING:
    from matplotlib.axes import Axes

CHART = RESULTS.parents[1] / "docs" / "benefit.png"
COLOURS = {"mnist": "#3f51b5", "fashion-mnist": "#ef8a17"}
BAR_HEIGHT = 0.38  # a setting has one bar per data set
SAMPLES_ALONE = "samples alone"


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
    return [*(of_pair(pair, rows) for pair in PAIRS), *(samples_alone(data) for data in COLOURS)]


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
    digest = samples.weights_of(model)
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
    """A row for each figure."""
    rows = [
        [
            f"{each.setting}, {each.data}",
            each.base,
            f"{each.base_mean:.2f}",
            each.method,
            f"{each.method_mean:.2f}",
            str(each.gain),
            str(each.gain.repetitions),
        ]
        for each in found
    ]
    header = ["labels, data", "without", "%", "with", "%", "difference, 95 %", "repetitions"]
    return markdown(header, rows)


def draw(found: Sequence[Figure], path: Path) -> None:
    """Draw the chart: a bar with its interval for each setting and data set."""
    import matplotlib
    from matplotlib.figure import Figure as Canvas

    matplotlib.rcParams.update(
        {"font.size": 11, "axes.spines.top": False, "axes.spines.right": False}
    )
    canvas = Canvas(figsize=(6.4, 4.6), layout="constrained")
    axes = canvas.subplots()
    settings = list(dict.fromkeys(each.setting for each in found))
    for number, data in enumerate(COLOURS):
        for each in (each for each in found if each.data == data):
            place = settings.index(each.setting) + (number - 0.5) * BAR_HEIGHT
            draw_bar(axes, place, each.gain, COLOURS[data])
        axes.barh([0], [0], color=COLOURS[data], label=data)  # for the legend
    axes.axvline(0, color="black", linewidth=0.8)
    axes.set_yticks(range(len(settings)), settings)
    axes.invert_yaxis()
    axes.set_xlabel("points of accuracy against the best method without a VAE,\n95 % intervals")
    axes.set_xlim(-3.2, 7)
    axes.legend(loc="lower right", frameon=False)
    canvas.savefig(path, dpi=150, metadata={"Software": None})


def draw_bar(axes: "Axes", place: float, gain: Estimate, colour: str) -> None:
    """One bar with its interval and its figure."""
    errors = {"capsize": 3}
    axes.barh(
        [place], [gain.mean], BAR_HEIGHT, xerr=[gain.half_width], color=colour, error_kw=errors
    )
    right = max(gain.mean + gain.half_width, 0)
    points = round(gain.mean, 2) + 0.0  # without the minus of -0.00
    axes.text(right + 0.1, place, f"{points:+.2f}", va="center", fontsize=9)


def main() -> None:
    found = figures()
    print(table(found))
    draw([each for each in found if each.in_chart], CHART)


if __name__ == "__main__":
    main()
