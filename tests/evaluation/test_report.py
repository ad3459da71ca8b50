"""The table and the advice of a comparison."""

import numpy as np
import pytest

from vae_augment.evaluation.report import advise, detail_table, markdown
from vae_augment.evaluation.runs import Run

VAE = "thickness+affine+elastic+strong VAE"
USAGES = {VAE: "VAEAugment(MODEL, strength=3.0) after thickness, affine and elastic distortion"}
# All methods answer the same test images correctly, so that only repetitions widen an interval.
SAME = np.ones(200, dtype=bool)


def run(
    method: str, seed: int, accuracy: float, correct: np.ndarray = SAME, is_vae: bool = False
) -> Run:
    return Run(method, "pool" if is_vae else "none", seed, accuracy, 1.0, correct)


def runs(none: list[float], affine: list[float], vae: list[float]) -> list[Run]:
    found = []
    for method, values in (("none", none), ("affine", affine), (VAE, vae)):
        found += [
            run(method, seed, value, SAME, method == VAE) for seed, value in enumerate(values)
        ]
    return found


@pytest.mark.parametrize(
    ("vae", "first", "last"),
    [
        (
            [83.0, 84.1, 85.0],
            f"VAE augmentation helps on your data: {VAE}, +2.03 ± 0.23 points against affine.",
            "Use VAEAugment(MODEL, strength=3.0) after thickness, affine and elastic distortion.",
        ),
        (
            [79.0, 80.1, 81.0],
            f"VAE augmentation is harmful on your data: {VAE}, -1.97 ± 0.23",
            "Leave it out.",
        ),
        (
            [80.5, 83.0, 85.0],
            f"No measurable difference: {VAE}, +0.83 ± 4.94",
            "more repetitions or test images would narrow the interval.",
        ),
    ],
    ids=["helps", "harms", "neither"],
)
def test_advice_follows_from_the_interval(vae: list[float], first: str, last: str) -> None:
    text = advise(runs([70.0, 71.0, 72.0], [81.0, 82.0, 83.0], vae), USAGES)
    without, conclusion, how = text.splitlines()
    assert without == (
        "Without a VAE, affine was chosen most often: +11.00 ± 0.00 points against no augmentation."
    )
    assert conclusion.startswith(first)
    assert conclusion.endswith(last)
    assert how.startswith("In each repetition, the methods compared are those that did best in the")


def test_one_repetition_is_no_evidence() -> None:
    assert advise(runs([70.0], [81.0], [83.0]), USAGES) == (
        "One repetition cannot tell a gain from luck. Give more: --repetitions 3 (draws=3)."
    )


def test_without_a_method_with_a_vae_there_is_nothing_to_say_of_one() -> None:
    text = advise(runs([70.0, 71.0], [81.0, 82.0], []), USAGES)
    assert text.startswith("Without a VAE, affine was chosen most often")
    assert "VAE augmentation" not in text


def same_answers(right: list[int], images: int) -> str:
    """The advice where two repetitions share their test images, of which so many are right."""
    found = []
    for method, count in zip(("none", "affine", VAE), right, strict=True):
        correct = np.arange(images) < count
        accuracy = 100 * float(correct.mean())
        found += [run(method, seed, accuracy, correct, method == VAE) for seed in range(2)]
    return advise(found, USAGES)


def test_few_test_images_are_no_evidence() -> None:
    assert same_answers([15, 15, 10], 20) == (
        "20 test images cannot tell a gain from luck. Give at least 100 to test on."
    )


def test_the_interval_holds_what_other_test_images_would_change() -> None:
    # Both repetitions lose the same 3 of 200 images: -1.5 points, with a standard error of 0.86.
    expected = "-1.50 ± 1.68 points against no augmentation, in 2 repetitions."
    assert expected in same_answers([190, 190, 187], 200)
    assert f"harmful on your data: {VAE}, -10.00 ± 4.16" in same_answers([190, 190, 170], 200)


def test_advice_where_nothing_beats_no_augmentation() -> None:
    text = advise(runs([80.0, 81.0], [70.0, 71.0], [60.0, 61.0]), USAGES)
    assert text.startswith("Without a VAE, no augmentation was chosen most often.\n")
    assert "-20.00 ± 0.00 points against no augmentation" in text


def test_a_choice_that_loses_is_not_said_to_do_best() -> None:
    # Affine is chosen for the first two repetitions, where it loses.
    text = advise(runs([80.0, 80.0, 80.0], [79.0, 79.0, 82.0], [70.0, 70.0, 70.0]), USAGES)
    assert text.startswith("Without a VAE, affine was chosen most often: -0.67 ")


def test_the_table_is_paired_with_the_best_method_without_a_vae() -> None:
    found = runs([70.0, 71.0, 72.0], [71.0, 72.0, 73.0], [72.0, 74.0, 76.0])
    rows = [
        [cell.strip() for cell in row.split("|")[1:-1]] for row in detail_table(found).split("\n")
    ]
    assert rows[0] == ["accuracy, %", "mean", "sd", "minus affine, 95 %"]
    assert rows[2:] == [
        ["none", "71.00", "1.00", "-1.00 ± 0.00"],
        ["affine", "72.00", "1.00", "-"],
        [f"{VAE} (VAE: pool)", "74.00", "2.00", "+2.00 ± 2.48"],
    ]


def test_markdown_is_aligned() -> None:
    assert markdown(["a", "b"], [["long name", "1"]]).splitlines() == [
        "| a         |  b |",
        "| :-------- | -: |",
        "| long name |  1 |",
    ]
