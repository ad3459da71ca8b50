"""Packages that fit, export, evaluation and the command line need, and `VAEAugment` does not."""

from importlib.util import find_spec

from .errors import MissingPackageError

_NAMES_FOR_PIP = {"sklearn": "scikit-learn"}


def require(who: str, *packages: str) -> None:
    """Raise `MissingPackageError` for packages that are not installed; it names all of them.

    Args:
        who: what needs them, for the message.
        packages: the names by which they are imported.
    """
    missing = [name for name in packages if find_spec(name) is None]
    if missing:
        names = " ".join(_NAMES_FOR_PIP.get(name, name) for name in missing)
        raise MissingPackageError(
            f"{who} needs packages that are not installed. Install them: pip install {names}"
        )
