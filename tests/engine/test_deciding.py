"""A decision on the way from images to the JSON: of a detector, of the twin finder; kept, refused, told."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import edarnn
import scoring
from forgery_rcnn.config import BARE_PTH, MatchingConfig, ModelConfig, RunConfig, to_dict
from forgery_rcnn.engine import deciding
from forgery_rcnn.inference import ensemble
from forgery_rcnn.matching import finder
from forgery_rcnn.matching.pairs import Finding
from forgery_rcnn.models import weights
from tests.conftest import make_root
from tests.models.test_anatomy import built
from tests.models.test_matcher import finding, pair


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return make_root(tmp_path / "root", cases=14)


@pytest.fixture
def run(tiny_model: ModelConfig, tmp_path: Path) -> Path:
    model = built(replace(tiny_model, box_score_min=0.0))
    meta = {"config": to_dict(RunConfig(model=model.config)), "thresholds": {"min_area": 7}}
    weights.write(tmp_path / "run/model.safetensors", model.state_dict(), meta)
    return tmp_path / "run"


def test_a_detector_keeps_its_thresholds_and_its_decision_knows_its_images(
    run: Path, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--weights", str(run), "--data.root", str(root)]
    assert edarnn.main(["decide", *flags, "--split", "all"]) == 0
    said = capsys.readouterr().out
    assert "fitting a decision on 14 images, 14 of the split are held out" in said and "verdict: " in said
    told = json.loads((run / "model.json").read_text())
    assert told["thresholds"] == {"min_area": 7} and len(told["decision"]["images"]) == 14
    found = ensemble.load((str(run),), BARE_PTH)
    assert found.decision is not None and len(found.fitted) == 14
    assert scoring.main([*flags, "--split", "full"]) == 2
    assert "were fitted on" in capsys.readouterr().err
    assert edarnn.main(["fit", *flags, "--split", "all", "--refine"]) == 0  # thresholds fitted later leave it alone
    assert json.loads((run / "model.json").read_text())["decision"] == told["decision"]


def test_the_twin_finder_alone_goes_to_a_file_of_its_own(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def find(pixels: np.ndarray, config: MatchingConfig) -> Finding:
        size, same = pixels.shape[:2], np.array_equal(pixels[40:70, 8:36], pixels[5:35, 40:68])
        return finding(*[pair((40, 5, 68, 35), (8, 40, 36, 70), 0.9, size)] * same, size=size)

    monkeypatch.setattr(finder, "find", find)
    flags = ["decide", "--weights", "matcher", "--data.root", str(root), "--split", "all"]
    assert edarnn.main(flags) == 2
    assert "pass --out" in capsys.readouterr().err
    out = tmp_path / "found/ensemble.json"
    assert edarnn.main([*flags, "--share", "1", "--out", str(out)]) == 0
    found = ensemble.load((str(out.parent),), BARE_PTH)
    assert found.decision is not None and (found.decision.said(0.0), found.decision.said(0.9)) == (
        "authentic",
        "forged",
    )
    assert found.decision.authentic_below == found.decision.forged_from == pytest.approx(0.45)
    told = json.loads(out.read_text())["decision"]
    assert told["crossed"]["counts"] == {"authentic": [14, 0], "forged": [0, 14], "undecided": [0, 0]}
    assert told["crossed"]["false_alarms"]["high"] > 0.2  # of 14 images


def test_the_verdict_says_how_sure_it_is() -> None:
    scores, forged = np.linspace(0, 1, 40), np.arange(40) % 2 == 0
    found = deciding.fit(scores, forged, np.array_split(np.arange(40), 4), 0.5, 0.5)
    assert found.crossed is not None and deciding.lines(found)[-1].startswith("verdict: ")
    few = deciding.fit(scores[:10], forged[:10], [np.arange(10)], 0.05, 0.1)
    assert "too few images" in deciding.verdict(few)
    parted = deciding.fit(forged * 0.8, forged, np.array_split(np.arange(40), 4), 0.05, 0.1)
    assert deciding.verdict(parted).endswith("up to 16.1% cannot be ruled out, 5.0% were asked")
    many = np.tile(forged, 10)
    sure = deciding.fit(many * 0.8, many, np.array_split(np.arange(400), 4), 0.05, 0.1)
    assert deciding.verdict(sure).endswith("at most the 5.0% asked")
