"""What each mode of VAEAugment does to the latents, and what it says when something is missing."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor

from vae_augment import VAEAugment, VAEAugmentError, VAEModel, load
from vae_augment.exporters import ExportableVAE
from vae_augment.exporters.graph import model_bytes
from vae_augment.model.file import read_model
from vae_augment.model.posterior import posterior_length
from vae_augment.model.spec import Spec
from vae_augment.training import load_data
from vae_augment.training.networks import build_network
from vae_augment.transforms.latent import (
    extrapolate,
    interpolate,
    nearest_partner,
    partner_in_batch,
)

SHAPE = (1, 8, 8)
MODES = ("posterior", "interpolation", "extrapolation", "prior")


@pytest.fixture(scope="module")
def model(tiny_model_path: Path) -> VAEModel:
    return load(tiny_model_path)


@pytest.fixture(scope="module")
def normal(tiny_model_path: Path, tmp_path_factory: pytest.TempPathFactory) -> VAEModel:
    """The same model without its distribution of latents: it draws from N(0, I)."""
    proto = onnx.load(tiny_model_path)
    spec = replace(read_model(tiny_model_path).spec, latents=None, evidence={})
    del proto.metadata_props[:]
    onnx.helper.set_model_props(proto, spec.to_metadata())
    path = tmp_path_factory.mktemp("normal") / "normal.onnx"
    onnx.save(proto, path)
    return load(path)


@pytest.fixture(scope="module")
def unlabelled(tmp_path_factory: pytest.TempPathFactory) -> VAEModel:
    """A model without classes, latents and training."""
    torch.manual_seed(0)
    module = build_network(SHAPE, 4, network="mlp").eval()
    spec = Spec(image_shape=SHAPE, latent_dim=4)
    vae = ExportableVAE(module, module.encode, module.decode, spec)
    path = tmp_path_factory.mktemp("unlabelled") / "unlabelled.onnx"
    path.write_bytes(model_bytes(vae))
    return load(path)


@pytest.fixture(scope="module")
def images() -> Tensor:
    data = load_data("digits")
    assert data.labels[:20].tolist() == LABELS.tolist()
    return data.images[:20] / 255


LABELS = torch.arange(20) % 10


def augmented(transform: VAEAugment, images: Tensor, seed: int = 0) -> Tensor:
    torch.manual_seed(seed)
    return transform(images, LABELS[: len(images)])[0]


@pytest.mark.parametrize(
    ("mode", "labels_getter"),
    [*((mode, "default") for mode in MODES), *((mode, None) for mode in MODES[:3])],
)
def test_strength_0_is_the_reconstruction(
    model: VAEModel, images: Tensor, mode: str, labels_getter: str | None
) -> None:
    transform = VAEAugment(
        model, mode=mode, strength=0, p=1, labels_getter=labels_getter, residual=False
    )
    labels = LABELS if labels_getter else None
    torch.testing.assert_close(
        augmented(transform, images), model.reconstruct(images, labels), atol=1e-5, rtol=0
    )


@pytest.mark.parametrize("mode", MODES)
def test_strength_0_of_the_residual_is_the_identity(
    model: VAEModel, images: Tensor, mode: str
) -> None:
    with pytest.warns(UserWarning, match="changes nothing"):
        transform = VAEAugment(
            model, mode=mode, strength=0, p=1, residual=True, labels_getter="default"
        )
    torch.testing.assert_close(augmented(transform, images), images, atol=1e-6, rtol=0)


@pytest.mark.parametrize("mode", MODES)
def test_the_residual_adds_what_the_perturbation_changes(
    model: VAEModel, images: Tensor, mode: str
) -> None:
    plain, residual = (
        augmented(VAEAugment(model, mode=mode, p=1, residual=flag, labels_getter="default"), images)
        for flag in (False, True)
    )
    expected = (images + plain - model.reconstruct(images, LABELS)).clamp(0, 1)
    torch.testing.assert_close(residual, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("mode", MODES)
def test_more_strength_goes_further(model: VAEModel, images: Tensor, mode: str) -> None:
    reconstructed = model.reconstruct(images, LABELS)
    distances = [
        (
            augmented(
                VAEAugment(
                    model, mode=mode, strength=s, p=1, labels_getter="default", residual=False
                ),
                images,
            )
            - reconstructed
        )
        .square()
        .mean()
        .item()
        for s in (0, 0.5, 1, 2)
    ]
    assert distances == sorted(distances)
    assert distances[0] < 1e-10 < distances[1]


def test_in_unit_1_strength_1_has_the_posteriors_own_spread(
    model: VAEModel, images: Tensor
) -> None:
    mean, logvar = model.encode(images[:1].expand(4000, *SHAPE))
    transform = VAEAugment(model, p=1, residual=False, unit=1)
    params = transform.make_params([images[:1].expand(4000, *SHAPE)])
    latent = mean + params["noise"] * (logvar / 2).exp()
    torch.testing.assert_close(latent.std(0), (logvar[0] / 2).exp(), rtol=0.06, atol=0)
    replayed = transform.transform(images[:1].expand(4000, *SHAPE), params)
    torch.testing.assert_close(replayed, model.decode(latent), atol=1e-5, rtol=0)


def test_steps_are_measured_in_posterior_lengths() -> None:
    torch.manual_seed(0)
    mean = torch.randn(5, 3)
    partner = torch.randn(5, 3) * 100
    logvar = torch.randn(5, 3)
    length = posterior_length(logvar)
    for move, sign in ((interpolate, 1), (extrapolate, -1)):
        step = move(mean, logvar, partner, 0.5) - mean
        torch.testing.assert_close(step.norm(dim=1, keepdim=True), 0.5 * length)
        cosine = torch.cosine_similarity(step, partner - mean)
        torch.testing.assert_close(cosine, torch.full((5,), float(sign)))


def test_interpolation_stops_at_the_partner() -> None:
    mean = torch.zeros(1, 2)
    partner = torch.tensor([[0.1, 0.0]])
    assert torch.equal(interpolate(mean, torch.zeros(1, 2), partner, 3.0), partner)


def test_an_image_that_is_its_own_partner_stays() -> None:
    mean = torch.ones(1, 2)
    assert torch.equal(extrapolate(mean, torch.zeros(1, 2), mean, 3.0), mean)


def test_partners_are_others_of_the_class_evenly_chosen() -> None:
    torch.manual_seed(0)
    labels = torch.tensor([1, 0, 1, 1, -1, 2, 0, -1, 1])
    counts = torch.zeros(9, 9)
    for _ in range(3_000):
        partners = partner_in_batch(labels, torch.rand(9))
        counts[torch.arange(9), partners] += 1
    for row, label in enumerate(labels):
        others = [
            column for column in range(9) if column != row and labels[column] == label >= 0
        ] or [row]
        share = torch.zeros(9)
        share[others] = 1 / len(others)
        torch.testing.assert_close(counts[row] / 3_000, share, atol=0.05, rtol=0)


def test_partners_of_the_last_choice_and_of_none() -> None:
    almost_one = torch.full((3,), 1 - 2**-24)
    assert partner_in_batch(torch.tensor([5, 5, 5]), almost_one).tolist() == [2, 0, 1]
    assert partner_in_batch(torch.tensor([], dtype=torch.int64), torch.rand(0)).tolist() == []


def test_partners_come_from_the_whole_batch_not_only_from_what_the_coins_chose(
    normal: VAEModel, images: Tensor
) -> None:
    transform = VAEAugment(
        normal, mode="interpolation", p=1, labels_getter="default", residual=False
    )
    pair = images[[0, 10]]
    labels = torch.tensor([0, 0])
    params = transform.make_params([pair]) | {"labels": labels}
    both = transform.transform(pair, params)
    one = transform.transform(pair, params | {"apply": torch.tensor([True, False])})
    assert torch.equal(one[0], both[0])
    assert torch.equal(one[1], pair[1])


def test_interpolation_goes_to_the_partner_in_the_batch(normal: VAEModel, images: Tensor) -> None:
    transform = VAEAugment(
        normal, mode="interpolation", strength=1e6, p=1, labels_getter="default", residual=False
    )
    output = transform(images, LABELS)[0]
    reconstructed = normal.reconstruct(images, LABELS)
    torch.testing.assert_close(
        output, reconstructed.roll(10, 0), atol=1e-5, rtol=0
    )  # two of each class


def test_a_single_image_goes_to_a_near_sample_of_its_class(model: VAEModel, images: Tensor) -> None:
    transform = VAEAugment(
        model, mode="interpolation", strength=1e6, p=1, labels_getter="default", residual=False
    )
    partners = model.partners
    assert partners is not None
    rows = partners.given_label[partners.labels == 3]
    mean, _ = model.encode(images[3:4], torch.tensor([3]))
    near = rows[(rows - mean).norm(dim=1).topk(10, largest=False).indices]
    candidates = model.decode(near, torch.full((10,), 3))
    chosen = {
        int((candidates - transform(images[3], 3)[0]).abs().amax((1, 2, 3)).argmin())
        for _ in range(60)
        if (candidates - transform(images[3], 3)[0]).abs().amax((1, 2, 3)).min() < 1e-5
    }
    assert len(chosen) > 4


def test_images_without_labels_find_partners(model: VAEModel, images: Tensor) -> None:
    for mode in ("interpolation", "extrapolation"):
        assert (
            len(
                VAEAugment(model, mode=mode, p=1, residual=False)(
                    images[:1].expand(40, *SHAPE)
                ).unique(dim=0)
            )
            > 4
        )


def test_neighbours_of_a_class_without_partners_are_the_image_itself() -> None:
    mean, latents = torch.zeros(2, 2), torch.ones(3, 2)
    partners = nearest_partner(
        mean, torch.tensor([4, 1]), torch.rand(2), latents, torch.ones(3).long()
    )
    assert torch.equal(partners, torch.tensor([[0.0, 0.0], [1.0, 1.0]]))


def test_prior_of_strength_1_is_a_fresh_sample_of_the_class(
    model: VAEModel, images: Tensor
) -> None:
    transform = VAEAugment(model, mode="prior", p=1, labels_getter="default", residual=False)
    first = augmented(transform, images)
    second = augmented(transform, images.flip(0))
    torch.testing.assert_close(
        first, second, atol=1e-5, rtol=0
    )  # nothing of the images is left, only their classes
    fresh = augmented(transform, images, seed=1)
    assert (first - fresh).abs().amax((1, 2, 3)).min() > 0.01


@pytest.mark.parametrize(
    "labels",
    [torch.tensor(3), 3, torch.tensor([3]), np.int64(3), np.array([3]), 3.0, [3], "3"],
    ids=["0-d", "int", "1-d", "NumPy's", "array of one number", "float", "list", "name"],
)
def test_labels_of_one_image(model: VAEModel, images: Tensor, labels: Any) -> None:
    transform = VAEAugment(model, mode="prior", p=1, labels_getter="default", residual=False)
    image, same = transform(images[0], labels)
    assert same == labels
    assert image.shape == SHAPE


@pytest.mark.parametrize("name", ["labels", "label", "target", "Targets"])
def test_labels_in_a_dict(model: VAEModel, images: Tensor, name: str) -> None:
    transform = VAEAugment(model, mode="prior", p=1, labels_getter="default", residual=False)
    torch.manual_seed(0)
    output = transform({"image": images, name: LABELS})
    assert torch.equal(output["image"], augmented(transform, images))
    torch.manual_seed(0)
    nested, _ = transform(images, {"size": torch.tensor(3), name: LABELS})
    assert torch.equal(nested, augmented(transform, images))


def test_labels_by_a_function(model: VAEModel, images: Tensor) -> None:
    transform = VAEAugment(
        model, mode="prior", p=1, labels_getter=lambda inputs: inputs["y"] - 1, residual=False
    )
    torch.manual_seed(0)
    output = transform({"x": images, "y": LABELS + 1})
    assert torch.equal(
        output["x"],
        augmented(
            VAEAugment(model, mode="prior", p=1, labels_getter="default", residual=False), images
        ),
    )


NO_LABELS = (
    "VAEAugment found no labels in its inputs. Give (images, labels), a dict with 'labels', or a "
    "labels_getter function that returns them."
)


def test_missing_labels_are_an_error_each_time(model: VAEModel, images: Tensor) -> None:
    transform = VAEAugment(model, mode="interpolation", p=0, labels_getter="default")
    for inputs in (images, {"image": images}, (images,)):
        with pytest.raises(VAEAugmentError) as caught:
            transform(inputs)
        assert str(caught.value) == NO_LABELS


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (torch.tensor([1, 2]), "labels of type torch.int64 and length 2 do not go with 20 images."),
        (
            torch.full((20,), 1.5),
            "The label 1.5 is no class index. Give 0, 1, 2, ..., or -1 = unknown.",
        ),
        (torch.full((20,), 10), "labels lie in 10..10; the model knows -1 (unknown) and 0..9."),
        (torch.full((20,), -2), "labels lie in -2..-2; the model knows -1 (unknown) and 0..9."),
    ],
)
def test_labels_that_do_not_go_with_the_images(
    model: VAEModel, images: Tensor, labels: Tensor, message: str
) -> None:
    with pytest.raises(VAEAugmentError) as caught:
        VAEAugment(model, p=0, labels_getter="default")(images, labels)
    assert str(caught.value) == message


def test_prior_refuses_unknown_labels(model: VAEModel, images: Tensor) -> None:
    labels = torch.where(LABELS == 3, -1, LABELS)
    with pytest.raises(VAEAugmentError) as caught:
        VAEAugment(model, mode="prior", p=0, labels_getter="default")(images, labels)
    assert str(caught.value) == (
        "mode='prior' needs the class of every image, but 2 of 20 labels are -1 (unknown). Leave "
        "those images out, or use another mode."
    )


def test_a_posterior_mode_uses_labels_that_are_given(model: VAEModel, images: Tensor) -> None:
    without, given = (
        augmented(VAEAugment(model, p=1, labels_getter=getter), images)
        for getter in (None, "default")
    )
    assert not torch.allclose(without, given)


@pytest.mark.parametrize(
    ("which", "arguments", "message"),
    [
        (
            "model",
            {"mode": "posteriors"},
            (
                "`mode` should be one of posterior, interpolation, extrapolation, prior, but got "
                "'posteriors'."
            ),
        ),
        (
            "model",
            {"mode": "prior"},
            "mode='prior' draws a fresh sample of the image's class: it needs "
            "labels_getter='default' and a model that generates by class, but labels_getter is "
            "None and 'digits' does.",
        ),
        (
            "unlabelled",
            {"mode": "prior"},
            "mode='prior' draws a fresh sample of the image's class: it needs "
            "labels_getter='default' and a model that generates by class, but labels_getter is "
            "None and 'unlabelled' does not.",
        ),
        (
            "normal",
            {"mode": "interpolation"},
            "mode='interpolation' needs partners, but 'normal' carries no distribution of latents "
            "and no labels_getter is given. Export the model with --fit-latents DATA, or pass "
            "labels_getter='default' and batches.",
        ),
        (
            "unlabelled",
            {"labels_getter": "default"},
            "labels_getter is given, but the model 'unlabelled' knows no classes. Leave it out.",
        ),
        (
            "model",
            {"labels_getter": "labels"},
            "`labels_getter` should be None, 'default' or a function, but got 'labels'.",
        ),
    ],
)
def test_a_mode_says_what_it_lacks_when_it_is_built(
    request: pytest.FixtureRequest, which: str, arguments: dict[str, str], message: str
) -> None:
    with pytest.raises(VAEAugmentError) as caught:
        VAEAugment(request.getfixturevalue(which), **arguments)
    assert str(caught.value) == message


def test_a_single_image_without_a_distribution_of_latents_is_an_error(
    normal: VAEModel, images: Tensor
) -> None:
    transform = VAEAugment(normal, mode="interpolation", p=1, labels_getter="default")
    with pytest.raises(VAEAugmentError) as caught:
        transform(images[0], 3)
    assert str(caught.value) == (
        "A single image needs a partner from the model's distribution of latents, which 'normal' "
        "lacks. Give batches."
    )


def test_a_model_without_classes_perturbs(unlabelled: VAEModel) -> None:
    batch = torch.rand(4, *SHAPE)
    assert VAEAugment(unlabelled, p=1)(batch).shape == batch.shape


def test_a_label_aware_transform_compiles_with_one_graph_break(
    model: VAEModel, images: Tensor
) -> None:
    torch._dynamo.reset()
    transform = VAEAugment(model, mode="interpolation", p=1, labels_getter="default")

    def step(images: Tensor, labels: Tensor) -> Tensor:
        return transform(images * 0.5, labels)[0] * 2

    assert torch._dynamo.explain(step)(images, LABELS).graph_break_count == 1
