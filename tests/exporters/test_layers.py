"""The table of layers in docs/export.md is what the export does."""

import os
from pathlib import Path

import pytest
import torch

from tests.exporters.layers import PAGE, REFUSED, SHAPE, SUPPORTED, Joined, LayerVAE, Row, filled
from vae_augment.errors import ExportError
from vae_augment.exporters import export
from vae_augment.exporters.tracing import _has_dynamo

pytestmark = pytest.mark.skipif(
    not _has_dynamo(), reason="the table is of torch 2.7 and newer, whose exporter is another one"
)
NAMES = {group: [row.name for row in rows] for group, rows in SUPPORTED.items()}


def is_exported(row: Row, path: Path) -> bool:
    torch.manual_seed(0)  # the same weights for a layer, whichever came before it
    try:
        export(LayerVAE(row.make()).eval(), path, image_shape=SHAPE, overwrite=True)
    except ExportError:
        return False
    return True


def test_the_page_has_the_table() -> None:
    page = PAGE.read_text()
    assert page == filled(page, NAMES, REFUSED), "See tests/exporters/layers.py"


LONG = {"blocks", "arithmetic", "norms"}  # groups that take more than two seconds


@pytest.mark.parametrize(
    "group",
    [pytest.param(group, marks=pytest.mark.slow if group in LONG else ()) for group in SUPPORTED],
)
def test_what_the_page_says_is_exported(group: str, tmp_path: Path) -> None:
    """All layers of a group in one network, because an export takes a second."""
    torch.manual_seed(0)
    module = LayerVAE(Joined([row.make() for row in SUPPORTED[group]])).eval()
    assert export(module, tmp_path / "model.onnx", image_shape=SHAPE).worst <= 1e-5


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_each_layer_is_exported_or_refused_as_the_page_says(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    exported = {
        group: [row.name for row in rows if is_exported(row, path)]
        for group, rows in SUPPORTED.items()
    }
    refused = [row for row in REFUSED if not is_exported(row, path)]
    page = PAGE.read_text()
    found = filled(page, exported, refused)
    if os.environ.get("VAE_AUGMENT_WRITE"):
        PAGE.write_text(found)
    assert page == found


@pytest.mark.slow
@pytest.mark.parametrize("row", REFUSED, ids=[row.name for row in REFUSED])
def test_what_stands_in_its_place_is_exported(row: Row, tmp_path: Path) -> None:
    assert row.replacement is not None
    module = LayerVAE(row.replacement()).eval()
    assert export(module, tmp_path / "model.onnx", image_shape=SHAPE).worst <= 1e-5
    if row.same:
        features = torch.randn(3, 4, 8, 8)
        refused = row.make().eval()
        with torch.no_grad():
            torch.testing.assert_close(module.layer(features), refused(features))
