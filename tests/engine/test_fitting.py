"""Thresholds fitted to images: the search on outcomes worked out by hand, honest estimates, what is kept, stored, refused."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from forgery_rcnn.bootstrap import Resampling
from forgery_rcnn.config import DataConfig, InferenceConfig, ModelConfig, Refine, RunConfig, to_dict
from forgery_rcnn.data import collection, records, splits
from forgery_rcnn.engine import evaluate, fitting, held_out, kept, outcomes, targets, thresholds
from forgery_rcnn.engine.evaluate import Part
from forgery_rcnn.engine.outcomes import Goal, Outcomes
from forgery_rcnn.engine.runlog import Screen
from forgery_rcnn.engine.thresholds import Setting, chosen, gates
from forgery_rcnn.errors import InputError
from forgery_rcnn.inference import ensemble, refine
from forgery_rcnn.instances import Instances, Prediction
from forgery_rcnn.models import weights, zoo
from tests.conftest import make_root

Refused = Callable


def told(forged: Sequence[int], scores: Sequence[float], values: Sequence[float]) -> Outcomes:
    """Everything is found; authentic images score 1 where they are cleared."""
    true = np.array(forged, bool)
    return Outcomes(true, np.float64(scores), np.ones(len(true), bool), np.float64(values), np.where(true, 0.0, 1.0))


def test_folds_keep_groups_together_and_cut_pools_by_case(tmp_path: Path) -> None:
    """A pool of six cases, images and their twins, beside four groups of two images each."""
    there = collection.open_checked(DataConfig(make_root(tmp_path / "root", cases=10)), Screen(io.StringIO()).bar)
    pool = [int(record.case_id) <= 6 for record in there.records]
    items = [
        splits.Member(record, 0 if large else int(record.case_id), 0.1)
        for record, large in zip(there.records, pool, strict=True)
    ]
    folds = fitting.folds(items, 0)
    assert sorted(np.concatenate(folds).tolist()) == list(range(20)) and len(folds) == fitting.FOLDS
    for fold in folds:
        assert len(fold) == 4 and {items[n].record.case_id for n in fold}.isdisjoint(
            items[n].record.case_id for n in range(20) if n not in fold
        )
    assert all(sum(pool[n] for n in fold) < 12 for fold in folds)


FOUR = told([1, 1, 0, 0], [0.9, 0.6, 0.7, 0.1], [0.8, 0.4, 0, 0])


@pytest.mark.parametrize(
    ("metric", "limit", "expected"),
    [
        # thresholds 0, 0.5, 0.65, 0.8, 1: what is called, and what that scores
        ("of1", None, [0.3, 0.55, 0.45, 0.7, 0.5]),
        ("of1", 0.0, [-2, -1.5, -1.5, 0.7, 0.5]),
        ("of1", 0.5, [-2, 0.55, 0.45, 0.7, 0.5]),
        ("f1", None, [2 / 3, 0.8, 0.5, 2 / 3, 0]),
        ("balanced_accuracy", None, [0.5, 0.75, 0.5, 0.75, 0.5]),
    ],
)
def test_scores_at_image_thresholds(metric: str, limit: float | None, expected: list[float]) -> None:
    found = outcomes.scores_at(FOUR, np.array([0, 0.5, 0.65, 0.8, 1]), Goal(metric, limit))
    np.testing.assert_allclose(found, expected)


def test_a_threshold_settles_who_is_flagged() -> None:
    settled = FOUR.settled(0.7)
    assert settled.found.tolist() == [True, False, True, False]  # a score at the threshold is called
    assert settled.values.tolist() == [0.8, 0, 0, 1]
    assert outcomes.score(settled, "of1") == pytest.approx(0.45)
    assert outcomes.score(settled, "f1") == 0.5
    assert outcomes.false_alarm_rate(settled) == 0.5
    how = (np.arange(4), Resampling(200))
    assert outcomes.interval(lambda i: outcomes.score(settled.only(i), "of1"), *how).value == pytest.approx(0.45)
    interval = outcomes.interval(lambda i: outcomes.score(settled.only(i), "f1"), *how)
    assert interval.value == 0.5 and interval.low < 0.5 < interval.high


def test_images_of_one_group_are_drawn_together() -> None:
    """Twenty twins that score 1 and twenty that score 0 are two witnesses, not forty: of two drawn both may score 1."""
    values = np.repeat([1.0, 0.0], 20)
    alone = outcomes.interval(lambda i: values[i].mean(), np.arange(40), Resampling(400))
    twins = outcomes.interval(lambda i: values[i].mean(), np.repeat([7, 3], 20), Resampling(400))
    assert (twins.value, twins.low, twins.high, twins.count) == (0.5, 0, 1, 40)
    assert 0.3 < alone.low < 0.5 < alone.high < 0.7 and (alone.value, alone.count) == (0.5, 40)
    assert np.isnan(outcomes.interval(lambda i: values[i].mean(), np.zeros(40, int), Resampling(9)).low)


def test_no_image_has_no_score() -> None:
    none = told([], [], [])
    assert np.isnan(outcomes.score(none, "dice")) and np.isnan(outcomes.false_alarm_rate(none))
    assert gates(none.image_scores).tolist() == [0]


@pytest.mark.parametrize(
    ("metric", "found", "value"), [("of1", True, 0.5), ("dice", True, 1), ("iou", True, 1), ("f1", True, np.nan)]
)
def test_the_outcome_of_one_image(metric: str, found: bool, value: float) -> None:
    """Two regions are found where one is true, on the same pixels."""
    masks = np.zeros((2, 4, 4), bool)
    masks[0, :2], masks[1, 2:] = True, True
    said = Prediction(
        Instances.from_masks(masks),
        np.zeros((2, 4), np.float32),
        np.float32([0.9, 0.8]),
        np.zeros((4, 4), np.float32),
        0.1,
    )
    true = Instances.from_masks(masks.any(axis=0)[None])
    config = InferenceConfig(min_area=1, image_threshold=0.5)
    passed, reached = outcomes.of_image(said, true, config, metric)
    assert passed is found and reached == pytest.approx({"of1": 2 / 3 / 2}.get(metric, value), nan_ok=True)
    assert outcomes.of_image(said, None, replace(config, score_threshold=0.95), metric)[1] == pytest.approx(
        np.nan if metric == "f1" else 1, nan_ok=True
    )


def test_the_answer_authentic_is_right_where_nothing_is_forged() -> None:
    some, empty = Instances.from_masks(np.ones((1, 2, 2))), Instances.from_masks(np.zeros((1, 2, 2)))
    assert [outcomes.cleared(true, "of1") for true in (None, some, empty)] == [1, 0, 0]
    assert [outcomes.cleared(true, "dice") for true in (None, some, empty)] == [1, 0, 1]


def test_a_plateau_comes_before_a_needle() -> None:
    assert chosen(np.array([0.2, 0.2, 0.6, 0.2, 0.4, 0.5, 0.5, 0.5, 0.3]), 0.01, "middle", 0) == 6
    assert chosen(np.array([0.1, 0.5, 0.5, 0.5, 0.5, 0.5, 0.1]), 0.001, "middle", 0) == 3
    assert chosen(np.array([0.3, 0.3, 0.3001]), 0.001, "middle", 1) == 1  # nothing matters: nothing moves
    assert chosen(np.array([0.5]), 0.01, "middle", 0) == 0
    assert chosen(np.array([0.1, 0.5, 0.501]), 0.01, "first", 0) == 1
    assert chosen(np.array([0.5, 0.501, 0.1]), 0.01, "first", 1) == 1  # what is, stays
    apart = np.array([False, False])  # many images lie between these thresholds
    assert chosen(np.array([0.6, 1.0, 0.0]), 0.01, "middle", 0) == 0
    assert chosen(np.array([0.6, 1.0, 0.0]), 0.01, "middle", 0, apart) == 1


def test_what_is_not_allowed_is_never_chosen() -> None:
    assert chosen(np.array([-1.9, -1.5, 0.4, 0.9, 0.2]), 0.01, "middle", 0) == 3
    assert chosen(np.array([-1.9, -1.5, 0.1, -1.2]), 0.01, "middle", 0) == 2
    assert chosen(np.array([-1.9, -1.2, -1.5]), 0.01, "middle", 0) == 1  # the least bad


def test_image_thresholds_lie_between_the_scores() -> None:
    assert gates(np.array([1.0, 1.0])).tolist() == [0]
    assert gates(np.array([0.0])).tolist() == [0, 0.5]
    many = gates(np.linspace(0, 0.9, 1000))
    assert len(many) == thresholds.GATES + 2 and (np.diff(many) > 0).all()


def synthetic(
    count: int, best: float = 0.25, noise: float = 0.0, seed: int = 0
) -> Callable[[Sequence[Setting]], list[Outcomes]]:
    """Half of the images forged. Forged ones score 1 at mask threshold `best`, less beside it; image scores are good, or,
    with noise, worth nothing; refinement by crf adds 0.1, by guided takes 0.1, to two forged of three."""
    rng = np.random.default_rng(seed)
    true = np.arange(count) % 2 == 0
    scores = np.where(true, 0.75, 0.25) * (1 - noise) + rng.random(count) * noise
    harder = rng.random(count) * noise

    def table(settings: Sequence[Setting]) -> list[Outcomes]:
        out = []
        for setting in settings:
            reached = max(0.0, 0.9 - abs(setting.config.mask_threshold - best)) * np.ones(count)
            gain = {"crf": 0.1, "guided": -0.1}.get(setting.config.refine.method, 0.0)
            reached += gain * (np.arange(count) % 3 > 0)
            values = np.where(true, np.clip(reached - harder, 0, 1), 0.0)
            out.append(Outcomes(true, scores, np.ones(count, bool), values, np.where(true, 0.0, 1.0)))
        return out

    return table


START = Setting((1.0,), InferenceConfig())


def plan(goal: Goal, methods: tuple[str, ...] = ()) -> fitting.Plan:
    """The mask threshold is searched, and the image threshold with it; each image is a group."""
    along = thresholds.axes("map", goal.metric, "mean")[:1]
    return fitting.Plan(goal, along, methods, Resampling(200), np.arange(60))


def test_the_search_finds_what_is_best() -> None:
    found = thresholds.search(synthetic(40), START, Goal("of1"), thresholds.axes("map", "of1", "mean"), np.arange(40))
    assert found.config.mask_threshold == 0.25
    assert 0.25 < found.config.image_threshold < 0.75
    # What makes no difference stays.
    assert replace(found.config, mask_threshold=0.5, image_threshold=0) == InferenceConfig()


def test_the_search_never_makes_it_worse() -> None:
    for seed in range(3):
        table, index = synthetic(12, noise=0.9, seed=seed), np.arange(12)
        start = Setting((1.0,), InferenceConfig(mask_threshold=0.23, image_threshold=0.31))
        found = thresholds.search(table, start, Goal("of1"), thresholds.axes("map", "of1", "mean"), index)
        assert thresholds.value(table, found, Goal("of1"), index) >= thresholds.value(table, start, Goal("of1"), index)


def test_false_alarms_are_kept_below_the_limit() -> None:
    table, index = synthetic(60, noise=0.7), np.arange(60)
    rates = {}
    for limit in (0.5, 0.1, 0.0):
        goal = Goal("dice", limit)
        found = thresholds.search(table, START, goal, thresholds.axes("map", "dice", "mean"), index)
        rates[limit] = outcomes.false_alarm_rate(table([found])[0].settled(found.config.image_threshold))
        assert rates[limit] <= limit


def test_the_share_of_a_bad_member_falls() -> None:
    def table(settings: Sequence[Setting]) -> list[Outcomes]:
        return [told([1, 0] * 20, [0.9, 0.1] * 20, [s.shares[0] ** 2, 0] * 20) for s in settings]

    start = Setting((0.25, 0.25, 0.5), InferenceConfig())
    found = thresholds.search(table, start, Goal(), thresholds.shares(3, "alike"), np.arange(40))
    assert found.shares == (1, 0, 0)
    found = thresholds.search(table, start, Goal(), thresholds.shares(3, "mixed"), np.arange(40))
    assert found.shares[0] > 0.7 and min(found.shares) > 0 and sum(found.shares) == pytest.approx(1)
    assert thresholds.shares(1, "alike") == []


def folds_of(count: int, parts: int = 5) -> list[np.ndarray]:
    return [np.arange(count)[first::parts] for first in range(parts)]


def test_the_honest_estimate_of_noise_is_below_the_fitted_score() -> None:
    found = fitting.fit(synthetic(30, noise=1.0), START, folds_of(30), plan(Goal("of1")))
    assert found.after.score.value > found.before.score.value
    assert found.crossed.score.value < found.after.score.value
    assert found.crossed.score.low < found.crossed.score.value < found.crossed.score.high
    assert found.crossed.score.count == 30
    lines = fitting.lines(found, START.config)
    assert lines[-1].startswith("verdict: on images not fitted on, expect ")
    assert any("fitted thresholds (flatters)" in line for line in lines)


def torn(settings: Sequence[Setting], authentic: int = 0) -> list[Outcomes]:
    """Two folds of twenty that want opposite masks: what suits the first is worth 0.3 to the other, and 0 the other way."""
    out = []
    for setting in settings:
        at = setting.config.mask_threshold
        one, other = (1, 0.3) if at < 0.375 else (0, 1) if at > 0.625 else (0.6, 0.6)
        half = authentic // 2
        forged = np.r_[np.ones(20), np.zeros(half), np.ones(20), np.zeros(half)]
        values = np.r_[np.full(20, one), np.zeros(half), np.full(20, other), np.zeros(half)]
        out.append(told(forged, np.where(forged > 0, 0.9, 0.4), values))
    return out


def test_what_only_flatters_is_not_stored() -> None:
    found = fitting.fit(torn, START, [np.arange(20), np.arange(20, 40)], plan(Goal("of1")))
    assert (found.before.score.value, found.after.score.value) == (pytest.approx(0.6), pytest.approx(0.65))
    assert found.crossed.score.value == pytest.approx(0.15) and found.setting == START
    assert found.gain.value == pytest.approx(-0.45) and found.gain.low < -0.45 < found.gain.high < 0
    assert "; the thresholds of the start are kept" in fitting.lines(found, START.config)[-1]
    assert fitting.as_json(found, [])["gain"]["value"] == found.gain.value


def test_a_start_that_flags_more_than_asked_is_not_kept() -> None:
    found = fitting.fit(
        lambda settings: torn(settings, 2), START, [np.arange(21), np.arange(21, 42)], plan(Goal("of1", 0.0))
    )
    assert found.gain.value < 0 and found.before.false_alarms == 1 and found.crossed.false_alarms == 0
    assert found.setting.config.mask_threshold < 0.375 and 0.4 < found.setting.config.image_threshold < 0.9
    assert ", which flags more than asked" in fitting.lines(found, START.config)[-1]


def test_a_start_that_is_better_with_refinement_stays() -> None:
    """Too few images differ for refinement to be believed, and yet without it the images would score less."""
    stored = Setting((1.0,), InferenceConfig(mask_threshold=0.25, image_threshold=0.5, refine=Refine("crf")))
    found = fitting.fit(synthetic(12), stored, folds_of(12), plan(Goal("of1"), ("crf",)))
    assert found.setting == stored and found.after.score.value == found.before.score.value


def test_what_is_not_searched_is_said() -> None:
    lines = fitting.lines(fitting.fit(synthetic(20), START, folds_of(20), plan(Goal("of1"))), START.config)
    said = {line.split()[0]: line for line in lines}
    assert said["mask_threshold"].endswith("0.5 -> 0.25") and said["refinement"].split() == ["refinement", "none"]
    assert said["min_area"].split() == ["min_area", "16", "(not", "searched)"]
    assert "searched" not in said["image_threshold"]


def test_one_group_has_no_honest_estimate() -> None:
    found = fitting.fit(synthetic(8), START, [np.arange(8)], plan(Goal("of1")))
    assert found.crossed is None
    assert (
        fitting.lines(found, START.config)[-1]
        == "verdict: too few groups of images for an honest estimate; score other images"
    )


def test_refinement_is_switched_on_only_where_it_helps() -> None:
    found = fitting.fit(synthetic(60, best=0.35), START, folds_of(60), plan(Goal("of1"), ("guided", "crf")))
    assert found.setting.config.refine.method == "crf"
    assert found.refinement["crf"].difference.low > 0 > found.refinement["guided"].difference.high
    assert found.after.score.value == pytest.approx(found.crossed.score.value)
    few = fitting.fit(synthetic(12), START, folds_of(12), plan(Goal("of1"), ("crf",)))
    assert few.setting.config.refine.method == "none"  # too few images that differ
    worse = fitting.fit(synthetic(60), START, folds_of(60), plan(Goal("of1"), ("guided",)))
    assert worse.setting.config.refine.method == "none"
    stored = Setting((1.0,), InferenceConfig(refine=Refine("crf")))
    assert fitting.fit(synthetic(60), stored, folds_of(60), plan(Goal())).setting.config.refine.method == "crf"


def test_calls_move_the_image_threshold_alone() -> None:
    found = fitting.fit(synthetic(40), START, folds_of(40), plan(Goal("f1"), ("crf",)))
    assert 0.25 < found.setting.config.image_threshold < 0.75 and found.refinement == {}
    assert replace(found.setting.config, image_threshold=0) == START.config
    assert (found.before.score.value, found.after.score.value) == (pytest.approx(2 / 3), 1)
    refined = Setting((1.0,), InferenceConfig(refine=Refine("guided")))
    found = fitting.fit(synthetic(40), refined, folds_of(40), plan(Goal("f1"), ("crf",)))
    assert found.setting.config.refine.method == "guided"
    assert "  refinement        guided" in fitting.lines(found, refined.config)


# ---- on images --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve figures, each authentic and forged. Only to be read."""
    return make_root(tmp_path_factory.mktemp("twelve") / "root", cases=12)


@pytest.fixture(scope="module")
def run(tiny_model: ModelConfig, root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Untrained weights of two folds of a U-Net and of a detector, that say to know the root. Only to be read."""
    folder = tmp_path_factory.mktemp("fit")
    data = DataConfig(root, folds=2, single="1")
    known = records.fingerprint(records.scan(root))
    for name, arch, fold in (("dense", "attention_unet", 0), ("other", "attention_unet", 1), ("boxes", "mask_rcnn", 0)):
        torch.manual_seed(0)
        model = zoo.build(weights.settled(replace(tiny_model, arch=arch, box_score_min=0.0)))
        meta = {"config": to_dict(RunConfig(replace(data, fold=fold), model.config)), "data": known, "stage": "full"}
        meta["thresholds"] = to_dict(InferenceConfig(score_threshold=0.25, min_area=4))
        weights.write(folder / name / "model.safetensors", model.state_dict(), meta)
    return folder


@pytest.mark.parametrize("name", ["dense", "boxes"])
def test_what_is_kept_gives_what_prediction_gives(run: Path, root: Path, tmp_path: Path, name: str) -> None:
    found = ensemble.load([str(run / name)], ModelConfig())
    items = records.scan(root)[11:13]  # the last authentic one, the first forged one
    part = Part(DataConfig(), None, items, {})
    store = kept.Kept(tmp_path, found, part, "of1", Screen(None).bar)
    for record in items:
        store.add(record)
    heat = np.concatenate([found.members[0].model.predict([records.load(r).pixels])[0].heatmap.ravel() for r in items])
    cut = max((t for t in thresholds.GRID if t < np.median(heat)), default=1 / 64)
    configs = [
        InferenceConfig(
            mask_threshold=0.5 if name == "boxes" else cut, score_threshold=0.0, min_area=area, regions=kind
        )
        for area in (0, 64)
        for kind in ("components", "one")
    ]
    for config, told in zip(configs, store([Setting((1.0,), c) for c in configs]), strict=True):
        rows = evaluate.evaluate(found.members[0].model, items, DataConfig(), config)
        assert told.values.tolist() == [row.of1 for row in rows]
        assert told.found.tolist() == [row.answer == "forged" for row in rows]
        assert told.image_scores.tolist() == [row.image_score for row in rows]
        assert told.forged.tolist() == [row.label == "forged" for row in rows]
    assert told.found.any()


def test_one_pass_serves_all_settings_and_none_is_made_twice(
    run: Path, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []
    monkeypatch.setattr(refine, "refined", lambda heat, pixels, how: made.append(how.method) or np.zeros_like(heat))
    found = ensemble.load([str(run / "dense"), str(run / "other")], ModelConfig())
    items = records.scan(root)[:3]
    store = kept.Kept(tmp_path, found, Part(DataConfig(), None, items, {}), "dice", Screen(None).bar)
    for record in items:
        store.add(record)
    settings = [
        Setting(shares, InferenceConfig(min_area=area, image_threshold=gate, refine=Refine("crf")))
        for shares in ((0.5, 0.5), (1.0, 0.0))
        for area in (0, 9)
        for gate in (0.0, 0.5)
    ]
    first = store(settings)
    assert made.count("crf") == 6  # three images, two mixtures
    assert store(settings)[0] is first[0] is first[1]
    assert all((told.values == told.cleared).all() for told in first)  # nothing is left of a map of zeros


def test_halves_share_no_group_and_never_depend_on_the_order(root: Path) -> None:
    data = collection.open_checked(DataConfig(root, single="1"), Screen(None).bar)
    members = splits.members(data.records, data.facts)
    fit, rest = held_out.halves(members, 0.5)
    assert {m.record.case_id for m in fit}.isdisjoint(m.record.case_id for m in rest)
    assert len(fit) == len(rest) == 12
    assert held_out.halves(members[::-1], 0.5) == (fit, rest)
    assert held_out.halves(members, 1.0)[1] == [] and len(held_out.halves(members, 0.01)[0]) == 2
    alone = [replace(member, group=0) for member in members]
    assert len(held_out.halves(alone, 0.5)[0]) == 24
    twins = [member.record for member in members if member.record.case_id == members[0].record.case_id]
    with pytest.raises(InputError, match=r"--share 0.5: the split is 1 group of 2 images .*, none is left to score"):
        held_out.of_part(twins, data, 0.5)
    uneven = [replace(member, group=min(i // 10, 1) if i < 20 else i) for i, member in enumerate(members)]
    assert [len(part) for part in held_out.halves(uneven, 0.5)] == [12, 12]  # of images, not of the six groups


def test_an_image_is_known_again_under_another_name(root: Path, tmp_path: Path, refused: Refused) -> None:
    items = records.scan(root)
    pixels = records.load(items[0]).pixels
    copy = tmp_path / "copy.bmp"
    Image.fromarray(pixels).save(copy)
    assert [held_out.digest(pixels)] == held_out.digests([replace(items[0], image=copy)])
    assert len(held_out.digest(pixels)) == 16
    assert held_out.digest(pixels) == held_out.digest(np.asfortranarray(pixels)) != held_out.digest(pixels ^ 1)
    black = [np.zeros((*size, 3), np.uint8) for size in ((2, 3), (3, 2), (1, 6), (1, 1))]
    assert len({held_out.digest(each) for each in black}) == 4  # the same bytes in another shape are another picture
    fitted = set(held_out.digests(items[:2]))
    assert held_out.unseen([replace(items[0], image=copy), items[2]], fitted) == [items[2]]
    held_out.check(items[2:], fitted, Path("w"))
    with refused("w: its thresholds were fitted on 2 of these 24 images", "--split held_out"):
        held_out.check(items, fitted, Path("w"))


def fit(*flags: str | Path) -> int:
    from edarnn import main

    return main(["fit", *map(str, flags), "--resamples", "100", "--device", "cpu"])


@pytest.fixture
def own(run: Path, tmp_path: Path) -> Path:
    shutil.copytree(run, tmp_path / "own")
    return tmp_path / "own"


def test_fitted_thresholds_are_stored_and_their_images_never_scored(
    own: Path, root: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    import encode_submission
    import scoring

    path = own / "dense/model.json"
    before, tensors = json.loads(path.read_text()), path.with_suffix(".safetensors").read_bytes()
    there = ["--data.root", str(root)]
    assert fit("--weights", own / "dense", *there, "--refine", "guided") == 0
    printed = capsys.readouterr().out
    assert "fitting of1 on 6 images, 6 of the split are held out" in printed
    assert "refinement guided    minus none" in printed and "\nverdict: " in printed
    after = json.loads(path.read_text())
    assert path.with_suffix(".safetensors").read_bytes() == tensors
    changed = {name for name in after if after[name] != before.get(name)}
    assert {"fitted"} <= changed <= {"fitted", "thresholds"}
    assert (after["fitted"]["metric"], len(after["fitted"]["images"])) == ("of1", 6)
    assert (
        set(after["fitted"]["after"]) == {"score", "false_alarms"} and after["fitted"]["crossed"]["score"]["count"] == 6
    )
    flags = ["--weights", str(own / "dense"), *there, "--resamples", "0"]
    assert scoring.main(flags) == 2
    said = capsys.readouterr().err
    assert "fitted on 6 of these 12 images" in said and "--split held_out" in said and said.count("\n") == 1
    assert scoring.main([*flags, "--split", "held_out"]) == 0
    assert "images 6 (forged 3, authentic 3)" in capsys.readouterr().out
    flags = ["--images", root / "train_images/forged", "--masks", root / "train_masks", "--overlays", "0"]
    assert (
        encode_submission.main([*map(str, flags), "--weights", str(own / "dense"), "--out", str(tmp_path / "out")]) == 0
    )
    printed = capsys.readouterr().out
    assert "note: the thresholds were fitted on 3 of these 12 images; a score on them would flatter" in printed
    assert "images 9 (forged 9, authentic 0)" in printed and "submission.csv: 12 images" in printed
    del flags[2:4]  # without the truth it is said too: somebody else may score the file
    assert (
        encode_submission.main([*map(str, flags), "--weights", str(own / "dense"), "--out", str(tmp_path / "out")]) == 0
    )
    assert "the thresholds were fitted on 3 of these 12 images" in capsys.readouterr().out


def test_nothing_is_left_to_score_when_all_were_fitted_on(
    own: Path, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import scoring

    there = ["--data.root", str(root)]
    assert fit("--weights", own / "boxes", *there, "--share", "1", "--metric", "f1", "--false-alarms", "0") == 0
    printed = capsys.readouterr().out
    assert "honest score" not in printed and "mask_threshold    0.5  (not searched)" in printed
    assert scoring.main(["--weights", str(own / "boxes"), *there, "--split", "held_out"]) == 2
    assert "fitted on the whole split" in capsys.readouterr().err


def test_several_weights_become_an_ensemble(own: Path, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(own / "dense", own / "twin")
    flags = ["--weights", own / "dense", own / "twin", "--data.root", root, "--refine"]
    assert fit("--weights", own / "dense", "--rule", "weighted") == 2
    assert "--rule weighted is about several weights" in capsys.readouterr().err
    (own / "first").mkdir()
    ensemble.write(own / "first/ensemble.json", [(own / "twin/model.safetensors", 1.0)], "mean")
    before = (own / "first/ensemble.json").read_bytes()
    for first, *out in ((own / "dense",), (own / "first",), (own / "first", "--out", own / "first/ensemble.json")):
        assert fit("--weights", first, own / "twin", *flags[3:], *out) == 2
        assert "--out" in capsys.readouterr().err
    assert (own / "first/ensemble.json").read_bytes() == before
    assert fit(*flags, "--rule", "weighted", "--metric", "dice", "--out", own / "both/ensemble.json") == 0
    assert "  shares            " in capsys.readouterr().out
    found = ensemble.load([str(own / "both")], ModelConfig())
    assert found.rule == "mean" and sum(m.weight for m in found.members) == pytest.approx(1)
    assert found.meta["fitted"]["metric"] == "dice" and len(found.fitted) == 6
    assert json.loads((own / "dense/model.json").read_text()) == json.loads((own / "twin/model.json").read_text())
    assert "fitted" not in json.loads((own / "dense/model.json").read_text())


def test_folds_are_fitted_and_scored_out_of_fold(own: Path, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of two folds each image was trained on by one: the other is asked, and all images take part."""
    import scoring

    ensemble.write(own / "ensemble.json", [(own / n / "model.safetensors", 1.0) for n in ("dense", "other")], "mean")
    there = ["--data.root", str(root)]
    found = ensemble.load([str(own)], ModelConfig())
    part = evaluate.opened(found, root, False, "validation", Screen(None))
    data = [replace(DataConfig(root, folds=2, single="1"), fold=fold) for fold in (0, 1)]
    sides = [collection.open_checked(each, Screen(None).bar).split for each in data]
    assert {r.key for r in part.items} == {r.key for side in sides for r in side.validation}
    for number, side in enumerate(sides):
        assert all(part.voices[record.key] == (number,) for record in side.validation)
    _, answers = evaluate.weights_on_split(found, root, False, "validation", ("cpu", "float32"), Screen(None))
    scores = {key: answer.image_score for key, answer, _ in answers}
    for number, side in enumerate(sides):
        alone = found.members[number].model.predict([records.load(side.validation[0]).pixels])[0]
        assert scores[side.validation[0].key] == alone.image_score
    assert scoring.main(["--weights", str(own), *there, "--resamples", "0"]) == 0
    printed = capsys.readouterr().out
    assert "each image is predicted by those not trained on it" in printed
    assert fit("--weights", own, *there, "--rule", "weighted") == 2
    assert "--rule weighted cannot be fitted to folds" in capsys.readouterr().err
    assert fit("--weights", own, *there, "--rule", "vote") == 2
    assert "--rule vote cannot be fitted to folds" in capsys.readouterr().err
    assert "fitted" not in json.loads((own / "ensemble.json").read_text())
    assert scoring.main(["--weights", str(own), *there, "--resamples", "0", "--rule", "vote"]) == 0
    capsys.readouterr()
    assert fit("--weights", own, *there, "--refine") == 0
    printed = capsys.readouterr().out
    assert "note: the members are folds" in printed and "will be used on the mean of them all" in printed
    assert "`edarnn.py decide` anew" not in printed
    stored = json.loads((own / "ensemble.json").read_text())
    assert stored["fitted"]["images"]
    (own / "ensemble.json").write_text(json.dumps({**stored, "decision": {"images": []}}))
    assert fit("--weights", own, *there, "--refine") == 0
    assert "it holds no decision any more" in capsys.readouterr().out
    assert "decision" not in json.loads((own / "ensemble.json").read_text())


def test_a_second_fit_does_not_begin_where_the_first_ended(
    own: Path, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Else the honest estimate would have seen the images that it is estimated on."""
    path, flags = own / "dense/model.json", ["--weights", own / "dense", "--data.root", root, "--refine"]
    assert fit(*flags) == 0
    assert "note: thresholds were fitted on some of these images before" not in capsys.readouterr().out
    told = []
    for at in (0.9, 0.1):
        stored = json.loads(path.read_text())
        stored["thresholds"] |= {"mask_threshold": at, "image_threshold": 0.99, "score_threshold": at}
        path.write_text(json.dumps(stored))
        assert fit(*flags) == 0
        assert "note: thresholds were fitted on some of these images before" in capsys.readouterr().out
        told.append(json.loads(path.read_text()))
    assert told[0] == told[1]


def test_voters_that_know_the_images_are_named(own: Path, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(own / "dense", own / "twin")
    stored = json.loads((own / "twin/model.json").read_text())
    digests = held_out.digests(records.scan(root))
    (own / "twin/model.json").write_text(json.dumps({**stored, "fitted": {"images": digests}}))
    flags = ["--weights", own / "dense", own / "twin", "--data.root", root, "--refine", "--metric", "f1"]
    assert fit(*flags, "--rule", "vote", "--out", own / "both/ensemble.json") == 0
    assert "note: the members vote by thresholds of their own that know" in capsys.readouterr().out
    assert fit(*flags, "--rule", "mean", "--out", own / "other/ensemble.json") == 0
    assert "vote by" not in capsys.readouterr().out


def test_nothing_is_fitted_where_it_would_be_useless(own: Path, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (own / "dense/model.json").read_bytes()
    there = ["--weights", own / "dense", "--data.root", root]
    for flags, said in (
        (["--split", "all"], "is what the weights were trained on, scores on it flatter; use --split validation"),
    ):
        assert fit(*there, *flags) == 2
        errors = capsys.readouterr().err
        assert said in errors and errors.count("\n") == 1
    assert (own / "dense/model.json").read_bytes() == before
    found = ensemble.load([str(own / "dense")], ModelConfig())
    part = evaluate.opened(found, root, False, "validation", Screen(None))
    with pytest.raises(InputError, match=r"the split is 1 group of 2 images .* pass --share 1"):
        held_out.of_part([part.items[0], part.items[6]], part.files, 0.5)


def test_an_interrupted_fit_changes_nothing(own: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*rest: object) -> None:
        raise KeyboardInterrupt

    before = (own / "dense/model.json").read_bytes()
    monkeypatch.setattr(fitting, "fit", stop)
    assert fit("--weights", own / "dense", "--data.root", root) == 130
    assert (own / "dense/model.json").read_bytes() == before
    assert sorted(path.name for path in (own / "dense").iterdir()) == ["model.json", "model.safetensors"]


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--share", "0"], "--share is 0"),
        (["--false-alarms", "5"], "--false-alarms is 5"),
        (["--resamples", "3"], "--resamples is 3"),
        (["--seed", "-1"], "--seed is -1"),
        (["--device", "tpu"], "device 'tpu'"),
        (["--weights", "nowhere"], "--weights nowhere: no such file"),
    ],
)
def test_what_does_not_go_together_is_one_line(flags: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    from edarnn import main

    assert main(["fit", *flags]) == 2
    errors = capsys.readouterr().err
    assert said in errors and errors.count("\n") == 1


def test_a_place_that_cannot_be_written_is_told_before_anything_is_read(own: Path, refused: Refused) -> None:
    found = ensemble.load([str(own / "dense")], ModelConfig())
    file = own / "dense/model.json"
    for out, reason in ((file / "x.json", "Not a directory|File exists"), (own / "folder.json", "it is a folder")):
        (own / "folder.json").mkdir(exist_ok=True)
        with pytest.raises(InputError, match=rf"^{out}: cannot be written \(({reason})\)[^\n]*$"):
            targets.check_target(found, out)
    assert targets.check_target(found, own / "new/deep/e.json").parent.is_dir()


def test_scores_that_are_shown_of_fitted_images_come_with_a_note(shared_root: Path) -> None:
    items = records.scan(shared_root)[:4]
    assert held_out.note(items, ()) == [] == held_out.note(items, ["0" * 16])
    (line,) = held_out.note(items, held_out.digests(items[:3]))
    assert line == "note: the thresholds were fitted on 3 of these 4 images: their scores flatter"
