"""Every error the package raises on purpose, so that ``except VAEAugmentError`` is enough.

Each child is also the built-in exception that a Python user would expect in its place.
"""

import difflib
from collections.abc import Iterable


def printable(text: str) -> str:
    """`text` with control characters escaped, except line ends.

    A stranger's names must not command a terminal.

    >>> print(printable("\\x1b[2J"))
    \\x1b[2J
    """
    return "".join(c if c.isprintable() or c == "\n" else ascii(c)[1:-1] for c in text)


def suggestion(wanted: object, known: Iterable[str]) -> str:
    """The name of `known` that is most like `wanted`, as a question; "" when none is like it.

    >>> suggestion("Fashion_MNIST", ["mnist", "fashion-mnist"])
    " Did you mean 'fashion-mnist'?"
    """
    names = {_plain(name): name for name in known}
    near = difflib.get_close_matches(_plain(str(wanted)), names, n=1)
    return f" Did you mean {names[near[0]]!r}?" if near else ""


def _plain(name: str) -> str:
    return name.lower().replace("_", "-")


class VAEAugmentError(Exception):
    """Base of all errors raised on purpose by vae-augment.

    Itself raised where training diverges or memory runs out.
    """

    def __str__(self) -> str:
        return printable(super().__str__())


class InputError(VAEAugmentError, ValueError, TypeError):
    """A value, type, shape, range or label that cannot be used."""


class ModelFormatError(VAEAugmentError, ValueError):
    """A file that is not a vae-augment model, or one of another version."""


class UnsafeModelError(ModelFormatError):
    """A model file that breaks a rule of the careful loader; it never reached onnxruntime."""


class NotFoundError(VAEAugmentError, FileNotFoundError):
    """No model or data of that name, and nothing at that path."""


class OutputExistsError(VAEAugmentError, FileExistsError):
    """The output is there already, or belongs to another plan; it was left as it is."""


class MissingPackageError(VAEAugmentError, ImportError):
    """A package that is needed is not installed; the message has the command that installs it."""


class ProviderError(VAEAugmentError, RuntimeError):
    """onnxruntime, or the execution provider that was asked for, is not available."""


class ExportError(VAEAugmentError, RuntimeError):
    """A model that could not be exported faithfully; nothing was written."""


class GenerationError(VAEAugmentError, RuntimeError):
    """Images that could not be generated or written, or that are not what their manifest says."""
