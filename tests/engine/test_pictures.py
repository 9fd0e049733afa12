"""What a run's pictures are made of: every view and their mean, every refinement of one map, what a model alone can show."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from torch import Tensor, nn

from forgery_rcnn.config import DataConfig, InferenceConfig, ModelConfig
from forgery_rcnn.data import records
from forgery_rcnn.engine import evaluate, pictures
from forgery_rcnn.inference_config import VIEWS
from forgery_rcnn.instances import Prediction
from forgery_rcnn.models import regions
from forgery_rcnn.models.segmenter import Segmenter


class Corner(Segmenter):
    """Calls the top left quarter of whatever it is shown forged, so that every view finds another one."""

    gives = "map"

    def __init__(self) -> None:
        super().__init__(ModelConfig())
        self.none, self.calls = nn.Linear(1, 1), 0

    def losses(self, images: Sequence[Tensor], targets: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
        return {}

    def predict(self, images: Sequence[np.ndarray], mask_threshold: float = 0.5) -> list[Prediction]:
        self.calls += len(images)
        out = []
        for image in images:
            found = np.zeros(image.shape[:2], np.float32)
            found[: found.shape[0] // 2, : found.shape[1] // 2] = 1
            out.append(regions.prediction(found, 0.9, mask_threshold))
        return out

    def exhibits(self, pixels: np.ndarray) -> dict[str, dict[str, np.ndarray]]:
        return {"corners": {"one": np.zeros((4, 4), np.float32)}}


@pytest.fixture
def shown(shared_root: Path) -> list[pictures.Shown]:
    chosen = [record for record in records.scan(shared_root) if record.case_id == "1"]
    return [pictures.Shown(record.label, evaluate.seen(record, DataConfig(shared_root))) for record in chosen]


def test_every_view_stands_beside_the_mean_of_all(shown: list[pictures.Shown]) -> None:
    found = pictures.by_view(Corner(), shown, InferenceConfig())
    assert list(found.dice) == ["mean", *VIEWS] and found.maps.keys() == {"authentic", "forged"}
    maps = found.maps["forged"]
    np.testing.assert_allclose(maps["mean"], np.mean([maps[name] for name in VIEWS], axis=0), atol=1e-6)
    assert maps["identity"][0, 0] == maps["rot180"][-1, -1] == maps["flip_vertical"][-1, 0] == 1
    assert maps["identity"][-1, -1] == 0
    assert list(pictures.by_view(Corner(), shown, InferenceConfig(views=("five",))).dice)[1:] == [
        "identity",
        "flip_horizontal",
        "flip_vertical",
        "rot90",
        "rot270",
    ]


def test_refinements_are_of_one_map_that_is_predicted_once(shown: list[pictures.Shown]) -> None:
    model = Corner()
    found = pictures.by_refinement(model, shown, InferenceConfig())
    assert model.calls == len(shown) and list(found.dice) == ["none", "crf", "guided", "smoother"]
    maps = found.maps["forged"]
    assert set(np.unique(maps["none"])) == {0, 1}
    assert not np.array_equal(maps["guided"], maps["none"])
    assert found.dice["none"][0] == 0 if shown[0].name == "authentic" else found.dice["none"][0] > 0
    assert found.intervals()["none"].count == len(shown)


def test_all_pictures_are_written(shown: list[pictures.Shown], tmp_path: Path) -> None:
    drawn = list(pictures.save(Corner(), shown[:1], InferenceConfig(), tmp_path))
    assert all(path.is_file() for path in drawn)
    names = {str(path.relative_to(tmp_path)) for path in drawn}
    own = {f"{topic}/{shown[0].name}.png" for topic in ("predictions", "views", "refinement", "corners")}
    assert names == own | {"views.png", "refinement.png"}
