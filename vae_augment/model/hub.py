"""Model files on the Hugging Face Hub, by addresses such as hf://owner/name/file.onnx@revision."""

import os
import re
from pathlib import Path

from ..errors import InputError, MissingPackageError, NotFoundError, VAEAugmentError

PREFIX = "hf://"
_ADDRESS = re.compile(r"hf://([\w.-]+/[\w.-]+)/([^@]+\.onnx)(?:@(.+))?")


def is_address(name: object) -> bool:
    """Whether a name is that of a file on the Hub."""
    return isinstance(name, str) and name.startswith(PREFIX)


def download(address: str) -> Path:
    """The path of the file in the local cache of `huggingface_hub`, which fetches it if need be.

    The environment variable HF_ENDPOINT names another server than the Hub. The file is not checked;
    that is for whoever reads it.

    Args:
        address: hf://owner/name/file.onnx, or hf://owner/name/file.onnx@revision with a branch, tag
            or commit.

    Raises:
        InputError: an address of another form.
        NotFoundError: no such repository, revision or file; or it is private.
        VAEAugmentError: the server cannot be reached, and the file is not in the cache.
        MissingPackageError: huggingface_hub is not installed.
    """
    parts = _ADDRESS.fullmatch(address)
    if parts is None:
        raise InputError(
            f"The address {address!r} is not of the form hf://owner/name/file.onnx or "
            "hf://owner/name/file.onnx@revision."
        )
    repository, file, revision = parts.groups()
    return _fetched(address, repository, file, revision)


def _fetched(address: str, repository: str, file: str, revision: str | None) -> Path:
    try:
        from huggingface_hub import errors, hf_hub_download
    except ImportError as error:
        raise MissingPackageError(
            f"{PREFIX} needs huggingface_hub, which cannot be imported ({error}). Install it: "
            'pip install "vae-augment[hub]".'
        ) from None
    try:
        path = hf_hub_download(
            repository,
            file,
            revision=revision,
            library_name="vae-augment",
            endpoint=os.environ.get("HF_ENDPOINT"),
        )
    except errors.LocalEntryNotFoundError as error:  # neither on the way nor in the cache
        raise _unreachable(address, error) from None
    except (
        errors.EntryNotFoundError,
        errors.RepositoryNotFoundError,
        errors.RevisionNotFoundError,
    ):
        raise NotFoundError(
            f"There is no {address} on the Hub, or you may not see it. Check the address and the "
            "revision, or log in: hf auth login."
        ) from None
    except OSError as error:  # as errors of the Hub and of connections are
        raise _unreachable(address, error) from None
    return Path(path)


def _unreachable(address: str, error: Exception) -> VAEAugmentError:
    return VAEAugmentError(
        f"{address} cannot be fetched: {_first_line(error)} Try again with a connection, or give "
        "the path of a copy."
    )


def _first_line(error: Exception) -> str:
    line = str(error).strip().partition("\n")[0].rstrip(".")
    return f"{line or type(error).__name__}."
