"""Several weights as one: merged as worked out by hand, written and read back, refused when a member is not what it was."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from forgery_rcnn.config import InferenceConfig, ModelConfig, RunConfig, to_dict
from forgery_rcnn.engine import targets
from forgery_rcnn.inference import ensemble, pipeline
from forgery_rcnn.inference.ensemble import Ensemble, Member
from forgery_rcnn.inference.overrides import InferenceOver, RefineOver, TilingOver
from forgery_rcnn.instances import Instances, Prediction
from forgery_rcnn.models import weights, zoo

Refused = Callable


class Says:
    """Stands in for a segmenter: the same heat map of every image, times the image's first pixel over 100."""

    sees, learns = "parts", "parameters"

    def __init__(self, heatmap: Sequence[Sequence[float]], score: float, gives: str = "map") -> None:
        self.heatmap, self.score, self.gives = np.float32(heatmap), score, gives
        self.localises = bool(self.heatmap.any())

    def predict(self, images: Sequence[np.ndarray], mask_threshold: float) -> list[Prediction]:
        return [self.of(image, mask_threshold) for image in images]

    def of(self, image: np.ndarray, mask_threshold: float) -> Prediction:
        none = Prediction(
            Instances((2, 2)), np.zeros((0, 4), np.float32), np.zeros(0, np.float32), self.heatmap, self.score
        )
        if self.gives == "map":
            return none
        mask = self.heatmap >= mask_threshold
        boxes = np.float32([[0, 0, 2, 2]])
        return Prediction(
            Instances.from_masks(mask[None]), boxes, np.float32([self.score]), self.score * self.heatmap, self.score
        )


def together(*models: tuple[Says, float], rule: str = "mean", config: InferenceConfig | None = None) -> Ensemble:
    config = config or InferenceConfig(min_area=1)
    members = tuple(Member(model, config, weight, Path("x"), {}) for model, weight in models)
    return Ensemble(members, rule, config, Path("x"), {})


IMAGE = np.full((2, 2, 3), 100, np.uint8)


def test_the_mean_of_maps_is_weighted() -> None:
    one, other = Says([[0.8, 0.0], [0.4, 1.0]], 0.9), Says([[0.4, 0.4], [0.8, 1.0]], 0.1)
    found = together((one, 3), (other, 1)).predict(IMAGE)
    np.testing.assert_allclose(found.heatmap, [[0.7, 0.1], [0.5, 1.0]], atol=1e-6)
    assert found.image_score == pytest.approx(0.7)
    assert found.instances.masks().tolist() == [[[True, False], [True, True]]]


def test_who_has_no_share_is_not_heard() -> None:
    one, other = Says([[0.8, 0.0], [0.4, 1.0]], 0.9), Says([[0.4, 0.4], [0.8, 1.0]], 0.1)
    pair = together((one, 1), (other, 1))
    found = pair.merged(pair.candidates(IMAGE), (0.0, 0.25))
    np.testing.assert_array_equal(found.heatmap, other.heatmap)
    assert pair.only([1]).predict(IMAGE).image_score == 0.1


def test_a_vote_asks_each_member_by_its_own_threshold() -> None:
    """A low map, whose threshold is 0.2, has the same vote as a high one."""
    low, high = Says([[0.3, 0.1], [0.3, 0.3]], 0.9), Says([[0.9, 0.9], [0.1, 0.6]], 0.9)
    third = Says([[0.1, 0.9], [0.1, 0.6]], 0.9)
    three = together((low, 1), (high, 1), (third, 1), rule="vote")
    own = replace(three.members[0], config=InferenceConfig(mask_threshold=0.2))
    found = replace(three, members=(own, *three.members[1:])).predict(IMAGE)
    assert found.instances.masks().tolist() == [[[True, True], [False, True]]]
    assert found.image_score == 1
    assert three.predict(IMAGE).instances.masks().tolist() == [[[False, True], [False, True]]]


def test_no_members_threshold_overrules_a_vote() -> None:
    """Two of three say that the image is forged, and where: a share of 2/3, of which nobody's own thresholds know."""
    yes, no = Says([[0.9, 0.1], [0.1, 0.9]], 0.9), Says([[0.1, 0.1], [0.1, 0.1]], 0.1)
    for gives in ("map", "instances"):
        say = [Says(each.heatmap, each.score, gives) for each in (yes, yes, no)]
        strict = InferenceConfig(0.7, 0.8, image_threshold=0.7, min_area=1)
        three = together(*((each, 1) for each in say), rule="vote", config=strict)
        found = replace(three, config=ensemble.of_votes(strict))
        assert (found.config.min_area, found.config.mask_threshold, found.thresholds) == (1, 0.5, (0.5, 0.5))
        told = found.predict(IMAGE)
        assert told.instances.union().tolist() == [[0, 1], [3, 1]] and told.image_score == pytest.approx(2 / 3)
        # Given on the command line a threshold is each member's: with this one nobody calls the image forged any more.
        asked = found.over(InferenceOver(image_threshold=0.95, mask_threshold=0.2).over)
        assert asked.config == found.config and asked.members[0].config.mask_threshold == 0.2
        assert len(asked.predict(IMAGE).instances) == 0 and asked.predict(IMAGE).image_score == 0
        alone = found.only([1])
        assert alone.config == strict and len(alone.predict(IMAGE).instances) > 0


def test_candidates_are_made_one_after_the_other() -> None:
    asked = []

    class Counts(Says):
        def predict(self, images: Sequence[np.ndarray], mask_threshold: float) -> list[Prediction]:
            asked.append(self.score)
            return super().predict(images, mask_threshold)

    pair = together((Counts([[1, 0], [0, 0]], 0.25), 1), (Counts([[0, 0], [0, 1]], 0.5), 1))
    found = pair.candidates(IMAGE)
    assert asked == [] and next(found).image_score == 0.25 and asked == [0.25]
    assert next(found).image_score == 0.5 and next(found, None) is None


def test_the_threshold_of_calls_is_the_one_fitted_to_them() -> None:
    """0 lets everything through, which nobody means by it unless it was fitted to such calls."""
    found = together((Says([[1, 0], [0, 0]], 0.5), 1), config=InferenceConfig(mask_threshold=0.75))
    assert found.thresholds == (0.5, 0.75)
    assert replace(found, meta={"fitted": {"metric": "of1", "images": []}}).thresholds == (0.5, 0.75)
    assert replace(found, meta={"fitted": {"metric": "f1", "images": []}}).thresholds == (0, 0.75)
    assert found.over(InferenceOver(image_threshold=0.25).over).thresholds == (0.25, 0.75)


def test_members_of_both_kinds_are_merged_by_their_maps() -> None:
    detector, dense = Says([[1, 0], [0, 0]], 1.0, "instances"), Says([[0.2, 0.8], [0, 1]], 0.5)
    assert together((detector, 1)).gives == "instances" and together((dense, 1)).gives == "map"
    mixed = together((detector, 1), (dense, 1))
    assert mixed.gives == "map"
    found = mixed.predict(IMAGE)
    np.testing.assert_allclose(found.heatmap, [[0.6, 0.4], [0, 0.5]])
    assert found.instances.masks().tolist() == [[[True, False], [False, True]]]


@pytest.mark.parametrize("gives", ["map", "instances"])
def test_who_does_not_say_where_counts_for_the_image_score_alone(gives: str) -> None:
    places, whether = Says([[0.9, 0.1], [0.1, 0.6]], 0.6, gives), Says([[0, 0], [0, 0]], 1.0)
    mean = together((places, 1), (whether, 3))
    assert mean.gives == gives and mean.localises and not together((whether, 1)).localises
    found = mean.predict(IMAGE)
    assert found.instances.masks().tolist() == [[[True, False], [False, True]]]
    assert found.image_score == pytest.approx(0.9)
    np.testing.assert_array_equal(found.heatmap, places.of(IMAGE, 0.5).heatmap)
    voted = together((places, 1), (whether, 1), (Says([[0, 0], [0, 0]], 0.1), 1), rule="vote").predict(IMAGE)
    assert voted.instances.masks().tolist() == found.instances.masks().tolist()
    assert voted.image_score == pytest.approx(2 / 3)
    nobody = together((whether, 1), (whether, 1)).predict(IMAGE)
    assert len(nobody.instances) == 0 and nobody.image_score == 1


def test_a_detector_votes_by_its_scores_among_maps() -> None:
    """Scores of 0.3 times its masks stay below every mask threshold, yet they pass its own of 0.2."""
    detector, blind = Says([[0.9, 0.0], [0.0, 0.9]], 0.3, "instances"), Says([[0.1, 0.1], [0.1, 0.1]], 0.1)
    three = together((detector, 1), (detector, 1), (blind, 1), rule="vote")
    assert three.gives == "map" and len(three.predict(IMAGE).instances) == 0
    low = [replace(member, config=InferenceConfig(score_threshold=0.2)) for member in three.members[:2]]
    found = replace(three, members=(*low, three.members[2])).predict(IMAGE)
    assert found.instances.masks().tolist() == [[[True, False], [False, True]]]


@pytest.mark.parametrize(("heatmap", "score"), [([[np.nan, 0], [0, 0]], 0.5), ([[1, 0], [0, 0]], float("nan"))])
def test_what_is_not_finite_is_one_line(heatmap: list[list[float]], score: float, refused: Refused) -> None:
    with refused("x: what it predicts is not finite; use other weights"):
        together((Says([[1, 0], [0, 0]], 0.5), 1), (Says(heatmap, score), 1)).predict(IMAGE)


def test_the_ensembles_own_thresholds_decide() -> None:
    dense = Says([[0.6, 0.4], [0.4, 0.2]], 0.5)
    for config, found in (
        (InferenceConfig(mask_threshold=0.3, score_threshold=0.3, min_area=1), 3),
        (InferenceConfig(min_area=1), 1),
        (InferenceConfig(min_area=1, image_threshold=0.6), 0),
    ):
        alone = replace(together((dense, 1)), config=config)
        assert alone.predict(IMAGE).instances.areas().sum() == found


def saved(folder: Path, config: ModelConfig, inference: InferenceConfig, seed: int, **more: object) -> Path:
    torch.manual_seed(seed)
    model = zoo.build(weights.settled(config))
    path = folder / "model.safetensors"
    meta = {"config": to_dict(RunConfig(model=model.config)), "thresholds": to_dict(inference), "data": "d", **more}
    weights.write(path, model.state_dict(), meta)
    return path


@pytest.fixture(scope="module")
def runs(tiny_model: ModelConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """a and b: U-Nets with thresholds of their own; c: a detector. Only to be read."""
    folder = tmp_path_factory.mktemp("weights")
    dense = replace(tiny_model, arch="attention_unet")
    saved(folder / "a", dense, InferenceConfig(mask_threshold=0.4, views=("identity", "rot90")), 0)
    saved(folder / "b", dense, InferenceConfig(mask_threshold=0.6), 1, fitted={"images": ["22"]})
    saved(folder / "c", tiny_model, InferenceConfig(score_threshold=0.1, min_area=0), 2, fitted={"images": ["11"]})
    return folder


@pytest.fixture
def own(runs: Path, tmp_path: Path) -> Path:
    """A copy of them that may be damaged."""
    shutil.copytree(runs, tmp_path / "own")
    return tmp_path / "own"


def picture() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (90, 70, 3), dtype=np.uint8)


@pytest.mark.parametrize("name", ["a", "c"])
def test_one_member_is_its_model_alone(runs: Path, name: str) -> None:
    found = ensemble.load([str(runs / name)], ModelConfig())
    alone = weights.load(str(runs / name), ModelConfig())
    expected = pipeline.predict_image(alone.model, picture(), found.config)
    told = found.predict(picture())
    np.testing.assert_array_equal(told.heatmap, expected.heatmap)
    np.testing.assert_array_equal(told.scores, expected.scores)
    assert (told.image_score, len(told.instances)) == (expected.image_score, len(expected.instances))
    assert found.meta == alone.meta and found.path == alone.path and found.device.type == "cpu"


def test_written_and_read_it_says_the_same_wherever_it_lies(own: Path, tmp_path: Path) -> None:
    config = InferenceConfig(mask_threshold=0.45, close_gaps=4)
    files = [(own / name / "model.safetensors", weight) for name, weight in (("a", 1.0), ("b", 3.0))]
    ensemble.write(own / "ensemble.json", files, "mean", config)
    found = ensemble.load([str(own)], ModelConfig())
    assert (found.rule, found.config) == ("mean", config)
    assert [member.weight for member in found.members] == [1, 3]
    assert [member.config.mask_threshold for member in found.members] == [0.4, 0.6]
    heat = [pipeline.candidates(m.model, picture(), m.config).heatmap for m in found.members]
    told = found.predict(picture())
    np.testing.assert_allclose(told.heatmap, 0.25 * heat[0] + 0.75 * heat[1], atol=1e-6)
    own.rename(tmp_path / "elsewhere")
    moved = ensemble.load([str(tmp_path / "elsewhere/ensemble.json")], ModelConfig())
    np.testing.assert_array_equal(moved.predict(picture()).heatmap, told.heatmap)


def test_without_thresholds_the_first_members_are_taken(own: Path) -> None:
    ensemble.write(own / "e.json", [(own / name / "model.safetensors", 1.0) for name in "ba"], "vote")
    found = ensemble.load([str(own / "e.json")], ModelConfig())
    assert (found.config.mask_threshold, found.rule) == (0.5, "vote")
    mean = ensemble.load([str(own / "e.json")], ModelConfig(), "mean")
    assert (mean.config.mask_threshold, mean.rule) == (0.6, "mean")


def test_thresholds_fitted_to_votes_are_for_votes_alone(own: Path) -> None:
    config = InferenceConfig(score_threshold=0.75, image_threshold=0.4, close_gaps=4)
    files, told = [(own / name / "model.safetensors", 1.0) for name in "ab"], {"images": ["33"]}
    for rule, more, asked, expected in (
        ("vote", {"fitted": told}, None, config),
        ("vote", {"fitted": told}, "mean", InferenceConfig(mask_threshold=0.4, views=("identity", "rot90"))),
        ("vote", {}, None, ensemble.of_votes(config)),
        ("vote", {}, "mean", config),
        ("mean", {"fitted": told}, "vote", ensemble.of_votes(config)),
        ("mean", {"fitted": told}, None, config),
    ):
        ensemble.write(own / "e.json", files, rule, config, **more)
        assert ensemble.load([str(own / "e.json")], ModelConfig(), asked).config == expected
    assert ensemble.of_votes(config).close_gaps == 4
    several = ensemble.load([str(own / name) for name in "cab"], ModelConfig(), "vote").config
    assert (several.score_threshold, several.mask_threshold, several.min_area) == (0, 0.5, 0)
    alone = ensemble.load([str(own / "c")], ModelConfig(), "vote").config
    assert alone.score_threshold == 0.1


def test_several_names_weigh_the_same_and_the_first_decides(own: Path) -> None:
    ensemble.write(own / "ensemble.json", [(own / n / "model.safetensors", w) for n, w in (("a", 1), ("b", 3))], "mean")
    found = ensemble.load([str(own / "c"), str(own)], ModelConfig())
    assert [member.weight for member in found.members] == [1, 0.25, 0.75]
    assert (found.config.score_threshold, found.rule, found.gives) == (0.1, "mean", "map")
    assert ensemble.load([str(own / "c"), str(own / "a")], ModelConfig(), "vote").rule == "vote"


def test_what_any_member_was_fitted_on_is_known(runs: Path, own: Path) -> None:
    assert ensemble.load([str(runs / "a")], ModelConfig()).fitted == frozenset()
    assert ensemble.load([str(runs / n) for n in "abc"], ModelConfig()).fitted == {"11", "22"}
    files = [(own / "a/model.safetensors", 1.0), (own / "b/model.safetensors", 1.0)]
    ensemble.write(own / "ensemble.json", files, "mean", fitted={"images": ["33"]})
    assert ensemble.load([str(own)], ModelConfig()).fitted == {"22", "33"}
    for names in (["c", "."], [".", "c"]):  # whoever is named first
        assert ensemble.load([str(own / name) for name in names], ModelConfig()).fitted == {"11", "22", "33"}


def test_bare_weights_can_be_members(own: Path, tiny_model: ModelConfig) -> None:
    model = weights.load(str(own / "a"), ModelConfig()).model
    torch.save(model.state_dict(), own / "bare.pth")
    ensemble.write(own / "ensemble.json", [(own / "bare.pth", 1.0)], "mean")
    found = ensemble.load([str(own)], replace(tiny_model, arch="attention_unet"))
    assert found.config == InferenceConfig() and found.members[0].meta == {}


def damage_json(own: Path) -> None:
    (own / "ensemble.json").write_text('{"members": [')


def no_members(own: Path) -> None:
    (own / "ensemble.json").write_text('{"members": [], "rule": "mean", "thresholds": {}}')


def other_json(own: Path) -> None:
    (own / "ensemble.json").write_text('{"shapes": []}')


def a_list(own: Path) -> None:
    (own / "ensemble.json").write_text("[]")


def other_rule(own: Path) -> None:
    told = json.loads((own / "ensemble.json").read_text())
    (own / "ensemble.json").write_text(json.dumps({**told, "rule": "median"}))


def wrong_threshold(own: Path) -> None:
    told = json.loads((own / "ensemble.json").read_text())
    (own / "ensemble.json").write_text(json.dumps({**told, "thresholds": {"mask_threshold": 7}}))


def no_thresholds(own: Path) -> None:
    told = json.loads((own / "ensemble.json").read_text())
    (own / "ensemble.json").write_text(json.dumps({**told, "thresholds": {"refine": None}}))


def wrong_fitted(own: Path) -> None:
    told = json.loads((own / "ensemble.json").read_text())
    (own / "ensemble.json").write_text(json.dumps({**told, "fitted": [1]}))


def wrong_decision(own: Path) -> None:
    told = json.loads((own / "ensemble.json").read_text())
    (own / "ensemble.json").write_text(json.dumps({**told, "decision": {"slope": 1, "images": 5}}))


def members_fitted(own: Path) -> None:
    told = json.loads((own / "b/model.json").read_text())
    (own / "b/model.json").write_text(json.dumps({**told, "fitted": {"images": [1]}}))


def members_threshold(own: Path) -> None:
    told = json.loads((own / "b/model.json").read_text())
    (own / "b/model.json").write_text(json.dumps({**told, "thresholds": {"mask_treshold": 0.5}}))


def cut_member(own: Path) -> None:
    path = own / "b/model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def lose_member(own: Path) -> None:
    (own / "b/model.safetensors").unlink()


def other_member(own: Path) -> None:
    for name in ("model.safetensors", "model.json"):
        shutil.copy(own / "a" / name, own / "b" / name)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (damage_json, ("ensemble.json: damaged",)),
        (no_members, ("ensemble.json: needs members",)),
        (other_json, ("ensemble.json: not an ensemble",)),
        (a_list, ("ensemble.json: not a JSON object",)),
        (other_rule, ("one of the rules mean, vote",)),
        (wrong_threshold, ("ensemble.json: inference.mask_threshold is 7",)),
        (no_thresholds, ("ensemble.json: its thresholds are not settings",)),
        (wrong_fitted, ("ensemble.json: `fitted` does not list",)),
        (wrong_decision, ("ensemble.json: `decision` does not list",)),
        (members_fitted, ("b/model.json: `fitted` does not list",)),
        (members_threshold, ("b/model.json: InferenceConfig has no setting mask_treshold",)),
        (cut_member, ("b/model.safetensors is damaged or has changed",)),
        (lose_member, ("b/model.safetensors is missing",)),
        (other_member, ("b/model.safetensors is damaged or has changed",)),
    ],
)
def test_what_does_not_fit_is_one_line(
    own: Path, refused: Refused, spoil: Callable[[Path], None], said: tuple[str, ...]
) -> None:
    ensemble.write(own / "ensemble.json", [(own / n / "model.safetensors", 1.0) for n in "ab"], "mean")
    spoil(own)
    with refused(*said):
        ensemble.load([str(own)], ModelConfig())


def test_what_cannot_be_written_is_one_line(own: Path, refused: Refused) -> None:
    file = own / "a/model.safetensors"
    with refused("no member"):
        ensemble.write(own / "e.json", [], "mean")
    with refused("weight is [0]", "above 0"):
        ensemble.write(own / "e.json", [(file, 0)], "mean")
    with refused("gone.safetensors: no such file"):
        ensemble.write(own / "e.json", [(own / "gone.safetensors", 1)], "mean")
    assert not (own / "e.json").exists()


def test_without_a_name_the_latest_run_is_meant(own: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(weights, "SHIPPED", tmp_path / "weights")
    own.rename(tmp_path / "runs")
    folds = tmp_path / "runs/folds"
    folds.mkdir()
    ensemble.write(folds / "ensemble.json", [(tmp_path / f"runs/{n}/model.safetensors", 1.0) for n in "ab"], "mean")
    for second, name in enumerate(("a/model.safetensors", "folds/ensemble.json", "b/model.safetensors")):
        os.utime(tmp_path / "runs" / name, (second, second))
    os.utime(tmp_path / "runs/c/model.safetensors", (0, 0))
    assert ensemble.load(None, ModelConfig()).path == Path("runs/b/model.safetensors")
    assert ensemble.load(["folds"], ModelConfig()).path == Path("runs/folds/ensemble.json")
    os.utime(folds / "ensemble.json", (9, 9))
    assert len(ensemble.load((), ModelConfig()).members) == 2


def test_shipped_weights_are_no_place_for_what_is_fitted(
    own: Path, monkeypatch: pytest.MonkeyPatch, refused: Refused
) -> None:
    monkeypatch.setattr(weights, "SHIPPED", own / "a")
    found = ensemble.load([str(own / "a")], ModelConfig())
    with refused("shipped weights stay as they are", "--weights runs/NAME", "--out"):
        targets.check_target(found, None)
    assert targets.check_target(found, own / "e.json") == own / "e.json"
    assert targets.check_target(ensemble.load([str(own / "b")], ModelConfig()), None) == own / "b/model.json"


def test_settings_given_reach_the_members_and_the_whole(runs: Path) -> None:
    given = InferenceOver(
        views=("eight",), image_threshold=0.25, tiling=TilingOver(mode="auto", sides=(64,)), refine=RefineOver("guided")
    )
    found = ensemble.load([str(runs / "a"), str(runs / "b")], ModelConfig()).over(given.over)
    assert [member.config.mask_threshold for member in found.members] == [0.4, 0.6]
    for config in (found.config, *(member.config for member in found.members)):
        assert (config.views, config.image_threshold, config.min_area) == (("eight",), 0.25, 16)
        assert (config.tiling.mode, config.tiling.sides, config.tiling.overlap) == ("auto", (64,), 0.25)
        assert (config.refine.method, config.refine.spatial) == ("guided", 10)
    assert InferenceOver().over(found.config) == found.config


def test_settings_that_count_for_maps_alone_are_refused_for_instances(refused: Refused) -> None:
    for given, said in (
        (
            InferenceOver(refine=RefineOver("crf", spatial_at=0)),
            "--inference.refine.method, --inference.refine.spatial-at",
        ),
        (InferenceOver(close_gaps=0), "--inference.close-gaps"),
    ):
        given.check("map")
        with refused(said, "give a map"):
            given.check("instances")
    InferenceOver(min_area=3, views=("eight",), tiling=TilingOver("auto")).check("instances")
