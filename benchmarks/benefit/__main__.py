"""Does a VAE help the classifier? Every regime, data set, method and paired draw of labels, resumed after a kill.

    python -m benchmarks.benefit --root DIR --workers 2       # everything: eight hours on two cores
    python -m benchmarks.benefit --root DIR --workers 12 --device cuda python -m benchmarks.benefit
    --root DIR --workers 2 --quick    # within three minutes; its figures mean nothing python -m
    benchmarks.benefit --table                      # the tables of what has been measured

Draws 0, 1, ... are for the reported table; what is chosen is chosen on draws 100, 101, ...: --draws
100:103.
"""

import argparse
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tqdm import tqdm

from benchmarks.common import RESULTS
from vae_augment.errors import VAEAugmentError
from vae_augment.evaluation.experiment import Method, Run
from vae_augment.evaluation.splits import Source
from vae_augment.training.half_precision import check_device

from .draws import Budget
from .regimes import REGIMES, Methods, Regime
from .results import Results, read_results, runs_of
from .runs import facts, measure, plan, settings
from .targets import tables

OUTPUT = RESULTS / "benefit.json"
DATA = ("mnist", "fashion-mnist")
QUICK = Budget(updates=20, effort=0.005, most_images=3000)
QUICK_METHODS = ("none", "affine+elastic", "strong VAE")


def main() -> None:
    options = parse()
    try:
        runs = (
            runs_of(read_results(options.output or OUTPUT)) if options.table else measured(options)
        )
    except (VAEAugmentError, OSError) as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit("Interrupted. The same command goes on from here, where an output file is kept.")
    print(f"\n{tables(runs)}")


def measured(options: argparse.Namespace) -> list[Run]:
    """Run what is missing in the result file, and give all that is in it."""
    check_device(options.device)
    budget = replace(
        QUICK if options.quick else Budget(options.updates, options.effort), device=options.device
    )
    command = facts(command_line(), options.device, options.workers)
    output = options.output or (None if options.quick else OUTPUT)
    results = Results(output, command, settings(budget))
    names = QUICK_METHODS if options.quick else options.methods
    regimes = [with_methods(regime, names) for regime in REGIMES if regime.name in options.regimes]
    sources = [Source(data, options.root) for data in options.data]
    groups = plan(regimes, sources, options.draws, budget, results)
    total = sum(len(group.methods) for group in groups)
    print(
        f"{total} runs to do, {len(results.runs)} done before; {budget.updates} updates each",
        flush=True,
    )
    count = iter(range(1, total + 1))
    measure(
        groups, results, workers=options.workers, report=lambda run: say(run, next(count), total)
    )
    if options.quick:
        print("A quick run shows that everything works. Its figures mean nothing.")
    return results.runs


def parse() -> argparse.Namespace:
    names = [regime.name for regime in REGIMES]
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--root", help="folder that holds torchvision's data sets")
    parser.add_argument(
        "--regimes", type=listed(names), default=names, help=f"of {','.join(names)}; default all"
    )
    methods = sorted(
        {method.name for regime in REGIMES for data in DATA for method in regime.methods(data)}
    )
    parser.add_argument(
        "--methods", type=listed(methods), help=f"to run first, of {','.join(methods)}; default all"
    )
    parser.add_argument(
        "--data", type=listed(DATA), default=DATA, help=f"of {','.join(DATA)}; default both"
    )
    parser.add_argument(
        "--draws", type=numbers, default=range(5), help="FIRST:END, END not included; default 0:5"
    )
    parser.add_argument(
        "--updates", type=int, default=Budget.updates, help="of the classifier; 1500 for exploring"
    )
    parser.add_argument(
        "--effort", type=float, default=Budget.effort, help="share of the VAEs' updates, for trials"
    )
    parser.add_argument(
        "--workers", type=int, default=1, help="processes at once, of one thread each"
    )
    parser.add_argument("--device", default=Budget.device, help="cpu or cuda")
    parser.add_argument(
        "--quick", action="store_true", help="few updates, few methods, one draw; keeps no file"
    )
    parser.add_argument(
        "--output", type=Path, help=f"the result file; default {OUTPUT.name} in results/"
    )
    parser.add_argument(
        "--table", action="store_true", help="only print the tables of the result file"
    )
    options = parser.parse_args()
    if options.quick:
        options.draws = options.draws[:1]
    return options


def listed(known: Sequence[str]):
    def parse_list(text: str) -> list[str]:
        names = text.split(",")
        if unknown := [name for name in names if name not in known]:
            raise argparse.ArgumentTypeError(f"{unknown[0]!r} is not one of {', '.join(known)}")
        return names

    return parse_list


def numbers(text: str) -> range:
    first, _, end = text.partition(":")
    try:
        draws = range(int(first), int(end))
    except ValueError:
        draws = range(0)
    if not draws or draws.start < 0:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not FIRST:END with 0 <= FIRST < END, such as 0:5"
        )
    return draws


def command_line() -> str:
    """The command as it was given, without the places of this machine."""
    arguments = sys.argv[1:]
    for option in ("--root", "--output"):
        if option in arguments[:-1]:
            arguments[arguments.index(option) + 1] = option[2:].upper()
    return shlex.join(["python", "-m", "benchmarks.benefit", *arguments])


def with_methods(regime: Regime, names: Sequence[str] | None) -> Regime:
    """Only the methods of these names; None = all."""
    return regime if names is None else replace(regime, methods=Chosen(regime.methods, names))


@dataclass(frozen=True)
class Chosen:
    """Some of a regime's methods."""

    methods: Methods
    names: Sequence[str]

    def __call__(self, data: str) -> tuple[Method, ...]:
        return tuple(method for method in self.methods(data) if method.name in self.names)


def say(run: Run, number: int, total: int) -> None:
    where = f"{run.regime} {run.data} draw {run.draw}"
    tqdm.write(
        f"{number}/{total}  {where}: {run.method}: {run.accuracy:.2f} % ({run.seconds:.0f} s)"
    )
    sys.stdout.flush()


if __name__ == "__main__":
    main()
