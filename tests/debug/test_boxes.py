"""The box regressor's probe: a zeroed one is told from a sound one; stages and epochs of a run are told apart."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from debug import boxes as probe
from debug.case import Case, Specimen
from debug.measures import trace
from debug.measures.regressor import Boxes, Moved, errors, summarised, verdict
from debug.probe import plain, write
from forgery_rcnn.errors import InputError


def measured(case: Case) -> Boxes:
    return probe.measure(case, [probe.look(specimen) for specimen in case.specimens()])


def moved(key: str, before: np.ndarray, after: np.ndarray, true: np.ndarray) -> Moved:
    """Boxes (F, 4) moved from `before` to `after`, each meant for its row of `true`; deltas are not looked at."""
    ious = [iou(boxes, true) for boxes in (before, after)]
    sides = np.sqrt((true[:, 2:] - true[:, :2]).prod(axis=1))
    nothing = np.ones((len(true), 4))
    return Moved(key, *ious, errors(before, true), errors(after, true), nothing, nothing, sides, sides, *ious)


def iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    inner = np.clip(np.minimum(a[:, 2:], b[:, 2:]) - np.maximum(a[:, :2], b[:, :2]), 0, None).prod(axis=1)
    return inner / ((a[:, 2:] - a[:, :2]).prod(axis=1) + (b[:, 2:] - b[:, :2]).prod(axis=1) - inner)


def told(after: Callable[[np.ndarray, np.random.Generator], np.ndarray], count: int = 6) -> str:
    """The verdict on images of four 40 px regions whose proposals are 8 px off, moved by `after`."""
    rng, images = np.random.default_rng(0), []
    for image in range(count):
        start = rng.uniform(0, 100, (4, 2))
        true = np.concatenate([start, start + 40], axis=1)
        before = true + np.tile(rng.choice([-8, 8], (4, 2)), 2)
        images.append(moved(str(image), before, after(before, rng), true))
    return verdict(summarised(images, [], [], {}))


@pytest.fixture(scope="module")
def sound(healthy: Case, specimens: list[Specimen]) -> Boxes:
    return probe.measure(healthy, [probe.look(specimen) for specimen in specimens])


def test_a_sound_regressor_and_a_zeroed_one(sound: Boxes, broken: Callable[[str], Case]) -> None:
    spoilt = measured(broken("boxes"))
    assert sound.gain.value > 0.1 and sound.improved > 0.8
    assert spoilt.gain.value == pytest.approx(0, abs=1e-6)
    assert spoilt.before == sound.before, "the proposals are the same"
    assert all(axis.step == 0 for axis in spoilt.axes.values()) and sound.axes["dx"].step > 0.5
    assert probe.lines(sound)[-1].startswith("verdict: fine: the regressor ")
    assert probe.lines(spoilt)[-1].startswith("verdict: the regressor does not move boxes towards the truth: IoU 0.")


def test_a_bad_rpn_is_not_the_regressors_fault(broken: Callable[[str], Case]) -> None:
    assert "that is the RPN's fault: run debug.rpn" in probe.lines(measured(broken("proposals")))[-1]


def test_ideal_deltas_would_hit_the_truth(specimens: list[Specimen]) -> None:
    """Decoding them gives the true box: errors of the decoded proposal are 0."""
    for specimen in specimens:
        found = probe.look(specimen)
        scaled = found.ideal / np.array([10, 10, 5, 5])
        shift, size = found.errors_before[:, :2], found.errors_before[:, 2:]
        # The coder counts in the proposal's sides, the errors in the true box's: exp(size) is the one over the other.
        assert scaled[:, :2] * np.exp(size) == pytest.approx(-shift, abs=1e-4)
        assert scaled[:, 2:] == pytest.approx(-size, abs=1e-4)


def test_errors_point_right_down_wide_and_tall() -> None:
    true = np.array([[10.0, 20, 30, 60]])
    assert errors(true + [4, 0, 4, 0], true)[0] == pytest.approx([0.2, 0, 0, 0])
    assert errors(true + [0, 4, 0, 4], true)[0] == pytest.approx([0, 0.1, 0, 0])
    assert errors(np.array([[0.0, 0, 40, 80]]), true)[0] == pytest.approx([0, 0, np.log(2), np.log(2)])
    assert np.isfinite(errors(np.array([[5.0, 5, 5, 5]]), true)).all(), "a box of no size"


def test_the_verdict_by_hand() -> None:
    assert "does not move boxes towards the truth" in told(lambda before, rng: before)
    assert "does not move boxes towards the truth" in told(lambda before, rng: before + rng.normal(0, 3, before.shape))
    assert told(lambda before, rng: before, count=1).startswith("too few forged proposals to say: 4 ")
    true = np.array([[10.0, 10, 50, 50]] * 5)
    few = verdict(summarised([moved("0", true[:2] + 4, true[:2] + 1, true[:2])], [], [], {}))
    assert few.endswith(
        "2 (IoU >= 0.5) on 2 of 2 regions; the RPN finds the regions, there are few: look at more forged images"
    )
    before = true + 8

    def verdict_of(after: np.ndarray) -> str:
        return verdict(summarised([moved(str(i), before, after, true) for i in range(4)], [], [], {}))

    assert (
        verdict_of(true + 1) == "fine: the regressor brings 20 forged proposals to their true boxes, IoU 0.471 -> 0.906"
    )
    assert "they end too right (dx +0.100)" in verdict_of(true + [4, 0, 4, 0])
    assert "they end too wide (dw +0.223)" in verdict_of(true + [-5, 0, 5, 0])
    spread = true + np.array([[6, 0, 6, 0], [-6, 0, -6, 0], [0, 0, 0, 0], [0, 6, 0, 6], [0, -6, 0, -6]])
    assert verdict_of(spread).startswith("fine: the regressor moves boxes towards the truth without bias")
    half = verdict_of(true + 2 * (spread - true))
    assert "not near enough" in half or "does not move" in half


def test_a_case_without_a_run_has_no_stages_and_no_epochs(broken: Callable[[str], Case]) -> None:
    found = measured(broken("boxes"))
    said = probe.lines(found)
    assert found.stages == [] and found.epochs == [] and set(probe.figures(found)) == {"boxes"}
    assert "by stage: n/a" in "\n".join(said) and "by epoch: n/a" in "\n".join(said)


@pytest.fixture
def staged(healthy: Case, broken: Callable[[str], Case], tmp_path: Path) -> Case:
    """The healthy detector in a run of two stages, the first with a zeroed regressor; no watched image."""
    checkpoints = tmp_path / "run/checkpoints"
    checkpoints.mkdir(parents=True)
    for name, source in (("best-1-some", broken("boxes").path), ("best-2-best-of-all", healthy.path)):
        for suffix in (".safetensors", ".json"):
            shutil.copy(source.with_suffix(suffix), checkpoints / f"{name}{suffix}")
    return replace(healthy, run=tmp_path / "run")


def test_stages_are_measured_on_the_same_images(staged: Case, sound: Boxes, tmp_path: Path) -> None:
    found = measured(staged)
    first, second = found.stages
    assert (first.name, second.name) == ("some", "best-of-all")
    assert (
        first.before == pytest.approx(first.after, abs=1e-6)
        and first.improved == 0
        and first.proposals == sound.proposals
    )
    assert (second.before, second.after) == (sound.before.value, sound.after.value)
    assert "stages.png" in {path.name for path in write(probe.PROBE, found, tmp_path / "out")}


def test_a_damaged_stage_is_left_out(staged: Case) -> None:
    (staged.run / "checkpoints/best-1-some.safetensors").write_bytes(b"cut")
    assert [stage.name for stage in measured(staged).stages] == ["best-of-all"]


def line(stage: str, epoch: int, case: str, shift: float) -> dict:
    """One true box found `shift` px off after regression, another that nothing is near to."""
    proposal = {"proposal": [20, 20, 60, 60], "refined": [10 + shift, 10, 50 + shift, 50], "score": 0.5}
    near = proposal | {"proposal_iou": 0.25, "refined_iou": 1 - shift / 40}
    truth = [[10, 10, 50, 50], [70, 70, 90, 90]]
    top = [{"box": [0, 0, 5, 5], "score": 0.4}]
    return {"stage": stage, "epoch": epoch, "step": epoch, "case": case, "size": [128, 112], "truth": truth} | {
        "found": [near, None],
        "top": top,
    }


def written(path: Path, rows: list[dict]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_the_boxes_of_one_image_move_over_the_epochs(staged: Case, tmp_path: Path) -> None:
    key = staged.split.few[0].key
    rows = [line("one", e, key, 10 - e) for e in range(4)] + [line("few", e, key, 4 - e) for e in range(3)]
    written(staged.run / "boxes.jsonl", rows)
    found = measured(staged)
    assert [moment.mean("refined_iou") for moment in found.epochs][::6] == pytest.approx([0.75, 0.95])
    (picture,) = found.pictures.values()
    assert picture.shape == (128, 112, 3) and picture.std() > 5
    names = {path.name for path in write(probe.PROBE, found, tmp_path / "out")}
    assert {"film.gif", "filmstrip.png", "epochs.png"} <= names
    with Image.open(tmp_path / "out/film.gif") as film:
        assert film.n_frames >= 7 and film.info["duration"] == trace.MILLISECONDS
    report = json.loads((tmp_path / "out/report.json").read_text())
    assert report["epochs"][0]["found"][1] is None and "pictures" not in report
    said = "\n".join(probe.lines(found))
    assert f"7 epochs of {key}" in said and "best  few, epoch 2: 0.250 -> 0.950, 0.500" in said


def test_each_watched_image_has_its_own_course(staged: Case) -> None:
    """A stage that is scored on other images watches another one: no line joins the two."""
    one, other = (record.key for record in staged.split.few[:2])
    rows = [line("one", e, one, 8) for e in range(3)] + [line("few", e, other, 2) for e in range(2)]
    written(staged.run / "boxes.jsonl", rows)
    found = measured(staged)
    said = "\n".join(probe.lines(found))
    assert f"3 epochs of {one}: " in said and f"2 epochs of {other}: " in said
    a, b = trace.curve(found.epochs).axes
    assert f"{one}, then {other}" in a.get_title()
    for ax, count in ((a, 3), (b, 4)):
        courses = [list(drawn.get_xdata()) for drawn in ax.lines if len(drawn.get_xdata()) in (2, 3)]
        assert courses.count([1, 2, 3]) == courses.count([4, 5]) == count
        assert len(ax.get_legend().get_texts()) == count


def test_a_film_has_so_many_frames_and_ends_at_the_last(tmp_path: Path) -> None:
    path = written(tmp_path / "boxes.jsonl", [line("one", e, "gone", 10) for e in range(200)])
    moments = trace.read(path)
    some = trace.chosen(moments, trace.FRAMES)
    assert len(some) == 60 and (some[0].epoch, some[-1].epoch) == (0, 199)
    film = trace.film(moments[:3], {})
    assert len(film.frames) == 3 + 4 and film.frames[0].dtype == np.uint8


def test_a_watched_image_that_is_not_at_hand_is_left_blank(staged: Case) -> None:
    written(staged.run / "boxes.jsonl", [line("one", 1, "train/forged/no_such", 10)])
    found = measured(staged)
    assert found.pictures == {} and {"film", "filmstrip", "epochs"} <= set(probe.figures(found))


def test_a_line_that_is_no_epoch_is_named(tmp_path: Path) -> None:
    good = line("one", 1, "a", 1)
    for bad in ({}, good | {"found": [{"score": 1}]}, good | {"size": 3}, [1]):
        with pytest.raises(InputError, match=r"boxes\.jsonl: line 2 is not an epoch's boxes"):
            trace.read(written(tmp_path / "boxes.jsonl", [good, bad]))
    nothing = good | {"found": [None, None], "truth": good["truth"]}
    (moment,) = trace.read(written(tmp_path / "boxes.jsonl", [nothing]))
    assert np.isnan(moment.mean("score")) and trace.film([moment], {}).frames


def test_authentic_images_only(healthy: Case, tmp_path: Path) -> None:
    items = [record for record in healthy.split.named("all") if record.label == "authentic"][:2]
    found = measured(replace(healthy, items=items, run=None))
    assert probe.lines(found)[-1] == "verdict: n/a: no forged region in these images; pass some that are forged"
    assert plain(found)["after"]["value"] is None and write(probe.PROBE, found, tmp_path)


def test_errors_of_each_epoch_are_in_widths_heights_and_log_ratios() -> None:
    near = trace.Found([0, 0, 9, 9], [12, 10, 32, 50], 0.5, 0.3, 0.4)  # the truth is 10 20 30 40
    moment = trace.Moment("one", 1, 1, "a", (64, 64), [[10, 20, 30, 40], [0, 0, 5, 5]], [near, None], [])
    np.testing.assert_allclose(trace.errors([moment])[0], [0.1, 0.0, 0.0, np.log(2)])
    assert np.isnan(trace.errors([replace(moment, found=[None, None])])).all()
