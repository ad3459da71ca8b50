"""`vae-augment models`: what is bundled."""

import typer


def models() -> None:
    """List the bundled models: what they draw, what they stand for, what their samples teach."""
    from ..evaluation.bundled import bundled_models, table

    typer.echo(table(bundled_models()))
    typer.echo(
        "\nsamples / real: the accuracy of a small classifier trained on samples alone, and on the "
        "training images.\nvae-augment info NAME says more of one, docs/models.md how it was made."
    )
