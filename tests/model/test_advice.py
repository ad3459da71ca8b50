"""Each way out that an error names, between backticks, is followed to the letter.

What comes out must be the picture that went in.
"""

import ast
import re
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image, ImageCms
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms import v2

from tests.helpers import ROOT
from vae_augment import AugmentedDataset, VAEAugment, VAEModel
from vae_augment.errors import InputError
from vae_augment.transforms import opaque, scaled

NAMES = {"v2": v2, "torch": torch, "opaque": opaque, "scaled": scaled, "tv_tensors": tv_tensors}
MOST_STEPS = 4
followed: set[str] = set()


def picture(size: int = 8) -> NDArray[np.uint8]:
    """A bright bar on a ramp: turned, cut or scaled wrongly, it is another picture."""
    pixels = np.linspace(0, 160, size * size).astype(np.uint8).reshape(size, size)
    pixels[1 : size // 2, 1 : size // 4] = 255
    return pixels


GREY = picture()
INK = Image.fromarray(GREY)
UNIT = torch.from_numpy(GREY)[None] / 255
DEEP = GREY.astype(np.uint16)
CLEAR = Image.new("L", (8, 8))


def colours(grey: NDArray[np.uint8] = GREY) -> Image.Image:
    return Image.fromarray(grey).convert("RGB")


def with_clear_colour(image: Image.Image, colour: object) -> Image.Image:
    image.info["transparency"] = colour
    return image


def lab() -> Image.Image:
    profiles = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    made = ImageCms.profileToProfile(colours(), *profiles, outputMode="LAB")
    assert made is not None
    return made


def ramped(highest: float, dtype: Any, lowest: float = 0) -> Tensor:
    values = lowest + UNIT.double() * (highest - lowest)
    return torch.from_numpy(values.round().numpy().astype(dtype))


ON_WHITE = 1 - GREY / 255.0  # black ink of this opacity, on white
PICTURES: dict[str, tuple[Any, NDArray[Any]]] = {
    # PIL's modes
    "1": (INK.point(lambda value: 255 * (value > 127)).convert("1"), (GREY > 127) * 1.0),
    "P": (INK.convert("P"), GREY / 255),
    "RGB": (colours(), GREY / 255),
    "CMYK": (colours().convert("CMYK"), GREY / 255),
    "YCbCr": (colours().convert("YCbCr"), GREY / 255),
    "HSV": (colours().convert("HSV"), GREY / 255),
    "RGBX": (colours().convert("RGBX"), GREY / 255),
    "LAB": (lab(), GREY / 255),
    "I of bytes": (INK.convert("I"), GREY / 255),
    "I of 16 bits": (Image.fromarray(GREY.astype(np.int32) * 257), GREY / 255),
    "I;16": (Image.fromarray(DEEP * 257), GREY / 255),
    "I;16 of 12 bits": (Image.fromarray(DEEP * 16), GREY / 255),
    "I;16 of a mask": (Image.fromarray(DEEP // 128), (GREY > 127) * 1.0),
    "I;16B": (Image.fromarray((DEEP * 257).astype(">u2")), GREY / 255),
    "F in [0, 1]": (Image.fromarray((GREY / 255).astype(np.float32)), GREY / 255),
    "F in 0..255": (Image.fromarray(GREY.astype(np.float32)), GREY / 255),
    "F in [-1, 1]": (Image.fromarray((GREY / 127.5 - 1).astype(np.float32)), GREY / 255),
    # Transparency
    "LA, black ink": (Image.merge("LA", [CLEAR, INK]), ON_WHITE),
    "LA, white ink": (Image.merge("LA", [Image.new("L", (8, 8), 255), INK]), GREY / 255),
    "La": (Image.merge("LA", [CLEAR, INK]).convert("La"), ON_WHITE),
    "RGBA, black ink": (Image.merge("RGBA", [CLEAR, CLEAR, CLEAR, INK]), ON_WHITE),
    "RGBA without transparency": (colours().convert("RGBA"), GREY / 255),
    "RGBA, all clear": (Image.merge("RGBA", [INK, INK, INK, CLEAR]), GREY / 255),
    "RGBa": (Image.merge("RGBA", [CLEAR, CLEAR, CLEAR, INK]).convert("RGBa"), ON_WHITE),
    "P with a clear colour": (
        with_clear_colour(INK.convert("P"), 0),
        np.where(GREY == 0, 255, GREY) / 255,
    ),
    "L with a clear colour": (
        with_clear_colour(INK.copy(), 255),
        GREY / 255,
    ),
    "RGB with a clear colour": (
        with_clear_colour(colours(), (0, 0, 0)),
        np.where(GREY == 0, 255, GREY) / 255,
    ),
    "I;16 with a clear colour": (
        with_clear_colour(Image.fromarray(DEEP * 257), 0),
        np.where(GREY == 0, 255, GREY) / 255,
    ),
    "RGBA of another size": (
        Image.merge("RGBA", [Image.new("L", (16, 16))] * 3 + [INK.resize((16, 16), 0)]),
        ON_WHITE,
    ),
    "RGBA tensor": (torch.cat([torch.zeros(3, 8, 8), UNIT]), ON_WHITE),
    "RGBA tensor, white ink": (torch.cat([torch.ones(3, 8, 8), UNIT]), GREY / 255),
    "RGBA tensor, all clear": (torch.cat([UNIT, UNIT, UNIT, torch.zeros(1, 8, 8)]), GREY / 255),
    "LA tensor of bytes": (
        torch.cat([torch.zeros(1, 8, 8), UNIT]).mul(255).round().to(torch.uint8),
        ON_WHITE,
    ),
    # Types of tensors
    "bool": (UNIT > 0.5, (GREY > 127) * 1.0),
    "int8": (ramped(127, np.int8), GREY / 255),
    "int16": (ramped(32767, np.int16), GREY / 255),
    "int16 with negative values": (ramped(3071, np.int16, -1024), GREY / 255),
    "int32 in 0..255": (ramped(255, np.int32), GREY / 255),
    "int64 in 0..16": (ramped(16, np.int64), GREY / 255),
    "int64 up to the highest": (ramped(2**63 - 2**40, np.int64), GREY / 255),
    "uint16": (ramped(65535, np.uint16), GREY / 255),
    "uint16 of 12 bits": (ramped(4095, np.uint16), GREY / 255),
    "uint16 of 10 bits": (ramped(1023, np.uint16), GREY / 255),
    "uint32": (ramped(2**32 - 1, np.uint32), GREY / 255),
    "mask of 0 and 1": ((UNIT > 0.5).long(), (GREY > 127) * 1.0),
    "complex": (UNIT.to(torch.complex64), GREY / 255),
    "with a gradient": (UNIT.clone().requires_grad_(), GREY / 255),
    # Ranges of tensors
    "float 0..255": (UNIT * 255, GREY / 255),
    "half 0..255": (UNIT.half() * 255, GREY / 255),
    "float 0..16": (UNIT * 16, GREY / 255),
    "double 0..65535": (UNIT.double() * 65535, GREY / 255),
    "float in [-1, 1]": (UNIT * 2 - 1, GREY / 255),
    "float, a little outside": (UNIT * 1.2 - 0.1, (GREY / 255 * 1.2 - 0.1).clip(0, 1)),
    "float with NaN": (UNIT.where(UNIT > 0.2, torch.nan), np.where(GREY > 51, GREY, 0) / 255),
    "float with infinity": (UNIT.where(UNIT > 0.2, -torch.inf), np.where(GREY > 51, GREY, 0) / 255),
    # Shapes
    "[H, W]": (UNIT[0], GREY / 255),
    "[H, W, 1]": (UNIT.movedim(0, -1), GREY / 255),
    "[H, W, 3]": (UNIT.expand(3, 8, 8).movedim(0, -1), GREY / 255),
    "[3, H, W]": (UNIT.expand(3, 8, 8), GREY / 255),
    "[3, 2H, 2W]": (torch.kron(UNIT, torch.ones(2, 2)).expand(3, 16, 16), GREY / 255),
    "bool [2H, 2W]": (torch.kron(UNIT, torch.ones(2, 2))[0] > 0.5, (GREY > 127) * 1.0),
    "L of another size": (INK.resize((16, 16), Image.Resampling.NEAREST), GREY / 255),
    "batch [B, H, W]": (UNIT.expand(6, 8, 8), GREY / 255),
    "batch [B, H, W, 1]": (UNIT[0, ..., None].expand(6, 8, 8, 1), GREY / 255),
    # NumPy
    "array [H, W]": (GREY, GREY / 255),
    "array [H, W, 3]": (np.array(colours()), GREY / 255),
    "array [1, H, W]": (GREY[None], GREY / 255),
    "array of uint16": (DEEP * 257, GREY / 255),
    "array of double": (GREY / 255, GREY / 255),
    "array of bool [1, H, W]": (GREY[None] > 127, (GREY > 127) * 1.0),
}


def follow(augment: VAEAugment, image: Any) -> tuple[Any, int]:
    """The result after the advice of as many errors as come, and how many those are."""
    way = ""
    for step in range(MOST_STEPS):
        try:
            image = as_told(way, image) if way else image
            return augment(image), step
        except InputError as error:  # of the transform, or of what it told to do
            (way,) = re.findall("`([^`]+)`", str(error))
    raise AssertionError(f"the last of {MOST_STEPS} pieces of advice: {way}")


def as_told(way: str, image: Any) -> Any:
    followed.add(re.split(r"[(\[]", way)[0])
    done = eval(way, {**NAMES, "image": image})
    return done(image) if isinstance(done, v2.Transform) else done


def grey_of(image: Any) -> NDArray[np.float64]:
    if isinstance(image, Image.Image):
        return np.asarray(image) / 255
    first = image.reshape(-1, *image.shape[-2:])[0].to(torch.float64)
    return (first / (255 if image.dtype is torch.uint8 else 1)).numpy()


@pytest.fixture
def augment(tiny_model: VAEModel) -> VAEAugment:
    return VAEAugment(tiny_model, p=0.0)  # what comes out is what went in


@pytest.mark.parametrize("name", PICTURES)
def test_following_it_gives_the_picture(name: str, augment: VAEAugment) -> None:
    image, expected = PICTURES[name]
    result, steps = follow(augment, image)
    assert steps > 0
    # For conversions of colours and four bits; resizing blurs.
    is_resized = any(words in name for words in ("size", "2H"))
    difference = np.abs(grey_of(result) - expected)
    assert difference.mean() < (0.08 if is_resized else 0.02)
    assert np.corrcoef(grey_of(result).ravel(), expected.ravel())[0, 1] > 0.95


def test_a_label_in_the_images_place(augment: VAEAugment) -> None:
    image = UNIT
    with pytest.raises(InputError, match="most likely a label") as caught:
        augment(torch.tensor(3), image)
    (way,) = re.findall("`([^`]+)`", str(caught.value))
    label, result = augment(torch.tensor(3), eval(way, {**NAMES, "image": image}))
    assert (label, torch.equal(result, image)) == (3, True)
    followed.add("tv_tensors.Image")


def test_of_a_dataset_that_gives_arrays(augment: VAEAugment) -> None:
    with pytest.raises(InputError, match="found no image in an item, only int, ndarray") as caught:
        AugmentedDataset([(GREY, 3)], augment)[0]  # type: ignore[arg-type]
    (way,) = re.findall("`([^`]+)`", str(caught.value))
    transform = eval(way, NAMES)
    items = [(transform(GREY), 3)]
    assert AugmentedDataset(items, augment)[0][0].shape == (1, 8, 8)  # type: ignore[arg-type]


def test_a_dataset_refuses_transparent_pictures_too(augment: VAEAugment) -> None:
    image = with_clear_colour(INK.copy(), 255)
    with pytest.raises(InputError, match="which is nowhere transparent"):
        AugmentedDataset([(image, 3)], augment)[0]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "images",
    [
        GREY[None, None].astype(np.uint16) * 257,
        (GREY[None, None] / 255 * 4095).astype(np.int32),
        GREY[None, None] > 127,
        np.repeat(GREY[None], 6, axis=0),
        np.repeat(GREY[None, ..., None], 6, axis=0),
        np.where(GREY[None, None] < 9, np.nan, GREY[None, None] / 255),
        GREY[None, None] / 200,
        (GREY[None, None] / 255).astype(np.complex64),
    ],
    ids=["uint16", "int32", "bool", "[B, H, W]", "[B, H, W, 1]", "NaN", "outside", "complex"],
)
def test_of_arrays_for_a_model(images: Any, tiny_model: VAEModel) -> None:
    way = ""
    for _ in range(MOST_STEPS):
        try:
            images = as_told(way, images) if way else images
            tiny_model.encode(images)
            return
        except InputError as error:
            (way,) = re.findall("`([^`]+)`", str(error))
    raise AssertionError(way)


def test_every_advice_was_followed(augment: VAEAugment) -> None:
    """Whatever stands between backticks in these files is an advice that a test above has met."""
    for image, _ in PICTURES.values():
        follow(augment, image)
    names = ("advice", "pixels", "transparency")
    sources = [(ROOT / "vae_augment" / "model" / f"{name}.py").read_text() for name in names]
    texts = [text for source in sources for text in texts_of(ast.parse(source))]
    ways = {way for text in texts for way in re.findall(WAY, text)}
    assert len(ways) > 10
    assert ways <= followed | {"tv_tensors.Image"}


WAY = r"\b((?:image|v2|torch|tv_tensors)\.[a-zA-Z_]+|scaled|opaque|abs|image)(?=[(\[])"


def texts_of(tree: ast.AST) -> list[str]:
    """The pieces of text in a source, but for its docstrings."""
    nodes = list(ast.walk(tree))
    documented = [node for node in nodes if isinstance(node, ast.FunctionDef | ast.Module)]
    docstrings = {ast.get_docstring(node, clean=False) for node in documented}
    constants = [node.value for node in nodes if isinstance(node, ast.Constant)]
    return [text for text in constants if isinstance(text, str) and text not in docstrings]
