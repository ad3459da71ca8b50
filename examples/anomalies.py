"""Find images that are unlike the training images.

    python examples/anomalies.py --epochs 60 --unseen 4

A VAE learns scikit-learn's digits, all but one of the ten. Its anomaly score then tells the digit
that it never saw from the others. On the command line: `vae-augment score MODEL DATA -o x.csv`.
"""

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory

from sklearn.metrics import roc_auc_score

from vae_augment import load
from vae_augment.exporters import export
from vae_augment.training import FitConfig, fit, load_data


def main() -> None:
    """Train without one digit, and print how well the score finds it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--unseen", type=int, default=4, help="the digit that is left out")
    options = parser.parse_args()

    train = load_data("digits")
    rows = (train.labels != options.unseen).nonzero()[:, 0]
    seen = train.subset(rows).without_empty_classes()
    config = FitConfig(network="conv-small", beta=0.2, epochs=options.epochs)
    with TemporaryDirectory() as folder:
        checkpoint = Path(folder, "digits.safetensors")
        fit(seen, checkpoint, config)
        export(checkpoint, Path(folder, "digits.onnx"))

        test = load_data("digits", train=False)
        scores = load(Path(folder, "digits.onnx")).anomaly_score(test.images)
    is_unseen = test.labels == options.unseen
    print(f"median score of seen digits    {scores[~is_unseen].median():.1f}")
    print(f"median score of unseen digits  {scores[is_unseen].median():.1f}")
    print(f"area under the ROC curve       {roc_auc_score(is_unseen, scores):.3f}")


if __name__ == "__main__":
    main()
