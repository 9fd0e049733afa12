"""The pictures of docs/probes.md: one good and one bad of each probe, and the table of verdicts."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from debug import gallery, oracle, spoil, stages


def test_a_good_and_a_bad_picture_and_what_is_said_of_them(
    healthy_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gallery, "PAIRS", ((oracle.PROBE, "masks", ("ladder",)),))
    monkeypatch.setattr(gallery, "OF_RUNS", ((stages.PROBE, ("heads",)),))
    run = str(healthy_run)
    assert gallery.main(["--weights", run, "--sick", run, "--out", str(tmp_path)]) == 0
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {f"{stem}.png" for stem in gallery_names()} | {"verdicts.md"}
    for path in tmp_path.glob("*.png"):
        with Image.open(path) as picture:
            assert min(picture.size) > 100
    rows = (tmp_path / "verdicts.md").read_text().splitlines()
    assert rows[2].startswith("| oracle | healthy | no part fails")
    assert rows[3].startswith(f"| | {spoil.WORDS['masks']} | the mask head fails most: it costs ")


def gallery_names() -> list[str]:
    runs = [f"stages-run-{mark}-heads" for mark in ("good", "bad")]
    return ["oracle-good-ladder", "oracle-bad-ladder", *runs]


def test_every_way_to_break_a_part_has_its_words() -> None:
    assert spoil.BREAKS.keys() == spoil.WORDS.keys() >= {part for _, part, _ in gallery.PAIRS}
