"""Evidence that a file carries about itself, bound to its graph and latents by their digest."""

import hashlib

import onnx

from .latents import LATENTS_KEY


def weights_digest(content: bytes) -> str:
    """The sha256, in hexadecimal, of a file's graph without metadata, followed by its latents.

    Files of one graph that generate from other latents have other digests: what was measured on the
    samples of one says nothing of another's.
    """
    model = onnx.load_from_string(content)
    latents = [entry.value for entry in model.metadata_props if entry.key == LATENTS_KEY]
    del model.metadata_props[:]
    digest = hashlib.sha256(model.SerializeToString(deterministic=True))
    for text in latents:
        digest.update(text.encode("ascii"))
    return digest.hexdigest()
