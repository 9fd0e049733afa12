"""What is noted of a file beside its pairs."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from forgery_rcnn.matching import examined
from forgery_rcnn.matching.pairs import Figure, Finding
from forgery_rcnn.matching_config import MatchingConfig
from tests.matching.planted import noise_texture


def nothing(pixels: np.ndarray, config: MatchingConfig) -> Finding:
    """Painted over from side to side."""
    size = pixels.shape[:2]
    return Finding(
        Figure(pixels, np.zeros(size, np.float32), np.zeros(size, bool), np.array([[0, 0, size[1], size[0]]])), ()
    )


@pytest.mark.parametrize(("quality", "noted"), [(95, False), (85, False), (70, True), (60, True), (40, True)])
def test_a_coarsely_compressed_file_is_noted(tmp_path: Path, quality: int, noted: bool) -> None:
    Image.fromarray((60 + 0.5 * noise_texture(3, 0, 320)).astype(np.uint8)).save(tmp_path / "a.jpg", quality=quality)
    notes = examined.examine(tmp_path / "a.jpg", "a.jpg", MatchingConfig(), 10, nothing).notes
    told = [int(number) for note in notes for number in re.findall(r"JPEG of quality (\d+) or so", note)]
    assert told == pytest.approx([quality] * noted, abs=2)


def test_what_is_kept_belongs_to_the_content_the_settings_the_code_and_the_libraries(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = tmp_path / "a.png", tmp_path / "b.png"
    one.write_bytes(b"1")
    other.write_bytes(b"2")

    def key(path: Path = one, config: MatchingConfig | None = None, per_panel: int = 10) -> str:
        examined._code.cache_clear()
        return examined.key(path, config or MatchingConfig(), per_panel)

    assert key() == key()
    told = {key(), key(other), key(config=MatchingConfig(min_score=0.9)), key(per_panel=11)}
    monkeypatch.setattr(examined.cv2, "__version__", "9.9")
    told.add(key())
    read = Path.read_bytes
    for changed in ("images.py", "rle.py", "judge.json"):
        monkeypatch.setattr(Path, "read_bytes", lambda path, name=changed: b"" if path.name == name else read(path))
        told.add(key())
    assert len(told) == 8
    monkeypatch.undo()
    examined._code.cache_clear()
