"""Ray Data as the engine: the bytes of a plain run, whatever dies. Run with: pytest -m ray"""

import functools
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
ray = pytest.importorskip("ray")

from ray.cluster_utils import Cluster  # noqa: E402

from vae_augment.errors import GenerationError  # noqa: E402
from vae_augment.generation import Job, make_job, run  # noqa: E402
from vae_augment.generation.ranks import here  # noqa: E402
from vae_augment.generation.ray_engine import ShardActor, in_ray  # noqa: E402

pytestmark = [
    pytest.mark.ray,
    pytest.mark.timeout(300),
    pytest.mark.filterwarnings("ignore"),  # Ray's own, of which every release has others
]
SHARDS, SHARD_SIZE = 24, 3000
COUNT = SHARDS * SHARD_SIZE - 7
MEMORY = 150 << 20  # of a node's object store, through which only records pass


@pytest.fixture(scope="module")
def reference(tiny_model_path: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("reference") / "out"
    assert run(job_for(tiny_model_path, folder), here) is not None
    return contents(folder)


@pytest.fixture(autouse=True)
def _no_ray_left() -> Iterator[None]:
    yield
    ray.shutdown()


def job_for(model: Path, output: Path) -> Job:
    return make_job(model, COUNT, output, format="npz", labels="balanced", seed=0, shard_size=SHARD_SIZE)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def engine(address: str | None = None) -> "functools.partial[object]":
    return functools.partial(in_ray, workers=2, address=address)


@pytest.fixture
def marked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which each actor leaves a file named after its node and process; its shards take half a second."""
    marks = tmp_path / "marks"
    marks.mkdir()

    class Marked(ShardActor):
        def __call__(self, batch: dict[str, object]) -> dict[str, list[str]]:
            (marks / f"{ray.get_runtime_context().get_node_id()}-{os.getpid()}").touch()
            time.sleep(0.5)
            return super().__call__(batch)

    monkeypatch.setattr("vae_augment.generation.ray_engine.ShardActor", Marked)
    return marks


def first_mark(marks: Path, nodes: set[str] | None = None) -> str:
    for _ in range(1200):
        for mark in sorted(marks.iterdir()):
            if nodes is None or mark.name.split("-")[0] in nodes:
                return mark.name
        time.sleep(0.05)
    raise AssertionError("no actor started")


def test_local(tiny_model_path: Path, tmp_path: Path, reference: dict[str, bytes]) -> None:
    reports: list[int] = []
    run(job_for(tiny_model_path, tmp_path / "out"), engine("local"), report=reports.append)
    assert contents(tmp_path / "out") == reference
    assert len(reports) == 1 + SHARDS
    assert not ray.is_initialized()


def test_an_error_in_an_actor_ends_the_run(tiny_model_path: Path, tmp_path: Path) -> None:
    job = job_for(tiny_model_path, tmp_path / "out")
    model = tmp_path / "model.onnx"
    model.write_bytes(b"another")
    with pytest.raises(GenerationError, match=r"could not make its shard\. .*it is not the file that was meant"):
        run(Job(job.plan, model, job.output), engine("local"))


def test_an_actor_killed(tiny_model_path: Path, tmp_path: Path, marked: Path, reference: dict[str, bytes]) -> None:
    def kill() -> None:
        os.kill(int(first_mark(marked).split("-")[1]), signal.SIGKILL)

    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, object_store_memory=MEMORY)
    killer = threading.Thread(target=kill)
    killer.start()
    run(job_for(tiny_model_path, tmp_path / "out"), engine())
    killer.join()
    assert len(list(marked.iterdir())) >= 3  # two actors, and one in place of the killed
    assert contents(tmp_path / "out") == reference


def test_a_node_removed(tiny_model_path: Path, tmp_path: Path, marked: Path, reference: dict[str, bytes]) -> None:
    cluster = Cluster(
        initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False, "object_store_memory": MEMORY}
    )
    try:
        nodes = [cluster.add_node(num_cpus=1, object_store_memory=MEMORY) for _ in range(2)]
        cluster.wait_for_nodes()
        ray.init(address=cluster.address, log_to_driver=False)
        by_id = {node.node_id: node for node in nodes}

        def remove() -> None:
            victim = first_mark(marked, set(by_id)).split("-")[0]
            cluster.remove_node(by_id[victim], allow_graceful=False)

        remover = threading.Thread(target=remove)
        remover.start()
        run(job_for(tiny_model_path, tmp_path / "out"), functools.partial(in_ray, workers=3, address=None))
        remover.join()
        assert sum(node["Alive"] for node in ray.nodes()) == 2
        assert contents(tmp_path / "out") == reference
    finally:
        ray.shutdown()
        cluster.shutdown()
