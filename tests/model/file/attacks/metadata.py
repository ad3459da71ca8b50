"""Files whose metadata are not what the format says."""

import base64
import json
from pathlib import Path

import numpy as np
import safetensors.numpy
from onnx import ModelProto

from tests.model.file.attacks.damage import put
from tests.model.file.attacks.outside import save

SPEC, LATENTS = "vae_augment.spec", "vae_augment.latents"


def entry(model: ModelProto, key: str):
    return next(item for item in model.metadata_props if item.key == key)


def changed(model: ModelProto, folder: Path, **facts: object) -> Path:
    item = entry(model, SPEC)
    item.value = json.dumps(json.loads(item.value) | facts)
    return save(model, folder)


def none(model: ModelProto, folder: Path) -> Path:
    """Some other ONNX file."""
    del model.metadata_props[:]
    return save(model, folder)


def huge(model: ModelProto, folder: Path) -> Path:
    """Ten megabytes of JSON."""
    return changed(model, folder, training={"note": "x" * 10_000_000})


def deep(model: ModelProto, folder: Path) -> Path:
    """Thirty thousand brackets."""
    entry(model, SPEC).value = "[" * 30_000
    return save(model, folder)


def not_utf8(model: ModelProto, folder: Path) -> Path:
    """Bytes that are not text."""
    content = model.SerializeToString()
    return put(folder, content.replace(b'"classes"', b'"cl\xff\xfe\xfdes"'))


def not_json(model: ModelProto, folder: Path) -> Path:
    """Text that is not JSON."""
    entry(model, SPEC).value = "{'image_shape': (1, 8, 8)}"
    return save(model, folder)


def huge_number(model: ModelProto, folder: Path) -> Path:
    """A latent of 10^5000 dimensions."""
    item = entry(model, SPEC)
    item.value = item.value.replace('"latent_dim": 20', '"latent_dim": 1' + "0" * 5000)
    return save(model, folder)


def unknown_key(model: ModelProto, folder: Path) -> Path:
    """A key that onnxruntime may read its options from."""
    model.metadata_props.add(key="ort_config", value="{}")
    return save(model, folder)


def twice(model: ModelProto, folder: Path) -> Path:
    """One key with two values."""
    model.metadata_props.append(entry(model, SPEC))
    return save(model, folder)


def future(model: ModelProto, folder: Path) -> Path:
    """A version of the format that does not exist yet."""
    return changed(model, folder, format_version=4)


def wrong_kind(model: ModelProto, folder: Path) -> Path:
    """A number in place of a list."""
    return changed(model, folder, image_shape=8)


def control_characters(model: ModelProto, folder: Path) -> Path:
    """A class whose name would reprogram a terminal."""
    return changed(model, folder, classes=["\x1b]0;owned\x07", *"123456789"])


def latents_not_base64(model: ModelProto, folder: Path) -> Path:
    """Latents that cannot be decoded."""
    entry(model, LATENTS).value = "%%%"
    return save(model, folder)


def latents_not_safetensors(model: ModelProto, folder: Path) -> Path:
    """Latents whose header declares an exabyte."""
    entry(model, LATENTS).value = "////////////////"
    return save(model, folder)


def latents_changed(model: ModelProto, folder: Path, **arrays: np.ndarray) -> Path:
    item = entry(model, LATENTS)
    latents = safetensors.numpy.load(base64.b64decode(item.value)) | arrays
    item.value = base64.b64encode(safetensors.numpy.save(latents)).decode()
    return save(model, folder)


def latents_filled(model: ModelProto, folder: Path, name: str, value: float) -> Path:
    latents = safetensors.numpy.load(base64.b64decode(entry(model, LATENTS).value))
    return latents_changed(model, folder, **{name: np.full_like(latents[name], value)})


def latents_of_another_type(model: ModelProto, folder: Path, name: str) -> Path:
    item = entry(model, LATENTS)
    content = base64.b64decode(item.value)
    size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + size])
    begin, end = header["means"]["data_offsets"]
    header["means"] |= {"dtype": name, "shape": [(end - begin) // {"BF16": 2, "F8_E4M3": 1}[name]]}
    text = json.dumps(header).encode()
    item.value = base64.b64encode(
        len(text).to_bytes(8, "little") + text + content[8 + size :]
    ).decode()
    return save(model, folder)


def latents_bank_without_axes(model: ModelProto, folder: Path) -> Path:
    """A bank that is one number, so that it has no length."""
    return latents_changed(model, folder, bank=np.zeros((), np.float32))


def latents_bfloat16(model: ModelProto, folder: Path) -> Path:
    """A type that NumPy does not have."""
    return latents_of_another_type(model, folder, "BF16")


def latents_float8(model: ModelProto, folder: Path) -> Path:
    """Another one."""
    return latents_of_another_type(model, folder, "F8_E4M3")


def latents_huge_scales(model: ModelProto, folder: Path) -> Path:
    """Finite, but what is drawn with them is not."""
    return latents_filled(model, folder, "triangles", 3e38)


def latents_triangles_of_another_size(model: ModelProto, folder: Path) -> Path:
    """One number per component, which would be broadcast to all of a matrix."""
    return latents_changed(model, folder, triangles=np.ones((10, 20, 1), np.float32))


def latents_triangles_without_axes(model: ModelProto, folder: Path) -> Path:
    """A triangle that is one number."""
    return latents_changed(model, folder, triangles=np.ones((), np.float32))


def latents_huge_bank(model: ModelProto, folder: Path) -> Path:
    """The same for the partners."""
    bank = np.full((1, 20), -1e30, np.float32)
    return latents_changed(
        model, folder, bank=bank, bank_given_label=bank, bank_labels=np.zeros(1, np.int64)
    )


def latents_name_with_escape(model: ModelProto, folder: Path) -> Path:
    """An array whose name would reprogram a terminal."""
    return latents_changed(model, folder, **{"\x1b]0;owned\x07": np.zeros(1, np.float32)})


FORMAT = "ModelFormatError"
ATTACKS = [
    (none, FORMAT, "no metadata key vae_augment.spec"),
    (huge, FORMAT, "at most 65536 are allowed"),
    (deep, FORMAT, "is not JSON"),
    (not_utf8, FORMAT, "can't decode byte 0xff"),
    (not_json, FORMAT, "is not JSON"),
    (huge_number, FORMAT, "is not JSON"),
    (unknown_key, FORMAT, "'ort_config'"),
    (twice, FORMAT, "Its metadata keys are"),
    (future, FORMAT, "format version 4"),
    (wrong_kind, FORMAT, "image_shape is '8'"),
    (control_characters, FORMAT, "classes is"),
    (latents_not_base64, FORMAT, "cannot be read"),
    (latents_not_safetensors, FORMAT, "cannot be read"),
    (latents_bank_without_axes, FORMAT, "bank is float32 of shape ()"),
    (latents_bfloat16, FORMAT, "cannot be read"),
    (latents_float8, FORMAT, "cannot be read"),
    (latents_huge_scales, FORMAT, "scales has values beyond"),
    (latents_triangles_of_another_size, FORMAT, "triangles is float32 of shape"),
    (latents_triangles_without_axes, FORMAT, "triangles is float32 of shape"),
    (latents_huge_bank, FORMAT, "bank has values beyond"),
    (latents_name_with_escape, FORMAT, "cannot be read"),
]
