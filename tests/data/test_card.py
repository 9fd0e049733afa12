"""The data card: its numbers by hand, and that what it calls too small is what training leaves out."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from forgery_rcnn.config import DataConfig, ModelConfig
from forgery_rcnn.data import card, dataset, masks, records, splits
from forgery_rcnn.data.card import DataCard
from forgery_rcnn.data.masks import Shown

SHOWN = Shown(48, 2, "channels")


def measured(root: Path, shown: Shown = SHOWN, **config: int) -> DataCard:
    found = records.scan(root)
    facts = records.check(found, 0, how=shown)
    split = splits.split(found, facts, DataConfig(**config))
    return card.measure(root, found, facts, split, ["7.png: bad"], records.fingerprint(found))


@pytest.fixture
def root(tiny_root: Path) -> Path:
    """Five authentic, five forged, one supplemental figure; forged 1 has three instances in 16-bit grey."""
    (tiny_root / "train_images/authentic/6.png").unlink()
    (tiny_root / "train_images/forged/5.png").unlink()
    Image.fromarray(np.zeros((100, 200), np.uint16)).save(tiny_root / "train_images/forged/1.png")
    masks = np.zeros((3, 100, 200), np.uint8)
    masks[0, :10, :10] = masks[1, :20, :20] = masks[2, 50:56, 50:150] = 1
    np.save(tiny_root / "train_masks/1.npy", masks)
    for folder, name in (("images", "9.png"), ("masks", "9.npy")):
        (tiny_root / f"supplemental_{folder}").mkdir()
        source = tiny_root / ("train_images/forged/2.png" if folder == "images" else "train_masks/2.npy")
        (tiny_root / f"supplemental_{folder}" / name).write_bytes(source.read_bytes())
    return tiny_root


def test_counts(root: Path) -> None:
    found = measured(root)
    assert (found.images, found.authentic, found.forged, found.supplemental) == (11, 5, 5, 1)
    assert found.authentic_with_forged_twin == 4
    assert found.instances_per_image == {1: 5, 3: 1}
    assert found.modes == {"RGB": 10, "I;16": 1} and found.notes == {"16 bit / 257": 1}
    assert found.sizes.count((100, 200)) == 1 and len(found.sizes) == 11
    assert found.skipped == ("7.png: bad",)
    assert found.fingerprint == records.fingerprint(records.scan(root))


def test_areas_count_overlapping_instances_once(root: Path) -> None:
    found = measured(root)
    assert found.forged_area[0] == pytest.approx(100 * (400 + 600) / 20_000)
    assert found.smallest_instance == 100
    assert len(found.forged_area) == 6


def test_baselines_and_split_follow_the_records(root: Path) -> None:
    config = DataConfig(folds=3, fold=1)
    items = records.scan(root)
    split = splits.split(items, records.check(items, workers=0), config)
    found = measured(root, folds=3, fold=1)
    assert found.baseline_all_authentic == pytest.approx(5 / 10)
    authentic = sum(r.label == "authentic" for r in split.validation)
    assert 2 * authentic != len(split.validation)
    assert found.baseline_all_authentic_validation == pytest.approx(authentic / len(split.validation))
    assert found.split == {
        "single": 1,
        "few": len(split.few),
        "full": len(split.full),
        "validation": len(split.validation),
    }


@pytest.mark.parametrize(
    ("long_side", "min_box", "instances", "lost"),
    [
        *((200, 1, "channels", 0), (200, 5, "channels", 0), (48, 3, "channels", 2), (24, 2, "channels", 2)),
        *((24, 3, "channels", 3), (16, 3, "channels", 3), (16, 30, "channels", 8), (24, 3, "components", 3)),
    ],
)
def test_too_small_is_what_training_leaves_out(
    long_side: int, min_box: int, instances: masks.Instances, lost: int, root: Path
) -> None:
    model = ModelConfig()
    object.__setattr__(
        model, "image_size", long_side
    )  # smaller than a model may be, as regions of a small root must be
    config = DataConfig(min_box=min_box, instances=instances)
    items = dataset.ForgeryDataset(records.scan(root), config, model)
    given = sum(len(masks.boxes(records.load(record).masks, instances)) for record in items.items)
    kept = sum(len(items[index, 0][1]["boxes"]) for index in range(len(items)))
    assert measured(root, masks.shown_to(model, config)).lost_at_training_size == given - kept == lost


def test_printed_card(root: Path) -> None:
    text = "\n".join(card.lines(measured(root, Shown(48, 5, "channels"))))
    assert "data card of tiny_root (fingerprint " in text
    assert "11: 5 forged, 5 authentic (4 of these also occur forged), 1 supplemental forged" in text
    assert "height 80..100, width 80..200 px" in text
    assert "RGB 10, I;16 1" in text and "1: 5, 3: 1" in text
    assert "smallest instance 100 px" in text and "; 6 groups (by case id, host and content)" in text
    assert "oF1 0.5000 on the training mix, " in text
    assert "instances vanish" in text and "16 bit / 257: 1 files" in text and "skipped           7.png: bad" in text


def test_lines_leave_out_what_there_is_not(root: Path) -> None:
    found = measured(root, Shown(200, 1, "channels"))
    text = "\n".join(card.lines(replace(found, baseline_all_authentic_validation=None, notes={}, skipped=())))
    assert not any(word in text for word in ("vanish", "validation split", "read as", "skipped"))


def test_json_sums_up_sizes_and_areas(root: Path) -> None:
    values = json.loads(json.dumps(card.as_json(measured(root)), allow_nan=False))
    assert values["sizes"]["100x200"] == 1 and sum(values["sizes"].values()) == 11
    assert list(values["forged_area"]) == ["q10", "q25", "q50", "q75", "q90", "q99"]
    assert values["forged_area"]["q50"] == pytest.approx(np.median(measured(root).forged_area))
    assert values["instances_per_image"] == {"1": 5, "3": 1}


def test_one_image(tiny_root: Path) -> None:
    for side in ("authentic", "forged"):
        for case in range(1 + (side == "forged"), 7):
            (tiny_root / f"train_images/{side}/{case}.png").unlink()
    (tiny_root / "train_images/authentic").rmdir()
    found = measured(tiny_root)
    assert (found.images, found.baseline_all_authentic, found.baseline_all_authentic_validation) == (1, 0, None)
    assert card.lines(found) and card.as_json(found)
    json.dumps(card.as_json(found), allow_nan=False)


def test_supplemental_figures_alone_are_left(root: Path) -> None:
    """As skip_bad may leave a set: nothing to compare the baseline with."""
    found = [record for record in records.scan(root) if record.part == "supplemental"]
    facts = records.check(found, workers=0)
    split = splits.split(found, facts, DataConfig())
    measured_card = card.measure(root, found, facts, split, (), "0")
    assert (measured_card.images, measured_card.baseline_all_authentic) == (1, 0)
