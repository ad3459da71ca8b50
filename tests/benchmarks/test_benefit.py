"""The study of benefit: draws, methods, processes, the result file and its tables."""

import json
import math
import os
import signal
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch

from benchmarks.benefit import pool_methods
from benchmarks.benefit.draws import Budget, Parts, StudyDraw, balanced_accuracy
from benchmarks.benefit.methods import Duplicate, oversampled, with_extra
from benchmarks.benefit.pool_methods import (
    Answers,
    Guessed,
    Teacher,
    pseudo_labelled,
    shared_features,
    surest_images,
)
from benchmarks.benefit.regimes import (
    REGIMES,
    Methods,
    Regime,
    everything,
    few_labels,
    long_tail,
    with_shared,
)
from benchmarks.benefit.results import Results, check_results, key_of, read_results
from benchmarks.benefit.runs import facts, measure, plan, settings
from vae_augment.errors import InputError, VAEAugmentError
from vae_augment.evaluation.classifier import Batch, accuracy, percent_correct
from vae_augment.evaluation.experiment import Draw, Method, Run, run_method
from vae_augment.evaluation.pseudo_labels import (
    contrastive_features,
    contrastive_loss,
    smoothed,
    spread_labels,
    train_teacher,
)
from vae_augment.evaluation.report import best_classical, detail_table, estimate, markdown, paired
from vae_augment.evaluation.splits import Source, held_out_per_class
from vae_augment.training import ImageData
from vae_augment.training.data.image_data import to_float
from vae_augment.transforms.distortions import flip_shift

TINY = Budget(updates=2, effort=0.001)
FACTS = facts("a test", "cpu", workers=1)


def rows(data: ImageData) -> set[bytes]:
    return {image.numpy().tobytes() for image in data.images}


def make_draw(data: ImageData, per_class: int = 5) -> StudyDraw:
    split = few_labels(data, 0, per_class, pool=True)
    return study_draw(split, data)


def study_draw(split: Parts, test: ImageData, seed: int = 0) -> StudyDraw:
    return StudyDraw(
        split.labelled,
        test,
        seed,
        split.pool,
        updates=TINY.updates,
        extra=split.extra,
        effort=TINY.effort,
    )


def make_run(method: str = "none", draw: int = 0, percent: float = 50.0, **changed: object) -> Run:
    return replace(
        Run("10 labels", "mnist", method, "classical", "none", draw, 5000, percent, 1.0), **changed
    )


def test_an_interval_is_that_of_students_t() -> None:
    found = estimate([1.0, 2.0, 3.0])
    assert found.mean == 2
    assert math.isclose(found.half_width, 4.302653 / 3**0.5, rel_tol=1e-6)
    assert str(found) == "+2.00 ± 2.48"


def test_one_draw_has_no_interval() -> None:
    assert estimate([1.0]).half_width == math.inf
    assert str(estimate([-1.0])) == "-1.00"


def test_differences_are_paired_by_draw() -> None:
    found = paired({0: 10.0, 1: 30.0, 2: 99.0}, {1: 29.0, 0: 9.0, 7: 0.0})
    assert found is not None
    assert (found.mean, found.half_width, found.draws) == (1.0, 0.0, 2)
    assert paired({0: 1.0}, {1: 1.0}) is None


def test_parts_of_a_draw_are_apart(digits: ImageData) -> None:
    split = few_labels(digits, 3, 4, pool=True)
    assert split.labelled.labels.bincount().tolist() == [4] * 10
    assert split.pool is not None
    assert split.extra is not None
    assert split.extra.labels.bincount().tolist() == [40] * 10
    assert set(split.pool.labels.tolist()) == {-1}
    assert len(split.pool) == len(digits) - 40
    assert not rows(split.labelled) & rows(split.extra)
    assert not rows(split.labelled) & rows(split.pool)


def test_a_draw_is_a_function_of_its_seed(digits: ImageData) -> None:
    one, same, other = (few_labels(digits, seed, 4).labelled for seed in (0, 0, 1))
    assert torch.equal(one.images, same.images)
    assert not torch.equal(one.images, other.images)


def test_too_few_images_for_the_labels(digits: ImageData) -> None:
    with pytest.raises(
        InputError, match=r"class '\d' has \d+ images to train on, fewer than 500 labels per class"
    ):
        few_labels(digits, 0, 500)


def test_long_tail_falls_from_1000_to_10() -> None:
    labels = torch.arange(10).repeat_interleave(1200)
    data = ImageData("d", labels[:, None, None, None].to(torch.uint8), labels, tuple("0123456789"))
    one, other = long_tail(data, 0), long_tail(data, 1)
    sizes = one.labelled.labels.bincount().tolist()
    assert sorted(sizes, reverse=True) == [1000, 599, 359, 215, 129, 77, 46, 28, 17, 10]
    assert other.labelled.labels.bincount().tolist() != sizes
    assert one.extra is not None
    assert (one.extra.labels.bincount(minlength=10) + torch.tensor(sizes)).tolist() == [1000] * 10


def test_held_out_images_are_a_share_of_each_class(digits: ImageData) -> None:
    train, test = held_out_per_class(digits, 0.2, 0)
    assert not rows(train) & rows(test)
    assert len(train) + len(test) == len(digits)
    assert ((test.labels.bincount() / digits.labels.bincount()) - 0.2).abs().max() < 0.01


def test_oversampling_and_extra_images(digits: ImageData) -> None:
    draw = make_draw(digits)
    rare = draw.labelled.subset(torch.tensor([0, 1, 2, 5, 10, 15, 20, 25, 30, 35, 40, 45]))
    images, labels = oversampled(replace(draw, labelled=rare))
    assert labels.bincount().tolist() == [3] * 10
    assert len(images[labels == 1].unique(dim=0)) == 1
    assert with_extra(draw)[1].bincount().tolist() == [55] * 10


def test_flip_and_shift_move_whole_pixels() -> None:
    image = torch.zeros(1, 1, 28, 28)
    image[..., 10:18, 12:15] = torch.tensor([0.2, 0.4, 0.6])
    out = flip_shift(image.expand(200, -1, -1, -1))
    assert len(out.mul(1000).round().unique(dim=0)) > 30  # of 5 x 5 shifts, mirrored or not
    torch.testing.assert_close(out.sum((1, 2, 3)), image.sum().expand(200))


def test_balanced_accuracy_counts_classes_alike() -> None:
    labels = torch.tensor([0] * 8 + [1] * 2)
    assert percent_correct(labels == 0, labels) == pytest.approx(80)
    assert balanced_accuracy(labels == 0, labels) == pytest.approx(50)


def test_what_methods_share_is_made_once(digits: ImageData) -> None:
    made = []
    draw = make_draw(digits)

    def make(of: Draw) -> int:
        made.append(of)
        return 7

    assert [draw.once(make), draw.once(make)] == [7, 7]
    assert made == [draw]


def test_a_method_is_scored_whatever_it_trains(
    digits: ImageData, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw = make_draw(digits)
    plain = run_method(Method("a"), draw, "r", "d")
    guessed = run_method(
        Guessed("b", guess=lambda draw: Answers(torch.zeros(0), 40)), draw, "r", "d"
    )
    assert (guessed.accuracy, guessed.updates) == (plain.accuracy, 42)
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10)).eval()
    monkeypatch.setattr(pool_methods, "teacher", lambda draw: (model, 9))
    trained = run_method(Teacher("c"), draw, "r", "d")
    assert trained.accuracy == pytest.approx(accuracy(model, *draw.on_device(draw.test)), abs=1e-4)
    assert trained.updates == 9


def test_another_seed_trains_another_classifier(digits: ImageData) -> None:
    draw = replace(make_draw(digits), updates=1)
    models = [method.train(draw)[0] for method in (Method("a"), Method("b"), Duplicate("c"))]
    assert torch.equal(models[0][0].weight, models[1][0].weight)
    assert not torch.equal(models[0][0].weight, models[2][0].weight)


@pytest.mark.parametrize("regime", REGIMES, ids=[regime.name for regime in REGIMES])
def test_every_method_of_every_regime_runs(regime: Regime, tmp_path: Path) -> None:
    # with a pool, a teacher that gives more than one answer
    budget = replace(TINY, effort=0.005) if regime.name == "10 labels + pool" else TINY
    results = Results(tmp_path / "r.json", FACTS, settings(budget))
    measure(plan([regime], [Source("digits")], [0], budget, results), results)
    assert [run.method for run in results.runs] == [
        method.name for method in regime.methods("digits")
    ]
    teacher = 30  # a two hundredth of the usual 6,000 updates
    assert [run.updates for run in results.runs] == (
        [teacher, teacher + 2, teacher + 2]
        if regime.name == "10 labels + pool"
        else [2] * len(results.runs)
    )
    assert len({run.accuracy for run in results.runs}) > len(results.runs) / 3
    check_results(json.loads((tmp_path / "r.json").read_text()))


def test_only_the_long_tail_is_scored_by_class() -> None:
    assert [regime.name for regime in REGIMES if regime.metric is balanced_accuracy] == [
        "long tail"
    ]


def test_garments_have_a_method_of_their_own() -> None:
    names = [method.name for method in REGIMES[0].methods("fashion-mnist")]
    assert "flip+shift" in names
    assert "flip+shift" not in [method.name for method in REGIMES[0].methods("mnist")]


def run_of(regime: str, method: str, trained_on: str) -> Run:
    return Run(regime, "digits", method, "classical", trained_on, 0, 2, 90.0, 1.0)


def test_a_regime_lends_its_methods_without_a_vae() -> None:
    lent, kept, own = (
        run_of("10 labels", "none", "none"),
        run_of("10 labels", "VAE only", "labelled only"),
        run_of("10 labels + pool", "x", "pool"),
    )
    assert with_shared([lent, kept]) == [lent, kept], "nothing was measured in B"
    assert with_shared([lent, kept, own]) == [
        replace(lent, regime="10 labels + pool"),
        lent,
        kept,
        own,
    ]


def lender(regime: Regime) -> Regime:
    return next(other for other in REGIMES if other.name == regime.like)


def test_lent_methods_are_trained_on_the_same_images(digits: ImageData) -> None:
    for regime in REGIMES:
        if regime.like:
            ours, theirs = (which.split(digits, 3).labelled for which in (regime, lender(regime)))
            assert torch.equal(ours.images, theirs.images)


def test_the_surest_images_of_each_class_are_kept(digits: ImageData) -> None:
    draw = make_draw(digits)
    count = len(draw.with_pool)
    answers = torch.eye(10)[torch.arange(count) % 10] * torch.linspace(0.5, 1, count)[:, None]

    def guess(draw: Draw) -> Answers:
        return Answers(answers, 7)

    kept = surest_images(draw, guess)
    assert torch.equal(kept.labels.bincount(), (0.95 * guessed_counts(draw, count)).round().long())
    assert rows(draw.labelled) <= rows(kept), "a labelled image was left out"
    images, labels = pseudo_labelled(draw, guess)
    assert torch.equal(images, to_float(kept.images))
    assert torch.equal(labels, kept.labels)


def guessed_counts(draw: Draw, count: int) -> torch.Tensor:
    return torch.cat([draw.labelled.labels, torch.arange(50, count) % 10]).bincount().double()


def test_labels_spread_within_clusters() -> None:
    centres = torch.nn.functional.normalize(
        torch.randn(3, 16, generator=torch.Generator().manual_seed(0)), dim=1
    )
    truth = torch.arange(90) % 3
    features = centres[truth] + 0.05 * torch.randn(
        90, 16, generator=torch.Generator().manual_seed(1)
    )
    found = spread_labels(features, truth[:3], 3)
    assert torch.equal(found.argmax(1), truth)
    torch.testing.assert_close(found.sum(1), torch.ones(90))


def test_smoothing_follows_the_neighbours() -> None:
    truth = torch.arange(60) % 3
    features = torch.eye(3)[truth] + 0.01 * torch.randn(
        60, 3, generator=torch.Generator().manual_seed(0)
    )
    answers = torch.eye(3)[truth]
    answers[:3] = answers[:3].roll(1, 0)
    assert torch.equal(smoothed(features, answers).argmax(1), truth)


def test_contrastive_loss_is_least_for_pairs_that_agree() -> None:
    one = torch.eye(6)
    assert contrastive_loss(torch.cat([one, one])) < contrastive_loss(
        torch.cat([one, one.roll(1, 0)])
    )


def test_contrastive_features_tell_images_apart(digits: ImageData) -> None:
    images = digits.images[:200].float() / 255
    features = contrastive_features(images, 2, seed=0)
    torch.testing.assert_close(features.norm(dim=1), torch.ones(200))
    assert torch.equal(features, contrastive_features(images, 2, seed=0))


def test_draws_of_the_same_images_share_their_features(digits: ImageData) -> None:
    order = sorted(
        range(len(digits)), key=lambda index: digits.images[index].numpy().tobytes()[::-1]
    )
    trained = contrastive_features(to_float(digits.images[torch.tensor(order)]), 2, seed=0)
    expected = {
        digits.images[index].numpy().tobytes(): row
        for index, row in zip(order, trained, strict=True)
    }
    for seed in (0, 1):
        split = few_labels(digits, seed, 5, pool=True)
        draw = study_draw(split, digits, seed)
        for image, found in zip(
            draw.with_pool.images, shared_features(draw, updates=2), strict=True
        ):
            assert torch.equal(found, expected[image.numpy().tobytes()])


def test_a_teacher_learns_from_the_pool(digits: ImageData) -> None:
    draw = make_draw(digits, 2)
    train = partial(train_teacher, to_float(draw.with_pool.images), draw.real()[1], 10, seed=0)
    early, late = (
        accuracy(train(updates=updates), *draw.on_device(digits)) for updates in (1, 100)
    )
    assert late > early + 20


def quick_methods(data: str) -> tuple[Method, ...]:
    return QUICK_METHODS


QUICK_METHODS = (Method("none"), Method("again"), Method("luck"))
QUICK = Regime("Q", "for a test", everything, quick_methods)


def test_what_is_there_is_not_run_again(tmp_path: Path) -> None:
    path, sources = tmp_path / "r.json", [Source("digits")]
    results = Results(path, FACTS, settings(TINY))
    measure(plan([QUICK], sources, [0], TINY, results)[:1], results)
    kept = [replace(run, seconds=12.5) for run in results.runs[:2]]
    path.write_text(json.dumps(results.content | {"runs": [run.facts() for run in kept]}))

    again = Results(path, FACTS, settings(TINY))
    groups = plan([QUICK], sources, [0, 1], TINY, again)
    assert [[method.name for method in group.methods] for group in groups] == [
        ["luck"],
        ["none", "again", "luck"],
    ]
    measure(groups, again)
    assert again.runs[:2] == kept
    assert again.runs[2].accuracy == results.runs[2].accuracy
    assert len(read_results(path)["runs"]) == 6
    assert not plan([QUICK], sources, [0, 1], TINY, again)


def test_two_workers_do_what_one_does(tmp_path: Path) -> None:
    results = Results(None, FACTS, settings(TINY))
    groups = plan([QUICK], [Source("digits")], [0, 1], TINY, results)
    measure(groups, results, workers=2)
    here = [run for group in groups for run in group.runs()]
    assert {key_of(run): run.accuracy for run in results.runs} == pytest.approx(
        {key_of(run): run.accuracy for run in here}, abs=0.5
    )


def broken(draw: Draw) -> Batch:
    raise InputError(f"draw {draw.seed} is broken")


def deadly(draw: Draw) -> Batch:
    os.kill(os.getpid(), signal.SIGKILL)
    return draw.real()


def broken_methods(data: str) -> tuple[Method, ...]:
    return (Method("broken", images=broken),)


def deadly_methods(data: str) -> tuple[Method, ...]:
    return (Method("deadly", images=deadly),)


@pytest.mark.parametrize(
    ("methods", "error", "message"),
    [
        (broken_methods, InputError, "draw 0 is broken"),
        (deadly_methods, VAEAugmentError, "A worker died"),
    ],
)
def test_what_happens_to_a_worker_is_raised_here(
    methods: Methods, error: type[Exception], message: str
) -> None:
    results = Results(None, FACTS, settings(TINY))
    groups = plan([replace(QUICK, methods=methods)], [Source("digits")], [0], TINY, results)
    with pytest.raises(error, match=message):
        measure(groups, results, workers=2)


def test_a_regime_that_does_not_suit_the_data_is_an_error(digits: ImageData) -> None:
    results = Results(None, FACTS, settings(TINY))
    groups = plan(REGIMES[1:2], [Source("digits")], [0], replace(TINY, most_images=200), results)
    with pytest.raises(InputError, match="fewer than 100 labels per class"):
        measure(groups, results)


@pytest.mark.parametrize(
    ("budget", "named"),
    [
        (replace(TINY, updates=3), "updates 2, now 3"),
        (replace(TINY, effort=1.0), "effort 0.001, now 1.0"),
    ],
)
def test_other_settings_do_not_mix(tmp_path: Path, budget: Budget, named: str) -> None:
    Results(tmp_path / "r.json", FACTS, settings(TINY)).add(make_run())
    with pytest.raises(InputError, match=f"made with other settings: {named}"):
        Results(tmp_path / "r.json", FACTS, settings(budget))


def test_other_versions_do_not_mix(tmp_path: Path) -> None:
    Results(tmp_path / "r.json", FACTS, settings(TINY)).add(make_run())
    newer = FACTS | {"versions": FACTS["versions"] | {"torch": "99"}}
    with pytest.raises(InputError, match=r"torch '.*', now '99'"):
        Results(tmp_path / "r.json", newer, settings(TINY))


def test_a_file_reads_back_as_it_was(tmp_path: Path) -> None:
    results = Results(tmp_path / "new" / "r.json", FACTS, settings(TINY))
    for draw in range(3):
        results.add(make_run(draw=draw))
    assert Results(results.path, FACTS, settings(TINY)).runs == results.runs
    assert [file.name for file in (tmp_path / "new").iterdir()] == ["r.json"]
    assert (
        len(
            [
                line
                for line in (tmp_path / "new" / "r.json").read_text().splitlines()
                if '"method"' in line
            ]
        )
        == 3
    )


RUN = make_run().facts()


@pytest.mark.parametrize(
    ("runs", "message"),
    [
        ([{name: value for name, value in RUN.items() if name != "draw"}], "not whole"),
        ([RUN | {"more": 1}], "not whole"),
        ([RUN | {"accuracy": "high"}], "not whole"),
        ([RUN | {"accuracy": 100.1}], "out of range"),
        ([RUN | {"accuracy": math.nan}], "out of range"),
        ([RUN | {"kind": "magic"}], "no known kind"),
        ([RUN | {"trained_on": "the test images"}], "no known kind"),
        ([RUN, RUN | {"accuracy": 51.0}], "two runs"),
    ],
)
def test_a_file_that_is_not_whole_is_refused(
    tmp_path: Path, runs: list[object], message: str
) -> None:
    path = tmp_path / "r.json"
    path.write_text(json.dumps(FACTS | {"settings": {}, "runs": runs}))
    with pytest.raises(InputError, match=message):
        read_results(path)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"runs": []}'])
def test_another_file_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "r.json"
    path.write_text(text)
    with pytest.raises(InputError, match=r"r\.json does not hold the results of a comparison"):
        read_results(path)


VAE = {"method": "strong VAE", "kind": "VAE", "trained_on": "pool"}
RUNS = [
    *(make_run("none", draw, 70.0 + draw) for draw in range(3)),
    *(make_run("affine", draw, 71.0 + draw) for draw in range(3)),
    *(make_run(draw=draw, percent=72.0 + 2 * draw, **VAE) for draw in range(3)),
    *(make_run("extra real images", draw, 90.0, kind="ceiling") for draw in range(2)),
]


def test_detail_table_is_paired_with_the_best_classical_method() -> None:
    assert best_classical(RUNS) == "affine"
    assert detail_table(RUNS).splitlines() == [
        "| accuracy, %            | updates |  mean |   sd | minus affine, 95 % | draws |",
        "| :--------------------- | ------: | ----: | ---: | -----------------: | ----: |",
        "| none                   |   5,000 | 71.00 | 1.00 |       -1.00 ± 0.00 |     3 |",
        "| affine                 |   5,000 | 72.00 | 1.00 |                  - |     3 |",
        "| strong VAE (VAE: pool) |   5,000 | 74.00 | 2.00 |       +2.00 ± 2.48 |     3 |",
        "| extra real images      |   5,000 | 90.00 | 0.00 |      +18.50 ± 6.35 |     2 |",
    ]


def test_markdown_is_aligned() -> None:
    assert markdown(["a", "b"], [["long name", "1"]]).splitlines() == [
        "| a         |  b |",
        "| :-------- | -: |",
        "| long name |  1 |",
    ]
