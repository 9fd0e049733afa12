"""Which motions carry a copy, and why the others do not: in one line, and what microscopists do to one field is no forgery."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from forgery_rcnn import rle
from forgery_rcnn.matching import chance, excuses, furniture, judge, verify
from forgery_rcnn.matching.pairs import Figure, Hypothesis, Pair, gray_of
from forgery_rcnn.matching.verify import Measured
from forgery_rcnn.matching_config import MatchingConfig
from tests.matching.planted import noise_texture

CONFIG = MatchingConfig()
HEIGHT, WIDTH = 180, 160
OFF = WIDTH + 10
SIZE = (HEIGHT, 2 * WIDTH + 10)


def shift(x: float, y: float) -> np.ndarray:
    return np.array([[1.0, 0, x], [0, 1, y]])


def panel(seed: int) -> np.ndarray:
    """(180, 160, 3) uint8, levels from 50 to 200."""
    return np.clip(noise_texture(2, seed, 180)[:HEIGHT, :WIDTH], 50, 200)


def two(first: np.ndarray, second: np.ndarray) -> Figure:
    """Side by side on white."""
    pixels = np.full((*SIZE, 3), 255, np.uint8)
    pixels[:, :WIDTH], pixels[:, OFF:] = first, second
    ignored = np.zeros(SIZE, bool)
    ignored[:, WIDTH:OFF] = True
    return Figure(pixels, gray_of(pixels), ignored, np.array([[0, 0, WIDTH, HEIGHT], [OFF, 0, OFF + WIDTH, HEIGHT]]))


def hypothesis(matrix: np.ndarray, seeds: np.ndarray) -> Hypothesis:
    there = seeds @ matrix[:, :2].T + matrix[:, 2]
    return Hypothesis(matrix, seeds, there.astype(np.float32), "panels")


def drawn_of(figure: Figure) -> np.ndarray:
    return np.zeros(figure.size, bool)


GRID = np.float32([[x, y] for x in range(20, 150, 20) for y in range(20, 170, 20)])


def looked_into(figure: Figure, found: Hypothesis, config: MatchingConfig = CONFIG) -> Measured | str:
    return judge.tested(figure, drawn_of(figure), found, config)


def judged(figure: Figure, found: Hypothesis, config: MatchingConfig = CONFIG) -> Pair | str:
    return judge.judged(figure, drawn_of(figure), found, config)


def one_line(answer: object, *words: str) -> None:
    assert isinstance(answer, str), answer
    assert answer and len(answer.splitlines()) == 1 and len(answer) <= 140
    assert [word for word in words if word not in answer] == []


def copied(plus: int = 1) -> Figure:
    """The left panel holds a part of itself twice, by default one level lighter: what is identical is judged by no trees."""
    first = panel(0)
    first[100:170, 80:150] = first[10:80, 5:75] + plus
    return two(first, panel(1))


COPY = hypothesis(shift(75, 90), np.float32([[x, y] for x in (15, 30, 45, 60) for y in (20, 35, 50, 65)]))


def test_a_lossless_copy_of_a_rich_region_is_reported() -> None:
    """70 x 70 pixels, equal to the last bit, of a texture that nothing else in the picture is like."""
    seeds = np.float32([[x, y] for x in range(10, 72, 6) for y in range(15, 78, 6)])
    assert isinstance(judged(copied(plus=0), hypothesis(COPY.matrix, seeds)), Pair)


def test_a_pair_holds_all_that_was_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judge, "score", lambda *_: 0.75)
    figure = copied()
    found = judged(figure, COPY)
    assert isinstance(found, Pair), found
    assert np.array_equal(found.matrix, COPY.matrix)
    assert found.found_by == "panels"
    assert found.between_panels is False
    assert found.score == 0.75 and found.chance <= CONFIG.max_chance
    assert 0.8 < found.correlation <= 1
    assert found.inliers == len(COPY.first)
    assert found.original in ("first", "second", "undecided")
    first, second = (rle.mask_of(side, figure.size) for side in (found.first, found.second))
    y, x = np.nonzero(first)
    assert np.array_equal(np.argwhere(second), np.unique(np.stack([y + 90, x + 75], axis=1), axis=0))
    assert abs(int(first.sum()) - 4900) < 1000 and first[15:75, 10:70].mean() > 0.95


def test_regions_in_different_panels_are_said_to_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judge, "score", lambda *_: 0.75)
    first, second = panel(2), panel(3)
    second[100:170, 80:150] = first[10:80, 5:75]
    found = judged(two(first, second), hypothesis(shift(OFF + 75, 90), COPY.first))
    assert isinstance(found, Pair), found
    assert found.between_panels is True


def test_what_does_not_agree_is_turned_away_in_a_line() -> None:
    for answer in (looked_into, judged):
        one_line(answer(copied(), hypothesis(shift(1000, 90), COPY.first)))


def test_a_region_below_the_least_area_is_none() -> None:
    figure = copied()
    found = looked_into(figure, COPY)
    assert isinstance(found, Measured)
    one_line(looked_into(figure, COPY, MatchingConfig(min_area=found.area + 1)), "area", str(found.area))
    assert isinstance(looked_into(figure, COPY, MatchingConfig(min_area=found.area)), Measured)


def test_a_pattern_moved_along_itself_is_none() -> None:
    figure = two(np.tile(noise_texture(2, 4, 20), (9, 8, 1)), panel(5))
    one_line(looked_into(figure, hypothesis(shift(20, 0), GRID[:40])), "overlap")


def test_a_copy_that_touches_its_source_is_no_pattern() -> None:
    first = panel(6)
    first[10:80, 75:145] = first[10:80, 5:75]
    assert isinstance(looked_into(two(first, panel(7)), hypothesis(shift(70, 0), COPY.first)), Measured)


ONTO = shift(OFF, 0)


def coloured(gray: np.ndarray, colour: tuple[float, float, float]) -> np.ndarray:
    """(h, w, 3) uint8 of equal channels, shown in one colour."""
    return np.clip(np.round(gray * np.array(colour)), 0, 255).astype(np.uint8)


def test_two_channels_of_one_field_are_excused() -> None:
    """The same cells in green and in red; but not where it is another place of the panel."""
    field = panel(8)
    figure = two(coloured(field, (0.1, 1.0, 0.1)), coloured(field, (1.0, 0.55, 0.1)))
    one_line(looked_into(figure, hypothesis(ONTO, GRID)), "two channels")
    moved = np.roll(field, (30, 40), (0, 1))
    figure = two(coloured(field, (0.1, 1.0, 0.1)), coloured(moved, (1.0, 0.55, 0.1)))
    inner = GRID[(GRID < [100, 130]).all(axis=1)]
    assert isinstance(looked_into(figure, hypothesis(shift(OFF + 40, 30), inner)), Measured)


def test_a_channel_and_the_merge_that_holds_it_are_excused() -> None:
    """To the last bit the same wherever the other channel is dark."""
    green, red = coloured(panel(8), (0.1, 1.0, 0.1)), coloured(panel(9), (1.0, 0.1, 0.1))
    red[:, 40:] = 0
    figure = two(green, np.maximum(green, red))
    seeds = GRID[GRID[:, 0] > 50]
    assert "two channels" in str(judged(figure, hypothesis(ONTO, seeds)))
    twice = judged(two(green, green), hypothesis(ONTO, seeds))
    assert isinstance(twice, Pair), twice


@pytest.mark.parametrize("around", [cv2.FILLED, 2])
def test_one_field_with_outlines_drawn_into_it_is_excused(around: int) -> None:
    """But not what was copied to the same place of another field."""
    field, outlined = panel(8), panel(8)
    for x, y in ((40, 50), (100, 60), (60, 130), (120, 140)):
        cv2.circle(outlined, (x, y), 14, (255, 255, 255), around)
    one_line(judged(two(field, outlined), hypothesis(ONTO, GRID)), "outlined")
    other = panel(9)
    other[60:120, 50:110] = field[60:120, 50:110]
    inner = GRID[((GRID > [50, 60]) & (GRID < [110, 120])).all(axis=1)]
    assert isinstance(judged(two(field, other), hypothesis(ONTO, inner)), Pair)


@pytest.mark.parametrize(("gain", "plus"), [(0.7, 0.0), (1.0, 18.0), (1.0, -18.0), (1.25, 0.0)])
def test_two_exposures_of_one_field_are_excused(gain: float, plus: float) -> None:
    field = panel(9)
    mean = field.mean()
    other = np.clip(np.round((field - mean) * gain + mean + plus), 0, 255).astype(np.uint8)
    figure = two(field, other)
    one_line(looked_into(figure, hypothesis(ONTO, GRID)), "two exposures")
    one_line(judged(figure, hypothesis(ONTO, GRID)), "two exposures")


@pytest.mark.parametrize("colour", [(1.0, 1.0, 1.0), (0.3, 1.0, 0.4)])
def test_a_whole_panel_shown_twice_is_not_excused(colour: tuple[float, float, float]) -> None:
    field = coloured(panel(10), colour)
    figure = two(field, field)
    found = judged(figure, hypothesis(ONTO, GRID))
    assert isinstance(found, Pair), found
    assert found.between_panels
    assert int(found.first[:, 1].sum()) > 0.9 * HEIGHT * WIDTH
    assert np.array_equal(found.matrix, ONTO)


def test_a_whole_panel_shown_twice_and_recompressed_is_not_excused() -> None:
    field = panel(11)
    code = cv2.imencode(".jpg", two(field, field).pixels, [cv2.IMWRITE_JPEG_QUALITY, 85])[1]
    pixels = cv2.imdecode(code, cv2.IMREAD_COLOR)
    figure = two(pixels[:, :WIDTH], pixels[:, OFF:])
    assert isinstance(looked_into(figure, hypothesis(ONTO, GRID)), Measured)


def logo(side: int) -> np.ndarray:
    """(side, side, 3) uint8: sharp rings on black, shaded, without grain."""
    y, x = np.indices((side, side)) - side / 2
    rings = np.where(np.hypot(x, y) % 8 < 5, 120 + 80 * x / side, 0) * (np.hypot(x, y) < side / 2)
    return np.repeat(np.round(rings).astype(np.uint8)[..., None], 3, axis=2)


@pytest.mark.parametrize(
    ("side", "moved", "same", "excused"),
    [(40, 0, False, True), (40, 12, False, False), (90, 0, False, False), (40, 0, True, False)],
)
def test_a_logo_at_the_same_place_of_two_panels_is_excused(side: int, moved: int, same: bool, excused: bool) -> None:
    """But not elsewhere in the panel, nor where it is more than a logo, nor where the panels are the same around it too."""
    first, second = panel(0), panel(0 if same else 1)
    if same:
        second = np.clip(second + np.random.default_rng(0).normal(0, 9, second.shape), 0, 255).astype(np.uint8)
    for black in (first, second):
        black[: side + 50, : side + 60] = 0
    first[20 : 20 + side, 30 : 30 + side] = logo(side)
    second[20 + moved : 20 + moved + side, 30 + moved : 30 + moved + side] = logo(side)
    seeds = np.float32([[x, y] for x in range(34, 30 + side, 5) for y in range(24, 20 + side, 5)])
    figure = two(first, second)
    figure.ignored[furniture.flat(figure.gray)] = True
    told = judge.tested(figure, figure.ignored, hypothesis(shift(OFF + moved, moved), seeds), CONFIG)
    if excused:
        one_line(told, "drawn over both")
    else:
        assert isinstance(told, Measured), told


def test_grain_at_the_same_place_of_two_panels_was_pasted() -> None:
    """Lanes of two blots stand above each other."""
    first, second = panel(0), panel(1)
    second[20:60, 30:70] = first[20:60, 30:70]
    seeds = np.float32([[x, y] for x in range(34, 70, 5) for y in range(24, 60, 5)])
    assert isinstance(looked_into(two(first, second), hypothesis(shift(OFF, 0), seeds)), Measured)


HOW = {"mirrored": (np.diag([-1.0, 1.0]), 0), "turned": (-np.eye(2), HEIGHT - 1)}


@pytest.mark.parametrize("how", sorted(HOW))
@pytest.mark.parametrize("part", ["all", "inner"])
def test_a_panel_that_was_mirrored_or_turned_is_never_excused(how: str, part: str) -> None:
    """No microscope does that, however the colours were changed. The motion takes each panel onto the other: the region is one of
    them all the same."""
    linear, down = HOW[how]
    field = panel(12)
    other = field[:, ::-1] if how == "mirrored" else field[::-1, ::-1]
    figure = two(field, np.clip(other.astype(int) + 15, 0, 255).astype(np.uint8))
    if part == "inner":  # with other pictures between the two
        figure.pixels[:, WIDTH - 30 : WIDTH], figure.pixels[:, OFF : OFF + 30] = panel(20)[:, :30], panel(21)[:, :30]
        figure = two(figure.pixels[:, :WIDTH], figure.pixels[:, OFF:])
    matrix = np.column_stack([linear, [OFF + WIDTH - 1, down]])
    found = looked_into(figure, hypothesis(matrix, GRID[GRID[:, 0] < 120]))
    assert isinstance(found, Measured), found
    assert found.overlap == 0


def test_a_panel_that_was_mirrored_about_its_diagonal_is_never_excused() -> None:
    """Its upper left corner stays where it was."""
    field, other = panel(16), panel(17)
    other[:WIDTH] = np.clip(field[:WIDTH].transpose(1, 0, 2).astype(int) + 15, 0, 255)
    matrix = np.array([[0.0, 1, OFF], [1, 0, 0]])
    assert isinstance(looked_into(two(field, other), hypothesis(matrix, GRID[GRID[:, 1] < 150])), Measured)


def test_the_same_place_within_one_panel_is_not_excused() -> None:
    """A brighter copy in the same picture is a copy."""
    first = panel(13)
    first[100:170, 80:150] = np.clip(first[10:80, 5:75].astype(int) + 18, 0, 255)
    assert isinstance(looked_into(two(first, panel(14)), COPY), Measured)


def test_other_places_that_fit_as_well_are_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chance, "of", lambda *_: replace(AMONG, probable=0.03))
    monkeypatch.setattr(judge, "score", lambda *_: 0.9)
    one_line(judged(copied(), COPY), "chance", "0.03")
    found = judged(copied(), COPY, MatchingConfig(max_chance=0.05))
    assert isinstance(found, Pair) and found.chance == 0.03 and found.score == 0.9


@pytest.mark.parametrize("sure", [0.0, 0.3])
def test_a_low_score_is_a_reason(monkeypatch: pytest.MonkeyPatch, sure: float) -> None:
    monkeypatch.setattr(judge, "score", lambda *_: sure)
    one_line(judged(copied(), COPY))
    monkeypatch.setattr(judge, "score", lambda _, fit: 0.9 if fit == chance.PERFECT else sure)
    monkeypatch.setattr(chance, "of", lambda *_: replace(AMONG, probable=1e-3))
    one_line(judged(copied(), COPY), "score")


def measured() -> Measured:
    figure = copied()
    found = verify.measured(figure, drawn_of(figure), COPY)
    assert isinstance(found, Measured)
    return found


AMONG = chance.Fit(1e-6, 0.9, 0.4, 0.2)


def test_the_trees_are_of_the_features_and_the_other_way_round() -> None:
    values = judge.features(measured(), AMONG)
    assert tuple(values) == judge.fitted().features
    assert {*judge.SURER, *judge.LESS_SURE} <= set(values)
    assert all(np.isfinite(value) for value in values.values())


def test_trees_add_up_the_leaves_that_values_lead_to() -> None:
    trees = judge.Trees(("a", "b"), 0.5, (((0, 2.0, 1, 2), (-1.0,), (1, 0.0, 3, 4), (10.0,), (20.0,)), ((3.0,),)))
    for a, b, leaf in ((2.0, 9.0, -1.0), (2.1, 0.0, 10.0), (2.1, 0.1, 20.0)):
        assert trees.logit({"a": a, "b": b}) == 0.5 + leaf + 3.0


def test_a_score_is_a_probability_and_a_better_fit_never_lowers_it() -> None:
    """`judged` counts on the last when it spares itself the count of places."""
    found = measured()
    fits = [chance.Fit(p, h, b, t) for p, h, b, t in
            ((1.0, 0.2, 0.2, 0.1), (1e-3, 0.4, 0.2, 0.1), (1e-9, 0.8, 0.2, 0.1), (0.0, 0.9, 0.1, 0.0))]  # fmt: skip
    scores = [judge.score(found, fit) for fit in (*fits, chance.PERFECT)]
    assert scores == sorted(scores)
    assert all(0 <= value <= 1 for value in scores)


@pytest.mark.parametrize("name", [*judge.SURER, *judge.LESS_SURE])
def test_the_trees_go_one_way_where_more_can_speak_for_one_side_only(name: str) -> None:
    values = judge.features(measured(), AMONG)
    logits = [judge.fitted().logit(values | {name: value}) for value in np.linspace(-6, 6, 60)]
    assert logits == sorted(logits, reverse=name in judge.LESS_SURE)


def test_features_stay_finite_for_the_faintest_region() -> None:
    flat = replace(measured(), energy=0.0, inliers=0, area=1)
    assert all(np.isfinite(value) for value in judge.features(flat, chance.PERFECT).values())
    assert 0 <= judge.score(flat, chance.Fit(1.0, 0.0, 1.0, 1.0)) <= 1


@pytest.mark.parametrize("shape", ["frame", "disc"])
def test_an_enlarged_inset_is_no_forgery_but_an_enlarged_blob_may_be(shape: str) -> None:
    found = measured()
    matrix = np.array([[1.8, 0, 20], [0, 1.8, 30]])
    second = np.ones((100, 120), bool) if shape == "frame" else disc(100)
    second[40:50, 40:60] = False  # holes do not matter
    enlarged = replace(found, grown=replace(found.grown, matrix=matrix), second=second)
    assert excuses._is_inset(enlarged) == (shape == "frame")
    turned = np.array([[0, -1.8, 200], [1.8, 0, 30]])
    for other in (turned, shift(20, 30)):
        assert not excuses._is_inset(replace(enlarged, grown=replace(found.grown, matrix=other)))


@pytest.mark.parametrize(("gap", "noise"), [(0, 0), (0, 12), (60, 0), (60, 12)])
def test_halves_of_a_symmetric_object_are_no_copies_but_a_mirrored_copy_beside_is_one(gap: int, noise: float) -> None:
    """An object has its own grain on either side; only a copy beside its source shares it."""
    half, width = panel(0), 2 * WIDTH + gap
    between = noise_texture(2, 5, 180)[:HEIGHT, :gap]
    pixels = np.concatenate([half, between, half[:, ::-1]], axis=1)
    pixels = np.round(pixels + np.random.default_rng(0).normal(0, noise, pixels.shape)).clip(0, 255).astype(np.uint8)
    told = judged(alone(pixels), hypothesis(np.array([[-1.0, 0, width - 1], [0, 1, 0]]), GRID))
    if gap or not noise:
        assert isinstance(told, Pair)
    else:
        one_line(told, "symmetric object")


@pytest.mark.parametrize("left", [0, 90])
def test_a_power_spectrum_is_the_same_under_half_a_turn_and_no_copy(left: int) -> None:
    """A panel of its own, or an inset of another."""
    power = np.abs(np.fft.fftshift(np.fft.fft2(panel(0)[:160, :, 0]))[1:, 1:]) + 1
    spectrum = ((np.log(power) - 4) * 20).clip(0, 255).astype(np.uint8)
    pixels = panel(1)[:159, :left, 0]
    pixels = np.repeat(np.hstack([pixels, spectrum])[..., None], 3, axis=2)
    seeds = np.float32([[left + x, y] for x in range(10, 150, 10) for y in range(10, 70, 10)])
    told = judged(alone(pixels), hypothesis(np.array([[-1.0, 0, 2 * left + 158], [0, -1, 158]]), seeds))
    one_line(told, "symmetric object")


def test_a_symmetric_matrix_is_the_same_about_its_diagonal_and_no_copy() -> None:
    square = panel(0)[:160].astype(np.uint16)
    pixels = ((square + square.transpose(1, 0, 2)) // 2).astype(np.uint8)
    seeds = np.float32([[x, y] for x in range(10, 150, 10) for y in range(10, 150, 10) if x > y])
    one_line(judged(alone(pixels), hypothesis(np.array([[0.0, 1, 0], [1, 0, 0]]), seeds)), "symmetric object")


@pytest.mark.parametrize("gap", [0, 4, 20])
def test_what_was_copied_with_half_a_turn_is_a_copy_even_where_it_meets_its_source(gap: int) -> None:
    pixels = np.clip(noise_texture(2, 1, 450)[: HEIGHT + 40, : 2 * WIDTH + gap], 50, 200)
    pixels[:HEIGHT, WIDTH + gap :] = pixels[:HEIGHT, :WIDTH][::-1, ::-1]
    told = judged(alone(pixels), hypothesis(np.array([[-1.0, 0, 2 * WIDTH + gap - 1], [0, -1, HEIGHT - 1]]), GRID))
    assert isinstance(told, Pair), told


def alone(pixels: np.ndarray) -> Figure:
    """One panel, nothing ignored."""
    height, width = pixels.shape[:2]
    return Figure(pixels, gray_of(pixels), np.zeros((height, width), bool), np.array([[0, 0, width, height]]))


@pytest.mark.parametrize(
    ("grain", "blur", "ground", "excused"),
    [(0, 0, 255, True), (3, 0, 255, False), (0, 4, 255, False), (0, 0, 160, False)],
)
def test_a_box_that_a_program_drew_twice_is_excused_but_not_what_has_grain_or_soft_edges_or_no_paper(
    grain: float, blur: float, ground: int, excused: bool
) -> None:
    box = np.repeat(np.linspace(90, 220, 80)[:, None], 140, axis=1)
    box[::16, 20:120] = 20
    box = np.pad(box, 30, constant_values=ground)
    box = cv2.GaussianBlur(box, (0, 0), blur) if blur else box
    rows, columns = box.shape
    box += np.random.default_rng(0).normal(0, grain, box.shape)
    page = np.full((rows + 60, 2 * columns), float(ground))
    page[30 : 30 + rows] = np.hstack([box, box])
    pixels = np.repeat(np.round(page).clip(0, 255).astype(np.uint8)[..., None], 3, axis=2)
    seeds = np.float32([[x, y] for x in range(40, 160, 10) for y in range(70, 130, 10)])
    told = looked_into(alone(pixels), hypothesis(shift(columns, 0), seeds))
    if excused:
        one_line(told, "drawn again")
    else:
        assert isinstance(told, Measured), told


def disc(side: int) -> np.ndarray:
    y, x = np.indices((side, side)) - (side - 1) / 2
    return np.hypot(x, y) < side / 2
