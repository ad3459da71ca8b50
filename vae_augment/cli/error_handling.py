"""What every command does alike: turn our errors into one clear line and an exit code."""

import functools
from collections.abc import Callable
from typing import ParamSpec

import typer

from ..errors import VAEAugmentError

P = ParamSpec("P")
EXIT_FAILURE, EXIT_INTERRUPTED = 1, 130


def friendly(command: Callable[P, None]) -> Callable[P, None]:
    """Wrap a command: our errors and the system's become `error: ...` and exit code 1, Ctrl-C becomes 130."""

    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except (VAEAugmentError, OSError) as error:
            typer.echo(f"error: {error}", err=True)
            raise typer.Exit(EXIT_FAILURE) from error
        except KeyboardInterrupt:
            typer.echo("Interrupted.", err=True)
            raise typer.Exit(EXIT_INTERRUPTED) from None

    return run
