"""One test for each thing that a user of torchvision's transforms expects of another one."""

import copy
import json
import os
import pickle
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from torchvision import datasets, tv_tensors
from torchvision import transforms as v1
from torchvision.transforms import v2

from tests.helpers import count_runs
from vae_augment import VAEAugment, VAEAugmentError, load
from vae_augment.model.sessions import _is_on_device, _run_bound
from vae_augment.model.spec import part_interface

SHAPE = (1, 8, 8)
IS_OLD = not hasattr(v2.Transform, "make_params")  # torchvision before 0.21, and its torch


@pytest.fixture(scope="module")
def augment(tiny_model_path: Path) -> VAEAugment:
    return VAEAugment(tiny_model_path, p=1.0)


@pytest.fixture
def uint8() -> Tensor:
    return torch.randint(0, 256, SHAPE, dtype=torch.uint8)


@pytest.fixture
def pil(uint8: Tensor) -> Image.Image:
    return Image.fromarray(uint8[0].numpy())


def as_tensor(image: Any) -> Tensor:
    return v2.functional.pil_to_tensor(image) if isinstance(image, Image.Image) else image.clone()


def check_transform(transform: Callable[[Any], Any], image: Any) -> None:
    """What holds for any input of any random transform of images that changes no shape."""
    before = as_tensor(image)
    states = (random.getstate(), np.random.get_state()[1].tolist())
    torch.manual_seed(0)
    output = transform(image)
    assert type(output) is type(image)
    result = as_tensor(output)
    assert (result.dtype, result.shape, result.device) == (
        before.dtype,
        before.shape,
        before.device,
    )
    assert result.is_contiguous()
    assert not result.is_floating_point() or (result.min() >= 0 and result.max() <= 1)
    assert not torch.equal(result, before)
    assert torch.equal(as_tensor(image), before), "the input was changed"
    assert (random.getstate(), np.random.get_state()[1].tolist()) == states, (
        "another generator was used"
    )
    for same in (transform, copy.deepcopy(transform), pickle.loads(pickle.dumps(transform))):
        torch.manual_seed(0)
        assert torch.equal(as_tensor(same(image)), result)
    assert not torch.equal(as_tensor(transform(image)), result), "the second call repeats the first"


KINDS: dict[str, Callable[[Tensor], Any]] = {
    "PIL": lambda x: Image.fromarray(x[0].numpy()),
    "uint8": lambda x: x,
    "float16": lambda x: (x / 255).to(torch.float16),
    "bfloat16": lambda x: (x / 255).to(torch.bfloat16),
    "float32": lambda x: x / 255,
    "float64": lambda x: x.double() / 255,
    "tv image": tv_tensors.Image,
    "tv float image": lambda x: tv_tensors.Image(x / 255),
    "tv video": lambda x: tv_tensors.Video(x.expand(3, *SHAPE)),
    "batch": lambda x: x.expand(5, *SHAPE),
    "two leading dimensions": lambda x: (x / 255).expand(2, 3, *SHAPE),
    "transposed": lambda x: x.transpose(-1, -2),
    "channels_last": lambda x: x.expand(4, *SHAPE).to(memory_format=torch.channels_last),
    "inference tensor": lambda x: torch.inference_mode()(lambda: x / 255)(),
}


@pytest.mark.parametrize("residual", [False, True], ids=["plain", "residual"])
@pytest.mark.parametrize("kind", KINDS)
def test_types_dtypes_and_shapes_are_kept(
    tiny_model_path: Path, uint8: Tensor, kind: str, residual: bool
) -> None:
    check_transform(VAEAugment(tiny_model_path, p=1.0, residual=residual), KINDS[kind](uint8))


@pytest.mark.parametrize(
    "dtype", [torch.uint8, torch.float16, torch.bfloat16, torch.float32, torch.float64]
)
@pytest.mark.parametrize("residual", [False, True], ids=["plain", "residual"])
def test_images_that_lose_the_coin_stay_as_they_are(
    tiny_model_path: Path, dtype: torch.dtype, residual: bool
) -> None:
    levels = torch.randint(256, (64, *SHAPE))
    images = levels.to(torch.uint8) if dtype is torch.uint8 else (levels / 255).to(dtype)
    images = images.to(memory_format=torch.channels_last)
    output = VAEAugment(tiny_model_path, p=0.5, residual=residual)(images)
    same = (output == images).flatten(1).all(1)
    assert 10 < same.sum() < 54
    assert output.dtype is dtype
    assert output.is_contiguous()


def test_it_is_a_torchvision_transform_by_its_public_hooks(
    augment: VAEAugment, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert isinstance(augment, v2.Transform)
    assert isinstance(augment, nn.Module)
    overridden = {
        name
        for name in vars(VAEAugment)
        if hasattr(v2.Transform, name) and not name.startswith("__")
    }
    hooks = {"check_inputs", "make_params", "transform"}
    if IS_OLD:
        hooks = {"_check_inputs", "_get_params", "_transform"}
    assert overridden == hooks | {"forward", "extra_repr"}
    monkeypatch.setattr(v2.Transform, "forward", lambda *inputs: "torchvision's own")
    assert augment(torch.rand(1, 1, 8, 8)) == "torchvision's own"


def containers(augment: VAEAugment) -> dict[str, Callable[[Any], Any]]:
    return {
        "v1.Compose": v1.Compose([augment, v1.ToTensor()]),
        "v2.Compose": v2.Compose([v2.ToImage(), augment, v2.ToDtype(torch.float32, scale=True)]),
        "v2.RandomApply": v2.Compose([v2.RandomApply([augment], p=1.0), v2.PILToTensor()]),
        "v2.RandomChoice": v2.Compose([v2.RandomChoice([augment, augment]), v2.PILToTensor()]),
        "nn.Sequential": nn.Sequential(
            v2.PILToTensor(), augment, v2.ToDtype(torch.float32, scale=True)
        ),
    }


@pytest.mark.parametrize(
    "name", ["v1.Compose", "v2.Compose", "v2.RandomApply", "v2.RandomChoice", "nn.Sequential"]
)
def test_it_works_inside(augment: VAEAugment, pil: Image.Image, name: str) -> None:
    output = containers(augment)[name](pil)
    assert output.shape == SHAPE
    assert not torch.equal(
        output.float(),
        v2.functional.pil_to_tensor(pil) / (1 if output.dtype is torch.uint8 else 255),
    )


def test_it_works_as_the_transform_of_a_dataset(augment: VAEAugment) -> None:
    plain, augmented = (
        datasets.FakeData(3, SHAPE, transform=transform) for transform in (None, augment)
    )
    (image, label), (changed, same) = plain[0], augmented[0]
    assert (type(changed), changed.size, same) == (type(image), image.size, label)
    assert changed.tobytes() != image.tobytes()


def test_uint8_is_rounded_as_torchvision_rounds(augment: VAEAugment, uint8: Tensor) -> None:
    torch.manual_seed(0)
    levels = augment(uint8)
    torch.manual_seed(0)
    assert torch.equal(
        levels, v2.functional.to_dtype(augment(uint8 / 255), torch.uint8, scale=True)
    )


def test_an_empty_batch(augment: VAEAugment) -> None:
    assert augment(torch.rand(0, *SHAPE)).shape == (0, *SHAPE)
    assert augment.model.reconstruct(torch.rand(0, *SHAPE)).shape == (0, *SHAPE)


def test_each_image_of_a_batch_has_its_own_noise_and_coin(
    augment: VAEAugment, tiny_model_path: Path
) -> None:
    batch = torch.rand(SHAPE).expand(64, *SHAPE)
    assert len(augment(batch).unique(dim=0)) == 64
    half = VAEAugment(tiny_model_path, p=0.5)(batch)
    kept = (half == batch).flatten(1).all(1)
    assert 16 < kept.sum() < 48
    assert len(half[~kept].unique(dim=0)) == (~kept).sum()


@pytest.mark.parametrize("p", [0.5, 1.0])
def test_a_batch_is_one_session_call(
    augment: VAEAugment, monkeypatch: pytest.MonkeyPatch, p: float
) -> None:
    monkeypatch.setattr(augment, "p", p)
    monkeypatch.setattr(augment, "residual", False)
    runs = count_runs(augment.model, monkeypatch)
    augment(torch.rand(64, *SHAPE))
    assert len(runs) == 1
    assert (runs[0] == 64) == (p == 1)  # images that keep their pixels cost nothing


def test_residual_is_the_default_and_one_session_call_too(
    augment: VAEAugment, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = count_runs(augment.model, monkeypatch)
    augment(torch.rand(64, *SHAPE))
    assert runs == [64]
    assert "residual" in augment.model._graph.sessions


def test_what_is_no_image_passes_by_identity(augment: VAEAugment, uint8: Tensor) -> None:
    label = torch.tensor(3)
    extra = {"path": "a.png", "box": None}
    sample = {"image": tv_tensors.Image(uint8), "label": label, "more": [extra, "text", 1.5]}
    output = augment(sample)
    assert list(output) == ["image", "label", "more"]
    assert output["label"] is label
    assert output["more"] == [extra, "text", 1.5]
    image, same = augment(uint8, label)
    assert same is label
    assert not torch.equal(image, uint8)


def test_masks_boxes_and_keypoints_pass_untouched(augment: VAEAugment, uint8: Tensor) -> None:
    others = [
        tv_tensors.Mask(torch.ones(8, 8)),
        tv_tensors.BoundingBoxes(torch.tensor([[1, 1, 4, 4]]), format="XYXY", canvas_size=(8, 8)),
    ]
    if hasattr(tv_tensors, "KeyPoints"):  # since torchvision 0.23
        others.append(tv_tensors.KeyPoints(torch.tensor([[1, 1]]), canvas_size=(8, 8)))
    image, *same = augment(tv_tensors.Image(uint8), *others)
    assert not torch.equal(image, uint8)
    assert all(after is before for after, before in zip(same, others, strict=True))


ARRAY = "Make a tensor of the array of shape (8, 8) first: `v2.ToImage()`."
NOTHING = "Give PIL images or tensors [..., C, H, W]."


@pytest.mark.parametrize(
    ("inputs", "rest"),
    [
        ((np.zeros((8, 8)),), f"ndarray. {ARRAY}"),
        ((np.zeros((8, 8)), torch.tensor(3)), f"Tensor, ndarray. {ARRAY}"),
        (("text", None), f"NoneType, str. {NOTHING}"),
        ((tv_tensors.Mask(torch.ones(8, 8)),), f"Mask. {NOTHING}"),
        (([],), f"nothing. {NOTHING}"),
    ],
)
def test_no_image_is_an_error(augment: VAEAugment, inputs: tuple[Any, ...], rest: str) -> None:
    with pytest.raises(TypeError) as caught:
        augment(*inputs)
    assert isinstance(caught.value, VAEAugmentError)
    assert str(caught.value) == f"VAEAugment found no image among its inputs, only {rest}"


@pytest.mark.parametrize("p", [0.0, 1.0])
@pytest.mark.parametrize(
    ("image", "message"),
    [
        (
            torch.tensor(3),
            "A tensor of shape () reached VAEAugment as the image: most likely a label that comes "
            "before it. Put the image first, or wrap it: `tv_tensors.Image(image)`.",
        ),
        (
            torch.tensor([3, 4]),
            "A tensor of shape (2,) reached VAEAugment as the image: most likely a label that "
            "comes before it. Put the image first, or wrap it: `tv_tensors.Image(image)`.",
        ),
        (
            torch.rand(3, 8, 8),
            "The image has shape (3, 8, 8), but the model takes [..., C, H, W] with (C, H, W) = "
            "(1, 8, 8). Put before it `v2.Grayscale(1)`.",
        ),
        (
            torch.rand(8, 8),
            "The image has shape (8, 8), but the model takes [..., C, H, W] with (C, H, W) = (1, "
            "8, 8). Add the axis of channels: `image[..., None, :, :]`.",
        ),
        (
            torch.zeros(SHAPE, dtype=torch.int64),
            "The image is of torch.int64, with values from 0 to 0, and the type does not say which "
            "value is white. State the value that stands for white, here most likely 1: "
            "`scaled(image, 1)`, with scaled from vae_augment.transforms.",
        ),
        (
            torch.full(SHAPE, 255.0),
            "The floating image has values from 255 to 255; they must lie in [0, 1]. State the "
            "value that stands for white, here most likely 255: `scaled(image, 255)`, with scaled "
            "from vae_augment.transforms.",
        ),
        (
            torch.full(SHAPE, -2.0),
            "The floating image has values from -2 to -2; they must lie in [0, 1]. Place "
            "VAEAugment before v2.Normalize. Or, where nothing was normalised, state the values "
            "that stand for white and black, of all images rather than of this one: `scaled(image, "
            "-1, -2)`, with scaled from vae_augment.transforms.",
        ),
        (
            torch.full(SHAPE, float("nan")),
            "The floating image has values that are not finite (NaN or infinity); they must lie in "
            "[0, 1]. Find where they come from, or make them black: "
            "`torch.as_tensor(image).nan_to_num(0, 0, 0)`.",
        ),
        (
            torch.rand(SHAPE, requires_grad=True),
            (
                "The image requires grad, but gradients do not pass through onnxruntime. Detach it "
                "before VAEAugment: `image.detach()`."
            ),
        ),
        (
            Image.new("RGB", (8, 8)),
            (
                "The PIL image has mode 'RGB', but the model takes 'L'. Convert it first: "
                "`image.convert('L')`."
            ),
        ),
    ],
    ids=[
        "label",
        "labels",
        "channels",
        "no channels",
        "integers",
        "0-255",
        "normalised",
        "nan",
        "grad",
        "PIL mode",
    ],
)
def test_an_image_that_cannot_be_used_is_an_error_whatever_the_coin(
    tiny_model_path: Path, image: Any, message: str, p: float
) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        VAEAugment(tiny_model_path, p=p)(image)
    assert isinstance(caught.value, VAEAugmentError)
    assert str(caught.value) == message


def test_a_label_that_comes_before_the_image_is_an_error(augment: VAEAugment) -> None:
    with pytest.raises(
        VAEAugmentError, match=r"A tensor of shape \(\) reached VAEAugment as the image"
    ):
        augment({"label": torch.tensor(3), "image": torch.rand(SHAPE)})


@pytest.mark.parametrize("value", [-0.01, 1.01, float("nan"), float("inf"), -float("inf")])
def test_one_value_out_of_range_among_many_is_refused(augment: VAEAugment, value: float) -> None:
    images = torch.rand(16, *SHAPE)
    images[9, 0, 3, 4] = value
    with pytest.raises(VAEAugmentError, match="must lie in"):
        augment(images)


@pytest.mark.parametrize("value", [-0.0, -0.0005, 1.0005, 1e-45])
def test_what_resizing_overshoots_by_passes(augment: VAEAugment, value: float) -> None:
    images = torch.rand(16, *SHAPE)
    images[9, 0, 3, 4] = value
    assert augment(images).shape == images.shape


@pytest.mark.parametrize("p", [-0.1, 1.5, float("nan")])
def test_p_outside_the_interval_is_refused_in_torchvisions_words(
    tiny_model_path: Path, p: float
) -> None:
    with pytest.raises(
        ValueError, match=r"`p` should be a floating point value in the interval \[0.0, 1.0\]"
    ):
        VAEAugment(tiny_model_path, p=p)


@pytest.mark.parametrize("name", ["p", "strength"])
def test_what_is_no_number_is_refused(tiny_model_path: Path, name: str) -> None:
    with pytest.raises(VAEAugmentError, match=f"^{name} is 'high'; it must be a number.$"):
        VAEAugment(tiny_model_path, **{name: "high"})


@pytest.mark.parametrize("strength", [-0.1, float("inf"), float("nan"), 1e300, 1e7])
def test_a_strength_that_is_none_is_refused(tiny_model_path: Path, strength: float) -> None:
    with pytest.raises(ValueError, match=r"`strength` should be a finite value of at least 0"):
        VAEAugment(tiny_model_path, strength=strength)


def test_p_of_0_is_the_identity_and_still_draws(tiny_model_path: Path, uint8: Tensor) -> None:
    torch.manual_seed(0)
    assert VAEAugment(tiny_model_path, p=0.0)(uint8) is uint8
    after = torch.rand(1)
    torch.manual_seed(0)
    assert not torch.equal(torch.rand(1), after)


@pytest.mark.parametrize("mode", ["posterior", "interpolation", "prior"])
def test_the_default_dtype_changes_nothing(tiny_model_path: Path, mode: str) -> None:
    def perturbed() -> Tensor:
        torch.manual_seed(0)
        augment = VAEAugment(
            tiny_model_path, mode=mode, labels_getter="default" if mode == "prior" else None
        )
        images = torch.linspace(0, 1, 8 * 64, dtype=torch.float32).reshape(8, *SHAPE)
        return augment(images, torch.zeros(8, dtype=torch.int64))[0]

    expected = perturbed()
    torch.set_default_dtype(torch.float64)
    try:
        assert torch.equal(perturbed(), expected)
    finally:
        torch.set_default_dtype(torch.float32)


def test_draws_come_from_the_cpu_whatever_the_default_device(augment: VAEAugment) -> None:
    torch.manual_seed(0)
    expected = augment.make_params([torch.rand(4, *SHAPE, device="cpu")])
    with torch.device("meta"):
        torch.manual_seed(0)
        given = augment.make_params([torch.rand(4, *SHAPE, device="cpu")])
    assert given.keys() == expected.keys()
    assert all(torch.equal(given[name], expected[name]) for name in given)


def test_given_params_replay_a_perturbation(augment: VAEAugment) -> None:
    first, second = torch.rand(2, 4, *SHAPE)
    params = augment.make_params([first])
    assert torch.equal(augment.transform(first, params), augment.transform(first, params))
    assert not torch.equal(augment.transform(first, params), augment.transform(second, params))
    assert torch.equal(augment.transform(first[:2], params), augment.transform(first, params)[:2])


@pytest.mark.parametrize("labels_getter", [None, "default"])
def test_nothing_random_stays_on_self(tiny_model_path: Path, labels_getter: str | None) -> None:
    augment = VAEAugment(tiny_model_path, p=1.0, labels_getter=labels_getter)
    before = vars(augment).copy()
    augment(torch.rand(4, *SHAPE), torch.zeros(4).long())
    assert vars(augment) == before


def test_p_and_strength_may_change_between_epochs(tiny_model_path: Path, uint8: Tensor) -> None:
    scheduled, built = (
        VAEAugment(tiny_model_path, p=0.0),
        VAEAugment(tiny_model_path, p=1.0, strength=2.0),
    )
    scheduled.p, scheduled.strength = 1.0, 2.0
    torch.manual_seed(0)
    expected = built(uint8)
    torch.manual_seed(0)
    assert torch.equal(scheduled(uint8), expected)


def test_images_of_one_sample_share_the_params(augment: VAEAugment, uint8: Tensor) -> None:
    left, right = augment(tv_tensors.Image(uint8), tv_tensors.Image(uint8.clone()))
    assert torch.equal(left, right)


def test_a_transform_is_small_when_pickled_and_has_no_session(augment: VAEAugment) -> None:
    augment(torch.rand(SHAPE))
    content = pickle.dumps(augment)
    assert len(content) < 2_000
    assert not pickle.loads(content).model._graph.sessions
    assert not copy.deepcopy(augment).model._graph.sessions


def test_a_pickle_finds_its_model_from_another_folder(
    tiny_model_path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tiny_model_path.parent)
    augment = VAEAugment(tiny_model_path.name)
    monkeypatch.chdir(tmp_path)
    assert pickle.loads(pickle.dumps(augment))(torch.rand(SHAPE)).shape == SHAPE


def test_repr_shows_the_arguments_and_the_provider(tiny_model_path: Path) -> None:
    plain = VAEAugment(tiny_model_path)
    plain(torch.rand(SHAPE))
    assert repr(plain) == (
        "VAEAugment('digits', mode='posterior', strength=1.0, p=0.5, residual=True, provider='cpu')"
    )
    labelled = VAEAugment(tiny_model_path, labels_getter="default")
    assert repr(labelled) == (
        "VAEAugment('digits', mode='posterior', strength=1.0, p=0.5, residual=True, "
        "labels_getter='default', provider='cpu')"
    )
    named = VAEAugment(tiny_model_path, labels_getter=second_of_pair)
    assert "labels_getter=second_of_pair, " in repr(named)


def test_strength_counts_in_the_unit_of_the_file(augment: VAEAugment, uint8: Tensor) -> None:
    unit = augment.model.spec.strength_unit
    in_spreads = VAEAugment(augment.model, strength=unit, p=1.0, unit=1.0)
    torch.manual_seed(0)
    expected = in_spreads(uint8)
    torch.manual_seed(0)
    assert torch.equal(augment(uint8), expected)
    assert unit != 1


def test_in_prior_mode_strength_1_is_the_sample_whatever_the_unit(
    tiny_model_path: Path, uint8: Tensor
) -> None:
    settings = {"mode": "prior", "p": 1.0, "labels_getter": "default"}
    torch.manual_seed(0)
    expected = VAEAugment(tiny_model_path, **settings)(uint8, 3)[0]
    torch.manual_seed(0)
    assert torch.equal(VAEAugment(tiny_model_path, unit=50, **settings)(uint8, 3)[0], expected)


def test_a_file_without_a_unit_counts_in_spreads_and_repr_says_so(bare_model_path: Path) -> None:
    bare = VAEAugment(bare_model_path)
    assert bare.unit == 1
    assert "residual=True, unit=1 (the file states none), provider='cpu'" in repr(bare)


def test_repr_shows_a_unit_that_is_not_the_files(tiny_model_path: Path) -> None:
    assert "residual=True, unit=2.5, provider='cpu'" in repr(VAEAugment(tiny_model_path, unit=2.5))


@pytest.mark.parametrize("unit", [0, -1, 1001, float("nan")])
def test_a_unit_that_is_none_is_refused(tiny_model_path: Path, unit: float) -> None:
    with pytest.raises(VAEAugmentError, match="`unit` should be a value above 0 and at most 1,000"):
        VAEAugment(tiny_model_path, unit=unit)


def test_a_description_from_before_units_means_what_it_meant(tiny_model_path: Path) -> None:
    values = VAEAugment(tiny_model_path, strength=2.0).to_dict()
    assert VAEAugment.from_dict(values).unit == values["unit"] != 1
    del values["unit"]
    assert VAEAugment.from_dict(values).unit == 1


def test_a_description_of_a_bundled_file_before_its_unit_still_loads() -> None:
    values = VAEAugment("mnist").to_dict()
    del values["unit"]
    values["model"]["sha256"] = "6ef2d2118d54b20c44269d74e2990254465b2828f80936dc17a7d81ae4b50129"
    assert VAEAugment.from_dict(values).unit == 1
    values["model"]["name"] = "glyphs"
    with pytest.raises(VAEAugmentError, match="it is not the file that was meant"):
        VAEAugment.from_dict(values)


def test_a_description_of_a_bundled_file_that_has_changed_loads_with_a_warning() -> None:
    values = VAEAugment("mnist").to_dict()
    values["model"]["sha256"] = "e11ffe20e8bdea3bb0ab36cb9fc3b967fbb98bfd692109383a05e50d3e1b5336"
    with pytest.warns(UserWarning, match="'mnist' has changed since its digest e11ffe20"):
        assert VAEAugment.from_dict(values).model.name == "mnist"


def second_of_pair(inputs: Any) -> Any:
    return inputs[1]


def test_module_state_is_empty_and_its_switches_do_nothing(
    augment: VAEAugment, uint8: Tensor
) -> None:
    assert not augment.state_dict()
    assert not list(augment.parameters())
    same = copy.deepcopy(augment).eval().to(torch.float64).requires_grad_(False)
    torch.manual_seed(0)
    expected = augment(uint8)
    torch.manual_seed(0)
    assert torch.equal(same(uint8), expected)


def compiled_breaks(pipeline: nn.Module, *inputs: Tensor) -> int:
    torch._dynamo.reset()
    return torch._dynamo.explain(pipeline)(*inputs).graph_break_count


def test_a_compiled_pipeline_has_one_graph_break(augment: VAEAugment) -> None:
    batch = torch.rand(4, *SHAPE)
    pipeline = nn.Sequential(augment, v2.Normalize([0.5], [0.5]))
    assert compiled_breaks(pipeline, batch) == 1 or IS_OLD
    compiled = torch.compile(pipeline, backend="aot_eager")
    torch.manual_seed(0)
    output = compiled(batch)
    torch.manual_seed(0)
    assert torch.equal(compiled(batch), output)
    torch.manual_seed(0)
    assert torch.equal(pipeline(batch), output)


@pytest.mark.slow
def test_a_pipeline_compiles_with_the_default_backend(augment: VAEAugment) -> None:
    torch._dynamo.reset()
    compiled = torch.compile(nn.Sequential(augment, v2.Normalize([0.5], [0.5])))
    torch.manual_seed(0)
    output = compiled(torch.full((4, *SHAPE), 0.5))
    assert len(output.unique(dim=0)) == 4
    torch.manual_seed(0)
    assert torch.equal(compiled(torch.full((4, *SHAPE), 0.5)), output)


def test_to_dict_travels_as_json_with_the_models_digest(tiny_model_path: Path) -> None:
    model = load(tiny_model_path, provider=[("CPUExecutionProvider", {})], threads=1)
    augment = VAEAugment(
        model, mode="interpolation", strength=0.5, p=0.25, residual=True, labels_getter="default"
    )
    values = json.loads(json.dumps(augment.to_dict()))
    assert values["model"]["sha256"] == model.sha256
    same = VAEAugment.from_dict(values)
    assert repr(same) == repr(augment)
    assert (same.model.threads, same.model.providers) == (1, model.providers)
    assert type(same) is type(augment)
    assert same.model.sample(1)[0].shape == (1, *SHAPE)


def test_from_dict_refuses_another_file(tiny_model_path: Path) -> None:
    values = VAEAugment(tiny_model_path).to_dict()
    values["model"]["sha256"] = "0" * 64
    with pytest.raises(VAEAugmentError, match="it is not the file that was meant"):
        VAEAugment.from_dict(values)


def test_a_getter_that_is_a_function_cannot_be_json(tiny_model_path: Path) -> None:
    with pytest.raises(
        VAEAugmentError, match="whose labels_getter is a function cannot be written as JSON"
    ):
        VAEAugment(tiny_model_path, labels_getter=second_of_pair).to_dict()


def test_a_provider_beside_a_loaded_model_is_refused(tiny_model_path: Path) -> None:
    with pytest.raises(VAEAugmentError) as caught:
        VAEAugment(load(tiny_model_path), provider="cuda")
    assert str(caught.value) == (
        "provider='cuda' is given together with a model that was loaded with provider='auto'. "
        "Give it to load instead."
    )


@pytest.mark.timeout(60)
def test_import_is_silent_and_light() -> None:
    code = (
        "import sys, vae_augment; print(*{'onnx', 'onnxruntime', 'sklearn', "
        "'vae_augment.training'} & {*sys.modules})"
    )
    process = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env=os.environ,
        capture_output=True,
        text=True,
        check=True,
    )
    assert (process.stdout.strip(), process.stderr) == ("", "")


@pytest.mark.parametrize("part", ["whole", "encoder", "decoder"])
def test_runs_on_the_tensors_own_memory_as_on_copies(tiny_model_path: Path, part: str) -> None:
    """CUDA tensors are run where they lie. The same code runs here on memory that the CPU has."""
    model = load(tiny_model_path)
    spec = model.spec
    inputs = {
        "whole": {
            "image": torch.rand(3, *SHAPE),
            "noise": torch.randn(3, spec.latent_dim),
            "strength": torch.ones(3),
        },
        "encoder": {"image": torch.rand(3, *SHAPE)},
        "decoder": {"latent": torch.randn(6, spec.latent_dim)[::2]},
    }[part] | model.label_input(None, 3)
    copied = model.run(part, inputs)
    rows = dict(
        zip(part_interface(part, spec)[1], (output.shape[1:] for output in copied), strict=True)
    )
    bound = _run_bound(model._graph.sessions[part], inputs, rows)
    assert len(bound) == len(copied)
    assert all(map(torch.equal, bound, copied))


def test_only_a_session_on_the_same_cuda_device_is_bound() -> None:
    class Session:
        def __init__(self, **options: dict[str, str]) -> None:
            self.options = options

        def get_provider_options(self) -> dict[str, dict[str, str]]:
            return self.options

    on_second = Session(CUDAExecutionProvider={"device_id": "1"}, CPUExecutionProvider={})
    assert _is_on_device(on_second, torch.device("cuda:1"))
    assert not _is_on_device(on_second, torch.device("cuda:0"))
    assert not _is_on_device(on_second, torch.device("cpu"))
    assert not _is_on_device(Session(CPUExecutionProvider={}), torch.device("cuda:0"))


@pytest.mark.gpu
def test_cuda_images_stay_on_their_device(tiny_model_path: Path) -> None:
    for residual in (False, True):
        check_transform(
            VAEAugment(tiny_model_path, p=1.0, residual=residual),
            torch.rand(4, *SHAPE, device="cuda"),
        )
    labelled = VAEAugment(tiny_model_path, mode="interpolation", labels_getter="default")
    assert (
        labelled(torch.rand(4, *SHAPE, device="cuda"), torch.zeros(4).long())[0].device.type
        == "cuda"
    )


@pytest.mark.parametrize("labels_getter", [None, "default"])
def test_a_subclass_keeps_its_own_methods(labels_getter: str | None) -> None:
    class Mine(VAEAugment):
        def transform(self, inpt: object, params: dict[str, object]) -> object:
            return "mine"

    augment = Mine("mnist", labels_getter=labels_getter)
    assert type(augment) is Mine
    assert augment(torch.rand(2, 1, 28, 28), torch.tensor([1, 2]))[0] == "mine"
