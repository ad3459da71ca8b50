"""The command `vae-augment`, also as `python -m vae_augment`."""

import sys

from .errors import MissingPackageError
from .packages import require


def main() -> None:
    """The entry point of the console script."""
    try:
        require("vae-augment", "scipy", "sklearn", "threadpoolctl", "tqdm", "typer")
    except MissingPackageError as error:
        sys.exit(f"error: {error}")
    from .cli import main as run

    run()


if __name__ == "__main__":
    main()
