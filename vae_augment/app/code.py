"""Python scripts as text."""

from collections.abc import Iterable

_OURS = "vae_augment"


def script(imports: Iterable[str], lines: Iterable[str]) -> str:
    """The imports, each once and those of one module in one line, an empty line, and the lines.

    >>> print(script(["from a import c", "import torch", "from a import b"], ["c(b)"]))
    import torch
    from a import b, c
    <BLANKLINE>
    c(b)
    """
    plain = set()
    names: dict[str, set[str]] = {}
    for line in imports:
        module, _, imported = line.removeprefix("from ").partition(" import ")
        if imported:
            names.setdefault(module, set()).add(imported)
        else:
            plain.add(line)
    modules = sorted(names, key=lambda module: (module.startswith(_OURS), module))
    grouped = [f"from {module} import {', '.join(sorted(names[module]))}" for module in modules]
    return "\n".join([*sorted(plain), *grouped, "", *lines])


def quoted(text: str) -> str:
    """A string of Python, in double quotes where that needs no escapes.

    >>> quoted("mnist")
    '"mnist"'
    """
    written = repr(text)
    is_plain = written.startswith("'") and '"' not in text
    return f'"{written[1:-1]}"' if is_plain else written
