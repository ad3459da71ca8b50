"""Who may import whom, and how light the package's own import is."""

import ast
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.helpers import ROOT

PACKAGE, EXPORTERS = ROOT / "vae_augment", ROOT / "exporters"

# Lower to higher. A room may import from lower layers, and from itself; those of one layer not from
# each other.
LAYERS: list[set[str]] = [
    {"errors", "_version"},
    {"arguments", "files", "packages", "processes"},
    {"noise"},
    {"model"},
    {"transforms"},
    {"datasets"},
    {"__init__"},
    {"training", "generation"},
    {"exporters"},
    {"privacy"},
    {"evaluation", "app"},
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


def our_paths() -> list[Path]:
    return [*PACKAGE.rglob("*.py"), *EXPORTERS.rglob("*.py")]


def module_of(path: Path) -> tuple[str, ...]:
    """The parts of the name below `vae_augment` under which the file is imported."""
    root = ROOT if path.is_relative_to(EXPORTERS) else PACKAGE
    inside = path.relative_to(root)
    return (*inside.parent.parts, inside.stem)


def room_of(path: Path) -> str:
    return module_of(path)[0]


def imported_modules(path: Path, source: str) -> set[tuple[str, ...]]:
    """What the file at `path` imports of ours, anywhere in it, as parts below `vae_augment`."""
    folder = module_of(path)[:-1]
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom | ast.Import) and "vae_augment" in ast.unparse(node):
            pytest.fail(f"absolute import of our own package: {ast.unparse(node)}")
        if isinstance(node, ast.ImportFrom) and node.level:
            base = folder[: len(folder) - node.level + 1]
            base += tuple((node.module or "").split(".")) if node.module else ()
            found |= {(*base, alias.name) for alias in node.names}
    return found


def breaches(files: Iterable[tuple[Path, str]]) -> list[str]:
    """`importer -> imported` for every arrow that does not point down."""
    found = []
    for path, source in files:
        importer = room_of(path)
        rooms = {parts[0] for parts in imported_modules(path, source)}
        imported = {room if room in HEIGHT else "__init__" for room in rooms} - {importer}
        found += [
            f"{importer} -> {room}" for room in sorted(imported) if HEIGHT[room] >= HEIGHT[importer]
        ]
    return found


def our_files() -> list[tuple[Path, str]]:
    return [(path, path.read_text()) for path in our_paths()]


def test_every_room_has_a_layer() -> None:
    assert {room_of(path) for path in our_paths()} <= HEIGHT.keys()


def test_arrows_point_down() -> None:
    # `vae_augment.exporters` is named for type checkers there, and imported on first use.
    assert breaches(our_files()) == ["__init__ -> exporters"]


@pytest.mark.parametrize(
    ("importer", "source"),
    [
        (PACKAGE / "model" / "spec.py", "from ..transforms import VAEAugment"),
        (PACKAGE / "training" / "config.py", "def f():\n    from ..cli import main"),
        (EXPORTERS / "parity.py", "from ..evaluation.pictures import Row"),
    ],
)
def test_a_planted_breach_is_found(importer: Path, source: str) -> None:
    assert len(breaches([*our_files(), (importer, source)])) == 2


def loaded_after(statement: str) -> set[str]:
    code = f"{statement}\nimport sys\nprint(*[name for name in {HEAVY!r} if name in sys.modules])"
    command = [sys.executable, "-W", "error", "-c", code]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    assert done.stderr == ""
    return set(done.stdout.split())


def test_import_is_light_and_silent() -> None:
    assert loaded_after("import vae_augment") == set()


def test_the_light_import_check_can_fail() -> None:
    loaded = loaded_after("import vae_augment.training, onnx")
    assert loaded >= {"onnx", "vae_augment.training"}


def test_the_exporters_come_on_first_use() -> None:
    loaded = loaded_after("import conftest, vae_augment; vae_augment.exporters.export")
    assert "vae_augment.exporters" in loaded


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


def file_of(parts: tuple[str, ...]) -> Path | None:
    """The file that `vae_augment.PARTS` comes from, where that is one of ours."""
    base = ROOT if parts[:1] == ("exporters",) else PACKAGE
    for last in (len(parts), len(parts) - 1):
        path = base.joinpath(*parts[:last]).with_suffix(".py")
        if path.is_file():
            return path
    return None


def imported_files(path: Path, source: str) -> set[Path]:
    """The files of ours that `source`, which stands at `path`, imports."""
    found = {file_of(parts) for parts in imported_modules(path, source)}
    return {file for file in found if file is not None} - {path}


def circle(arrows: dict[Path, set[Path]]) -> list[str]:
    """The files on an import circle, and on the way between two; none where there is no circle."""
    left = dict(arrows)
    while True:
        imported = {target for targets in left.values() for target in targets}
        ends = [
            path
            for path, targets in left.items()
            if path not in imported or not targets & left.keys()
        ]
        if not ends:
            return sorted(path.name for path in left)
        for path in ends:
            del left[path]


def arrows_between_files() -> dict[Path, set[Path]]:
    files = [(path, source) for path, source in our_files() if path.name != "__init__.py"]
    return {path: imported_files(path, source) for path, source in files}


def test_no_import_circle_between_files() -> None:
    assert circle(arrows_between_files()) == []


def test_a_planted_circle_is_found() -> None:
    arrows = arrows_between_files()
    latent = PACKAGE / "transforms" / "latent.py"
    assert latent in arrows[PACKAGE / "transforms" / "perturbation.py"]
    arrows[latent] |= imported_files(latent, "from .perturbation import MODES")
    assert {"latent.py", "perturbation.py"} <= set(circle(arrows))


def functions() -> list[tuple[Path, ast.FunctionDef]]:
    return [
        (path, node)
        for path, source in our_files()
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef)
    ]


def test_public_signatures_take_no_kwargs() -> None:
    found = [
        f"{path.stem}.{node.name}"
        for path, node in functions()
        if node.args.kwarg and not node.name.startswith("_")
    ]
    assert found == []


def length(function: ast.FunctionDef) -> int:
    """The lines of a function below its signature and its docstring."""
    code = function.body[1:] if ast.get_docstring(function) else function.body
    return (function.end_lineno or 0) - code[0].lineno + 1 if code else 0


def test_functions_stay_small() -> None:
    lengths = [length(node) for _, node in functions()]
    assert sorted(lengths)[len(lengths) // 2] < 12
    assert max(lengths) <= 70
