"""The first stage and head that fails is named, on runs with one part broken; frozen parts are held to it."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from debug import scores
from debug import stages as probe
from debug.case import Case, Job, Specimen, open_case
from debug.measures import aims, heads
from debug.measures.classifier import summarised
from debug.measures.course import course
from debug.measures.heads import Heads, ImageHeads
from debug.measures.stages import StagesReport
from debug.probe import plain, save
from forgery_rcnn.bootstrap import Interval, wilson
from forgery_rcnn.config import Stage
from forgery_rcnn.data import records
from forgery_rcnn.engine.runlog import Screen
from forgery_rcnn.errors import InputError
from forgery_rcnn.models import anatomy, weights
from tests.debug.conftest import BREAKS, FLAGS


def about(value: float, count: int = 4) -> Interval:
    """A number with an interval of 0.02 on either side."""
    return Interval(value, value - 0.02, value + 0.02, count)


GOOD = Heads(
    recall=wilson(6, 6),
    box=about(0.95),
    auc=about(1.0),
    called=wilson(4, 4),
    dice=about(0.96),
    of1=about(0.97),
    lead=about(0.47),
    baseline=0.5,
    images=4,
    forged=4,
)
FEW, FULL = Stage("few", "few"), Stage("full", "full")


def kept(run: Path, number: int, stage: str) -> Path:
    return run / "checkpoints" / f"best-{number}-{stage}.safetensors"


def rewritten(run: Path, source: Path, change: Callable[[torch.nn.Module], None]) -> None:
    """Put a changed copy of the weights in `source` at `run`."""
    restored = weights.load(str(source), None)
    with torch.no_grad():
        change(restored.model)
    meta = {name: value for name, value in restored.meta.items() if name != "sha256"}
    weights.write(run, restored.model.state_dict(), meta)


@pytest.fixture
def copied(healthy_run: Path, tmp_path: Path) -> Path:
    """The healthy run's folder, to be spoilt."""
    return Path(shutil.copytree(healthy_run, tmp_path / "run", ignore=shutil.ignore_patterns("figures", "last-*")))


def said(found: StagesReport) -> str:
    """The verdict; drawing and writing the report fail on nothing."""
    assert "heads" in probe.figures(found)
    json.dumps(plain(found), allow_nan=False)
    return probe.lines(found)[-1].removeprefix("verdict: ")


def test_a_healthy_run_meets_its_aims(healthy: Case, tmp_path: Path) -> None:
    found = probe.measure(healthy, [])
    assert said(found).startswith("every stage meets its aim: few oF1 0.9")
    (few,) = found.stages
    recorded = weights.read(kept(healthy.run, 1, "few"))[1]
    assert few.scored.of1.value == pytest.approx(recorded["scores"]["of1_mean"], abs=1e-3), "as the training scored it"
    assert few.course.best == pytest.approx(few.scored.of1.value, abs=1e-3)
    assert few.course.best_epoch == recorded["epoch"] and few.course.epochs == 40
    assert len(few.moved.parts) == 13 and all(change > 1e-3 for change in few.moved.parts.values())
    assert few.train is None and few.moved.frozen == 0
    for name, figure in probe.figures(found).items():
        assert save(figure, tmp_path / name).stat().st_size > 5000


@pytest.mark.parametrize(
    ("part", "head"),
    [
        ("proposals", "the RPN"),
        ("boxes", "the box regressor"),
        ("scores", "the classifier"),
        ("masks", "the mask head"),
    ],
)
def test_the_head_that_fails_is_named(copied: Path, part: str, head: str) -> None:
    rewritten(kept(copied, 1, "few"), copied / "model.safetensors", BREAKS[part])
    found = probe.measure(open_case(Job(weights=str(copied)), Screen(None)), [])
    assert f" at {head} (" in said(found).split(";")[0] and said(found).startswith("stage few ")
    assert any(line.startswith("  FAIL") for line in probe.lines(found))


def two_stages(run: Path, second: dict[str, object]) -> Case:
    """The run opened as one of two stages, the second like the first but for `second`."""
    case = open_case(Job(weights=str(run), count=4), Screen(None))
    (first,) = case.config.stages
    return replace(case, config=replace(case.config, stages=(first, replace(first, name="more", **second))))


def test_a_frozen_part_that_moved_is_named(copied: Path) -> None:
    case = two_stages(copied, {"trainable": ("roi_heads",)})
    rewritten(kept(copied, 2, "more"), kept(copied, 1, "few"), lambda m: m.roi_heads.box_head.fc6.weight.mul_(1.01))
    more = probe.measure(case, []).stages[1]
    assert more.moved.drifted == [] and more.moved.frozen > 60
    assert more.moved.parts["roi_heads.box_head"] > 0.001 and more.moved.parts["backbone.body.layer1"] == 0
    rewritten(kept(copied, 2, "more"), kept(copied, 1, "few"), lambda m: m.rpn.head.cls_logits.bias.add_(1e-6))
    found = probe.measure(case, [])
    assert said(found).startswith("stage more moved 1 of ") and "rpn.head.cls_logits.bias" in said(found)


def test_a_stage_on_all_images_is_scored_on_unseen_ones(copied: Path) -> None:
    case = two_stages(copied, {"subset": "full"})
    rewritten(kept(copied, 2, "more"), kept(copied, 1, "few"), lambda model: None)
    found = probe.measure(case, [])
    few, more = found.stages
    assert few.train is None and more.train.images == 2
    assert more.scored.images == min(4, len(case.split.validation))
    assert more.marks["of1"].aim == more.scored.baseline and more.marks["recall"].aim == 0.7
    assert "more oF1" in said(found) and more.course is None
    assert all(change == 0 for change in more.moved.parts.values())
    assert any("no line of it in log.jsonl" in line for line in probe.lines(found))


def test_a_stage_without_weights_is_said(copied: Path) -> None:
    found = probe.measure(two_stages(copied, {}), [])
    assert found.missing == ["more"] and said(found).endswith("no weights yet of more")
    kept(copied, 1, "few").unlink()
    with pytest.raises(InputError, match="no best-"):
        probe.measure(open_case(Job(weights=str(copied)), Screen(None)), [])


def test_the_start_of_a_run_is_drawn_again_to_the_bit(
    probe_root: Path, run: Callable[..., subprocess.Popen[str]], finish: Callable[..., str], tmp_path: Path
) -> None:
    short = [*FLAGS, "--stages.0.epochs=1", "--stages.0.trainable", "roi_heads.mask_predictor"]
    finish(run("edarnn.py", "overfit_few", "--data.root", probe_root, *short, "--out", tmp_path / "run"))
    found = probe.measure(open_case(Job(weights=str(tmp_path / "run")), Screen(None)), [])
    (few,) = found.stages
    assert few.moved.drifted == [] and few.moved.frozen > 70
    assert [part for part, change in few.moved.parts.items() if change] == ["roi_heads.mask_predictor"]
    assert aims.failing(few.marks) and said(found) == few.diagnosis


def test_a_start_that_cannot_be_had_is_said(healthy: Case) -> None:
    gone = replace(healthy.config, model=replace(healthy.config.model, weights="gone.safetensors"))
    found = probe.measure(replace(healthy, config=gone), [])
    assert found.stages[0].moved.parts == {} and set(probe.figures(found)) == {"heads", "curves"}
    assert any("n/a, its start cannot be had: --weights gone.safetensors" in line for line in probe.lines(found))


def test_without_a_run_or_its_images_one_line(healthy: Case) -> None:
    with pytest.raises(InputError, match="pass --weights RUN"):
        probe.measure(replace(healthy, run=None), [])
    with pytest.raises(InputError, match="not the images of its training"):
        probe.measure(replace(healthy, split=None), [])


# ---- by hand ----------------------------------------------------------------------------------------------------


def test_heads_of_a_known_image(specimens: list[Specimen]) -> None:
    seen = [heads.heads_of(specimen) for specimen in specimens]
    for specimen, image in zip(specimens, seen, strict=True):
        assert len(image.found) == len(image.dice) == len(specimen.truth) and len(image.margins) <= 30
        assert image.matched.sum() == len(image.overlaps) and image.trivial[0] == 0
    found = heads.together(seen)
    assert found.recall.value > 0.9 and found.dice.value > 0.9 and 0 < found.baseline < 0.3 and found.forged == 4


def test_heads_of_an_authentic_image(healthy: Case) -> None:
    record = next(r for r in healthy.split.full if r.label == "authentic")
    found = heads.together([heads.heads_of(healthy.opened(record))])
    marked = aims.marks(FULL, found)
    assert [name for name, mark in marked.items() if mark.judged == "n/a"] == ["recall", "box", "auc", "called", "dice"]
    assert found.baseline == 1 and marked["of1"].judged != "pass", "nothing is above calling it authentic"


def test_a_region_smaller_than_a_models_pixel(healthy: Case, tmp_path: Path) -> None:
    mask = np.zeros((1, 2000, 400), bool)
    mask[0, 700:704, 200:203] = True
    loaded = records.load(healthy.items[0])
    specimen = healthy.opened(healthy.items[0])
    found = anatomy.dissect(healthy.model, np.resize(loaded.pixels, (2000, 400, 3)))
    image = heads.heads_of(replace(specimen, anatomy=found, truth=anatomy.true_regions(mask, found)))
    assert image.found.shape == image.dice.shape == (1,) and not image.found[0] and image.called is False


def test_together_by_hand() -> None:
    none = np.zeros(0)
    forged = ImageHeads(
        np.array([True, False, True]),
        np.array([0.9, 0.7]),
        np.array([2.0, 0.4, -2.0, 1.0]),
        np.array([True, True, False, False]),
        True,
        np.array([0.9, 0.5, 1.0]),
        0.6,
        (0.0, 0.2),
    )
    authentic = ImageHeads(none.astype(bool), none, np.array([0.7]), np.array([False]), None, none, 1.0, (1.0, 0.0))
    found = heads.together([forged, authentic])
    assert found.recall == wilson(2, 3) and found.called == wilson(1, 1)
    assert (found.box.value, found.dice.value, found.of1.value) == pytest.approx((0.8, 0.8, 0.8))
    assert found.auc.value == pytest.approx(4 / 6), "every proposal that does not match counts, near a region or not"
    assert (found.dice.count, found.of1.count, found.auc.count) == (1, 2, 2) and math.isnan(found.dice.high)
    assert (found.baseline, found.images, found.forged) == (0.5, 2, 1)
    assert found.lead.value == pytest.approx(0.3) and (found.lead.low, found.lead.high) == pytest.approx((0.0, 0.6))


def test_a_stage_is_measured_on_the_images_of_the_other_probes(healthy: Case, specimens: list[Specimen]) -> None:
    few = probe.measure(healthy, []).stages[0].scored
    own = heads.together([heads.heads_of(specimen) for specimen in specimens])
    assert (few.recall, few.box, few.images) == (own.recall, own.box, own.images)
    seen = [scores.look(specimen) for specimen in specimens]
    other = summarised(seen, healthy.inference.score_threshold, healthy.model.config.box_score_min)
    assert other.auc == few.auc, "one definition of the classifier's AUC"


def test_a_score_at_the_threshold_is_called(healthy: Case, specimens: list[Specimen]) -> None:
    at = max(specimens[0].anatomy.proposals.scores.tolist())
    opened = replace(specimens[0], inference=replace(healthy.inference, score_threshold=at))
    assert heads.heads_of(opened).called is True


def test_course_by_hand() -> None:
    log = [{"epoch": e, "loss": 8 / e, "loss_mask": 4 / e, "lr": 1e-3} for e in range(1, 9)]
    for line, score in zip(log[1::2], (0.5, 0.8, 0.7, 0.6), strict=True):
        line |= {"of1_mean": score, "baseline_all_authentic": 0.25}
    found = course(log, 4)
    assert (found.best, found.last, found.best_epoch, found.baseline) == (0.8, 0.6, 4, 0.25)
    assert found.losses == {"loss": (8, 1, 1), "loss_mask": (4, 0.5, 0.5)}
    assert found.behind and found.falling
    assert not course(log[:4], 4).behind and course([], 4) is None
    bare = course(log[:1], 0)
    assert math.isnan(bare.best) and not bare.falling and not bare.behind
    flat = course([line | {"loss": 1.0} for line in log], 4)
    assert not flat.behind and not flat.falling, "a score that falls alone is no overfitting"


def worded(stage: Stage, found: Heads, train: Heads | None = None) -> str:
    return aims.diagnosis(stage, aims.marks(stage, found), found, train, None)


def test_diagnoses_by_hand() -> None:
    knows = worded(FEW, replace(GOOD, dice=about(0.92)))
    assert knows.startswith("stage few knows its images; lowest: the mask head (Dice given the true box 0.92, aim 0.90")
    assert "at the box regressor (IoU 0.80, aim" in worded(FEW, replace(GOOD, box=about(0.8))), "though oF1 is good"
    weak = replace(GOOD, dice=about(0.53), box=about(0.8), of1=about(0.6))
    assert "first at the box regressor (IoU 0.80, aim 0.85, 4 images); weakest: the mask head" in worded(FEW, weak)
    assert "failed at the RPN (recall 0.20, aim 0.95, 10 regions): what" in worded(
        FEW, replace(GOOD, recall=wilson(2, 10))
    )
    unseen = replace(GOOD, recall=wilson(30, 100), of1=about(0.3), lead=about(-0.2))
    assert "learnt its images by heart" in worded(FULL, unseen, replace(GOOD, of1=about(0.8)))
    assert "does not know its training images either" in worded(FULL, unseen, replace(unseen, of1=about(0.4)))
    assert "images that it has not seen" in worded(FULL, GOOD, GOOD)
    assert aims.aim_of("of1", Stage("one", "single"), GOOD) == 0.95
    tie = replace(GOOD, of1=about(0.5), lead=Interval(0.0, 0.0, 0.0, 4))
    assert aims.failing(aims.marks(FULL, tie)) == "of1", "a tie with the baseline on every image is no success"


def test_a_head_fails_only_where_its_interval_leaves_the_aim_out() -> None:
    def judged(stage: Stage, **changed: Interval) -> list[str]:
        return [mark.judged for mark in aims.marks(stage, replace(GOOD, **changed)).values()]

    assert judged(FEW, box=about(0.84), auc=Interval(math.nan, math.nan, math.nan, 0))[1:3] == ["not sure", "n/a"]
    assert judged(FEW, box=about(0.82))[1] == "FAIL"
    assert judged(FULL, recall=wilson(5, 8))[0] == "not sure" and judged(FULL, recall=wilson(40, 80))[0] == "FAIL"
    assert judged(FULL, of1=about(0.49), lead=about(-0.01))[5] == "not sure"
    near = worded(FULL, replace(GOOD, recall=wilson(5, 8)), GOOD)
    assert (
        near
        == "stage full is not clearly off; not sure of the RPN (recall 0.62, aim 0.70, 8 regions): look at more images"
    )
    alone, single = Interval(0.84, math.nan, math.nan, 1), Stage("one", "single")
    assert judged(single, box=alone)[1] == "not sure", "one image, and the whole is good"
    assert judged(single, box=alone, of1=alone)[1::4] == ["FAIL", "FAIL"]


def test_where_only_the_whole_fails_the_suspect_is_named() -> None:
    words = worded(FEW, replace(GOOD, auc=about(0.94), of1=about(0.2)))
    assert words.startswith(
        "stage few misses its aim at the whole (oF1 0.20, aim 0.85, 4 images), most likely at the classifier (AUC"
    )


def test_heads_that_tie_are_all_weakest() -> None:
    none = replace(GOOD, called=wilson(0, 9), dice=Interval(0.0, 0.0, 0.0, 9))
    words = worded(FULL, none, none)
    assert "first at the classifier (share" in words and "; weakest: the classifier (share" in words
    assert " and the mask head (Dice given the true box 0.00" in words
