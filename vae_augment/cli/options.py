"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

Data = Annotated[
    str,
    typer.Argument(
        help="digits, mnist, fashion-mnist, kmnist, qmnist, usps, emnist-SPLIT, a folder of class folders, or an .npz."
    ),
]
Model = Annotated[str, typer.Argument(help="mnist, fashion-mnist, or the path of an .onnx file.")]
Root = Annotated[Path | None, typer.Option(help="Folder that holds torchvision's data sets.")]
Download = Annotated[bool, typer.Option("--download", help="Let torchvision download what --root lacks.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace the output if it exists.")]
Seed = Annotated[int, typer.Option(min=0, help="Seed of everything random.")]
Test = Annotated[bool, typer.Option("--test", help="The test part of a named data set.")]
