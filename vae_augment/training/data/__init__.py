"""Sources of training images, each read whole into memory as uint8 tensors; one file per source."""

from .image_data import ImageData, StrPath, to_float
from .loading import load_data
from .named import NAMED

__all__ = ["NAMED", "ImageData", "StrPath", "load_data", "to_float"]
