"""AugmentedDataset.

One run of the network per batch, items as the inner dataset gives them, seeds that repeat.
"""

import copy
import pickle
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import (
    ConcatDataset,
    DataLoader,
    Dataset,
    DistributedSampler,
    Subset,
    TensorDataset,
)
from torchdata.stateful_dataloader import StatefulDataLoader
from torchvision import tv_tensors
from torchvision.transforms import v2

from tests.helpers import count_runs
from vae_augment import (
    AugmentedDataset,
    MixedDataset,
    VAEAugment,
    VAEAugmentError,
    VAEModel,
    VAESyntheticDataset,
)

SHAPE, LENGTH = (1, 8, 8), 40
pytestmark = [
    pytest.mark.timeout(60),
    pytest.mark.filterwarnings(
        "ignore:'set_vital' is deprecated:UserWarning"
    ),  # torchdata calls it
]


class Pair(NamedTuple):
    image: Any
    label: Any


class Items(Dataset[Any]):
    """Items of any form around fixed images; with `__getitems__` only in the subclass."""

    def __init__(self, form: Callable[[Tensor, int], Any]) -> None:
        self.form = form

    def __len__(self) -> int:
        return LENGTH

    def __getitem__(self, index: int) -> Any:
        return self.form(level(index), index % 10)


class BatchedItems(Items):
    def __getitems__(self, indices: Sequence[int]) -> list[Any]:
        return [self[index] for index in indices]


def level(index: int) -> Tensor:
    return torch.full(SHAPE, 5 * index + 20, dtype=torch.uint8)


def pil(image: Tensor) -> Image.Image:
    return Image.fromarray(image[0].numpy())


def pair(image: Tensor, label: int) -> tuple[Tensor, int]:
    return image, label


def pil_pair(image: Tensor, label: int) -> tuple[Image.Image, int]:
    return pil(image), label


FORMS: dict[str, Callable[[Tensor, int], Any]] = {
    "image": lambda image, label: image,
    "pair": pair,
    "PIL pair": pil_pair,
    "float": lambda image, label: (image / 255, label),
    "float16 list": lambda image, label: [(image / 255).half(), torch.tensor(label)],
    "named tuple": lambda image, label: Pair(image, str(label)),
    "dict": lambda image, label: {"label": np.int64(label), "image": pil(image), "name": None},
    "tv image": lambda image, label: (tv_tensors.Image(image), label),
    "label first": lambda image, label: (torch.tensor([label]), {"meta": [label], "image": image}),
    "with a mask": lambda image, label: (tv_tensors.Mask(image), image, label),
}


def described(item: Any) -> Any:
    """What of an item must stay: types, order, everything but the pixels of its image."""
    if isinstance(item, Image.Image):
        return type(item), item.mode, item.size
    if isinstance(item, Tensor):
        fixed = item.tolist() if item.ndim < 3 or isinstance(item, tv_tensors.Mask) else None
        return type(item), item.dtype, item.shape, fixed
    if isinstance(item, dict):
        return {key: described(value) for key, value in item.items()}
    if isinstance(item, list | tuple):
        return type(item), [described(value) for value in item]
    return type(item), item


@pytest.fixture(scope="module")
def augment(tiny_model_path: Path) -> VAEAugment:
    return VAEAugment(tiny_model_path, p=1.0, residual=False)


def augmented(augment: Any, form: str = "pair", **options: Any) -> AugmentedDataset:
    return AugmentedDataset(BatchedItems(FORMS[form]), augment, **options)


def images_of(loader: Any) -> Tensor:
    return torch.cat([images for images, _ in loader])


@pytest.mark.parametrize("inner", [Items, BatchedItems])
@pytest.mark.parametrize("form", FORMS)
def test_items_keep_their_form_and_cost_one_run(
    tiny_model: VAEModel, monkeypatch: pytest.MonkeyPatch, form: str, inner: type[Items]
) -> None:
    data = inner(FORMS[form])
    runs = count_runs(tiny_model, monkeypatch)
    indices = [3, 17, 0, -1, 3]
    given = AugmentedDataset(data, VAEAugment(tiny_model, p=1.0, residual=False)).__getitems__(
        indices
    )
    assert runs == [5]
    wanted = [data[index % LENGTH] for index in indices]
    assert [described(item) for item in given] == [described(item) for item in wanted]
    assert pickle.dumps(given) != pickle.dumps(wanted)


@pytest.mark.parametrize("form", FORMS)
def test_a_batch_is_what_the_transform_makes_of_it(augment: VAEAugment, form: str) -> None:
    torch.manual_seed(3)
    given = augmented(augment, form).__getitems__(range(6))
    torch.manual_seed(3)
    stack = torch.stack([level(index) for index in range(6)])
    expected = augment(stack / 255 if "float" in form else stack)
    for item, wanted in zip(given, expected, strict=True):
        leaves = torch.utils._pytree.tree_leaves(item)
        image = next(
            x
            for x in leaves
            if isinstance(x, Image.Image) or (isinstance(x, Tensor) and described(x)[3] is None)
        )
        image = v2.functional.pil_to_tensor(image) if isinstance(image, Image.Image) else image
        assert torch.equal(image, wanted.to(image.dtype))


@pytest.mark.parametrize("order", [1, -1])
def test_a_loader_fetches_a_batch_in_one_run_whatever_lies_around(
    tiny_model: VAEModel, monkeypatch: pytest.MonkeyPatch, order: int
) -> None:
    """A Subset inside and one outside, a mixture, a Hugging Face dataset."""
    import datasets

    transform = VAEAugment(tiny_model, p=1.0, residual=False)
    inside = AugmentedDataset(Subset(Items(pair), range(20)), transform)
    outside = Subset(AugmentedDataset(Items(pair), transform), range(20))
    mixed = MixedDataset(AugmentedDataset(Items(pair), transform), Items(pair), 0.5)
    rows = {"image": [level(index).tolist() for index in range(20)], "label": [*range(20)]}
    hugging_face = AugmentedDataset(
        datasets.Dataset.from_dict(rows).with_format("torch", dtype=torch.uint8), transform
    )
    runs = count_runs(tiny_model, monkeypatch)
    for data, expected in ((inside, 10), (outside, 10), (mixed, 5), (hugging_face, 10)):
        next(iter(DataLoader(data, batch_size=10)))
        assert (runs.pop(), runs) == (expected, [])


def test_a_concatenation_works_item_by_item(augment: VAEAugment) -> None:
    data = augmented(augment, seed=0)
    assert torch.equal(ConcatDataset([data, data])[LENGTH + 3][0], data[3][0])


@pytest.mark.parametrize("kind", [lambda x: x, pil, tv_tensors.Image, lambda x: x / 255])
def test_sizes_and_types_in_one_batch_are_grouped(
    kind: Callable[[Tensor], Any], tiny_model: VAEModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Images that fit the model only after a resize, which works on batches of one size."""
    pipeline = v2.Compose([v2.Resize(SHAPE[1:]), VAEAugment(tiny_model, p=1.0, residual=False)])
    sizes = [(8, 8), (16, 12), (8, 8), (9, 9), (16, 12), (8, 8)]
    images = [kind(torch.full((1, *size), 100, dtype=torch.uint8)) for size in sizes]
    mixed_kinds = [*images, pil(level(1)), level(1) / 255]
    runs = count_runs(tiny_model, monkeypatch)
    given = AugmentedDataset(mixed_kinds, pipeline).__getitems__(range(8))  # type: ignore[arg-type]
    assert sum(runs) == 8
    assert 3 <= len(runs) <= 5
    assert [type(image) for image in given] == [type(image) for image in mixed_kinds]
    shapes = [
        image.size[::-1] if isinstance(image, Image.Image) else tuple(image.shape[1:])
        for image in given
    ]
    assert shapes == [(8, 8)] * 8


def test_a_compose_may_change_type_and_range(augment: VAEAugment) -> None:
    pipeline = v2.Compose(
        [
            v2.ToImage(),
            augment,
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize([0.5], [0.5]),
            v2.ToPureTensor(),
        ]
    )
    images, labels = next(iter(DataLoader(augmented(pipeline, "PIL pair"), batch_size=8)))
    assert (images.dtype, images.shape, labels.tolist()) == (
        torch.float32,
        (8, *SHAPE),
        [*range(8)],
    )
    assert images.min() < 0
    kept = augmented(v2.Compose([v2.ToImage(), augment]), "PIL pair")[0][0]
    assert type(kept) is tv_tensors.Image


@pytest.mark.parametrize("mode", ["P", "RGBA"])
def test_a_pil_mode_that_no_model_has_reaches_the_transform_as_it_is(
    augment: VAEAugment, mode: str
) -> None:
    images = [pil(level(index)).convert(mode) for index in range(3)]
    converted = AugmentedDataset(images, v2.Lambda(lambda image: image.convert("L")))  # type: ignore[arg-type]
    assert [image.mode for image in converted.__getitems__(range(3))] == ["L"] * 3
    with pytest.raises(
        VAEAugmentError, match=f"The PIL image has mode '{mode}', but the model takes 'L'"
    ):
        AugmentedDataset(images, augment).__getitems__(range(3))  # type: ignore[arg-type]


def second(item: Any) -> Any:
    return item[1]


@pytest.mark.parametrize("getter", ["default", second])
@pytest.mark.parametrize("is_composed", [False, True])
def test_labels_reach_the_transform(tiny_model: VAEModel, getter: Any, is_composed: bool) -> None:
    augment = VAEAugment(tiny_model, mode="prior", p=1.0, labels_getter=getter, residual=False)
    data = augmented(v2.Compose([augment]) if is_composed else augment, "PIL pair")
    torch.manual_seed(5)
    given = data.__getitems__(range(10))
    torch.manual_seed(5)
    expected, _ = augment(torch.stack([level(index) for index in range(10)]), torch.arange(10))
    for (image, label), wanted, index in zip(given, expected, range(10), strict=True):
        assert torch.equal(v2.functional.pil_to_tensor(image), wanted)
        assert label == index


@pytest.mark.parametrize("form", ["image"])
def test_labels_that_are_not_there(tiny_model: VAEModel, form: str) -> None:
    data = augmented(VAEAugment(tiny_model, labels_getter="default", residual=False), form)
    with pytest.raises(VAEAugmentError, match="VAEAugment found no labels in its inputs"):
        data[0]


def test_partners_come_from_the_batch(tiny_model: VAEModel) -> None:
    augment = VAEAugment(
        tiny_model,
        mode="interpolation",
        p=1.0,
        strength=100.0,
        labels_getter="default",
        residual=False,
    )
    indices = [
        0,
        10,
        1,
        11,
    ]  # two classes of two images, each of which becomes the other's reconstruction
    given = torch.stack([image for image, _ in augmented(augment).__getitems__(indices)])
    swapped = torch.stack([level(index) for index in (10, 0, 11, 1)])
    expected = tiny_model.reconstruct(swapped, torch.tensor([0, 0, 1, 1]))
    torch.testing.assert_close(given / 255, expected, atol=0.01, rtol=0)


SEEDED = {
    "posterior": {},
    "residual": {"residual": True},
    "prior": {"mode": "prior", "labels_getter": "default"},
}


@pytest.mark.parametrize("options", SEEDED.values(), ids=SEEDED)
def test_a_seed_makes_items_a_function_of_seed_epoch_and_index(
    tiny_model: VAEModel, options: dict[str, Any]
) -> None:
    augment = VAEAugment(tiny_model, p=0.7, **options)

    def items(
        seed: int = 0, epoch: int = 0, batch_size: int = 7, order: Sequence[int] = range(LENGTH)
    ) -> Tensor:
        data = augmented(augment, seed=seed)
        data.set_epoch(epoch)
        images = images_of(DataLoader(data, batch_size=batch_size, sampler=order))
        return images[torch.tensor(order).argsort()]

    first = items()
    before = torch.get_rng_state()
    shuffled = random.Random(0).sample(range(LENGTH), LENGTH)
    for same in (items(), items(batch_size=1), items(batch_size=LENGTH), items(order=shuffled)):
        assert torch.equal(same, first)
    images = torch.stack([level(index) for index in range(LENGTH)])
    changed = (first != images).flatten(1).any(1).sum()
    assert 0.4 * LENGTH < changed < LENGTH
    assert not torch.equal(items(seed=1), first)
    assert not torch.equal(items(epoch=1), first)
    data = augmented(augment, seed=0)
    before = torch.get_rng_state()
    data[0]
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(("workers", "context"), [(0, None), (2, "fork"), (1, "spawn")])
def test_workers_and_epochs(augment: VAEAugment, workers: int, context: str | None) -> None:
    data = augmented(augment, "pair", seed=1)
    data.form = None  # a plain attribute, as users set them, must not disturb pickling
    data.dataset = BatchedItems(pair)
    augment(torch.rand(SHAPE))  # the session is there before a fork
    loader = DataLoader(
        data,
        batch_size=7,
        num_workers=workers,
        multiprocessing_context=context,
        persistent_workers=workers > 0,
        timeout=40 * (workers > 0),
    )
    seen = []
    for epoch in (0, 1, 0):
        data.set_epoch(epoch)
        seen.append(images_of(loader))
        assert torch.equal(
            seen[-1], torch.stack([image for image, _ in data.__getitems__(range(LENGTH))])
        )
    assert torch.equal(seen[0], seen[2])
    assert not torch.equal(seen[0], seen[1])


def test_without_a_seed_workers_differ_and_torchs_seed_repeats_them(augment: VAEAugment) -> None:
    data = AugmentedDataset(
        TensorDataset(torch.full((LENGTH, *SHAPE), 0.5), torch.arange(LENGTH)), augment
    )

    def epoch() -> Tensor:
        torch.manual_seed(0)
        return images_of(
            DataLoader(
                data, batch_size=10, num_workers=2, multiprocessing_context="fork", timeout=40
            )
        )

    first = epoch()
    assert len(first.unique(dim=0)) == LENGTH
    assert torch.equal(epoch(), first)


def test_two_ranks_share_the_items(augment: VAEAugment) -> None:
    data = augmented(augment, seed=2)
    expected = torch.stack([image for image, _ in data.__getitems__(range(LENGTH))])
    for rank in range(2):
        sampler = DistributedSampler(data, num_replicas=2, rank=rank)
        assert torch.equal(
            images_of(DataLoader(data, batch_size=9, sampler=sampler)), expected[[*sampler]]
        )


@pytest.mark.parametrize("workers", [0, 2])
def test_a_resumed_loader_goes_on_where_it_stopped(augment: VAEAugment, workers: int) -> None:
    def loader() -> StatefulDataLoader:
        data = AugmentedDataset(VAESyntheticDataset(augment.model, LENGTH), augment, seed=4)
        context = "fork" if workers else None
        return StatefulDataLoader(
            data, batch_size=10, num_workers=workers, multiprocessing_context=context
        )

    running = loader()
    running.dataset.set_epoch(2)
    batches = iter(running)
    next(batches)
    state = running.state_dict()
    resumed = loader()
    resumed.load_state_dict(state)
    assert torch.equal(images_of(resumed), images_of(batches))


def test_an_epoch_reaches_the_datasets_inside(augment: VAEAugment) -> None:
    synthetic = VAESyntheticDataset(augment.model, LENGTH, output="uint8")
    data = MixedDataset(AugmentedDataset(synthetic, augment), Items(pair), 0.5)
    data.set_epoch(3)
    assert synthetic.state_dict() == {"seed": 0, "epoch": 3}
    assert data.real.state_dict() == {"seed": None, "epoch": 3}


def test_a_copy_and_a_pickle_are_the_same_dataset(augment: VAEAugment) -> None:
    data = augmented(augment, seed=6)
    data.dataset = Items(pair)
    data.set_epoch(5)
    for same in (copy.deepcopy(data), pickle.loads(pickle.dumps(data))):
        assert torch.equal(same[7][0], data[7][0])
    assert len(data) == LENGTH
    assert repr(data) == f"AugmentedDataset({data.dataset!r}, {augment!r}, seed=6)"


@pytest.mark.parametrize(
    "transform",
    [
        lambda batch: None,
        lambda batch: batch[1:],
        lambda batch: batch.sum(),
        lambda batch: [*batch],
    ],
)
def test_a_transform_that_gives_no_batch_is_refused(transform: Callable[[Tensor], Any]) -> None:
    with pytest.raises(VAEAugmentError, match=r"The transform made a .* of 3 images, not as many"):
        augmented(transform).__getitems__(range(3))


@pytest.mark.parametrize("label", [torch.zeros(10), 2**70, "x", 1.5])
@pytest.mark.parametrize("is_composed", [False, True])
def test_labels_that_are_no_integers_are_refused(
    augment: VAEAugment, label: Any, is_composed: bool
) -> None:
    transform = VAEAugment(augment.model, labels_getter=second)
    data = AugmentedDataset(
        [(level(0), label)], v2.Compose([transform]) if is_composed else transform
    )  # type: ignore[arg-type]
    message = "labels|There is no class 'x'|The label 1.5 is no class index"
    with pytest.raises(VAEAugmentError, match=message):
        data[0]
    with pytest.raises(VAEAugmentError, match=message):
        transform(level(0), label)


def test_what_cannot_be_used_is_refused(tiny_model: VAEModel) -> None:
    augment = VAEAugment(tiny_model)
    partners = VAEAugment(tiny_model, mode="interpolation", labels_getter="default")
    for transform, seed, message in (
        (augment, -1, "seed is -1; it must lie in 0..2**64 - 1."),
        (v2.Compose([augment]), 0, "seed is 0, but the transform is a Compose, not a VAEAugment."),
        (
            partners,
            0,
            "seed is 0, but mode='interpolation' with a labels_getter takes partners from the "
            "batch, so items depend on the batch. Leave out one of the two.",
        ),
    ):
        with pytest.raises(VAEAugmentError) as caught:
            augmented(transform, seed=seed)
        assert str(caught.value) == message
    with pytest.raises(VAEAugmentError) as caught:
        AugmentedDataset([(torch.zeros(3), "x")], augment)[0]  # type: ignore[arg-type]
    assert str(caught.value) == (
        "AugmentedDataset found no image in an item, only Tensor, str. Give PIL images or "
        "tensors [..., C, H, W]."
    )
    with pytest.raises(IndexError):
        augmented(augment)[LENGTH]
