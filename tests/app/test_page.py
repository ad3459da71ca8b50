"""The command `explore` without a browser: what it refuses, and what it passes to the page."""

import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.helpers import run_command
from vae_augment import VAEModel, load
from vae_augment.app import page, serving
from vae_augment.app.originals import DataImages, Samples
from vae_augment.errors import InputError


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the command passes to `serve`, which is not called."""
    found: dict[str, Any] = {}

    def record(model: VAEModel, name: str, originals: Any, facts: Any, **options: Any) -> None:
        found.update(model=model, name=name, originals=originals, facts=facts, **options)
        options["ready"]("http://127.0.0.1:7860/")

    monkeypatch.setattr(serving, "serve", record)
    return found


def test_without_gradio_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gradio", None)
    assert run_command("explore", "mnist", "--no-browser") == (
        1,
        "error: vae-augment explore needs gradio. Install it: pip install gradio.\n",
    )


def test_a_broken_model_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "broken.onnx"
    path.write_bytes(b"no model")
    code, text = run_command("explore", path)
    assert code == 1
    assert text.startswith(f"error: {path}")


def test_the_address_is_printed(tiny_model_path: Path, served: dict[str, Any]) -> None:
    code, text = run_command("explore", tiny_model_path, "digits", "--no-browser", "--port", 8000)
    assert (code, text) == (0, "http://127.0.0.1:7860/ (Ctrl-C ends it)\n")
    assert served["name"] == str(tiny_model_path)
    assert isinstance(served["originals"], DataImages)
    assert (served["port"], served["opens_browser"]) == (8000, False)
    assert served["facts"]["sha256"] == served["model"].sha256


@pytest.mark.parametrize(
    ("model", "drawn_by"), [("fashion-mnist", "fashion-mnist"), ("glyphs", "mnist")]
)
def test_without_data_samples_are_perturbed(
    model: str, drawn_by: str, served: dict[str, Any]
) -> None:
    assert run_command("explore", model)[0] == 0
    assert isinstance(served["originals"], Samples)
    assert served["originals"].name == drawn_by
    assert served["opens_browser"]


def test_images_of_two_channels_cannot_be_shown(tiny_model: VAEModel) -> None:
    object.__setattr__(tiny_model.spec, "image_shape", (2, 8, 8))
    with pytest.raises(InputError, match="images of 2 channels; only those of 1 or 3"):
        page.build(tiny_model, "tiny", Samples(load("mnist", provider="cpu"), "mnist"), {})


@pytest.mark.browser
def test_a_port_that_is_taken(tiny_model_path: Path) -> None:
    pytest.importorskip("gradio", reason="needs: pip install 'vae-augment[app]'")
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        command = ["-m", "vae_augment", "explore", tiny_model_path, "--no-browser", "--port", port]
        done = subprocess.run(
            [sys.executable, *map(str, command)], capture_output=True, text=True, timeout=120
        )
    assert done.stderr == f"error: The port {port} is taken. Give another: --port (port=).\n"
    assert (done.returncode, done.stdout) == (1, "")
