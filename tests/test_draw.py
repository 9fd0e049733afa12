"""Figures: what they show, in whose frame; that nothing is shown or saved on the way."""

from __future__ import annotations

import tracemalloc
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image

from forgery_rcnn import draw
from forgery_rcnn.instances import ANY_SIZE, Instances, Prediction, boxes_of

SIZE = (30, 40)


def boxed(y0: int, x0: int, y1: int, x1: int, size: tuple[int, int] = SIZE) -> np.ndarray:
    mask = np.zeros(size, bool)
    mask[y0:y1, x0:x1] = True
    return mask


def prediction(*masks: np.ndarray, size: tuple[int, int] = SIZE) -> Prediction:
    stack = np.array(masks, bool).reshape(-1, *size)
    scores = np.linspace(0.9, 0.5, len(stack)).astype(np.float32)
    return Prediction(Instances.from_masks(stack), boxes_of(stack), scores, np.zeros(size, np.float32), 0.87)


def grey(size: tuple[int, int] = SIZE) -> np.ndarray:
    return np.full((*size, 3), 128, np.uint8)


def rendered(figure: Figure) -> np.ndarray:
    """-> (h, w, 3) uint8; warnings of the drawing are errors here."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[:, :, :3]


def titles(figure: Figure) -> list[str]:
    return [ax.get_title() for ax in figure.axes if ax.get_title()]


def outlines(ax: Any) -> list[tuple[float, float, float, float]]:
    """x0 y0 x1 y1 of every contour drawn."""
    found = [c.get_paths()[0].get_extents().extents for c in ax.collections if len(c.get_paths()[0].vertices)]
    return [tuple(extent.tolist()) for extent in found]


@pytest.mark.parametrize(
    ("truth", "shown"),
    [
        (None, ["image, 40 x 30 px", "prediction: 2 instances"]),
        (np.zeros((0, *SIZE), bool), ["image, 40 x 30 px", "truth: authentic", "prediction: 2 instances"]),
        (boxed(1, 2, 5, 9)[None], ["image, 40 x 30 px", "truth: 1 instance", "prediction: 2 instances"]),
        (np.stack([boxed(1, 2, 5, 9)] * 2), ["image, 40 x 30 px", "truth: 2 instances", "prediction: 2 instances"]),
    ],
    ids=["no truth", "authentic", "one", "two"],
)
def test_overlay_panels(truth: np.ndarray | None, shown: list[str]) -> None:
    figure = draw.overlay(grey(), truth, prediction(boxed(0, 0, 4, 4), boxed(9, 9, 20, 30)), "47")
    assert titles(figure) == [*shown, "heat map, image score 0.87"]
    assert figure.get_suptitle() == "47"
    rendered(figure)


def test_boxes_and_outlines_lie_on_pixel_edges() -> None:
    """A pixel's centre is its index, so the region [9, 20) x [5, 30) ends half a pixel beyond its centres."""
    figure = draw.overlay(grey(), boxed(9, 5, 20, 30)[None], prediction(boxed(9, 5, 20, 30)), "")
    _, truth, found, *_ = figure.axes
    (box,) = [patch for patch in found.patches if isinstance(patch, Rectangle)]
    assert box.get_bbox().extents.tolist() == [4.5, 8.5, 29.5, 19.5]
    assert outlines(truth) == [(4.5, 8.5, 29.5, 19.5)] == outlines(found)
    assert [text.get_text() for text in found.texts] == ["0.90"]


def test_overlay_of_a_large_image_is_drawn_from_a_sparse_copy_in_place() -> None:
    """Every third row and column of 3000 x 4200: heat and picture over all of it, outline and box in its pixels."""
    size = (3000, 4200)
    found = prediction(boxed(900, 600, 1000, 800, size), size=size)
    found.heatmap[900:1000, 600:800] = 1
    pixels, truth = grey(size), Instances(size, (np.array([[600 * 3000 + 900, 100]]),))
    pixels[900:1000, 600:800] = 0, 120, 240
    tracemalloc.start()
    figure = draw.overlay(pixels, truth, found, "")
    rendered(figure)
    assert tracemalloc.get_traced_memory()[1] < 250e6  # at full size 650 MB
    tracemalloc.stop()
    *_, marked, heat, _ = figure.axes
    assert outlines(marked) == [(599.5, 899.5, 799.5, 999.5)]
    assert outlines(figure.axes[1]) == [(599.5, 899.5, 600.5, 999.5)]
    pale, warm = (shown.get_array() for shown in heat.images)
    for shown in heat.images:
        assert shown.get_extent() == [-0.5, 4199.5, 2999.5, -0.5]
    assert warm.shape == (1000, 1400) and pale.shape == (1000, 1400, 3) and pale.dtype == np.uint8
    rows, columns = np.nonzero(np.asarray(warm))
    assert (rows.min(), rows.max() + 1, columns.min(), columns.max() + 1) == (300, 334, 200, 267)
    assert pale[300, 200].tolist() == [160] * 3 and pale[0, 0].tolist() == [164] * 3  # half the mean, and 100


def test_truth_as_instances_is_drawn_as_its_masks_are() -> None:
    masks = np.stack([boxed(1, 2, 5, 9), boxed(9, 9, 20, 30)])
    told = [draw.overlay(grey(), truth, prediction(), "") for truth in (masks, Instances.from_masks(masks))]
    assert outlines(told[0].axes[1]) == outlines(told[1].axes[1]) == [(1.5, 0.5, 8.5, 4.5), (8.5, 8.5, 29.5, 19.5)]
    np.testing.assert_array_equal(*(rendered(figure) for figure in told))


def test_outline_of_a_region_that_fills_the_image_is_closed() -> None:
    figure = draw.overlay(grey(), np.ones((1, *SIZE), bool), prediction(), "")
    assert outlines(figure.axes[1]) == [(-0.5, -0.5, 39.5, 29.5)]


def test_truth_and_prediction_differ_in_colour() -> None:
    figure = draw.overlay(grey(), boxed(9, 5, 20, 30)[None], prediction(boxed(9, 5, 20, 30)), "")
    colours = [tuple(figure.axes[i].collections[0].get_edgecolor()[0][:3]) for i in (1, 2)]
    assert colours == [pytest.approx(to_rgb(draw.TRUTH)), pytest.approx(to_rgb(draw.FOUND))]


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 1), (2, 3)])
@pytest.mark.parametrize("kind", ["nothing", "all", "an empty mask"])
def test_overlay_of_odd_images(size: tuple[int, int], kind: str) -> None:
    masks = {"nothing": [], "all": [np.ones(size, bool)], "an empty mask": [np.zeros(size, bool)]}[kind]
    truth = np.ones((len(masks), *size), bool)
    assert rendered(draw.overlay(grey(size), truth, prediction(*masks, size=size), "odd")).std() > 0


def of(*masks: np.ndarray) -> Instances:
    return Instances.from_masks(np.array(masks, bool).reshape(-1, *SIZE))


@pytest.mark.parametrize(
    ("truth", "answers", "shown"),
    [
        (None, {"A": (None, 1.0)}, ["truth: authentic", "A: authentic, oF1 1.0000"]),
        (
            of(boxed(1, 2, 5, 9)),
            {"A": (None, 0.0), "B": (of(boxed(1, 2, 5, 8), boxed(9, 9, 20, 30)), 0.4615)},
            ["truth: 1 instance", "A: authentic, oF1 0.0000", "B: 2 instances, oF1 0.4615"],
        ),
        (None, {"A": (of(), 0.0)}, ["truth: authentic", "A: 0 instances, oF1 0.0000"]),
    ],
    ids=["authentic", "two answers", "nowhere"],
)
@pytest.mark.parametrize("pixels", [None, grey()], ids=["no image", "image"])
def test_comparison_shows_each_answer_beside_the_truth(
    pixels: np.ndarray | None, truth: Any, answers: Any, shown: list[str], tmp_path: Path
) -> None:
    figure = draw.comparison(pixels, truth, answers, "47")
    assert isinstance(figure, Figure) and titles(figure) == shown and figure.get_suptitle() == "47"
    true = [] if truth is None else [(1.5, 0.5, 8.5, 4.5)]
    assert outlines(figure.axes[0]) == true
    for ax, (answer, _) in zip(figure.axes[1:], answers.values(), strict=True):
        assert len(outlines(ax)) == len(true) + (0 if answer is None else len(answer))
        assert outlines(ax)[len(outlines(ax)) - len(true) :] == true
    if truth is not None or pixels is not None:
        assert figure.axes[0].images[0].get_array().shape == (*SIZE, 3)
    assert draw.save(figure, tmp_path / "new/1.png", dpi=40).stat().st_size > 500


def test_comparison_of_a_mask_without_pixels() -> None:
    figure = draw.comparison(grey(), of(boxed(1, 2, 5, 9)), {"A": (of(np.zeros(SIZE, bool)), 0.0)}, "")
    rendered(figure)
    assert outlines(figure.axes[1]) == [(1.5, 0.5, 8.5, 4.5)]


def notes(figure: Figure) -> list[str]:
    return [ax.get_xlabel() for ax in figure.axes]


def test_comparison_where_nothing_gives_the_size() -> None:
    """An authentic image that the solution gives no shape: a region predicted there has no frame to be drawn in."""
    found = Instances(ANY_SIZE, (np.array([[0, 4]]),))
    figure = draw.comparison(None, None, {"A": (found, 0.0), "B": (None, 1.0)}, "47")
    assert titles(figure) == ["truth: authentic", "A: 1 instance, oF1 0.0000", "B: authentic, oF1 1.0000"]
    assert notes(figure) == ["the image's size is not known: nothing drawn"] * 3
    assert not any(ax.images or ax.collections for ax in figure.axes)
    rendered(figure)


def test_comparison_takes_a_size_that_nothing_else_gives_from_the_picture() -> None:
    inside = Instances(ANY_SIZE, of(boxed(1, 2, 5, 9)).runs)
    beyond = Instances(ANY_SIZE, (np.array([[0, 4]]), np.array([[30 * 40 - 1, 2]])))
    last = Instances(ANY_SIZE, (np.array([[30 * 40 - 1, 1]]),))
    figure = draw.comparison(grey(), None, {"A": (inside, 0.0), "B": (beyond, 0.0), "C": (last, 0.0)}, "47")
    assert [outlines(ax) for ax in figure.axes] == [[], [(1.5, 0.5, 8.5, 4.5)], [], [(38.5, 28.5, 39.5, 29.5)]]
    assert notes(figure) == ["", "", "its regions do not fit the image: not drawn", ""]
    rendered(figure)


def test_comparison_leaves_out_a_picture_of_another_size() -> None:
    figure = draw.comparison(grey((300, 400)) // 2, of(boxed(1, 2, 5, 9)), {"A": (None, 0.0)}, "47")
    assert notes(figure) == ["the picture is 400 x 300 px: not drawn under it"] * 2
    for ax in figure.axes:
        assert ax.images[0].get_array().shape == (*SIZE, 3) and (ax.images[0].get_array() == 225).all()
        assert outlines(ax) == [(1.5, 0.5, 8.5, 4.5)]
    rendered(figure)


def test_comparison_of_a_huge_image_is_a_note(tmp_path: Path) -> None:
    size = (46000, 47000)
    whole = Instances(size, (np.array([[0, 46000 * 47000]]),))
    tracemalloc.start()
    figure = draw.comparison(None, whole, {"A": (whole, 1.0), "B": (None, 0.0)}, "47")
    assert tracemalloc.get_traced_memory()[1] < 50e6
    tracemalloc.stop()
    assert notes(figure) == ["47000 x 46000 px: too large to draw"] * 3
    draw.save(figure, tmp_path / "1.png")


def test_comparison_of_very_many_instances_draws_the_first() -> None:
    size = (4096, 4096)
    found = Instances(size, tuple(np.array([[i * 5000, 100]]) for i in range(3000)))
    tracemalloc.start()
    figure = draw.comparison(None, found, {"A": (found, 1.0)}, "47")
    assert tracemalloc.get_traced_memory()[1] < 200e6  # all masks at once are 50 GB
    tracemalloc.stop()
    assert titles(figure) == ["truth: first 50 of 3000 instances", "A: first 50 of 3000 instances, oF1 1.0000"]
    assert [len(outlines(ax)) for ax in figure.axes] == [50, 100]
    rendered(figure)


def test_large_region_is_outlined_in_place() -> None:
    """By blocks of several pixels, so within one block of the truth, and never inside it."""
    size = (3000, 2000)
    figure = draw.comparison(None, Instances.from_masks(boxed(100, 200, 2900, 1900, size)[None]), {}, "")
    ((x0, y0, x1, y1),) = outlines(figure.axes[0])
    assert (x0, y0) == (199.5, 99.5) and 0 <= x1 - 1899.5 < 6 and 0 <= y1 - 2899.5 < 6
    assert figure.axes[0].images[0].get_extent() == [-0.5, 1999.5, 2999.5, -0.5]


CASES = {
    "math": ("$x_$ $\\frac$", "$x_$ $\\frac$"),
    "no glyph": ("案例四十七", "案例四十七"),
    "control": ("a\0b\nc\x1b\ud800", "a b c  "),
    "long": ("x" * 5000, "x" * 79 + "…"),
}


@pytest.mark.parametrize(("case", "shown"), CASES.values(), ids=CASES)
def test_any_case_id_can_be_a_title(case: str, shown: str, tmp_path: Path) -> None:
    """Under warnings as errors: a sign that the font lacks must not raise its own."""
    sheet = draw.contact_sheet([(case, grey(), np.zeros((0, *SIZE)))], case)
    assert titles(sheet) == [shown if len(shown) < 36 else "x" * 35 + "…"]
    over = draw.overlay(grey(), None, prediction(), case)
    compared = draw.comparison(grey(), None, {case: (None, 1.0)}, case)
    for i, figure in enumerate((sheet, over, compared)):
        assert figure.get_suptitle() == shown
        draw.save(figure, tmp_path / f"{i}.png", dpi=40)


def test_save_lets_other_warnings_through(tmp_path: Path) -> None:
    class Warns(Figure):
        def savefig(self, *args: Any, **how: Any) -> None:
            warnings.warn("something else", UserWarning, stacklevel=1)

    with pytest.warns(UserWarning, match="something else"):
        draw.save(Warns(), tmp_path / "1.png")


@pytest.mark.parametrize(
    ("case", "name"),
    [
        ("47", "03_47.png"),
        ("../../x", "03_.._.._x.png"),
        ("/a\\b\0c", "03__a_b_c.png"),
        ("案 $-_.Z", "03____-_.Z.png"),
        ("x" * 300, f"03_{'x' * 60}.png"),
        ("", "03_.png"),
    ],
)
def test_file_name_is_safe(case: str, name: str) -> None:
    assert draw.file_name(3, case) == name


SHARES = {"false alarm": 0.1, "called authentic": 0.25, "missed": 0.05, "excess": 0.0, "mask quality": 0.2}


@pytest.mark.parametrize("baselines", [{}, {"everything authentic": 0.46, "everything forged": 0.1}])
def test_error_budget_is_one_bar_of_all_shares(baselines: dict[str, float], tmp_path: Path) -> None:
    figure = draw.error_budget(0.4, SHARES, baselines, "where it went")
    (ax,) = figure.axes
    spans = [(bar.get_x(), bar.get_x() + bar.get_width()) for bar in ax.patches]
    assert [end - start for start, end in spans] == pytest.approx([0.4, *SHARES.values()])
    assert [start for start, _ in spans] == pytest.approx([0, *(end for _, end in spans[:-1])])
    assert spans[-1][1] == pytest.approx(1)
    assert [line.get_xdata()[0] for line in ax.lines] == list(baselines.values())
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert {"oF1 0.4000", "false alarm 0.1000", *(f"baseline: {n} {v:.4f}" for n, v in baselines.items())} <= set(
        legend
    )
    assert draw.save(figure, tmp_path / "b.png", dpi=40).stat().st_size > 500


@pytest.mark.parametrize("score", [0.0, 1.0])
def test_error_budget_of_all_or_nothing(score: float) -> None:
    shares = {**dict.fromkeys(SHARES, 0.0), "missed": 1 - score}
    assert rendered(draw.error_budget(score, shares, {}, "")).std() > 0


def test_drawing_changes_none_of_its_inputs() -> None:
    pixels, masks, found = grey(), boxed(1, 2, 5, 9)[None], prediction(boxed(0, 0, 4, 4))
    for array in (pixels, masks, found.boxes, found.scores, found.heatmap):
        array.setflags(write=False)
    rendered(draw.overlay(pixels, masks, found, ""))


@pytest.mark.parametrize("count", [1, 6, 7])
def test_contact_sheet_has_a_cell_per_picture(count: int) -> None:
    pictures = [
        (f"case {i}", grey(), np.stack([boxed(2, 3, 9, 9)] * (i % 3)) if i % 3 else np.zeros((0, *SIZE)))
        for i in range(count)
    ]
    figure = draw.contact_sheet(pictures, "sheet")
    assert titles(figure) == [f"case {i}" for i in range(count)]
    assert [len(outlines(ax)) for ax in figure.axes] == [i % 3 for i in range(count)]
    rendered(figure)


@pytest.mark.parametrize("areas", [(5.0,), (1e-7, 100.0, 3.0), (2.0, 2.0)], ids=["one", "spread", "all equal"])
def test_data_card_shows_counts(areas: tuple[float, ...]) -> None:
    figure = draw.data_card([(30, 40), (50, 60)], areas, {1: 5, 3: 2}, {"RGB": 6, "L": 1})
    sizes, area, instances, modes = figure.axes
    assert sizes.collections[0].get_offsets().tolist() == [[40, 30], [60, 50]]  # x is the width
    assert sum(bar.get_height() for bar in area.patches) == len(areas)
    assert [bar.get_height() for bar in instances.patches] == [5, 2]
    assert [bar.get_height() for bar in modes.patches] == [6, 1]
    rendered(figure)


def epoch(step: int, stage: str, **scores: float) -> dict[str, Any]:
    return {"step": step, "stage": stage, "lr": 1e-3, "loss": 2.0 / step, "loss_mask": 1.0 / step, **scores}


SCORES = {"of1_mean": 0.4, "dice_mean": 0.5, "baseline_all_authentic": 0.46}


@pytest.mark.parametrize(
    ("epochs", "changes"),
    [
        ([epoch(1, "one", **SCORES)], []),
        ([epoch(1, "one"), epoch(2, "one", **SCORES), epoch(3, "few"), epoch(4, "full", **SCORES)], [2, 3]),
    ],
    ids=["one epoch", "three stages"],
)
def test_curves_show_scores_beside_their_baseline(epochs: list[dict[str, Any]], changes: list[int]) -> None:
    figure = draw.curves(epochs)
    losses, scores, rate = figure.axes
    scored = [e for e in epochs if "of1_mean" in e]
    drawn = {line.get_label(): line.get_xydata().tolist() for line in scores.lines}
    for name, value in SCORES.items():
        assert drawn[name] == [[e["step"], value] for e in scored]
    assert {line.get_label() for line in losses.lines} >= {"loss", "loss_mask"}
    assert [line.get_xdata()[0] for line in rate.lines[1:]] == changes
    rendered(figure)


def test_arms_are_drawn_with_their_scores_and_winner() -> None:
    measures = ("of1_mean", "dice_mean", "recall_mean", "precision_mean")
    scores = {name: dict.fromkeys(measures, value) for name, value in (("free", 0.2), ("frozen", 0.7))}
    (ax,) = draw.arms(scores, "frozen").axes
    assert [label.get_text() for label in ax.get_xticklabels()] == ["free", "frozen\n(winner)"]
    assert sorted(bar.get_height() for bar in ax.patches) == [0.2] * 4 + [0.7] * 4


def test_save_writes_a_png_into_a_new_folder(tmp_path: Path) -> None:
    path = draw.save(
        draw.arms({"a": dict.fromkeys(("of1_mean", "dice_mean", "recall_mean", "precision_mean"), 1)}, "a"),
        tmp_path / "new" / "a.png",
        dpi=50,
    )
    assert path == tmp_path / "new" / "a.png"
    with Image.open(path) as image:
        assert (image.format, image.size) == ("PNG", (350, 190))
