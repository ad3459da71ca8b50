"""The small classifiers: they learn, and repeat with their seeds."""

import torch

from vae_augment.evaluation.classifier import accuracy, small_cnn, strided_cnn, train_classifier
from vae_augment.training import ImageData
from vae_augment.training.data.image_data import to_float


def test_it_learns_and_repeats(digits: ImageData) -> None:
    images = to_float(digits.images[:300])
    labels = digits.labels[:300]
    one = train_classifier(images, labels, 10, updates=100, seed=4)
    two = train_classifier(images, labels, 10, updates=100, seed=4)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))
    assert accuracy(one, to_float(digits.images[300:600]), digits.labels[300:600]) > 60


def test_another_seed_trains_another_classifier(digits: ImageData) -> None:
    images = to_float(digits.images[:50])
    one, two = (train_classifier(images, digits.labels[:50], 10, updates=1, seed=s) for s in (0, 1))
    weights = [next(model.parameters()) for model in (one, two)]
    assert not torch.equal(*weights)


def test_another_network_can_be_trained(digits: ImageData) -> None:
    def linear(image_shape: tuple[int, int, int], classes: int) -> torch.nn.Module:
        return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, classes))

    images = to_float(digits.images[:50])
    found = train_classifier(images, digits.labels[:50], 10, updates=1, network=linear)
    assert [*found.state_dict()] == ["1.weight", "1.bias"]
    assert [*small_cnn((1, 8, 8), 10).state_dict()] != [*found.state_dict()]


def test_the_one_with_strides_learns_in_fewer_updates(digits: ImageData) -> None:
    images = to_float(digits.images)
    usual, quick = (
        train_classifier(
            images[:300],
            digits.labels[:300],
            10,
            updates=60,
            network=network,
            learning_rate=learning_rate,
        )
        for network, learning_rate in ((small_cnn, 1e-3), (strided_cnn, 2e-3))
    )
    accuracies = [accuracy(each, images[300:], digits.labels[300:]) for each in (usual, quick)]
    assert accuracies[1] > accuracies[0] + 5
