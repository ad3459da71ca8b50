"""What test files of several rooms share."""

import contextlib
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest
from torch import Tensor
from typer.testing import CliRunner

from vae_augment import VAEModel
from vae_augment.cli import app

ROOT = Path(__file__).parents[1]
DATA = ROOT.parent / "shared" / "data"

needs_mnist = pytest.mark.skipif(
    not (DATA / "MNIST").exists(), reason=f"needs MNIST in {DATA.name}/ beside the checkout"
)


def count_runs(model: VAEModel, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The list to which every run of the model now adds how many images it is given."""
    counts: list[int] = []
    run = model.run

    def counted(part: str, inputs: dict[str, Tensor]) -> list[Tensor]:
        counts.append(len(next(iter(inputs.values()))))
        return run(part, inputs)

    monkeypatch.setattr(model, "run", counted)
    return counts


@contextlib.contextmanager
def largest_file(size: int) -> Iterator[None]:
    """Inside, the system refuses larger files, as it refuses one that the disk has no room for."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def run_command(*arguments: object) -> tuple[int, str]:
    """The exit code and the output of `vae-augment` with these arguments, in this process."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.output
