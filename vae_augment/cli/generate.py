"""`vae-augment generate`: write images to a folder, in shards."""

import functools
import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from tqdm import tqdm

from ..arguments import number
from ..errors import InputError, OutputExistsError
from . import options

if TYPE_CHECKING:
    from ..generation import Job, Manifest
    from ..generation.generating import Engine
    from ..generation.plan import Share
    from ..model.sampling import Labels

_IMAGES = "Labelled images, as for fit, that glyphs redraws; --labels then chooses classes of them."
_FORMAT = "npz, idx, imagefolder, parquet or webdataset."
_LABELS = "balanced, a class, classes 3,5 or weights 3:0.9,5:0.1."
_WORKERS = "Processes or Ray actors; default: one per core."


def generate(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to fill.")],
    model: options.Model = "",
    n: Annotated[
        int | None, typer.Option("-n", help="Number of images; required without --verify.")
    ] = None,
    format: Annotated[str, typer.Option(help=_FORMAT)] = "npz",  # noqa: A002
    labels: Annotated[str, typer.Option(help=_LABELS)] = "balanced",
    images: Annotated[str | None, typer.Option(help=_IMAGES)] = None,
    root: options.Root = None,
    read: options.Read = None,
    seed: options.Seed = 0,
    shard_size: Annotated[
        int | None, typer.Option(help="Images per shard; default: about 40 MiB of pixels.")
    ] = None,
    workers: Annotated[int | None, typer.Option(min=1, help=_WORKERS)] = None,
    num_shards: Annotated[int, typer.Option(min=1, help="Number of jobs that share the work.")] = 1,
    shard_index: Annotated[
        int, typer.Option(min=0, help="Which of these jobs this is, from 0.")
    ] = 0,
    engine: Annotated[
        str | None, typer.Option(help="local, torchrun or ray; torchrun is detected.")
    ] = None,
    address: Annotated[
        str | None, typer.Option(help="Address of a Ray cluster, as for ray.init.")
    ] = None,
    verify: Annotated[
        bool, typer.Option("--verify", help="Only compare the folder with its manifest.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> None:
    """Generate N images with MODEL into a folder. The same command goes on with a stopped run."""
    from .. import generation
    from ..generation.plan import Share
    from ..model.file import find_model, read_model

    if verify:
        _print(output, generation.verify(output), {}, as_json)
        return
    if not model:
        raise InputError(
            "No MODEL was given. Give mnist, fashion-mnist, glyphs or the path of an .onnx file."
        )
    if n is None:
        raise InputError("-n is required: how many images to generate.")
    if shard_index >= num_shards:
        raise InputError(
            f"--shard-index is {shard_index}; with --num-shards {num_shards} it must be below that."
        )
    make, share = _engine(engine, workers, address, Share(shard_index, num_shards))
    file = read_model(find_model(model))
    if images:
        wanted = _originals(images, root, labels, options.reading(read))
    else:
        wanted = {"labels": _labels(labels, file.spec.classes)}
    job = generation.make_job(
        file, n, output, format=format, seed=seed, shard_size=shard_size, **wanted
    )
    manifest, facts = _run(job, make, share)
    _print(output, manifest, facts, as_json)


def _run(job: "Job", engine: "Engine", share: "Share") -> tuple["Manifest | None", dict[str, Any]]:
    from ..generation import run

    bar = _Bar(job.plan.images_of(share), is_silent=share.index > 0)
    start = time.perf_counter()
    try:
        manifest = run(job, engine, share, bar.show)
    except OutputExistsError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(2) from error
    except (KeyboardInterrupt, SystemExit):
        bar.close()
        typer.echo(
            f"Stopped: {bar.done:,} of {bar.total:,} images are done. The same command goes on.",
            err=True,
        )
        raise
    finally:
        bar.close()
    made = bar.done - bar.first
    seconds = time.perf_counter() - start
    return manifest, {
        "images": bar.done,
        "made": made,
        "seconds": round(seconds, 3),
        "images_per_second": round(made / seconds, 1),
    }


def _print(output: Path, manifest: "Manifest | None", facts: dict[str, Any], as_json: bool) -> None:
    facts = {"output": str(output.absolute()), "done": manifest is not None, **facts}
    if manifest is not None:
        facts |= {
            "images": manifest.plan.count,
            "shards": len(manifest.shards),
            "bytes": manifest.bytes,
        }
    if as_json:
        typer.echo(json.dumps(facts))
        return
    if manifest is not None:
        typer.echo(
            f"{facts['output']}: {facts['images']:,} images in {facts['shards']:,} shards, "
            f"{facts['bytes']:,} bytes, as planned"
        )
    else:
        typer.echo(
            f"{facts['images']:,} images of this job are done; the last job writes manifest.json"
        )
    if "made" in facts:
        typer.echo(
            f"{facts['made']:,} made in {facts['seconds']:.1f} s, "
            f"{facts['images_per_second']:,.0f} images per second"
        )


class _Bar:
    """tqdm's bar, silent off a terminal; what a resumed run finds does not count in its rate."""

    def __init__(self, total: int, is_silent: bool) -> None:
        self.total = total
        self.done = 0
        self.first = 0
        self._disable = is_silent or None  # None = only off a terminal
        self._bar: tqdm[Any] | None = None

    def show(self, done: int) -> None:
        if self._bar is None:
            self.first = self.done = done
            self._bar = tqdm(total=self.total, initial=done, unit=" images", disable=self._disable)
        self._bar.update(done - self.done)
        self.done = done

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()


def _engine(
    name: str | None, workers: int | None, address: str | None, share: "Share"
) -> tuple["Engine", "Share"]:
    from ..generation.engines import processes, ranks, ray_cluster

    if name == "torchrun" or (name is None and "TORCHELASTIC_RUN_ID" in os.environ):
        return ranks.run_serially, ranks.torchrun_share()
    if name == "ray":
        return functools.partial(ray_cluster.in_ray, workers=workers, address=address), share
    if name in (None, "local"):
        return functools.partial(processes.in_pool, workers=workers), share
    raise InputError(f"--engine is {name!r}; choose local, torchrun or ray.")


def _originals(
    images: str, root: Path | None, labels: str, reading: dict[str, Any]
) -> dict[str, Any]:
    """The images to redraw, of the classes of --labels, with their labels and class names."""
    import torch

    from ..model.sampling import class_index
    from ..training import load_data

    data = load_data(images, root, **reading)
    if labels != "balanced":
        wanted = _labels(labels, data.classes)
        if isinstance(wanted, dict):
            raise InputError(f"--labels is {labels!r}; with --images give classes without weights.")
        names = [wanted] if isinstance(wanted, str) else list(wanted)  # type: ignore[arg-type]
        chosen = torch.tensor([class_index(name, data.classes) for name in names])
        data = data.subset(torch.isin(data.labels, chosen))
    return {"images": data.images, "labels": data.labels, "classes": data.classes}


def _labels(text: str, classes: Sequence[str]) -> "Labels":
    """What --labels says. Digits are the index of a class, unless a class has that name."""
    if text == "balanced" or text in classes:
        return text
    entries = [entry.partition(":") for entry in text.split(",")]
    names = [
        int(name) if name.isdecimal() and name not in classes else name for name, _, _ in entries
    ]
    weights = [weight for _, _, weight in entries]
    if not any(weights):
        return names
    what = f"--labels {text!r} (CLASS:WEIGHT,...): the weight"
    return {name: number(what, each) for name, each in zip(names, weights, strict=True)}
