"""New images in each epoch, under trainers that call no `set_epoch`, the same everywhere."""

import itertools
import logging
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, multiprocessing, nn
from torch.utils.data import (
    ConcatDataset,
    DataLoader,
    Dataset,
    DistributedSampler,
    Subset,
    WeightedRandomSampler,
)
from torchdata.stateful_dataloader import StatefulDataLoader

from vae_augment import AugmentedDataset, MixedDataset, VAEAugment, VAESyntheticDataset
from vae_augment.datasets.seeded import SeededDataset, checked_index

LENGTH = 12
BATCH = 4
EPOCHS = 3
pytestmark = [
    pytest.mark.timeout(120),
    pytest.mark.filterwarnings("ignore:'set_vital' is deprecated:UserWarning"),  # by torchdata
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning"),
]


class Addresses(SeededDataset):
    """Items that say of which epoch they are."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__(seed)

    def __len__(self) -> int:
        return LENGTH

    def __getitems__(self, indices: Any) -> list[Tensor]:
        index = checked_index(indices, LENGTH)
        return [torch.tensor([float(self.epoch), place]) for place in index.tolist()]


class Wrapper(Dataset[Any]):
    def __init__(self, base: Any) -> None:
        self.base = base

    def __len__(self) -> int:
        return len(self.base)

    def __getitem__(self, index: int) -> Any:
        return self.base[index]


def epochs_in(batches: Iterable[Tensor]) -> list[int]:
    """The epochs of the items, each once."""
    rows = torch.cat(list(batches))
    return sorted({int(row[0]) for row in rows})


LOADERS: dict[str, dict[str, Any]] = {
    "no workers": {},
    "workers": {"num_workers": 2, "multiprocessing_context": "fork"},
    "spawned workers": {"num_workers": 1, "multiprocessing_context": "spawn"},
    "persistent workers": {
        "num_workers": 2,
        "persistent_workers": True,
        "multiprocessing_context": "fork",
    },
}
WRAPPERS: dict[str, Callable[[Any], Any]] = {
    "alone": lambda data: data,
    "Subset": lambda data: Subset(data, [*range(LENGTH)]),
    "ConcatDataset": lambda data: ConcatDataset([data]),
    "a wrapper of one's own": Wrapper,
    "both": lambda data: Wrapper(Subset(ConcatDataset([data]), [*range(LENGTH)])),
}


@pytest.mark.parametrize("workers", ["no workers", "workers", "persistent workers"])
@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_each_pass_of_a_loader_is_an_epoch(workers: str, wrapper: str) -> None:
    data = WRAPPERS[wrapper](Addresses())
    loader = DataLoader(data, BATCH, shuffle=True, **LOADERS[workers])
    assert [epochs_in(loader) for _ in range(EPOCHS)] == [[0], [1], [2]]


@pytest.mark.slow
def test_spawned_workers_see_the_epoch() -> None:
    loader = DataLoader(Addresses(), BATCH, **LOADERS["spawned workers"])
    assert [epochs_in(loader) for _ in range(EPOCHS)] == [[0], [1], [2]]


@pytest.mark.parametrize("workers", ["no workers", "workers", "persistent workers"])
def test_a_pass_that_was_broken_off_counts(workers: str) -> None:
    loader = DataLoader(Addresses(), BATCH, **LOADERS[workers])
    found = []
    for _ in range(EPOCHS):
        for batch in loader:
            found += epochs_in([batch])
            break
    assert found == [0, 1, 2]


@pytest.mark.parametrize("sampler", ["weighted", "distributed"])
def test_samplers_of_any_kind(sampler: str) -> None:
    data = Addresses()
    chosen: Any = (
        WeightedRandomSampler([1.0] * LENGTH, 30)
        if sampler == "weighted"
        else DistributedSampler(data, num_replicas=2, rank=1)
    )
    loader = DataLoader(data, BATCH, sampler=chosen)
    assert [epochs_in(loader) for _ in range(EPOCHS)] == [[0], [1], [2]]


def test_each_loader_counts_for_itself() -> None:
    data = Addresses()
    one = DataLoader(data, BATCH)
    other = DataLoader(data, BATCH)
    found = [epochs_in(loader)[0] for loader in (one, one, other, one, other)]
    assert found == [0, 1, 0, 2, 1]


@pytest.mark.parametrize("workers", ["no workers", "persistent workers"])
def test_loaders_may_take_turns(workers: str) -> None:
    data = Addresses()
    one = DataLoader(data, BATCH, **LOADERS[workers])
    other = DataLoader(data, BATCH, **LOADERS[workers])
    list(one)
    pairs = list(zip(one, other, strict=True))
    assert epochs_in(first for first, _ in pairs) == [1]
    assert epochs_in(second for _, second in pairs) == [0]
    batches = iter(one)
    next(batches)
    list(DataLoader(data, BATCH))  # a look at the data in the middle of an epoch
    assert epochs_in(batches) == [2]


def test_by_hand_an_item_is_that_of_the_latest_pass() -> None:
    data = Addresses()
    assert (data.epoch, int(data[0][0]), int(data[0][0])) == (0, 0, 0)
    loader = DataLoader(data, BATCH)
    list(loader)
    list(loader)
    assert (data.epoch, int(data[0][0]), int(data[0][0])) == (1, 1, 1)


@pytest.mark.parametrize("workers", ["no workers", "workers", "persistent workers"])
def test_set_epoch_stays_in_charge(workers: str) -> None:
    data = Addresses()
    loader = DataLoader(data, BATCH, **LOADERS[workers])
    assert epochs_in(loader) == [0]
    for epoch in (7, 7, 3):
        data.set_epoch(epoch)
        assert epochs_in(loader) == [epoch]
    assert epochs_in(loader) == [3]
    assert epochs_in(DataLoader(data, BATCH)) == [3]


def test_set_epoch_reaches_workers_that_run() -> None:
    data = Addresses()
    loader = DataLoader(data, 1, prefetch_factor=1, **LOADERS["persistent workers"])
    batches = iter(loader)
    next(batches)
    data.set_epoch(5)
    assert epochs_in(itertools.islice(batches, 4, None)) == [5]


@pytest.mark.parametrize("workers", ["no workers", "workers"])
@pytest.mark.parametrize("taken", [1, 3])
def test_a_resumed_loader_goes_on_in_its_epoch(workers: str, taken: int) -> None:
    def loader() -> StatefulDataLoader:
        return StatefulDataLoader(Addresses(), batch_size=BATCH, **LOADERS[workers])

    running = loader()
    assert epochs_in(running) == [0]
    batches = iter(running)
    for _ in range(taken):
        next(batches)
    state = running.state_dict()
    resumed = loader()
    resumed.load_state_dict(state)
    rest = list(resumed)
    assert len(rest) == LENGTH // BATCH - taken
    assert not rest or epochs_in(rest) == [1]
    assert epochs_in(resumed) == [2]


def test_a_state_loaded_by_hand_is_gone_on_from() -> None:
    data = Addresses()
    data.load_state_dict({"seed": 0, "epoch": 4})
    loader = DataLoader(data, BATCH)
    assert [epochs_in(loader) for _ in range(2)] == [[4], [5]]
    assert data.state_dict() == {"seed": 0, "epoch": 5}


def passes_in_rank(rank: int, data: Addresses, found: Any) -> None:
    loader = DataLoader(data, BATCH, sampler=DistributedSampler(data, 2, rank))
    found.put((rank, [epochs_in(loader) for _ in range(EPOCHS)]))


@pytest.mark.parametrize("method", ["fork", pytest.param("spawn", marks=pytest.mark.slow)])
def test_ranks_agree_and_count_for_themselves(method: str) -> None:
    data = Addresses()
    assert epochs_in(DataLoader(data, BATCH)) == [0]
    context = multiprocessing.get_context(method)
    found = context.Queue()
    ranks = [context.Process(target=passes_in_rank, args=(rank, data, found)) for rank in range(2)]
    for rank in ranks:
        rank.start()
    results = dict(found.get(timeout=60) for _ in ranks)
    for rank in ranks:
        rank.join()
    assert results == {0: [[0], [1], [2]], 1: [[0], [1], [2]]}
    assert data.epoch == 0


@pytest.mark.parametrize("workers", ["no workers", "persistent workers"])
def test_our_datasets_show_new_images_and_repeat_them(workers: str, tiny_model_path: Path) -> None:
    synthetic = VAESyntheticDataset(tiny_model_path, LENGTH, seed=1)
    augment = VAEAugment(tiny_model_path, p=1.0)
    augmented = AugmentedDataset(synthetic, augment, seed=2)
    mixed = MixedDataset(augmented, VAESyntheticDataset(tiny_model_path, LENGTH, seed=3))
    loader = DataLoader(mixed, BATCH, **LOADERS[workers])
    passes = [torch.cat([images for images, _ in loader]) for _ in range(EPOCHS)]
    assert len({tuple(images.flatten().tolist()) for images in passes}) == EPOCHS
    for epoch, images in enumerate(passes):
        mixed.set_epoch(epoch)
        by_hand = torch.stack([mixed[index][0] for index in range(len(mixed))])
        torch.testing.assert_close(images, by_hand, atol=1e-6, rtol=0)


# Trainers of other libraries


def lightning_epochs(loader: DataLoader[Any], *callbacks: Any) -> list[list[int]]:
    import lightning

    class Module(lightning.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(2, 1)
            self.found: list[list[Tensor]] = [[] for _ in range(EPOCHS)]

        def training_step(self, batch: Tensor, index: int) -> Tensor:
            self.found[self.current_epoch].append(batch)
            return self.layer(batch).mean()

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), 0.0)

    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    module = Module()
    trainer = lightning.Trainer(
        max_epochs=EPOCHS,
        callbacks=list(callbacks),
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of few batches and workers
        trainer.fit(module, loader)
    return [epochs_in(batches) for batches in module.found]


@pytest.mark.parametrize("workers", ["no workers", "workers", "persistent workers"])
def test_lightning(workers: str) -> None:
    pytest.importorskip("lightning")
    data = Addresses()
    for _ in range(2):  # another Trainer with the same dataset, from the start
        loader = DataLoader(data, BATCH, **LOADERS[workers])
        assert lightning_epochs(loader) == [[0], [1], [2]]


@pytest.mark.parametrize("workers", ["no workers", "persistent workers"])
def test_lightning_with_a_callback(workers: str) -> None:
    lightning = pytest.importorskip("lightning")

    class SetEpoch(lightning.Callback):
        def on_train_epoch_start(self, trainer: Any, module: Any) -> None:
            trainer.train_dataloader.dataset.set_epoch(trainer.current_epoch)

    data = Addresses()
    lightning_epochs(DataLoader(data, BATCH))
    loader = DataLoader(data, BATCH, **LOADERS[workers])
    assert lightning_epochs(loader, SetEpoch()) == [[0], [1], [2]]


@pytest.mark.parametrize("workers", ["no workers", "persistent workers"])
def test_accelerate(workers: str) -> None:
    accelerate = pytest.importorskip("accelerate")
    loader = DataLoader(Addresses(), BATCH, shuffle=True, **LOADERS[workers])
    prepared = accelerate.Accelerator(cpu=True).prepare(loader)
    assert [epochs_in(prepared) for _ in range(EPOCHS)] == [[0], [1], [2]]


@pytest.mark.parametrize("workers", ["no workers", "persistent workers"])
def test_ignite(workers: str) -> None:
    engines = pytest.importorskip("ignite.engine")
    found: list[list[Tensor]] = [[] for _ in range(EPOCHS)]
    engine = engines.Engine(lambda engine, batch: found[engine.state.epoch - 1].append(batch))
    engine.run(DataLoader(Addresses(), BATCH, **LOADERS[workers]), max_epochs=EPOCHS)
    assert [epochs_in(batches) for batches in found] == [[0], [1], [2]]
