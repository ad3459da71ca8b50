"""Does VAEAugment("glyphs") add to thickness+affine+elastic? Each pair has the same labels and seed.

    python benchmarks/redrawing/glyphs_model.py DATA RESULTS.jsonl mnist:1:0-4 symbols:10:0-2 ...
    python benchmarks/redrawing/glyphs_model.py --table RESULTS.jsonl

DATA holds MNIST/raw and symbols. Each job is data, labels per class, and the first and last draw. The small CNN is
trained for 5,000 updates of 50 images. Runs that RESULTS holds are not repeated.
"""

import functools
import json
import sys
from pathlib import Path

import torch

from vae_augment.distortions import thickness_affine_elastic
from vae_augment.evaluation.comparison import GLYPHS
from vae_augment.evaluation.experiment import Group, Method, Run, run_method
from vae_augment.evaluation.report import by_method, markdown, paired
from vae_augment.evaluation.splits import Source, choose_labels

UPDATES = 5000
METHODS = (Method("thickness+affine+elastic", thickness_affine_elastic), GLYPHS)


def source(data: str, root: Path) -> Source:
    """MNIST, or the symbols' two files as one that has a test part."""
    if data != "symbols":
        return Source(data, str(root))
    train, test = (root / "symbols" / f"symbols-{part}.npz" for part in ("train", "test"))
    return Source(str(train), None, (str(test),))


def table(path: Path) -> str:
    """For each data set, number of labels and model, both accuracies of each draw and their difference.

    "wide glyphs" is the model that was bundled before, with twice the channels.
    """
    runs = [Run(**json.loads(line)) for line in path.read_text().splitlines()]
    rows = []
    for data, regime in sorted({(run.data, run.regime) for run in runs}):
        found = by_method(run for run in runs if (run.data, run.regime) == (data, regime))
        base = found.pop(METHODS[0].name, {})
        for name, redrawn in sorted(found.items()):
            draws = sorted(base.keys() & redrawn.keys())
            pairs = ", ".join(f"{draw}: {base[draw]:.2f} -> {redrawn[draw]:.2f}" for draw in draws)
            rows.append([data, regime.split()[0], name.partition("+")[0], pairs, str(paired(redrawn, base))])
    return markdown(["data", "labels per class", "model", "draw: without -> with it", "difference, 95 %"], rows)


def main(root: str, results: str, *jobs: str) -> None:
    if root == "--table":
        print(table(Path(results)))
        return
    torch.set_num_threads(1)
    path = Path(results)
    done = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    seen = {(run["regime"], run["data"], run["method"], run["draw"]) for run in done}
    for job in jobs:
        data, labels, draws = job.split(":")
        first, last = map(int, draws.split("-"))
        split = functools.partial(choose_labels, per_class=int(labels))
        for draw in range(first, last + 1):
            group = Group(f"{labels} labels", source(data, Path(root)), draw, split, METHODS, UPDATES)
            images = group.draw()
            for method in METHODS:
                if (group.regime, data, method.name, draw) in seen:
                    continue
                run = run_method(method, images, group.regime, data)
                with open(path, "a") as file:
                    file.write(json.dumps(run.facts()) + "\n")
                print(run.regime, data, draw, method.name, run.accuracy, f"{run.seconds:.0f} s", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
