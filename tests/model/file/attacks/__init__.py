"""Hostile files. Each function makes one in a folder, from a good model, and returns its path.

An attack's docstring says what it would do to a loader that trusts it. `ATTACKS` holds them by
name, each with the class of the error that must refuse it and words of its message.
"""

from tests.model.file.attacks import bombs, damage, interface, kernels, metadata, outside, version_2

ATTACKS = {
    f"{module.__name__.rpartition('.')[2]}.{maker.__name__}": (maker, error, words)
    for module in (outside, bombs, damage, interface, metadata, kernels, version_2)
    for maker, error, words in module.ATTACKS
}
