"""VAESyntheticDataset: item i is a function of (seed, epoch, i), whatever fetches it."""

import copy
import os
import pickle
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import ConcatDataset, DataLoader, Subset
from torch.utils.data.distributed import DistributedSampler
from torchdata.stateful_dataloader import StatefulDataLoader
from torchvision.transforms import v2

from tests.helpers import count_runs
from vae_augment import VAEAugmentError, VAEModel, VAESyntheticDataset, load

LENGTH = 600
pytestmark = [
    pytest.mark.timeout(60),
    pytest.mark.filterwarnings(
        "ignore:This DataLoader will create:UserWarning"
    ),  # with fewer processors than workers
    pytest.mark.filterwarnings(
        "ignore:'set_vital' is deprecated:UserWarning"
    ),  # torchdata calls it
]


@pytest.fixture(scope="module")
def model(tiny_model_path: Path) -> VAEModel:
    return load(tiny_model_path)


@pytest.fixture(scope="module")
def data(model: VAEModel) -> VAESyntheticDataset:
    return VAESyntheticDataset(model, LENGTH, labels={0: 1, 3: 2, 7: 1})


@pytest.fixture(scope="module")
def expected(data: VAESyntheticDataset) -> tuple[Tensor, Tensor]:
    """Every item, fetched one by one."""
    images, labels = zip(*(data[index] for index in range(LENGTH)), strict=True)
    return torch.stack(images), torch.tensor(labels)


def joined(batches: Iterator[Any]) -> tuple[Tensor, Tensor]:
    images, labels = zip(*batches, strict=True)
    return torch.cat(images), torch.cat(labels)


def assert_same(
    given: tuple[Tensor, Tensor], wanted: tuple[Tensor, Tensor], order: Sequence[int]
) -> None:
    assert torch.equal(given[0], wanted[0][order])
    assert torch.equal(given[1], wanted[1][order])


IN_ORDER = list(range(LENGTH))
SHUFFLED = torch.randperm(LENGTH, generator=torch.Generator().manual_seed(0)).tolist()


@pytest.mark.parametrize("order", [IN_ORDER, SHUFFLED], ids=["in order", "shuffled"])
@pytest.mark.parametrize("workers", [0, 1, 4])
@pytest.mark.parametrize("batch_size", [1, 7, 256])
def test_the_same_bytes_for_any_batch_size_worker_count_and_order(
    data: VAESyntheticDataset,
    expected: tuple[Tensor, Tensor],
    batch_size: int,
    workers: int,
    order: list[int],
) -> None:
    context = "fork" if workers else None
    loader = DataLoader(
        data,
        batch_size=batch_size,
        sampler=order,
        num_workers=workers,
        multiprocessing_context=context,
        timeout=30 * bool(workers),
    )
    assert_same(joined(iter(loader)), expected, order)


def test_the_same_bytes_under_two_ranks(
    data: VAESyntheticDataset, expected: tuple[Tensor, Tensor]
) -> None:
    seen = []
    for rank in range(2):
        sampler = DistributedSampler(data, num_replicas=2, rank=rank, seed=3)
        sampler.set_epoch(1)
        order = list(sampler)
        assert_same(joined(iter(DataLoader(data, batch_size=7, sampler=sampler))), expected, order)
        seen += order
    assert sorted(seen) == IN_ORDER


@pytest.mark.parametrize("workers", [0, 2])
def test_a_resumed_loader_goes_on_where_it_stopped(model: VAEModel, workers: int) -> None:
    def loader(data: VAESyntheticDataset) -> StatefulDataLoader:
        context = "fork" if workers else None
        return StatefulDataLoader(
            data, batch_size=10, num_workers=workers, multiprocessing_context=context
        )

    data = VAESyntheticDataset(model, 60)
    data.set_epoch(3)
    running = loader(data)
    batches = iter(running)
    for _ in range(2):
        next(batches)
    state = pickle.loads(pickle.dumps(running.state_dict()))
    wanted = joined(batches)
    again = VAESyntheticDataset(model, 60)
    resumed = loader(again)
    resumed.load_state_dict(state)
    given = joined(iter(resumed))
    assert torch.equal(given[0], wanted[0])
    assert torch.equal(given[1], wanted[1])
    assert again.state_dict() == {"seed": 0, "epoch": 3}


def test_the_state_of_another_seed_is_refused(model: VAEModel) -> None:
    state = VAESyntheticDataset(model, 10, seed=1).state_dict()
    with pytest.raises(VAEAugmentError) as caught:
        VAESyntheticDataset(model, 10, seed=2).load_state_dict(state)
    assert str(caught.value) == "The state is of seed 1, but this dataset has seed 2."


def test_seeds_and_epochs_give_other_images_and_the_same_labels(model: VAEModel) -> None:
    def first(seed: int, epoch: int) -> tuple[Tensor, Tensor]:
        data = VAESyntheticDataset(model, 50, seed=seed)
        data.set_epoch(epoch)
        return next(data.batches(50))

    images = torch.stack([first(*address)[0] for address in ((0, 0), (1, 0), (0, 1), (1, 1))])
    assert len(images.flatten(0, 1).unique(dim=0)) == 200
    assert torch.equal(first(0, 0)[1], first(0, 1)[1])
    assert torch.equal(first(0, 1)[0], images[2])


def test_batches_give_all_items_in_order(
    data: VAESyntheticDataset, expected: tuple[Tensor, Tensor]
) -> None:
    sizes = [len(labels) for _, labels in data.batches(256)]
    assert sizes == [256, 256, 88]
    assert_same(joined(data.batches(256)), expected, IN_ORDER)


def test_a_sample_is_what_the_dataset_gives(data: VAESyntheticDataset, model: VAEModel) -> None:
    images, labels = model.sample(20, labels={0: 1, 3: 2, 7: 1})
    assert torch.equal(images, next(data.batches(20))[0])
    assert torch.equal(labels, data.targets[:20])


def test_a_large_sample_reaches_the_model_in_parts(
    model: VAEModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = count_runs(model, monkeypatch)
    images, labels = model.sample(2600, seed=3)
    assert runs == [1024, 1024, 552]
    whole = VAESyntheticDataset(model, 2600, seed=3)
    assert torch.equal(images, next(whole.batches(2600))[0])
    assert torch.equal(labels, whole.targets)


def test_batched_fetching_reaches_the_model_in_one_call(
    data: VAESyntheticDataset, model: VAEModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = count_runs(model, monkeypatch)
    next(iter(DataLoader(Subset(data, range(100)), batch_size=64)))
    assert runs == [64]


def test_outputs(model: VAEModel) -> None:
    float_, uint8, pil = (
        VAESyntheticDataset(model, 5, output=output) for output in ("float", "uint8", "pil")
    )
    image, label = float_[1]
    assert (image.dtype, image.shape, type(label), label) == (torch.float32, (1, 8, 8), int, 1)
    assert 0 <= image.min() < image.max() <= 1
    assert torch.equal(uint8[1][0], v2.functional.to_dtype(image, torch.uint8, scale=True))
    assert isinstance(pil[1][0], Image.Image)
    assert (pil[1][0].mode, pil[1][0].size) == ("L", (8, 8))
    assert torch.equal(v2.functional.pil_to_tensor(pil[1][0]), uint8[1][0])


def test_transforms_are_applied_as_torchvision_does(model: VAEModel) -> None:
    data = VAESyntheticDataset(
        model,
        5,
        output="pil",
        transform=lambda image: image.size,
        target_transform=lambda label: -label,
    )
    assert data[3] == ((8, 8), -3)
    batched = VAESyntheticDataset(model, 5, transform=v2.Normalize([0.5], [0.5]))
    assert next(batched.batches(5))[0].min() < 0


def test_attributes_are_as_torchvisions(model: VAEModel) -> None:
    data = VAESyntheticDataset(model, 25)
    assert data.classes == [str(digit) for digit in range(10)]
    assert data.class_to_idx == {str(digit): digit for digit in range(10)}
    assert data.targets.tolist() == [data[index][1] for index in range(25)]
    assert len(data) == 25
    assert repr(data) == (
        "VAESyntheticDataset('digits', length=25, labels='balanced', seed=0, output='float', "
        "provider='cpu')"
    )


def test_indices_wrap_and_end_as_a_lists_do(model: VAEModel) -> None:
    data = VAESyntheticDataset(model, 5)
    assert torch.equal(data[-1][0], data[4][0])
    assert len(list(data)) == 5  # a for loop ends by IndexError
    for index in (5, -6):
        with pytest.raises(IndexError) as caught:
            data[index]
        assert str(caught.value) == f"index {index} is out of range for 5 items"


@pytest.mark.parametrize("index", [2.5, "3", True, None, [3], slice(0, 2), 10**30])
def test_what_is_no_index_is_refused(model: VAEModel, index: Any) -> None:
    data = VAESyntheticDataset(model, 5)
    with pytest.raises(VAEAugmentError, match="give integers"):
        data[index]
    with pytest.raises(VAEAugmentError, match="give integers"):
        data.__getitems__(np.array([True, False]))  # type: ignore[arg-type]
    assert data.__getitems__([]) == []


def test_a_copy_and_a_pickle_keep_the_epoch_and_share_a_new_one(model: VAEModel) -> None:
    data = VAESyntheticDataset(model, 5)
    data.set_epoch(4)
    for same in (copy.deepcopy(data), pickle.loads(pickle.dumps(data))):
        assert torch.equal(same[0][0], data[0][0])
        loader = DataLoader(
            same,
            batch_size=5,
            num_workers=1,
            multiprocessing_context="fork",
            persistent_workers=True,
        )
        next(iter(loader))
        same.set_epoch(9)
        images, _ = next(iter(loader))
        assert torch.equal(images[0], same[0][0])
    assert data.state_dict() == {"seed": 0, "epoch": 4}


def test_concatenation_works_item_by_item(
    data: VAESyntheticDataset, expected: tuple[Tensor, Tensor]
) -> None:
    assert torch.equal(ConcatDataset([data, data])[LENGTH + 3][0], expected[0][3])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"length": 0}, "length is 0; it must lie in 1..2**63 - 1."),
        ({"length": 2**63}, "length is 9223372036854775808; it must lie in 1..2**63 - 1."),
        ({"seed": -1}, "seed is -1; it must lie in 0..2**64 - 1."),
        ({"seed": 2.0}, "seed is 2.0; it must be an integer."),
        ({"seed": None}, "seed is None; it must be an integer."),
        ({"length": 2.5}, "length is 2.5; it must be an integer."),
        (
            {"labels": {0: 1e308, 1: 1e308}},
            "The class weights are {0: 1e+308, 1: 1e+308}; they must be at least 0, with a finite "
            "sum above 0.",
        ),
        ({"labels": {0: "much"}}, "weight is 'much'; it must be a number."),
        ({"keys": {"image", "label"}}, None),
        ({"output": "numpy"}, "output is 'numpy'; choose one of float, uint8, pil."),
        (
            {"labels": "ten"},
            "There is no class 'ten'; there are 0..9: 0, 1, 2, 3, 4, 5, 6, 7, 8, 9.",
        ),
    ],
)
def test_what_cannot_be_used_is_refused_when_built(
    model: VAEModel, arguments: dict[str, Any], message: str | None
) -> None:
    with pytest.raises(VAEAugmentError) as caught:
        VAESyntheticDataset(**({"model": model, "length": 5} | arguments))
    if message is not None:  # a set is written in any order
        assert str(caught.value) == message


def test_an_epoch_that_is_none_is_refused_and_changes_nothing(model: VAEModel) -> None:
    data = VAESyntheticDataset(model, 5)
    for epoch in (2.5, "1", True):
        with pytest.raises(VAEAugmentError, match=f"^epoch is {epoch!r}; it must be an integer.$"):
            data.set_epoch(epoch)
    assert data.epoch == 0
    data.set_epoch(np.int64(3))
    assert data.epoch == 3


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counts descriptors in /proc")
def test_a_thousand_datasets_take_few_file_descriptors(model: VAEModel) -> None:
    before = len(os.listdir("/proc/self/fd"))
    many = [VAESyntheticDataset(model, 5) for _ in range(1000)]
    assert len(os.listdir("/proc/self/fd")) - before < 20
    for epoch, data in enumerate(many):
        data.set_epoch(epoch)
    assert [data.epoch for data in many] == list(range(1000))
    assert len(pickle.dumps(many[0])) < 4_000


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_dataset_made_in_a_forked_child_has_an_epoch_of_its_own(model: VAEModel) -> None:
    VAESyntheticDataset(model, 5)
    child = os.fork()
    if child == 0:
        VAESyntheticDataset(model, 5).set_epoch(9)
        os._exit(0)
    os.waitpid(child, 0)
    assert [VAESyntheticDataset(model, 5).epoch for _ in range(300)] == [0] * 300


def test_what_cannot_be_used_later(model: VAEModel) -> None:
    with pytest.raises(VAEAugmentError, match=r"^epoch is -1; it must lie in 0\.\.2\*\*29 - 1\.$"):
        VAESyntheticDataset(model, 5).set_epoch(-1)
    with pytest.raises(VAEAugmentError, match=r"^The batch size is 0; it must be at least 1\.$"):
        next(VAESyntheticDataset(model, 5).batches(0))
    with pytest.raises(
        VAEAugmentError, match=r"^batches\(\) gives tensors; choose output='float' or 'uint8'\.$"
    ):
        next(VAESyntheticDataset(model, 5, output="pil").batches(2))
