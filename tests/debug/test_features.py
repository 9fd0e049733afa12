"""A healthy encoder holds a cue; a zeroed one none; a zeroed box head loses it. No image, no region: one clear line."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from debug import features as probe
from debug.case import Case, Job, Specimen, open_case
from debug.measures import trace
from debug.measures.places import colours
from debug.probe import plain, write
from forgery_rcnn.config import DataConfig, InferenceConfig, ModelConfig, RunConfig
from forgery_rcnn.data import records
from forgery_rcnn.engine.runlog import Screen
from forgery_rcnn.models import weights, zoo
from forgery_rcnn.models.anatomy import true_regions
from forgery_rcnn.models.cues import HEAD, NAMES, POOLED
from forgery_rcnn.models.mask_rcnn import MaskRCNN
from tests.conftest import make_root
from tests.engine.test_loop import STAGE, epochs, train, trainer


def zeroed(part: nn.Module) -> None:
    """Set every parameter to 0."""
    for tensor in part.parameters():
        tensor.data.zero_()


@pytest.fixture(scope="module")
def twelve(healthy_run: Path) -> Callable[[Callable[[MaskRCNN], None]], Case]:
    """twelve(spoil) -> the healthy detector, spoilt, on all twelve forged images, eight of which it has not seen."""

    def make(spoil: Callable[[MaskRCNN], None]) -> Case:
        case = open_case(Job(weights=str(healthy_run), split="all", count=24), Screen(None))
        spoil(case.model)
        return case

    return make


def measured(case: Case) -> probe.Features:
    return probe.measure(case, [probe.look(specimen) for specimen in case.specimens()])


def test_a_healthy_encoder_holds_a_cue(twelve: Callable[[Callable[[MaskRCNN], None]], Case], tmp_path: Path) -> None:
    found = measured(twelve(lambda model: None))
    assert (found.images, found.trained) == (12, 4)
    assert found.sets[POOLED].regions == 6 * (6 + 2 * 6) and found.sets[POOLED].auc.value > 0.8
    said = probe.lines(found)
    assert said[-1].startswith("verdict: the features hold a cue: a linear probe of ")
    assert f"{found.sets[probe.best(found.sets)].auc.value:.4f}" in said[-1]
    assert "(p 0.018 over 9 sets) beside their pristine twins" in said[-1] and "trained on" not in said[-1]
    assert any(line.startswith("note: the encoder was trained on 4 of the 12 images") for line in said)
    assert [line.split("  ")[0] for line in said[2:13]] == [*NAMES, "pixels"]
    files = {path.name for path in write(probe.PROBE, found, tmp_path)}
    assert files == {"report.txt", "report.json", "features.png", "twins.png"}
    kept = json.loads((tmp_path / "report.json").read_text())["sets"][HEAD]
    assert "cloud" not in kept and kept["auc"]["value"] == pytest.approx(found.sets[HEAD].auc.value)


def test_a_region_beside_itself_in_the_pristine_twin(twelve: Callable[[Callable[[MaskRCNN], None]], Case]) -> None:
    case = twelve(lambda model: None)
    found = measured(case)
    assert found.twins[POOLED].images == 12 and found.twins[POOLED].auc.value > 0.8
    assert "differ from their pristine twin, beside it" in "\n".join(probe.lines(found))
    same = replace(case, twins={r.twin_key: r for r in case.items if r.label == "forged"})
    none = measured(same)
    assert (none.sets, none.twins, none.untouched) == ({}, {}, 18), "a region that is as in the twin is not forged"
    alone = measured(replace(case, twins={}))
    assert alone.twins == {} and (alone.alone, found.alone) == (12, 0)
    assert "12 forged images have no pristine twin" in "\n".join(probe.lines(alone))


def test_a_zeroed_encoder_holds_none(twelve: Callable[[Callable[[MaskRCNN], None]], Case]) -> None:
    found = measured(twelve(lambda model: zeroed(model.backbone)))
    assert found.sets[POOLED].auc.value == 0.5
    verdict = probe.lines(found)[-1]
    assert verdict.startswith(
        "verdict: the features hold no cue that these 12 images can show: a linear probe of stage 0 gives AUC 0.5000"
    )
    assert "first look at more" in verdict and "--model.separability-weight" in verdict
    assert probe.figures(found)["features"].axes


def test_a_zeroed_box_head_loses_it(twelve: Callable[[Callable[[MaskRCNN], None]], Case]) -> None:
    found = measured(twelve(lambda model: zeroed(model.roi_heads.box_head)))
    assert found.lost is not None and found.lost.low > 0 and found.sets[HEAD].auc.value == 0.5
    assert "; the box head loses it: " in probe.lines(found)[-1]


def test_a_cue_that_the_heads_are_not_given_is_the_pyramids_fault(
    twelve: Callable[[Callable[[MaskRCNN], None]], Case],
) -> None:
    found = measured(twelve(lambda model: zeroed(model.backbone.fpn)))
    assert probe.best(found.sets).startswith("stage") and found.sets[POOLED].auc.value == 0.5
    assert "all that the heads are given, 0.5000, no more than chance" in probe.lines(found)[-1]


def test_regions_and_controls_are_of_one_shape_and_the_key_decides(specimens: list[Specimen]) -> None:
    first, again = probe.look(specimens[0]), probe.look(specimens[0])
    assert first.vectors.keys() == {*NAMES, "pixels"} and len(first.vectors[HEAD]) == 6 * len(specimens[0].truth)
    np.testing.assert_array_equal(first.vectors["pixels"], again.vectors["pixels"])
    other = replace(specimens[0], record=replace(specimens[0].record, case_id="another"))
    count = first.forged
    assert count == len(specimens[0].truth)
    moved = probe.look(other).vectors["pixels"]
    np.testing.assert_array_equal(moved[:count], first.vectors["pixels"][:count])
    assert (moved[count:] != first.vectors["pixels"][count:]).any()


def test_colours_are_mean_and_spread_of_the_place() -> None:
    pixels = np.zeros((8, 10, 3), np.uint8)
    pixels[2:4, 4:8] = [10, 20, 30]
    pixels[2:4, 6:8, 0] = 30
    (row,) = colours(pixels, np.float32([[4, 2, 8, 4]]))
    assert row.tolist() == [20, 20, 30, 10, 0, 0]


def given(specimen: Specimen, masks: np.ndarray) -> Specimen:
    """The same image with other regions."""
    return replace(specimen, truth=true_regions(masks, specimen.anatomy))


@pytest.mark.parametrize("what", ["authentic", "speck", "whole"])
def test_an_image_without_a_pair_says_so(healthy: Case, specimens: list[Specimen], what: str) -> None:
    masks = np.zeros((1, *specimens[0].pixels.shape[:2]), bool)
    masks[:, 5:6, 5:6] = what == "speck"
    masks[:] |= what == "whole"
    kept = probe.look(replace(given(specimens[0], masks), twin=None))
    assert (kept.vectors, kept.small, kept.dropped) == ({}, what == "speck", what == "whole")
    said = probe.lines(probe.measure(healthy, [kept]))
    assert said[-1].startswith("verdict: n/a: 0 images have a forged region")
    assert any("below 2 px" in line for line in said) == (what == "speck")
    assert any("no authentic place" in line for line in said) == (what == "whole")


def test_no_image_and_one_image_are_na(healthy: Case, specimens: list[Specimen], tmp_path: Path) -> None:
    for kept in ([], [probe.look(specimens[0])]):
        found = probe.measure(healthy, kept)
        assert probe.figures(found) == {} and plain(found)["lost"] is None
        assert f"n/a: {len(kept)} images have" in probe.lines(found)[-1]
        assert len(write(probe.PROBE, found, tmp_path)) == 2


def test_images_that_were_all_trained_on_are_named_in_the_verdict(
    twelve: Callable[[Callable[[MaskRCNN], None]], Case],
) -> None:
    found = measured(twelve(lambda model: None))
    assert "beside authentic places of images that it was trained on" in probe.verdict(replace(found, trained=12))


def drawn(folder: Path, count: int, ground: int) -> Path:
    """`count` 96 px images of noise with one patch, its level `ground` above the rest: in the forged image that patch is
    new noise of the same kind, in its twin the old."""
    rng = np.random.default_rng(1)
    for part in ("train_images/authentic", "train_images/forged", "train_masks"):
        (folder / part).mkdir(parents=True)
    for case in range(count):
        y, x = rng.integers(2, 60, 2)
        pixels = rng.normal(110, 20, (96, 96, 3))
        mask = np.zeros((1, 96, 96), np.uint8)
        mask[0, y : y + 24, x : x + 24] = 1
        pixels[mask[0] == 1] += ground
        for part in ("authentic", "forged"):
            image = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
            image.save(folder / f"train_images/{part}/{case + 1}.png")
            pixels[mask[0] == 1] = rng.normal(110 + ground, 20, (24 * 24, 3))
        np.save(folder / f"train_masks/{case + 1}.npy", mask)
    return folder


def untrained(root: Path, model: ModelConfig) -> Case:
    """A detector with random weights, on all of a root's forged images."""
    torch.manual_seed(0)
    found, config = records.scan(root), RunConfig(DataConfig(root), model)
    items = [record for record in found if record.label == "forged"]
    twins = {record.key: record for record in found if record.label == "authentic"}
    built, job = zoo.build(weights.settled(model)).eval(), Job(weights="none")
    return Case(built, root, config, InferenceConfig(), items, None, None, "auto", job, Screen(None), twins)


def test_noise_holds_no_cue_with_twins_or_without(tmp_path: Path, tiny_model: ModelConfig) -> None:
    case = untrained(drawn(tmp_path / "root", 16, 0), tiny_model)
    for each in (case, replace(case, twins={})):
        found = measured(each)
        assert found.images == 16 and probe.verdict(found).startswith("the features hold no cue that these 16 images")


def test_bright_places_tell_where_forgers_put_regions_not_what_they_leave(
    tmp_path: Path, tiny_model: ModelConfig
) -> None:
    case = untrained(drawn(tmp_path / "root", 20, 80), tiny_model)
    for each in (case, replace(case, twins={})):
        found = measured(each)
        assert found.sets[POOLED].auc.value > 0.95
        assert probe.verdict(found).startswith("the encoder tells where forgers put regions, not what they leave: ")
    few = measured(replace(case, items=case.items[:9]))
    assert few.images == 9 and "[" not in probe.verdict(few) and "(p " in probe.verdict(few)
    alone = measured(replace(case, twins={}, items=case.items[:16]))
    assert "do not say whether by what forgers leave" in probe.verdict(alone), "few are no evidence of none"
    found = measured(case)
    beside = {n: replace(s, auc=replace(s.auc, value=0.7, low=0.55)) for n, s in found.twins.items()}
    assert probe.verdict(replace(found, twins=beside)).endswith("look at more: --count 100")


def test_training_logs_what_this_probe_finds(tmp_path: Path, tiny_model: ModelConfig) -> None:
    """Ten images, each with a copy and its pristine source; the weights of the only epoch."""
    root = make_root(tmp_path / "root", cases=10)
    train(trainer(root, tmp_path / "run", tiny_model, replace(STAGE, epochs=1)))
    (line,) = epochs(tmp_path / "run")
    found = measured(open_case(Job(weights=str(tmp_path / "run"), split="all", count=40), Screen(None)))
    assert (found.images, found.untouched) == (10, 10)
    assert found.sets[POOLED].auc.value == line["separability"]
    (moment,) = trace.read(tmp_path / "run/boxes.jsonl")
    assert moment.found[0] is not None
