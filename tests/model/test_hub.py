"""Files of the Hub, from a server of our own in its place."""

import hashlib
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import huggingface_hub.constants
import pytest

from tests.helpers import run_command as run
from vae_augment import VAEModel, load
from vae_augment.errors import (
    InputError,
    MissingPackageError,
    ModelFormatError,
    NotFoundError,
    UnsafeModelError,
    VAEAugmentError,
)

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class StandIn(BaseHTTPRequestHandler):
    """Answers for the repository owner/name with the revisions main and v1."""

    content = b""

    def do_HEAD(self) -> None:
        """The facts of a file."""
        self._answer(with_content=False)

    def do_GET(self) -> None:
        """The file itself."""
        self._answer(with_content=True)

    def log_message(self, *arguments: object) -> None:
        """Nothing."""

    def _answer(self, *, with_content: bool) -> None:
        if not self.path.startswith("/owner/name/resolve/"):
            self._refuse("RepoNotFound")
            return
        revision, _, file = self.path.removeprefix("/owner/name/resolve/").partition("/")
        if revision not in ("main", "v1", COMMIT):
            self._refuse("RevisionNotFound")
        elif file not in ("file.onnx", "sub/file.onnx", "odd.onnx"):
            self._refuse("EntryNotFound")
        else:
            content = b"no model" if file == "odd.onnx" else self.content
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
            self.send_header("X-Repo-Commit", COMMIT)
            self.end_headers()
            if with_content:
                self.wfile.write(content)

    def _refuse(self, code: str) -> None:
        self.send_response(404)
        self.send_header("X-Error-Code", code)
        self.send_header("X-Error-Message", f"{code}: not here")
        self.send_header("Content-Length", "0")
        self.end_headers()


@pytest.fixture
def hub(
    tiny_model: VAEModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[ThreadingHTTPServer]:
    monkeypatch.setattr(StandIn, "content", tiny_model.file.content)
    server = ThreadingHTTPServer(("127.0.0.1", 0), StandIn)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    yield server
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    "address",
    [
        "hf://owner/name/file.onnx",
        "hf://owner/name/file.onnx@v1",
        f"hf://owner/name/sub/file.onnx@{COMMIT}",
    ],
)
@pytest.mark.usefixtures("hub")
def test_a_file_of_the_hub_is_the_file(address: str, tiny_model: VAEModel) -> None:
    model = load(address, provider="cpu", sha256=tiny_model.sha256)
    assert model.sample(2)[0].equal(tiny_model.sample(2)[0])


@pytest.mark.usefixtures("hub")
def test_it_passes_the_same_checks() -> None:
    with pytest.raises(UnsafeModelError, match="it is not the file that was meant"):
        load("hf://owner/name/file.onnx", sha256="0" * 64)
    with pytest.raises(ModelFormatError, match="was refused"):
        load("hf://owner/name/odd.onnx")


@pytest.mark.parametrize(
    "address",
    [
        "hf://other/name/file.onnx",
        "hf://owner/name/file.onnx@v2",
        "hf://owner/name/missing.onnx",
    ],
)
@pytest.mark.usefixtures("hub")
def test_what_is_not_there_is_not_found(address: str) -> None:
    with pytest.raises(NotFoundError, match=f"There is no {address} on the Hub"):
        load(address)
    code, text = run("info", address)
    assert code == 1
    assert text.startswith("error: There is no hf://")
    assert len(text.splitlines()) <= 3


OFFLINE = """
from vae_augment import VAEAugmentError, load

print(load("hf://owner/name/file.onnx").sha256)
try:
    load("hf://owner/name/sub/file.onnx")
except VAEAugmentError as error:
    print(error)
"""


@pytest.mark.usefixtures("hub")
def test_offline_the_cache_serves(tiny_model: VAEModel) -> None:
    load("hf://owner/name/file.onnx")
    # A process of its own, since the client reads the variable at its import.
    environment = os.environ | {
        "HF_HUB_OFFLINE": "1",
        "HF_HUB_CACHE": huggingface_hub.constants.HF_HUB_CACHE,
    }
    result = subprocess.run(
        [sys.executable, "-c", OFFLINE], env=environment, capture_output=True, text=True, timeout=60
    )
    assert result.returncode == 0, result.stderr
    digest, message = result.stdout.splitlines()
    assert digest == tiny_model.sha256
    assert "file.onnx cannot be fetched: " in message
    assert "give the path" in message


@pytest.mark.slow  # huggingface_hub tries again for half a minute
def test_a_server_that_is_gone(hub: ThreadingHTTPServer) -> None:
    hub.shutdown()
    hub.server_close()
    with pytest.raises(VAEAugmentError, match=r"file.onnx cannot be fetched: .*give the path"):
        load("hf://owner/name/file.onnx")


@pytest.mark.parametrize(
    "address", ["hf://file.onnx", "hf://owner/name", "hf://owner/name/file.pt", "hf://a/b/c.onnx@"]
)
def test_addresses_of_another_form_are_refused(address: str) -> None:
    with pytest.raises(InputError, match=r"is not of the form hf://owner/name/file\.onnx"):
        load(address)


def test_the_package_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(MissingPackageError, match=r'pip install "vae-augment\[hub\]"'):
        load("hf://owner/name/file.onnx")
