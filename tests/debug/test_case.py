"""What a probe looks at: the right images, said in the probes' own words where they are wrong."""

from __future__ import annotations

import io
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from debug.case import Case, Job, open_case
from forgery_rcnn.data import records
from forgery_rcnn.engine.runlog import Screen
from forgery_rcnn.errors import InputError
from forgery_rcnn.models import weights


def opened(run: Path, images: Path, **more: object) -> Case:
    return open_case(Job(weights=str(run), images=images, **more), Screen(None))


def rewritten(run: Path, path: Path, **config: dict[str, object]) -> Path:
    """The run's weights with these settings changed, and thresholds, in a file of their own."""
    tensors, meta = weights.read(run / "model.safetensors")
    for name, values in config.items():
        place = meta["config"] if name in meta["config"] else meta
        place[name] = {**place[name], **values}
    weights.write(path, tensors, meta)
    return path


def test_what_is_wrong_with_a_root_is_said(healthy_run: Path, probe_root: Path, tmp_path: Path) -> None:
    root = shutil.copytree(probe_root, tmp_path / "root")
    shutil.rmtree(root / "train_masks")
    with pytest.raises(InputError, match="train_masks: no such folder"):
        opened(healthy_run, root)
    with pytest.raises(InputError, match=r"no known layout; .*pass --masks DIR for a plain folder"):
        opened(healthy_run, root / "train_images" / "forged")
    with pytest.raises(InputError, match=f"^--masks {tmp_path / 'none'}: no such folder"):
        opened(healthy_run, root / "train_images" / "forged", masks=tmp_path / "none")
    with pytest.raises(InputError, match="--layout coco: of which images"):
        Job(layout="coco")


def test_the_layout_can_be_chosen(healthy_run: Path, probe_root: Path, tmp_path: Path) -> None:
    """The same folder is of COCO's form, where no image is forged, and of images beside masks."""
    (tmp_path / "images").mkdir()
    (tmp_path / "masks").mkdir()
    shutil.copy(probe_root / "train_images/forged/1.png", tmp_path / "images")
    mask = np.load(probe_root / "train_masks/1.npy").any(0)
    Image.fromarray(mask.astype(np.uint8) * 255).save(tmp_path / "masks/1.png")
    told = {"images": [{"id": 1, "file_name": "1.png", "height": 128, "width": 112}], "annotations": []}
    (tmp_path / "a.json").write_text(json.dumps(told))
    labels = [opened(healthy_run, tmp_path, layout=name).items[0].label for name in ("pairs", "coco")]
    assert labels == ["forged", "authentic"]
    shutil.copytree(tmp_path / "images", tmp_path / "Tp")
    shutil.copytree(tmp_path / "images", tmp_path / "Au")
    shutil.copytree(tmp_path / "masks", tmp_path / "CASIA 2 Groundtruth")
    with pytest.raises(InputError, match="choose with --layout "):
        opened(healthy_run, tmp_path)


def test_images_of_a_training_that_skipped_bad_ones_are_known(
    healthy_run: Path, probe_root: Path, tmp_path: Path
) -> None:
    root = shutil.copytree(probe_root, tmp_path / "root")
    (root / "train_images/authentic/7.png").write_bytes(b"no image")
    good = [record for record in records.scan(root) if record.key != "train/authentic/7"]
    path = rewritten(healthy_run, tmp_path / "model.safetensors", data={"skip_bad": True, "root": str(root)})
    tensors, meta = weights.read(path)
    weights.write(path, tensors, {**meta, "data": records.fingerprint(good)})
    assert open_case(Job(weights=str(path)), Screen(None)).split is not None
    (root / "train_images/authentic/8.png").unlink()
    assert open_case(Job(weights=str(path)), Screen(None)).split is None


def test_stored_settings_that_a_probe_does_without_are_said(healthy_run: Path, tmp_path: Path) -> None:
    def said(name: str, **inference: object) -> str:
        path = rewritten(healthy_run, tmp_path / f"{name}.safetensors", thresholds=inference)
        printed = io.StringIO()
        open_case(Job(weights=str(path), split="few"), Screen(printed))
        return " ".join(printed.getvalue().split())

    tiles = {"mode": "auto", "sides": [64], "overlap": 0.25, "grid": 1}
    both = said("both", tiling=tiles, views=["identity", "rot90"])
    assert "whole and once, without the stored tiling, which would cut 4 of them and views identity rot90" in both
    assert "without the stored" not in said("idle", tiling={**tiles, "sides": [128]})


def test_a_supplemental_image_has_no_twin_of_the_training_part(healthy: Case) -> None:
    record = healthy.items[0]
    assert healthy.opened(record).twin.key == f"train/authentic/{record.case_id}"
    assert healthy.opened(replace(record, part="supplemental")).twin is None


def test_a_fusion_is_no_detector() -> None:
    with pytest.raises(InputError, match=r"--weights fusion: no single detector; .* pass pretrained_final"):
        open_case(Job(weights="fusion"), Screen(None))
