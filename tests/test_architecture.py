"""Who may import whom, and how light the package's own import is."""

import ast
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE, EXPORTERS = ROOT / "vae_augment", ROOT / "exporters"

# Lower to higher. A module may import from lower layers, and from its own folder; those of one row not each other.
LAYERS: list[set[str]] = [
    {"errors", "interrupt", "_version"},
    {"files", "spec", "noise"},
    {"seeded"},
    {"alike", "modelfile", "pixels", "latent", "sampling", "sessions"},
    {"runtime"},
    {"perturbation"},
    {"transform", "dataset", "distortions"},
    {"augmented"},
    {"__init__"},
    {"training", "generation"},
    {"exporters"},
    {"evaluation"},
    {"cli"},
    {"__main__"},
]
HEIGHT = {name: height for height, names in enumerate(LAYERS) for name in names}
HEAVY = (
    "torch",
    "onnx",
    "onnxruntime",
    "onnxscript",
    "sklearn",
    "typer",
    "vae_augment.training",
    "vae_augment.exporters",
)


def unit(path: Path) -> str:
    if path.is_relative_to(EXPORTERS):
        return "exporters"
    relative = path.relative_to(PACKAGE)
    return relative.parts[0] if len(relative.parts) > 1 else path.stem


def imported_units(source: str, level_of_package: int) -> set[str]:
    """The units of ours that `source` imports; `level_of_package` dots lead to vae_augment itself."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.level == level_of_package:
            names = [node.module] if node.module else [alias.name for alias in node.names]
            found |= {name.split(".")[0] for name in names}
        if isinstance(node, ast.ImportFrom | ast.Import) and "vae_augment" in ast.unparse(node).split()[1]:
            pytest.fail(f"absolute import of our own package: {ast.unparse(node)}")
    return {name if name in HEIGHT else "__init__" for name in found}


def breaches(files: Iterable[tuple[str, str, int]]) -> list[str]:
    """`importer -> imported` for every arrow that does not point down."""
    return [
        f"{importer} -> {imported}"
        for importer, source, level in files
        for imported in sorted(imported_units(source, level))
        if imported != importer and HEIGHT[imported] >= HEIGHT[importer]
    ]


def our_files() -> list[tuple[str, str, int]]:
    paths = [*PACKAGE.rglob("*.py"), *EXPORTERS.rglob("*.py")]
    return [(unit(path), path.read_text(), 1 if path.parent == PACKAGE else 2) for path in paths]


def test_every_module_has_a_layer() -> None:
    assert {unit(path) for path in PACKAGE.rglob("*.py")} <= HEIGHT.keys()


def test_arrows_point_down() -> None:
    # `vae_augment.exporters` is named for type checkers there, and imported on first use.
    assert breaches(our_files()) == ["__init__ -> exporters"]


@pytest.mark.parametrize(
    ("importer", "source", "level"),
    [("runtime", "from .transform import VAEAugment", 1), ("training", "def f():\n    from ..cli import main", 2)],
)
def test_a_planted_breach_is_found(importer: str, source: str, level: int) -> None:
    assert len(breaches([*our_files(), (importer, source, level)])) == 2


def loaded_after(statement: str) -> set[str]:
    code = f"{statement}\nimport sys\nprint(*[name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stderr == ""
    return set(done.stdout.split())


def test_import_is_light_and_silent() -> None:
    assert loaded_after("import vae_augment") == set()


def test_the_light_import_check_can_fail() -> None:
    assert loaded_after("import vae_augment.training, onnx") >= {"onnx", "vae_augment.training"}


def test_the_exporters_come_on_first_use() -> None:
    assert loaded_after("import conftest, vae_augment; vae_augment.exporters.export") >= {"vae_augment.exporters"}


def test_public_names() -> None:
    import vae_augment

    assert set(vae_augment.__all__) == {
        "AugmentedDataset",
        "MixedDataset",
        "VAEAugment",
        "VAEAugmentError",
        "VAEModel",
        "VAESyntheticDataset",
        "__version__",
        "load",
        "top_up",
    }


def test_files_stay_short_and_functions_small() -> None:
    paths = [*PACKAGE.rglob("*.py"), *EXPORTERS.rglob("*.py")]
    assert [str(path) for path in paths if len(path.read_text().splitlines()) > 300] == []
    lengths = sorted(
        node.end_lineno - node.body[0].lineno + 1
        for path in paths
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef) and node.end_lineno
    )
    assert lengths[len(lengths) // 2] < 10
    assert lengths[-1] <= 60


def lines_of(*folders: Path) -> int:
    return sum(len(path.read_text().splitlines()) for folder in folders for path in folder.rglob("*.py"))


def test_the_package_stays_small() -> None:
    assert lines_of(PACKAGE, EXPORTERS) <= 9_570  # the goal was 7,000
    assert lines_of(PACKAGE / "evaluation") <= 1_400


def test_no_two_files_have_the_same_name() -> None:
    names = [path.name for folder in (PACKAGE, EXPORTERS) for path in folder.rglob("*.py")]
    assert sorted(name for name in set(names) if names.count(name) > 1) == ["__init__.py"]


def imported_files(path: Path, source: str) -> set[Path]:
    """The files of ours that `source`, which stands at `path`, imports; imports for annotations alone count too."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.level:
            parts = path.relative_to(ROOT).parent.parts
            parts = ("vae_augment", *parts) if parts[0] == "exporters" else parts
            folder = [*parts[: len(parts) - node.level + 1], *(node.module or "").split(".")]
            found |= {file for alias in node.names for file in files_of([*folder, alias.name])}
    return found - {path}


def files_of(names: list[str]) -> set[Path]:
    """The file that "package.module.name" comes from, where that is one of ours."""
    names = [name for name in names if name]
    if names[:2] == ["vae_augment", "exporters"]:
        names = names[1:]
    for last in (len(names), len(names) - 1):
        base = ROOT.joinpath(*names[:last])
        if base.with_suffix(".py").is_file():
            return {base.with_suffix(".py")}
    return set()


def circle(arrows: dict[Path, set[Path]]) -> list[str]:
    """The files on an import circle, and on the way between two; none where there is no circle."""
    left = dict(arrows)
    while True:
        imported = {target for targets in left.values() for target in targets}
        ends = [path for path, targets in left.items() if path not in imported or not targets & left.keys()]
        if not ends:
            return sorted(path.name for path in left)
        for path in ends:
            del left[path]


def arrows_between_files() -> dict[Path, set[Path]]:
    paths = [*PACKAGE.rglob("*.py"), *EXPORTERS.rglob("*.py")]
    return {path: imported_files(path, path.read_text()) for path in paths if path.name != "__init__.py"}


def test_no_import_circle_between_files() -> None:
    assert circle(arrows_between_files()) == []


def test_a_planted_circle_is_found() -> None:
    arrows, latent = arrows_between_files(), PACKAGE / "latent.py"
    assert latent in arrows[PACKAGE / "perturbation.py"]
    arrows[latent] |= imported_files(latent, "from .perturbation import MODES")
    assert {"latent.py", "perturbation.py"} <= set(circle(arrows))


def test_public_signatures_take_no_kwargs() -> None:
    found = [
        f"{path.stem}.{node.name}"
        for path in [*PACKAGE.rglob("*.py"), *EXPORTERS.rglob("*.py")]
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef) and node.args.kwarg and not node.name.startswith("_")
    ]
    assert found == []


def test_no_two_files_have_one_name() -> None:
    paths = (path for folder in (PACKAGE, EXPORTERS, ROOT / "benchmarks") for path in folder.rglob("*.py"))
    counts = Counter(path.name for path in paths if path.name not in ("__init__.py", "__main__.py"))
    assert [name for name, count in counts.items() if count > 1] == []
