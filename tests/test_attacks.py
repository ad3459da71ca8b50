"""Every hostile file is refused by our own error, quickly and in little memory; mutated files do no harm."""

import os
from pathlib import Path

import onnx
import pytest
from attacks import ATTACKS
from mutations import mutate
from sandbox import MEGABYTES, SECONDS, Verdict, verdicts

from vae_augment import load
from vae_augment.errors import UnsafeModelError

pytestmark = pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs fork and /proc")


@pytest.fixture(scope="module")
def refusals(tiny_model_path: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Verdict]:
    content, root = tiny_model_path.read_bytes(), tmp_path_factory.mktemp("attacks")
    paths = {}
    for name, (maker, _, _) in ATTACKS.items():
        (root / name).mkdir()
        paths[name] = maker(onnx.load_from_string(content), root / name)
    return dict(zip(paths, verdicts(list(paths.values()), timeout=100), strict=True))


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_is_refused(name: str, refusals: dict[str, Verdict]):
    _, error, words = ATTACKS[name]
    verdict = refusals[name]
    assert verdict.outcome == error, verdict
    assert words in verdict.message
    assert verdict.seconds < SECONDS
    assert verdict.megabytes < MEGABYTES
    # One attack shows itself only when it runs.
    assert verdict.opened == (name == "interface.output_out_of_range")


def test_the_good_file_passes_the_same_way(tiny_model_path: Path):
    (verdict,) = verdicts([tiny_model_path])
    assert verdict.outcome == "accepted"
    assert verdict.opened


def test_a_flipped_bit_is_found_by_the_digest(tiny_model_path: Path, tmp_path: Path):
    digest = load(tiny_model_path).sha256
    content = bytearray(tiny_model_path.read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "flipped.onnx").write_bytes(content)
    assert load(tiny_model_path, sha256=digest).sha256 == digest
    with pytest.raises(UnsafeModelError, match=f"expected {digest}: it is not the file that was meant"):
        load(tmp_path / "flipped.onnx", sha256=digest)


def fuzz(good: Path, folder: Path, seeds: range) -> None:
    content = good.read_bytes()
    paths = [folder / f"{seed}.onnx" for seed in seeds]
    for seed, path in zip(seeds, paths, strict=True):
        path.write_bytes(mutate(content, seed))
    results = verdicts(paths)
    assert len(results) == len(paths)
    assert [verdict for verdict in results if not verdict.is_tame] == []
    outcomes = [verdict.outcome for verdict in results]
    assert "accepted" in outcomes
    assert outcomes.count("accepted") < len(outcomes) / 2
    for path in paths:
        os.unlink(path)


def test_mutated_files_do_no_harm(tiny_model_path: Path, tmp_path: Path):
    fuzz(tiny_model_path, tmp_path, range(300))


@pytest.mark.slow
@pytest.mark.timeout(3000)
@pytest.mark.parametrize("part", range(10))
def test_ten_thousand_mutated_files_do_no_harm(part: int, tiny_model_path: Path, tmp_path: Path):
    fuzz(tiny_model_path, tmp_path, range(1000 * (part + 1), 1000 * (part + 2)))
