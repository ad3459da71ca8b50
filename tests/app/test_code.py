"""Scripts as text."""

import pytest

from vae_augment.app.code import quoted, script


def test_imports_stand_once_and_in_order() -> None:
    imports = ["from vae_augment import load", "import torch", "from vae_augment import VAEAugment"]
    text = script([*imports, "import torch", "from torchvision import io"], ["a = 1", "b = 2"])
    assert text == (
        "import torch\nfrom torchvision import io\nfrom vae_augment import VAEAugment, load\n"
        "\na = 1\nb = 2"
    )


@pytest.mark.parametrize("text", ["mnist", "a'b", 'a"b', "a'\"b", "\\", "\n", "'", '"', "\u202e"])
def test_a_text_is_the_same_as_python(text: str) -> None:
    assert eval(quoted(text)) == text
    assert quoted(text).isprintable()


def test_plain_text_has_double_quotes() -> None:
    assert quoted("fashion-mnist") == '"fashion-mnist"'
