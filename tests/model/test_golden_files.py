"""Files of each format version, tests/data/format-*.onnx, load and compute what they did."""

from pathlib import Path

import onnx
import torch

from vae_augment import load
from vae_augment.model.kinds import REDRAWING, SAMPLING

GOLDEN = Path(__file__).parents[1] / "data" / "format-1.onnx"
GOLDEN_2 = GOLDEN.with_name("format-2.onnx")
SHA256 = "3d21a20aefe5edeed69ece97a2d572ecfd7f63885bbeee0fac143054b1102d7b"


def test_format_1_onnx_has_its_exact_metadata():
    spec = load(GOLDEN, sha256=SHA256).spec
    assert vars(spec) | {"latents": None} == {
        "evidence": {},
        "format_version": 1,
        "image_shape": (1, 8, 8),
        "latent_dim": 3,
        "classes": tuple("0123456789"),
        "conditional": True,
        "training": {
            "batch_size": 128,
            "conditional": True,
            "data": "digits",
            "data_sha256": "cc0a40dc92bfdd28",
            "denoise": 0.0,
            "device": "cpu",
            "epochs": 40,
            "images": 1297,
            "kl": 0.079,
            "label_dropout": 0.3,
            "latent_dim": 3,
            "learning_rate": 0.001,
            "loss": 24.259,
            "network": "conv",
            "reconstruction": 24.18,
            "seed": 0,
            "width": "small",
        },
        "exporter": "vae-augment 0.1.0",
        "kind": SAMPLING,
        "latents": None,
    }
    assert spec.format_version == 1
    assert {name: array.shape for name, array in vars(spec.latents).items()} == {
        "weights": (10, 20),
        "means": (10, 20, 3),
        "scales": (10, 20, 3, 3),
        "bank": (640, 3),
        "bank_given_label": (640, 3),
        "bank_labels": (640,),
    }


def test_format_1_onnx_computes_what_it_did():
    model = load(GOLDEN, provider="cpu")
    mean, logvar = model.encode(torch.linspace(0, 1, 64).view(1, 1, 8, 8))
    torch.testing.assert_close(mean, torch.tensor([[0.3369, -0.1129, -0.1749]]), atol=1e-4, rtol=0)
    torch.testing.assert_close(
        logvar, torch.tensor([[-0.1777, -0.2193, -0.1222]]), atol=1e-4, rtol=0
    )
    row = model.decode(torch.zeros(1, 3), [3])[0, 0, 0]
    expected = torch.tensor([0.0025, 0.0178, 0.4191, 0.6978, 0.8311, 0.4608, 0.0990, 0.0106])
    torch.testing.assert_close(row, expected, atol=1e-4, rtol=0)
    images, labels = model.sample(10)
    assert images.shape == (10, 1, 8, 8)
    assert labels is not None
    assert labels.tolist() == list(range(10))


def test_format_1_onnx_is_what_the_document_says():
    model = onnx.load(GOLDEN)
    assert [value.name for value in model.graph.input] == ["image", "noise", "strength", "label"]
    assert [value.name for value in model.graph.output] == ["augmented"]
    assert [value.name for value in model.graph.value_info] == ["mean", "logvar", "latent"]
    assert [entry.key for entry in model.metadata_props] == [
        "vae_augment.spec",
        "vae_augment.latents",
    ]
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", 18)]


def test_format_2_onnx_loads_and_computes_what_it_did():
    model = load(
        GOLDEN_2,
        provider="cpu",
        sha256="c615c6e581d1ec96e6e5ed0684f70bb0be04423d79b0a648877272680c13ab75",
    )
    spec = model.spec
    assert (spec.format_version, spec.kind) == (2, REDRAWING)
    assert (spec.image_shape, spec.latent_dim) == ((1, 8, 8), 3)
    image = torch.linspace(0, 1, 64).view(1, 1, 8, 8)
    mean, logvar = model.encode(image)
    torch.testing.assert_close(mean, torch.tensor([[0.1432, -0.0337, 0.2541]]), atol=1e-4, rtol=0)
    torch.testing.assert_close(
        logvar, torch.tensor([[-1.2735, -0.7224, -1.1928]]), atol=1e-4, rtol=0
    )
    row = model.decode(torch.ones(1, 3), images=image)[0, 0, 3]
    expected = torch.tensor([0.1179, 0.3937, 0.4162, 0.4404, 0.4652, 0.4894, 0.5118, 0.5320])
    torch.testing.assert_close(row, expected, atol=1e-4, rtol=0)


def test_format_3_onnx_loads_and_computes_what_it_did():
    model = load(
        GOLDEN.with_name("format-3.onnx"),
        provider="cpu",
        sha256="cdeeae4541c57f8e2ffa60df2c7e578ad1e35d003573dfb32c98e113e6755e09",
    )
    spec = model.spec
    assert (spec.format_version, spec.kind, spec.conditional) == (3, SAMPLING, True)
    assert spec.evidence == {
        "audit": {
            "membership_auc": [0.5, 0.48, 0.52],
            "findings": [],
            "weights_sha256": "26ce4ea56c619332fa867651cfe27a6374bc0686ed997d4df6ffc250e5f7770b",
        }
    }
    assert spec.latents.scales.shape == (10, 13, 3, 3)
    assert len(spec.latents.bank) == 0
    mean, logvar = model.encode(torch.linspace(0, 1, 64).view(1, 1, 8, 8))
    torch.testing.assert_close(mean, torch.tensor([[0.2992, -0.1300, -0.1133]]), atol=1e-4, rtol=0)
    torch.testing.assert_close(
        logvar, torch.tensor([[-0.1462, -0.2019, -0.0945]]), atol=1e-4, rtol=0
    )
    row = model.decode(torch.zeros(1, 3), [3])[0, 0, 0]
    expected = torch.tensor([0.0024, 0.0177, 0.4188, 0.6983, 0.8313, 0.4587, 0.0987, 0.0106])
    torch.testing.assert_close(row, expected, atol=1e-4, rtol=0)
    partner = torch.tensor([-0.2967, -0.1911, 0.4587])
    torch.testing.assert_close(model.partners.given_label[200], partner, atol=1e-4, rtol=0)
