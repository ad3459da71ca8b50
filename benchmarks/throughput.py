"""How fast `VAEAugment` and `VAESyntheticDataset` are, beside the bare runtime and every alternative, in one process.

python benchmarks/throughput.py --root DIR            # DIR holds torchvision's MNIST; twenty
minutes or so python benchmarks/throughput.py --root DIR --quick    # within two minutes; no
torch.compile, fewer images
"""

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import loaders
import scaling
import torch
from alternatives import (
    Eager,
    Network,
    bare_run,
    classical,
    compiled,
    make_networks,
    pythae_model,
    rhvae_sampler,
    sgemm,
)
from bars import bars, table
from common import Spread, rates, save, timed
from torch import Tensor
from torchvision.transforms.v2 import functional as F

from vae_augment import VAEAugment, load

Row = dict[str, Any]


class Bench:
    """Times groups of things in turns, and keeps a row of each."""

    def __init__(self, repeats: int, least: float, count: int) -> None:
        self.repeats, self.least, self.count = repeats, least, count
        self.rows: list[Row] = []
        self.place: dict[str, Any] = {}

    def compare(
        self, what: str, runs: dict[str, Callable[[], Any]], images: int
    ) -> dict[str, Spread]:
        """Images a second of `runs`; the first is ours, and every row has its ratio to it."""
        found = rates(runs, images, self.repeats, self.least)
        first = next(iter(found.values()))["median"]
        for name, rate in found.items():
            row = {
                "what": what,
                "name": name,
                "images_per_second": rate,
                "ours_to_this": first / rate["median"],
            }
            self.rows.append(self.place | row)
            print(
                (
                    f"{self.place} {what:28} {name:32} {rate['median']:12.0f}/s  x "
                    f"{row['ours_to_this']:.2f}"
                ),
                flush=True,
            )
        return found


def main() -> None:
    options = parse()
    bench = Bench(options.repeats, *((0.01, 256) if options.quick else (0.2, 4096)))
    everything = torch.get_num_threads()
    with tempfile.TemporaryDirectory() as folder:
        for network in make_networks(Path(folder)):
            for threads in sorted({1, everything}):
                torch.set_num_threads(threads)
                bench.place = {"network": network.name, "threads": threads}
                perturbation(bench, network, threads, compiles=not options.quick)
                generation(bench, network, threads)
                loaders.measure(bench, network, threads, bench.count)
                loaders.through_workers(bench, network, bench.count * 8)
        torch.set_num_threads(everything)
        bench.place = {"network": "conv", "threads": everything}
        rhvae(bench, steps=10 if options.quick else 100)
        if options.root:
            loaders.epoch(bench, options.root, 512 if options.quick else 60_000)
        grown = scaling.measure(
            Path(folder) / "mlp.onnx", *((100_000, 3) if options.quick else (1_000_000, 7))
        )
    judged = bars(bench.rows, grown)
    print(table(judged))
    facts = {"quick": options.quick, "repeats": options.repeats, "all_threads": everything}
    save(
        "throughput",
        facts | {"rows": bench.rows, "growth": grown, "bars": [bar._asdict() for bar in judged]},
    )


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--root", help="folder that holds torchvision's MNIST; without it no epoch is timed"
    )
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--quick", action="store_true")
    return parser.parse_args()


def perturbation(bench: Bench, network: Network, threads: int, compiles: bool) -> None:
    model = load(network.path, provider="cpu", threads=threads)
    ours, eager = VAEAugment(model, p=1.0, residual=False), Eager(network.module)
    single(bench, network, ours, threads)
    for batch in (32, 256, 1024):
        image, noise = torch.rand(batch, 1, 28, 28), torch.randn(batch, model.spec.latent_dim)
        runs: dict[str, Callable[[], Any]] = {
            "VAEAugment": lambda image=image: ours(image),
            "session.run": bare_run(network, threads, image, noise),
            "PyTorch eager": lambda image=image, noise=noise: eager(image, noise),
        }
        fast = compiled(network, image, noise) if compiles else None
        if fast is not None:
            runs["torch.compile"] = lambda fast=fast, image=image, noise=noise: fast(image, noise)
        if batch == 256:
            product, flops = sgemm()
            runs |= pythae_runs(network, image)
        check_outputs(ours, eager, runs, image, noise)
        runs = {name: guarded(name, run) for name, run in runs.items()}
        found = bench.compare(f"perturb, float batch of {batch}", runs, batch)
        if batch == 256:
            # Operations counted from the graph, over what this machine's matrix product does in the
            # same run.
            peak = (
                rates({"sgemm": product}, 1, bench.repeats, bench.least)["sgemm"]["median"] * flops
            )
            share = found["session.run"]["median"] * network.flops / peak
            place = bench.place | {"what": "share of the sgemm rate", "name": "session.run"}
            bench.rows.append(
                place
                | {"share": share, "sgemm_flops_per_second": peak, "flops_per_image": network.flops}
            )


def single(bench: Bench, network: Network, ours: VAEAugment, threads: int) -> None:
    image = torch.randint(256, (1, 28, 28), dtype=torch.uint8)
    pil, noise = F.to_pil_image(image), torch.randn(1, ours.model.spec.latent_dim)
    bare = bare_run(network, threads, image[None] / 255, noise)
    params = ours.make_params([image]) | {"noise": noise}
    levels = (
        ours.transform(image, params).int() - (torch.from_numpy(bare())[0] * 255.999).int()
    ).abs()
    assert levels.max() <= 1, levels.max()
    others = {name: lambda augment=augment: augment(image) for name, augment in classical().items()}
    bench.compare(
        "perturb, one uint8 tensor",
        {"VAEAugment": lambda: ours(image), "session.run": bare} | others,
        1,
    )
    pil_others = {
        name: lambda other=other: other(pil)
        for name, other in classical().items()
        if takes_pil(name)
    }
    bench.compare("perturb, one PIL image", {"VAEAugment": lambda: ours(pil)} | pil_others, 1)


def takes_pil(name: str) -> bool:
    return name.startswith("v2.") and "Noise" not in name


def guarded(name: str, run: Callable[[], Any]) -> Callable[[], Any]:
    """Without autograd, but for the row that shows pythae as it comes."""
    return run if name == "pythae reconstruct" else torch.inference_mode()(run)


def pythae_runs(network: Network, image: Tensor) -> dict[str, Callable[[], Any]]:
    model = pythae_model(network)
    return {
        "pythae reconstruct": lambda: model.reconstruct(image),
        "pythae reconstruct, inference_mode": lambda: model.reconstruct(image),
    }


def check_outputs(
    ours: VAEAugment, eager: Eager, runs: dict[str, Callable[[], Any]], image: Tensor, noise: Tensor
) -> None:
    """All give the same images for the same noise."""
    params = ours.make_params([image]) | {"noise": noise}
    expected = torch.as_tensor(runs["session.run"]())
    torch.testing.assert_close(ours.transform(image, params), expected, atol=1e-6, rtol=0)
    with torch.inference_mode():
        for name in runs.keys() & {"PyTorch eager", "torch.compile"}:
            torch.testing.assert_close(runs[name](), expected, atol=1e-4, rtol=0)
        if "pythae reconstruct" in runs:
            torch.manual_seed(0)
            reconstructed = runs["pythae reconstruct"]()
            torch.manual_seed(0)
            same = eager(image, torch.randn_like(noise))
            torch.testing.assert_close(reconstructed, same, atol=1e-4, rtol=0)


def generation(bench: Bench, network: Network, threads: int) -> None:
    from pythae.samplers import NormalSampler

    count, batch = 2 * bench.count, 256
    model = load(network.path, provider="cpu", threads=threads)
    sampler, latent = (
        NormalSampler(pythae_model(network)),
        torch.randn(batch, model.spec.latent_dim),
    )
    decoded = model.decode(latent)
    with torch.inference_mode():
        torch.testing.assert_close(network.module.decode(latent), decoded, atol=1e-4, rtol=0)
    labels = torch.zeros(batch, dtype=torch.int64)

    def decode_alone() -> None:
        for _ in range(count // batch):
            model.decode(latent, labels)

    def theirs() -> Tensor:
        return sampler.sample(num_samples=count, batch_size=batch, output_dir=None, return_gen=True)

    data = loaders.dataset(model, count)
    runs = {
        ".batches(256)": lambda: loaders.exhaust(data.batches(batch)),
        "model.decode": decode_alone,
        "model.sample": lambda: model.sample(count),
        "pythae NormalSampler": theirs,
        "pythae NormalSampler, inference_mode": torch.inference_mode()(theirs),
    }
    bench.compare("generate", runs, count)


def rhvae(bench: Bench, steps: int) -> None:
    """Once: its cost is in thousands of small steps, whatever it generates."""
    sampler, samples = rhvae_sampler(centroids=64, steps=steps), 8
    seconds = timed(lambda: sampler.sample(num_samples=samples, batch_size=samples), 1)
    rate = {
        "median": samples / seconds,
        "lower_quartile": samples / seconds,
        "upper_quartile": samples / seconds,
    }
    row = {
        "what": f"generate {samples}",
        "name": f"pythae RHVAESampler, {steps} steps",
        "images_per_second": rate,
    }
    bench.rows.append(bench.place | row)


if __name__ == "__main__":
    main()
