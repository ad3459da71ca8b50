"""What `throughput.py` has to show: each bar, and whether the rows meet it."""

from typing import Any, NamedTuple

Row = dict[str, Any]
NETWORKS = ("mlp", "conv")


class Bar(NamedTuple):
    """One line of the table. `at_least` of None stands where `at_most` holds."""

    what: str
    measured: float
    at_least: float | None = None
    at_most: float | None = None

    @property
    def is_met(self) -> bool:
        return (
            self.measured >= self.at_least
            if self.at_least is not None
            else self.measured <= self.at_most
        )


def bars(rows: list[Row], grown: Row) -> list[Bar]:
    threads = max(row["threads"] for row in rows)
    found = []
    for network in NETWORKS:
        for count in sorted({1, threads}):
            here = [row for row in rows if row["network"] == network and row["threads"] == count]
            found += [
                bar._replace(what=f"{network}, {count} threads: {bar.what}")
                for bar in _ratios(here, network)
            ]
    return [*found, *_epoch(rows), *_growth(grown)]


def _ratios(rows: list[Row], network: str) -> list[Bar]:
    uint8, by_256 = "perturb, one uint8 tensor", "perturb, float batch of 256"
    asked = [
        ("VAEAugment batch 256 / session.run", by_256, "VAEAugment", "session.run", 0.9),
        (
            "VAEAugment batch 1024 / session.run",
            "perturb, float batch of 1024",
            "VAEAugment",
            "session.run",
            0.9,
        ),
        ("VAEAugment one uint8 tensor / session.run", uint8, "VAEAugment", "session.run", 0.5),
        ("the same / v2.RandomAffine", uint8, "VAEAugment", "v2.RandomAffine", 2.0),
        ("the same / v2.ElasticTransform", uint8, "VAEAugment", "v2.ElasticTransform", 15.0),
        (
            "batch 256 / PyTorch eager",
            by_256,
            "VAEAugment",
            "PyTorch eager",
            {"mlp": 1.3, "conv": 2.0}[network],
        ),
        ("batch 256 / pythae", by_256, "VAEAugment", "pythae reconstruct, inference_mode", 1.5),
        (
            "loader, batched / by item",
            "dataset",
            "loader, 0 workers",
            "loader, 0 workers, by item",
            3.0,
        ),
        (
            "loader, 2 workers / 1",
            "dataset through workers",
            "loader, 2 workers",
            "loader, 1 workers",
            1.6,
        ),
        (".batches(256) / model.decode", "generate", ".batches(256)", "model.decode", 0.85),
    ]
    found = [
        Bar(what, _ratio(rows, group, ours, theirs), least)
        for what, group, ours, theirs, least in asked
    ]
    if network == "mlp" and rows[0]["threads"] == 1:
        share = next(row["share"] for row in rows if "share" in row)
        found.append(Bar("share of the sgemm rate, batch 256", share, 0.85))
    return found


def _ratio(rows: list[Row], what: str, ours: str, theirs: str) -> float:
    medians = {
        row["name"]: row["images_per_second"]["median"] for row in rows if row["what"] == what
    }
    return medians[ours] / medians[theirs]


def _epoch(rows: list[Row]) -> list[Bar]:
    what = "epoch of a small CNN"
    if not any(row["what"] == what for row in rows):
        return []
    ours = ("VAEAugment", "VAEAugment on whole batches")
    return [
        Bar(f"{what}, {name} / v2.RandomAffine", _ratio(rows, what, name, "v2.RandomAffine"), 1.0)
        for name in ours
    ]


def _growth(grown: Row) -> list[Bar]:
    rates = [run["images"] / run["seconds"] for run in grown["generation"]]
    peaks = [run["peak_mb"] for run in grown["generation"]]
    return [
        Bar(
            "generation rate, fewest / most images: unevenness",
            max(rates) / min(rates) - 1,
            at_most=0.1,
        ),
        Bar("generation, growth of peak memory in MB", max(peaks) - min(peaks), at_most=50.0),
        Bar("seconds that the import adds", grown["import"], at_most=0.3),
        Bar("seconds to the first augmented image", grown["first_image"], at_most=0.3),
    ]


def table(judged: list[Bar]) -> str:
    lines = ["| bar | needed | measured | |", "|---|---|---|---|"]
    for bar in judged:
        needed = f">= {bar.at_least:g}" if bar.at_least is not None else f"<= {bar.at_most:g}"
        lines.append(
            f"| {bar.what} | {needed} | {bar.measured:.3g} | {'met' if bar.is_met else 'NOT MET'} |"
        )
    return "\n".join(lines)
