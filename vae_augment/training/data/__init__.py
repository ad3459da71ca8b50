"""Sources of training images, each read whole into memory as uint8 tensors; one file per source.

A reader is one function `read_x(path, options) -> Arrays` in a file of its own, which gives values
and labels as they are stored, and a line in `loading.py`, which scales and numbers those of all.
"""

from .image_data import ImageData, StrPath, to_float
from .loading import load_data
from .named import NAMED

__all__ = ["NAMED", "ImageData", "StrPath", "load_data", "to_float"]
