"""Guess the labels of many images from a few labelled ones, and train on them.

    python examples/pseudo_labels.py --updates 600

Of scikit-learn's digits, ten of each class keep their label. On the command line:
`vae-augment label FOLDER -o labelled.npz`, after which `vae-augment fit labelled.npz --conditional`
makes a generator of all of them.
"""

import argparse
from dataclasses import replace

import torch
from sklearn.linear_model import LogisticRegression

from vae_augment.evaluation import label_pool
from vae_augment.training import ImageData, load_data

LABELS_PER_CLASS = 10


def accuracy(train: ImageData, test: ImageData) -> float:
    """The accuracy, in percent, of a classifier of the labelled images."""
    labelled = train.subset((train.labels >= 0).nonzero()[:, 0])
    classifier = LogisticRegression(max_iter=2000)
    classifier.fit(labelled.images.flatten(1) / 255, labelled.labels)
    return 100 * classifier.score(test.images.flatten(1) / 255, test.labels)


def main() -> None:
    """Guess labels, and print how many are right and what they are worth."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--updates", type=int, default=600, help="6,000 for images of 28x28")
    options = parser.parse_args()

    truth = load_data("digits")
    labels = torch.full_like(truth.labels, -1)  # -1 = no label
    for digit in range(10):
        rows = (truth.labels == digit).nonzero()[:LABELS_PER_CLASS, 0]
        labels[rows] = digit
    few = replace(truth, labels=labels)

    guessed = label_pool(few, updates=options.updates)
    is_guessed = (few.labels < 0) & (guessed.labels >= 0)
    right = (guessed.labels == truth.labels)[is_guessed].float().mean()
    test = load_data("digits", train=False)
    print(f"{is_guessed.sum()} labels guessed, {100 * right:.1f} % of them right")
    print(f"accuracy by the given labels {accuracy(few, test):.1f} %")
    print(f"accuracy by the guessed too  {accuracy(guessed, test):.1f} %")


if __name__ == "__main__":
    main()
