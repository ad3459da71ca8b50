"""Export: turn a trained VAE into one checked .onnx file. Imported as `vae_augment.exporters`."""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from torch import nn

from ..errors import ExportError, InputError, ModelFormatError
from ..files import atomic_path, refuse_existing
from ..model.file import ModelFile, read_model
from ..training import ImageData, fit_latents, measure_unit
from .checkpoint import from_checkpoint
from .exportable import ExportableVAE
from .foreign import adapt
from .graph import model_bytes
from .onnx_pair import Pair, from_onnx_pair
from .parity import TOLERANCE, ParityReport, check_parity
from .pixel_values import DECODER_OUTPUTS, ImageRange, PixelValues
from .precision import PRECISIONS, perturbed_psnr, reduce_precision, reference_images
from .pythae_folder import from_pythae
from .reconstruction import warn_if_poor
from .torch_module import from_module, load_module

__all__ = [
    "DECODER_OUTPUTS",
    "PRECISIONS",
    "TOLERANCE",
    "ExportableVAE",
    "ImageRange",
    "ParityReport",
    "export",
    "load_module",
]

Source = str | os.PathLike[str] | nn.Module | Pair


def export(
    source: Source,
    path: str | os.PathLike[str],
    *,
    image_shape: Sequence[int] | None = None,
    classes: Sequence[str] = (),
    decoder_output: str = "image",
    image_range: ImageRange | None = None,
    allow_pickle: bool = False,
    images: ImageData | None = None,
    precision: str = "fp32",
    keep_bank: bool = False,
    overwrite: bool = False,
) -> ParityReport:
    """Write the VAE at `source` to `path` as one .onnx file, after comparing it with PyTorch.

    The file takes and gives images in [0, 1], whatever the source does: say by `image_range` and
    `decoder_output` how its numbers are meant.

    Args:
        source: a checkpoint of `fit`; a folder saved by pythae; a module in evaluation mode with
            `encode(x) -> (mean, logvar)` and `decode(z)`, where both may take and give images [B,
            C, H, W] or rows [B, C*H*W]; or a pair of .onnx files (encoder, decoder).
        path: the file to write.
        image_shape: (channels, height, width), for a source that does not hold it, such as a
            module.
        classes: names of the classes; by default those of `images`, if given.
        decoder_output: what `decode` gives: "image" for pixels in `image_range`, "logits" for
            values before the sigmoid, "probabilities" for values in [0, 1] where only `encode`
            takes images in `image_range`.
        image_range: (low, high), the values of black and white in the images that the source was
            trained on, each a number or one per channel: (-1, 1), or ((0 - mean) / std, (1 - mean)
            / std) after `v2.Normalize(mean, std)`. What `decode` gives beyond them is cut off. None
            stands for (0, 1) and a decoder that keeps to it by itself.
        allow_pickle: open a pythae folder's pickled networks. That runs any code in them.
        images: images like those of the training. The distribution of the latents that generation
            draws from is fitted to them, per class where they have labels, the unit of
            `VAEAugment`'s strength is measured on them, and int8 is calibrated on them. A source
            other than a checkpoint is tried on them, with a warning (`UserWarning`) where its
            reconstructions are poor.
        precision: "fp32", "fp16" (weights of half the size) or "int8" (faster for `mlp` on a CPU
            with VNNI).
        keep_bank: keep latents of training images in the file; whoever holds it can decode them
            into images close to the originals. They are those that `fit(keep_bank=True)` kept, or
            come from `images`.
        overwrite: replace the file at `path`.

    Returns:
        The largest differences from PyTorch, per output; for another precision also how much it
        changes the images.

    Raises:
        OutputExistsError: `path` exists, or was written in the meantime; the message then says
            where this file is.
        InputError: a required value that the source does not hold was not given, or contradicts
            the source.
        ExportError: the graph differs from PyTorch by more than 1e-5 (1e-4 where it warps images),
            or breaks a rule of the format, or the source is not what the options say. No file is
            left.
    """
    if precision not in PRECISIONS:
        raise InputError(f"precision is {precision!r}; choose from {', '.join(PRECISIONS)}.")
    path = refuse_existing(path, overwrite)
    values = PixelValues(decoder_output, image_range)
    vae = _read(source, image_shape, classes, values, allow_pickle)
    if images is not None:
        _check_images(vae, images)
        warn_if_poor(vae, images)
        vae = _with_latents(vae, images, keep_bank)
    vae = _with_bank(vae) if keep_bank else _without_bank(vae)
    with atomic_path(path, overwrite=overwrite) as temporary:
        file = _checked(temporary, model_bytes(vae))
        report = check_parity(vae, file)
        if precision == "fp32":
            return report
        reference = reference_images(file, images)
        reduced = _checked(temporary, reduce_precision(file, precision, reference))
        return replace(report, psnr=perturbed_psnr(file, reduced, reference))


def _read(
    source: Source,
    image_shape: Sequence[int] | None,
    classes: Sequence[str],
    values: PixelValues,
    allow_pickle: bool,
) -> ExportableVAE:
    if isinstance(source, nn.Module):
        foreign = from_module(source)
    elif isinstance(source, tuple):
        foreign = from_onnx_pair(source)
    elif Path(source).is_dir():
        foreign = from_pythae(source, allow_pickle)
    elif image_shape is not None or classes or values != PixelValues():
        raise InputError(
            f"{source} is a checkpoint, which knows its image shape, classes and output. Leave "
            "them out."
        )
    else:
        return from_checkpoint(source)
    return adapt(foreign, image_shape, classes, values)


def _check_images(vae: ExportableVAE, images: ImageData) -> None:
    spec = vae.spec
    spec.kind.check_latents()
    if images.image_shape != spec.image_shape or (spec.classes and images.classes != spec.classes):
        raise InputError(
            f"{images.name} has images {images.image_shape} of the classes {images.classes}; the "
            f"model takes {spec.image_shape} of {spec.classes}. Fit the latents to images like "
            "those of the training."
        )


def _with_latents(vae: ExportableVAE, images: ImageData, keep_bank: bool) -> ExportableVAE:
    latents = fit_latents(vae.encode, images, keep_bank=keep_bank)
    unit = measure_unit(vae.encode, vae.decode, vae.spec.kind, images)
    evidence = {**vae.spec.evidence, **unit}
    spec = replace(vae.spec, classes=images.classes, latents=latents, evidence=evidence)
    return replace(vae, spec=spec)


def _with_bank(vae: ExportableVAE) -> ExportableVAE:
    latents = vae.spec.latents
    if latents is None or not len(latents.bank):
        raise InputError(
            "keep_bank (--keep-bank) is given, but the source has no bank of latents. Fit it with "
            "--keep-bank, or give the training images: --fit-latents DATA."
        )
    return vae


def _without_bank(vae: ExportableVAE) -> ExportableVAE:
    latents = vae.spec.latents
    if latents is None:
        return vae
    return replace(vae, spec=replace(vae.spec, latents=latents.without_bank()))


def _checked(path: Path, content: bytes) -> ModelFile:
    path.write_bytes(content)
    try:
        return read_model(path)
    except ModelFormatError as error:
        raise ExportError(f"The exported graph breaks a rule of the format: {error}") from error
