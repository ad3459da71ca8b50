"""Arguments and options that several commands share."""

from pathlib import Path
from typing import Annotated, Any

import typer

_DATA = (
    "Images: digits, mnist, fashion-mnist, kmnist, qmnist, usps, emnist-SPLIT, a folder with one "
    "folder per class or of Hugging Face's save_to_disk, or a file, such as an .npz, .mat, .csv or "
    "IDX file."
)
Data = Annotated[str, typer.Argument(metavar="DATA", help=_DATA)]
_MODEL = (
    "A name that vae-augment models lists, such as mnist, the path of an .onnx file, or "
    "hf://owner/name/file.onnx."
)
Model = Annotated[str, typer.Argument(metavar="MODEL", help=_MODEL)]
Arrays = Annotated[Path, typer.Option("--output", "-o", help="File to write (.npz).")]
Picture = Annotated[Path, typer.Option("--output", "-o", help="Picture to write (.png).")]
Root = Annotated[Path | None, typer.Option(help="Folder that holds torchvision's data sets.")]
Download = Annotated[
    bool, typer.Option("--download", help="Download the data set if it is not in --root.")
]
_READ = (
    "How DATA is read, repeatable: split=NAME, labels=no, label_column=NAME, background=COLOUR, "
    "value_range=LOWEST,HIGHEST or frames=all|first."
)
Read = Annotated[list[str] | None, typer.Option("--read", metavar="NAME=VALUE", help=_READ)]
_KEEP_BANK = "Keep latents of training images, from which images close to them can be decoded."
KeepBank = Annotated[bool, typer.Option("--keep-bank", help=_KEEP_BANK)]
Device = Annotated[str, typer.Option(help="cpu or cuda.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace the output if it exists.")]
Seed = Annotated[int, typer.Option(min=0, help="Seed of the random numbers.")]
Test = Annotated[bool, typer.Option("--test", help="Use the test part of a named data set.")]


def reading(given: list[str] | None) -> dict[str, Any]:
    """The keyword arguments of `load_data` that --read gives."""
    from ..training.data.options import parsed_options

    return parsed_options(given or ())
