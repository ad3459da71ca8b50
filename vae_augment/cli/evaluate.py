"""`vae-augment evaluate`: the likelihood of a model."""

from typing import Annotated

import typer

from ..errors import InputError
from . import options

# The protocol of Burda et al., "Importance weighted autoencoders" (2016), on fewer images.
IWAE_IMAGES = 1000
IWAE_SAMPLES = 5000
_PROTOCOL = "iwae-mnist: the first 1,000 test images, dynamic binarisation, K = 5000."


def evaluate(
    model: options.Model,
    data: options.Data,
    root: options.Root = None,
    read: options.Read = None,
    n: Annotated[int, typer.Option("-n", min=1, help="Number of images, from the first.")] = 200,
    samples: Annotated[int, typer.Option(min=1, help="K of the importance-weighted bound.")] = 100,
    binarisation: Annotated[
        str, typer.Option(help="dynamic, threshold or none (grey levels).")
    ] = "dynamic",
    protocol: Annotated[str | None, typer.Option(help=_PROTOCOL)] = None,
    seed: options.Seed = 0,
) -> None:
    """Estimate minus log p(x) of DATA's test part, labels summed out, in nats; lower is better."""
    from .. import load
    from ..evaluation.likelihood import likelihood
    from ..training.data.image_data import to_float
    from ..training.data.loading import load_data

    if protocol not in (None, "iwae-mnist"):
        raise InputError(f"There is no protocol {protocol!r}; the one known is iwae-mnist.")
    if protocol:
        n = IWAE_IMAGES
        samples = IWAE_SAMPLES
        binarisation = "dynamic"
    test = load_data(data, root, train=False, **options.reading(read)).images[:n]
    result = likelihood(
        load(model), to_float(test), samples=samples, binarisation=binarisation, seed=seed
    )
    name = "grey levels" if binarisation == "none" else f"{binarisation} binarisation"
    typer.echo(f"{result.images} images of {data}, {name}, labels summed out, nats per image")
    typer.echo(f"  -ELBO          {result.negative_elbo:8.2f}")
    typer.echo(
        f"  -log p(x) <=   {result.negative_bound:8.2f} +- {result.standard_error:.2f}  (K = "
        f"{result.samples})"
    )
