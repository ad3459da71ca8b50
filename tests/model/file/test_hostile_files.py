"""Every hostile file is refused by our own error, quickly and in little memory.

Mutated files do no harm.
"""

import os
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest

from tests.model.file.attacks import ATTACKS
from tests.model.file.attacks.random_graphs import random_graph
from tests.model.file.attacks.version_2 import GOLDEN
from tests.model.file.mutations import mutate
from tests.model.file.sandbox import MEGABYTES, SECONDS, Verdict, verdicts
from vae_augment import load
from vae_augment.errors import UnsafeModelError

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/statm").exists(), reason="needs fork and /proc"
)


MUTATED, MUTATED_VERSION_2 = range(60), range(100, 130)  # the slow test makes thousands
GRAPHS = range(30)
SEEN_WHEN_RUN = {
    "interface.output_out_of_range",
    "kernels.not_finite_on_white",
    "kernels.not_finite_with_noise",
    "version_2.indexed_by_the_image",
}


@pytest.fixture(scope="module")
def results(
    bare_model_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[object, Verdict]:
    """Of the attacks by name, the good file ("good") and mutated ones by seed, in one process."""
    content = bare_model_path.read_bytes()
    root = tmp_path_factory.mktemp("attacks")
    paths: dict[object, Path] = {"good": bare_model_path}
    for name, (maker, _, _) in ATTACKS.items():
        (root / name).mkdir()
        paths[name] = maker(onnx.load_from_string(content), root / name)
    paths |= files(mutate, content, root, MUTATED)
    paths |= files(mutate, GOLDEN.read_bytes(), root, MUTATED_VERSION_2)
    return dict(zip(paths, verdicts(list(paths.values()), timeout=110), strict=True))


def files(
    make: Callable[[bytes, int], bytes], content: bytes, folder: Path, seeds: range
) -> dict[int, Path]:
    """Files by seed, each made from the good model."""
    paths = {seed: folder / f"{seed}.onnx" for seed in seeds}
    for seed, path in paths.items():
        path.write_bytes(make(content, seed))
    return paths


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_is_refused(name: str, results: dict[object, Verdict]):
    _, error, words = ATTACKS[name]
    verdict = results[name]
    assert verdict.outcome == error, verdict
    assert words in verdict.message
    assert verdict.seconds < SECONDS
    assert verdict.megabytes < MEGABYTES
    assert verdict.message.isprintable()
    assert verdict.opened == (name in SEEN_WHEN_RUN)


def test_the_good_file_passes_the_same_way(results: dict[object, Verdict]):
    assert results["good"].outcome == "accepted", results["good"]
    assert results["good"].opened


def test_mutated_files_do_no_harm(results: dict[object, Verdict]):
    for seeds in (MUTATED, MUTATED_VERSION_2):
        check_tame([results[seed] for seed in seeds])


def test_random_graphs_do_no_harm(bare_model_path: Path, tmp_path: Path):
    paths = files(random_graph, bare_model_path.read_bytes(), tmp_path, GRAPHS)
    found = verdicts(list(paths.values()))
    check_tame(found)
    assert {"UnsafeModelError", "ModelFormatError"} <= {verdict.outcome for verdict in found}


def check_tame(found: list[Verdict]) -> None:
    assert [verdict for verdict in found if not verdict.is_tame] == []
    # Both happen, or the mutations are too weak or too strong to tell anything.
    accepted = [verdict.outcome for verdict in found].count("accepted")
    assert 0 < accepted < len(found) / 2


def test_a_flipped_bit_is_found_by_the_digest(bare_model_path: Path, tmp_path: Path):
    digest = load(bare_model_path).sha256
    content = bytearray(bare_model_path.read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "flipped.onnx").write_bytes(content)
    assert load(bare_model_path, sha256=digest).sha256 == digest
    with pytest.raises(
        UnsafeModelError, match=f"expected {digest}: it is not the file that was meant"
    ):
        load(tmp_path / "flipped.onnx", sha256=digest)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("part", range(int(os.environ.get("VAE_AUGMENT_FUZZ", "6"))))
def test_thousands_of_files_do_no_harm(part: int, bare_model_path: Path, tmp_path: Path):
    """A thousand files each.

    VAE_AUGMENT_FUZZ=30 makes it 10,000 mutants and 20,000 random graphs, in about an hour.
    """
    make = random_graph if part % 3 else mutate
    seeds = range(1000 * (part + 1), 1000 * (part + 2))
    good = GOLDEN if part % 6 == 3 else bare_model_path
    paths = files(make, good.read_bytes(), tmp_path, seeds)
    check_tame(verdicts(list(paths.values()), timeout=1700))
    for path in paths.values():
        path.unlink()
