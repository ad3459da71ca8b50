"""Ray Data as the engine: the bytes of a plain run, whatever dies. Run with: pytest -m ray"""

import re
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.generation.engines.ray_child import drive
from vae_augment.generation import run
from vae_augment.generation.engines.ranks import run_serially

if not find_spec("ray"):
    pytest.skip("needs the extra [ray]", allow_module_level=True)

from tests.generation.engines.ray_drivers import COUNT, SHARD_SIZE, SHARDS, job_for

pytestmark = [pytest.mark.ray, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def reference(tiny_model_path: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("reference") / "out"
    assert run(job_for(tiny_model_path, folder), run_serially) is not None
    return contents(folder)


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_local(tiny_model_path: Path, tmp_path: Path, reference: dict[str, bytes]) -> None:
    told = drive("local", tiny_model_path, tmp_path / "out")[-1]
    assert contents(tmp_path / "out") == reference
    done = -(-told["reports"][0] // SHARD_SIZE)  # shards, by an earlier start that died
    assert len(told["reports"]) == 1 + SHARDS - done
    assert told["reports"][-1] == COUNT
    assert not told["connected"]


def test_an_error_in_an_actor_ends_the_run(tiny_model_path: Path, tmp_path: Path) -> None:
    told = drive("error_in_an_actor", tiny_model_path, tmp_path / "out")[-1]
    assert re.search(
        r"could not make its shard\. .*it is not the file that was meant", told["error"]
    )
    assert not told["connected"]
    assert told["late"]
    assert all(told["late"])  # no thread asked Ray for anything after the end of the connection


def test_an_actor_killed(
    tiny_model_path: Path, tmp_path: Path, reference: dict[str, bytes]
) -> None:
    told = drive("actor_killed", tiny_model_path, tmp_path / "out")
    assert contents(tmp_path / "out") == reference
    assert max(start["actors"] for start in told) >= 3  # two actors, and one in place of the killed
    assert told[-1]["connected"]  # the caller's own connection stays


def test_a_node_removed(tiny_model_path: Path, tmp_path: Path, reference: dict[str, bytes]) -> None:
    told = drive("node_removed", tiny_model_path, tmp_path / "out")
    assert contents(tmp_path / "out") == reference
    assert min(start["alive"] for start in told) == 2  # of three nodes
    assert told[-1]["connected"]
