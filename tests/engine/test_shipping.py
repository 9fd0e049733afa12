"""From a run to shipped weights: small, the same answers, measured, with a card; which of two is prediction's default."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import edarnn
import encode_submission
import scoring
from forgery_rcnn.commands import ship
from forgery_rcnn.config import BARE_PTH, DataConfig, ModelConfig, RunConfig, to_dict
from forgery_rcnn.data import kinds, sources
from forgery_rcnn.engine import shipping
from forgery_rcnn.inference import ensemble, shipped
from forgery_rcnn.matching import finder
from forgery_rcnn.models import packing, weights
from tests.conftest import make_root
from tests.models.test_anatomy import built
from tests.models.test_matcher import conftests


def test_only_what_survives_the_way_there_and_back_is_halved() -> None:
    plain, vector = torch.randn(8, 4), torch.randn(8)
    huge, tiny, whole = torch.full((2, 2), 1e5), torch.full((2, 2), 1e-7), torch.arange(4).reshape(2, 2)
    told = packing.packed({"plain": plain, "vector": vector, "huge": huge, "tiny": tiny, "whole": whole})
    kinds_of = {name: tensor.dtype for name, tensor in told.items()}
    assert kinds_of.pop("plain") == torch.float16 and kinds_of.pop("whole") == torch.int64
    assert set(kinds_of.values()) == {torch.float32}
    back = packing.unpacked(told)
    assert all(torch.allclose(back[n], t, rtol=2**-11, atol=1e-7) for n, t in (("plain", plain), ("huge", huge)))


def test_no_place_of_this_machine_is_shipped() -> None:
    config = to_dict(RunConfig(DataConfig(Path("/home/me/corpus"), split_file=Path("/home/me/split.csv"))))
    config["model"]["weights"] = "/home/me/runs/one/model.safetensors"
    told = ship._public({"config": config, "before": [{"config": config, "commit": "c0ffee"}, {"commit": "f00"}]})
    assert "/home/me" not in json.dumps(told) and "/home/me" in json.dumps(config)
    for part in (told, told["before"][0]):
        assert (part["config"]["data"]["root"], part["config"]["model"]["weights"]) == ("corpus", "model.safetensors")
    assert told["before"][1]["commit"] == "f00"


def recorded(fused: float, detector: float) -> dict:
    return {"fused": {"of1": fused}, "detector": {"of1": detector}}


def test_the_default_is_the_better_as_recorded(tmp_path: Path) -> None:
    assert shipped.preferred(tmp_path) is None
    weights.write(tmp_path / "pretrained_final.safetensors", {"a": torch.ones(2)}, {})
    detector, fusion = tmp_path / "pretrained_final.safetensors", tmp_path / "fusion.json"
    assert shipped.preferred(tmp_path) == detector
    digest = weights.read(detector)[1]["sha256"]
    for told, expected in (
        ({"recorded": recorded(0.6, 0.5)}, fusion),
        ({"recorded": recorded(0.5, 0.6)}, detector),
        ({"recorded": recorded(0.5, 0.5)}, detector),
        ({}, detector),
        ({"recorded": {"fused": 3}}, detector),
    ):
        fusion.write_text(json.dumps({"members": [{"sha256": digest}, {"matching": {}}], **told}))
        assert shipped.preferred(tmp_path) == expected, told
    fusion.write_text(json.dumps({"members": [{"sha256": "another"}], "recorded": recorded(0.6, 0.5)}))
    assert shipped.preferred(tmp_path) == detector  # the detector has been shipped anew since
    fusion.write_text("{")
    assert shipped.preferred(tmp_path) == detector


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Figures of the tests, with a manifest of hosts and operations."""
    folder = make_root(tmp_path / "root", cases=20)
    rows = [f"{case},{'splice' if case % 2 else 'copy_move'},set/{case % 4}.png" for case in range(1, 21)]
    (folder / "manifest.csv").write_text("case_id,operation,hosts\n" + "\n".join([*rows, "1,retouch,set/1.png"]) + "\n")
    return folder


@pytest.fixture
def hosts(tmp_path: Path) -> Path:
    folder = tmp_path / "hosts"
    folder.mkdir()
    rows = [f"set/{n}.png,set,blood smear,CC0-1.0,someone/{n // 3}" for n in range(5)]
    (folder / "manifest.csv").write_text("path,set,category,licence,source\n" + "\n".join(rows) + "\n")
    return folder


def test_hosts_are_named_with_source_and_licence(root: Path, hosts: Path, refused: Callable) -> None:
    found = sources.of_hosts(hosts, root)
    assert [(one.origin, one.pictures, one.used) for one in found] == [("someone/0", 3, 3), ("someone/1", 2, 1)]
    assert (found[0].licence, found[0].categories) == ("CC0-1.0", ("blood smear",))
    assert [one.used for one in sources.of_hosts(hosts, None)] == [None, None]
    told = kinds.of_root(root)
    assert (told["1"], told["2"], told["3"]) == (kinds.SEVERAL, "copy_move", "splice") and kinds.of_root(hosts) == {}
    text = (hosts / "manifest.csv").read_text()
    (hosts / "manifest.csv").write_text(text.replace("CC0-1.0,someone/1", ",someone/1", 1))
    with refused("row 5: set/3.png lacks its set, licence or source"):
        sources.of_hosts(hosts, root)
    (hosts / "manifest.csv").write_text("\n".join(text.splitlines()[:3]) + "\n")
    with refused("does not name 2 hosts of", "set/2.png"):
        sources.of_hosts(hosts, root)


@pytest.fixture
def run(tiny_model: ModelConfig, tmp_path: Path) -> Path:
    model = built(replace(tiny_model, box_score_min=0.0))
    with torch.no_grad():  # float16 has room for all of it: which of a random model's boxes win is a matter of rounding
        for parameter in model.parameters():
            parameter.copy_(parameter.half())
        model.roi_heads.box_predictor.cls_score.bias += torch.tensor([0.0, 1.0])  # and some pass the thresholds
    config = RunConfig(model=model.config)
    meta = {"config": to_dict(config), "commit": "c0ffee", "thresholds": {"score_threshold": 0.5, "min_area": 4}}
    weights.write(tmp_path / "run/model.safetensors", model.state_dict(), meta)
    return tmp_path / "run"


@pytest.fixture
def twins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finder, "find", conftests)


def test_a_detector_and_its_fusion_are_shipped(
    run: Path,
    twins: None,
    root: Path,
    hosts: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    place = tmp_path / "weights"
    monkeypatch.setattr(weights, "SHIPPED", place)
    data = ["--data.root", str(root)]
    more = [*data, "--hosts", str(hosts), "--compared", "4"]
    assert edarnn.main(["ship", "--weights", str(run), *more]) == 0
    said = capsys.readouterr().out
    assert "mask IoU" in said and "pretrained_final.md" in said
    alone = ensemble.load(None, BARE_PTH)
    assert alone.path == place / "pretrained_final.safetensors"
    assert {p.dtype for p in alone.members[0].model.parameters()} == {torch.float32}
    assert alone.path.stat().st_size < 0.6 * (run / "model.safetensors").stat().st_size
    assert (
        alone.meta["commit"] == "c0ffee" and alone.config.min_area == 4 and alone.meta["config"]["data"]["root"] is None
    )
    card = (place / "pretrained_final.md").read_text()
    for expected in (
        "CC0-1.0 | someone/0 | 3 | 3",
        "| `c0ffee` |",
        "**Not trained on the data below**",
        "(Wilson)",
        "not good at",
        "| authentic (5) | copy_move (5) |",
        "No decision",
    ):
        assert expected in card, expected
    assert alone.meta["measured"]["images"] == 10 and str(tmp_path) not in card + json.dumps(alone.meta)

    fused = tmp_path / "fused"
    fitting = ["--data.root", str(make_root(tmp_path / "fitting", cases=10, seed=9)), "--split", "all", "--share", "1"]
    assert edarnn.main(["fusion", *fitting, "--missed", "0.05", "--out", str(fused)]) == 0
    assert edarnn.main(["ship", "--weights", str(fused), *more]) == 0
    told = json.loads((place / "fusion.json").read_text())
    assert told["recorded"]["fused"]["of1"] > told["recorded"]["detector"]["of1"]
    assert told["members"][0]["path"] == "pretrained_final.safetensors" and told["decision"]["images"]
    assert "| pretrained_final | " in (place / "fusion.md").read_text()
    found = ensemble.load(None, BARE_PTH)
    assert found.path == place / "fusion.json" == ensemble.load(("fusion",), BARE_PTH).path
    images = str(root / "train_images/forged")
    assert encode_submission.main(["--images", images, "--out", str(tmp_path / "out"), "--overlays", "0"]) == 0
    with open(tmp_path / "out/decisions.csv", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["decision"] for row in rows] == ["forged"] * 20 and len({row["case_id"] for row in rows}) == 20
    assert "0 authentic, 20 forged, 0 undecided" in capsys.readouterr().out
    for layout in ("aaltoes", "tianchi"):  # their files cannot say how sure the model is
        flags = [
            "--images",
            images,
            "--masks",
            str(root / "train_masks"),
            "--out",
            str(tmp_path / layout),
            "--format",
            layout,
        ]
        assert encode_submission.main([*flags, "--overlays", "0"]) == 0
        assert json.loads((tmp_path / layout / "report.json").read_text())["decision"]["counts"]["forged"] == [0, 20]
    other = make_root(tmp_path / "other", cases=6, seed=5)
    report = tmp_path / "report.json"
    assert scoring.main(["--data.root", str(other), "--split", "full", "--json", str(report)]) == 0
    assert "authentic images called forged" in capsys.readouterr().out
    assert json.loads(report.read_text())["decision"]["counts"]["forged"][0] == 0


def test_what_float16_would_change_stays_float32(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(packing, "packed", lambda tensors: {n: t * 0 if t.dim() > 1 else t for n, t in tensors.items()})
    root = make_root(tmp_path / "other", cases=6)
    flags = ["--weights", str(run), "--data.root", str(root), "--hosts", str(tmp_path), "--compared", "4"]
    (tmp_path / "manifest.csv").write_text("path,set,category,licence,source\na.png,a,b,c,d\n")
    out = tmp_path / "shipped"
    assert edarnn.main(["ship", *flags, "--out", str(out)]) == 0
    assert "So the file is float32" in capsys.readouterr().out
    assert {t.dtype for t in weights.read(out.with_suffix(".safetensors"))[0].values()} == {torch.float32}
    silent = json.loads((run / "model.json").read_text())
    silent["thresholds"]["score_threshold"] = 1.0
    (run / "model.json").write_text(json.dumps(silent))
    monkeypatch.undo()
    assert edarnn.main(["ship", *flags, "--out", str(out)]) == 0
    assert "neither marks anything in 4 images" in capsys.readouterr().out
    assert {t.dtype for t in weights.read(out.with_suffix(".safetensors"))[0].values()} == {torch.float32}
    monkeypatch.setattr(shipping, "LARGEST", 1000)
    (tmp_path / "shipped.md").unlink()
    assert edarnn.main(["ship", *flags, "--out", str(out)]) == 2
    assert "MB, at most 60 are shipped" in capsys.readouterr().err and not (tmp_path / "shipped.md").exists()
    assert edarnn.main(["ship", "--weights", str(run), "--data.root", str(root)]) == 2
    assert "--hosts is missing" in capsys.readouterr().err
