"""Scripts that drive Ray as a user's would: python ray_drivers.py SCENARIO MODEL OUTPUT.

ray_child.py starts them. Each writes what it saw into a file of its working folder.
"""

import faulthandler
import functools
import json
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import ray
from ray.cluster_utils import Cluster

from tests.generation.engines.ray_child import FACTS, PYTHON_ERROR, SECONDS
from vae_augment.errors import GenerationError
from vae_augment.generation import Job, make_job, run
from vae_augment.generation.engines import ray_cluster as ray_engine
from vae_augment.generation.engines.ray_cluster import ShardActor, in_ray

SHARDS, SHARD_SIZE = 24, 3000
COUNT = SHARDS * SHARD_SIZE - 7
MEMORY = 150 << 20  # of a node's object store, through which only records pass


def job_for(model: Path, output: Path) -> Job:
    return make_job(
        model, COUNT, output, format="npz", labels="balanced", seed=0, shard_size=SHARD_SIZE
    )


def local(model: Path, output: Path) -> None:
    reports: list[int] = []
    run(
        job_for(model, output),
        functools.partial(in_ray, workers=2, address="local"),
        report=reports.append,
    )
    tell(reports=reports, connected=ray.is_initialized())


def error_in_an_actor(model: Path, output: Path) -> None:
    job = job_for(model, output)
    other = output.with_name("other.onnx")
    other.write_bytes(b"another")
    late = get_late_beside_main()
    try:
        run(replace(job, model=other), functools.partial(in_ray, workers=2, address="local"))
    except GenerationError as error:
        connected = ray.is_initialized()
        time.sleep(2)  # in which a thread that was left behind would start another Ray
        tell(error=str(error), connected=connected, late=late)


def actor_killed(model: Path, output: Path) -> None:
    marks = leave_marks()
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, object_store_memory=MEMORY)
    meanwhile(lambda: os.kill(int(first_mark(marks).split("-")[1]), signal.SIGKILL))
    run(job_for(model, output), functools.partial(in_ray, workers=2, address=None))
    tell(actors=len(list(marks.iterdir())), connected=ray.is_initialized())
    ray.shutdown()


def node_removed(model: Path, output: Path) -> None:
    marks = leave_marks()
    cluster = Cluster(
        initialize_head=True,
        head_node_args={"num_cpus": 1, "include_dashboard": False, "object_store_memory": MEMORY},
    )
    nodes = [cluster.add_node(num_cpus=1, object_store_memory=MEMORY) for _ in range(2)]
    cluster.wait_for_nodes()
    ray.init(address=cluster.address, log_to_driver=False)
    by_id = {node.node_id: node for node in nodes}
    meanwhile(
        lambda: cluster.remove_node(
            by_id[first_mark(marks, by_id).split("-")[0]], allow_graceful=False
        )
    )
    run(job_for(model, output), functools.partial(in_ray, workers=3, address=None))
    tell(alive=sum(node["Alive"] for node in ray.nodes()), connected=ray.is_initialized())
    ray.shutdown()
    cluster.shutdown()


def tell(**facts: object) -> None:
    Path(FACTS).write_text(json.dumps(facts))


def meanwhile(action: Callable[[], None]) -> None:
    threading.Thread(target=action, daemon=True).start()


def leave_marks() -> Path:
    """A folder in which each actor leaves a file named after its node and process.

    Its shards take half a second.
    """
    marks = Path("marks").absolute()  # in the working folder, which each start has for itself
    marks.mkdir()

    class Marked(ShardActor):
        def __call__(self, batch: dict[str, object]) -> dict[str, list[str]]:
            (marks / f"{ray.get_runtime_context().get_node_id()}-{os.getpid()}").touch()
            time.sleep(0.5)
            return super().__call__(batch)

    ray_engine.ShardActor = Marked  # type: ignore[misc]
    return marks


def first_mark(marks: Path, nodes: "dict[str, object] | None" = None) -> str:
    """The first mark, or the first on one of `nodes`."""
    while True:
        for mark in sorted(marks.iterdir()):
            if nodes is None or mark.name.split("-")[0] in nodes:
                return mark.name
        time.sleep(0.05)


def get_late_beside_main() -> list[bool]:
    """Delay ray.get in all threads but this one, as a busy machine may.

    Whether Ray was there when it was called.
    """
    get, connected = ray.get, []

    def late_get(*args: object, **options: object) -> object:
        if threading.current_thread() is not threading.main_thread():
            time.sleep(0.7)
            connected.append(ray.is_initialized())
        return get(*args, **options)

    ray.get = late_get
    return connected


if __name__ == "__main__":
    faulthandler.dump_traceback_later(SECONDS - 5)
    try:
        globals()[sys.argv[1]](*map(Path, sys.argv[2:]))
    except BaseException:
        traceback.print_exc()
        sys.exit(PYTHON_ERROR)
