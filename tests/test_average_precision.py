"""COCO AP: cases worked by hand, the library's own masks and boxes, and resamples against an evaluation from scratch."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import pytest
from faster_coco_eval import COCO, COCOeval_faster
from faster_coco_eval import mask as coco_mask
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from forgery_rcnn.average_precision import CocoImage, Table, all_pixels, average_precision, coco_image
from forgery_rcnn.errors import InputError
from forgery_rcnn.instances import Instances, boxes_of

Kind = Literal["segm", "bbox"]
KINDS: tuple[Kind, ...] = ("segm", "bbox")
SIZE = (12, 20)

both = pytest.mark.parametrize("kind", KINDS)


def blocks(*corners: tuple[int, int, int, int]) -> Instances:
    """Rectangles x0 y0 x1 y1 of a SIZE image."""
    masks = np.zeros((len(corners), *SIZE), bool)
    for mask, (x0, y0, x1, y1) in zip(masks, corners, strict=True):
        mask[y0:y1, x0:x1] = True
    return Instances.from_masks(masks)


A, B, C = (0, 0, 5, 4), (6, 0, 11, 4), (12, 6, 19, 11)
THREE_FIFTHS = (0, 0, 3, 4)  # of A, and nothing outside it


def measured(*images: CocoImage, kind: Kind = "segm") -> tuple[float, float, float]:
    table = average_precision(images, kind)
    return table.ap, table.ap50, table.ap75


def numbers(table: Table) -> tuple[float, float, float]:
    return table.ap, table.ap50, table.ap75


def random_image(rng: np.random.Generator, tied: Literal["tied", "apart"], most: int = 5) -> CocoImage:
    """0..3 truths, 0..most - 1 predictions of few shapes, so that overlaps are often the same, and shapes beside them."""
    width = SIZE[1] - 5
    shapes = [
        (x, 2 * y, x + 4 + x % 2, 2 * y + 5)
        for x, y in zip(rng.integers(0, width, 3), rng.integers(0, 4, 3), strict=True)
    ]

    def drawn(count: int, shift: int) -> list[tuple[int, int, int, int]]:
        moved = [(shapes[rng.integers(3)], rng.integers(0, shift + 1)) for _ in range(count)]
        return [(x0 + dx, y0, x1 + dx, y1) for (x0, y0, x1, y1), dx in moved]

    true, predicted = drawn(rng.integers(0, 4), 1), drawn(rng.integers(0, most), 2)
    scores = rng.random(len(predicted))
    return coco_image(blocks(*predicted), blocks(*true), np.round(4 * scores) / 4 if tied == "tied" else scores)


def from_scratch(images: list[CocoImage], kind: Kind) -> tuple[float, float, float]:
    """AP by the library with its own defaults, from annotations that hold only what the kind needs."""
    truths, detections = [], []
    for i, image in enumerate(images, 1):
        for rows, found, scores in (
            (truths, image.true, np.zeros(len(image.true.counts))),
            (detections, image.predicted, image.scores),
        ):
            for counts, area, box, score in zip(found.counts, found.areas, found.boxes, scores, strict=True):
                row = {"id": len(rows) + 1, "image_id": i, "category_id": 1, "iscrowd": 0, "area": float(area)}
                row |= {"bbox": box.tolist(), "segmentation": {"size": list(image.size), "counts": counts}}
                rows.append(row | {"score": float(score)})
    base = {
        "images": [{"id": i, "height": image.size[0], "width": image.size[1]} for i, image in enumerate(images, 1)],
        "categories": [{"id": 1, "name": "region"}],
    }
    true, predicted = COCO(base | {"annotations": truths}), COCO(base | {"annotations": detections})
    evaluation = COCOeval_faster(true, predicted, iouType=kind, separate_eval=True)
    evaluation.run()
    ap, ap50, ap75 = (math.nan if value < 0 else float(value) for value in evaluation.stats[:3])
    return ap, ap50, ap75


@both
def test_perfect_is_1_whatever_the_scores(kind: Kind) -> None:
    images = [coco_image(blocks(A, C), blocks(C, A), np.array([0.1, -3.0])), coco_image(blocks(B), blocks(B))]
    assert measured(*images, kind=kind) == pytest.approx((1.0, 1.0, 1.0))


@both
def test_an_excess_detection_costs_by_its_rank(kind: Kind) -> None:
    above = coco_image(blocks(A, B), blocks(A), np.array([0.5, 0.9]))
    below = coco_image(blocks(A, B), blocks(A), np.array([0.9, 0.5]))
    elsewhere = (coco_image(blocks(A), blocks(A), np.array([0.5])), coco_image(blocks(B), blocks(), np.array([0.9])))
    assert measured(above, kind=kind) == pytest.approx((0.5, 0.5, 0.5))
    assert measured(below, kind=kind) == pytest.approx((1.0, 1.0, 1.0))
    assert measured(*elsewhere, kind=kind) == pytest.approx((0.5, 0.5, 0.5))


@both
def test_overlap_of_0_6_counts_up_to_0_6(kind: Kind) -> None:
    image = coco_image(blocks(THREE_FIFTHS), blocks(A))
    assert average_precision([image], kind).hits[:, 0].tolist() == [True] * 3 + [False] * 7
    assert measured(image, kind=kind) == pytest.approx((0.3, 1.0, 0.0))


@both
def test_one_of_two_truths_found(kind: Kind) -> None:
    found = 51 / 101  # recalls 0, 0.01 .. 0.50 are reached
    assert measured(coco_image(blocks(A), blocks(A, B)), kind=kind) == pytest.approx((found, found, found))


@both
def test_a_truth_is_found_once(kind: Kind) -> None:
    twice = coco_image(blocks(A, A, B), blocks(A, B), np.array([0.9, 0.8, 0.7]))
    expected = (51 + 50 * 2 / 3) / 101
    assert measured(twice, kind=kind) == pytest.approx((expected,) * 3)


@both
@pytest.mark.parametrize(("second", "hits"), [((0, 0, 5, 4), [True, True]), ((2, 0, 7, 4), [True, False])])
def test_of_two_truths_overlapped_alike_the_last_is_taken(
    kind: Kind, second: tuple[int, int, int, int], hits: list[bool]
) -> None:
    between = (1, 0, 6, 4)
    image = coco_image(blocks(between, second), blocks((0, 0, 5, 4), (2, 0, 7, 4)), np.array([0.9, 0.8]))
    table = average_precision([image], kind)
    assert table.hits[3].tolist() == hits  # at 0.65 the truth left over, 3 of 7 columns in common, is not enough
    assert table.resampled(np.array([0])) == pytest.approx(numbers(table), abs=1e-12)


def test_masks_and_boxes_are_measured_apart() -> None:
    hollow = blocks(A).masks()
    hollow[0, 1:3, 1:4] = False
    image = coco_image(Instances.from_masks(hollow), blocks(A))
    assert measured(image, kind="bbox") == pytest.approx((1.0, 1.0, 1.0))
    assert measured(image, kind="segm") == pytest.approx((0.5, 1.0, 0.0))  # 14 of 20 pixels: up to 0.70


def test_boxes_of_the_detector_replace_the_tight_ones() -> None:
    image = coco_image(blocks(A), blocks(A), None, np.array([[0, 0, 3, 4]], np.float32))
    assert measured(image, kind="bbox") == pytest.approx((0.3, 1.0, 0.0))
    assert measured(image, kind="segm") == pytest.approx((1.0, 1.0, 1.0))


@both
def test_without_a_true_instance_there_is_no_ap(kind: Kind) -> None:
    images = [coco_image(blocks(A), blocks()), coco_image(blocks(), blocks())]
    for table in (average_precision(images, kind), average_precision(images[1:], kind), average_precision([], kind)):
        assert np.isnan(numbers(table)).all()
        assert np.isnan(table.resampled(np.arange(len(table.true_counts)))).all()


@both
def test_without_a_detection_it_is_0(kind: Kind) -> None:
    table = average_precision([coco_image(blocks(), blocks(A))], kind)
    assert numbers(table) == table.resampled(np.array([0, 0])) == (0.0, 0.0, 0.0)


@both
def test_an_empty_prediction_is_a_false_positive_and_an_empty_truth_none(kind: Kind) -> None:
    nothing = (0, 0, 0, 0)
    image = coco_image(blocks(A, nothing), blocks(nothing, A), np.array([0.5, 0.9]))
    table = average_precision([image], kind)
    assert numbers(table) == pytest.approx((0.5, 0.5, 0.5))
    assert table.true_counts.tolist() == [1]
    assert table.hits.any(axis=0).tolist() == [False, True]


@both
@pytest.mark.parametrize("tied", ["tied", "apart"])
@pytest.mark.parametrize("seed", range(15))
def test_what_is_kept_gives_the_librarys_numbers(kind: Kind, tied: Literal["tied", "apart"], seed: int) -> None:
    rng = np.random.default_rng(seed)
    images = [random_image(rng, tied) for _ in range(rng.integers(1, 40))]
    table = average_precision(images, kind)
    assert numbers(table) == pytest.approx(from_scratch(images, kind), abs=1e-12, nan_ok=True)
    if tied == "apart":
        assert not table.tied()
        assert table.resampled(np.arange(len(images))) == pytest.approx(numbers(table), abs=1e-9, nan_ok=True)


@both
def test_equal_scores_are_one_operating_point(kind: Kind) -> None:
    """A hit, a hit and two misses of one score between them: precision 1, then 3/4 of 4 at the end of the group."""
    right, wrong = coco_image(blocks(A), blocks(A)), coco_image(blocks(A), blocks())
    best = coco_image(blocks(B), blocks(B), np.array([2.0]))
    for images in ([right, wrong], [wrong, right]):
        table = average_precision(images, kind)
        assert table.tied() and table.resampled(np.arange(2)) == pytest.approx((0.5,) * 3)
    expected = (51 + 50 * 2 / 3) / 101
    for images in ([best, right, wrong], [wrong, right, best], [right, wrong, best]):
        assert average_precision(images, kind).resampled(np.arange(3)) == pytest.approx((expected,) * 3)
    assert average_precision([right, wrong], kind).ap == pytest.approx(1)  # the library goes by the order of the file


@both
@pytest.mark.parametrize("tied", ["tied", "apart"])
@pytest.mark.parametrize("seed", range(8))
def test_the_order_of_the_images_changes_no_bit(kind: Kind, tied: Literal["tied", "apart"], seed: int) -> None:
    rng = np.random.default_rng(seed)
    images = [random_image(rng, tied) for _ in range(25)]
    order = rng.permutation(25)
    table, shuffled = average_precision(images, kind), average_precision([images[i] for i in order], kind)
    assert table.tied() == shuffled.tied() == (tied == "tied")
    if tied == "apart":
        assert numbers(table) == numbers(shuffled)
    for index in (np.arange(25), rng.integers(0, 25, 25), rng.integers(0, 25, 7)):
        assert table.resampled(index) == shuffled.resampled(np.argsort(order)[index])


@pytest.mark.parametrize(
    ("scores", "tied"), [((), False), ((0.5,), False), ((0.5, 0.25), False), ((0.5, 0.25, 0.5), True)]
)
def test_tied_are_any_two_of_the_same_score(scores: tuple[float, ...], tied: bool) -> None:
    images = [coco_image(blocks(A), blocks(A), np.array([score])) for score in scores]
    assert average_precision(images, "segm").tied() == tied
    together = coco_image(blocks(*[A] * len(scores)), blocks(A), np.array(scores))
    assert average_precision([together], "segm").tied() == tied


@both
def test_all_pixels_is_one_region_of_the_whole_image(kind: Kind) -> None:
    whole, quarter = (0, 0, SIZE[1], SIZE[0]), (0, 0, 10, 6)
    for true in (blocks(whole), blocks(quarter), blocks(A, C), blocks()):
        image = all_pixels(coco_image(blocks(A, B), true, np.array([0.2, 0.1])))
        direct = coco_image(blocks(whole), true)
        assert image.predicted.counts == direct.predicted.counts and image.true.counts == direct.true.counts
        assert image.predicted.boxes.tolist() == direct.predicted.boxes.tolist() == [[0, 0, SIZE[1], SIZE[0]]]
        assert image.predicted.areas.tolist() == [SIZE[0] * SIZE[1]] and image.scores.tolist() == [1.0]
    assert measured(all_pixels(coco_image(blocks(), blocks(whole))), kind=kind) == pytest.approx((1.0, 1.0, 1.0))
    assert measured(all_pixels(coco_image(blocks(), blocks(quarter))), kind=kind) == (0.0, 0.0, 0.0)


@both
@pytest.mark.parametrize("seed", range(10))
def test_a_resample_is_the_ap_of_these_images(kind: Kind, seed: int) -> None:
    rng = np.random.default_rng(seed)
    images = [random_image(rng, "apart") for _ in range(12)]
    index = rng.integers(0, 12, rng.integers(1, 30))
    table = average_precision(images, kind)
    expected = from_scratch([images[i] for i in index], kind)
    assert table.resampled(index) == pytest.approx(expected, abs=1e-9, nan_ok=True)
    assert table.resampled(index[::-1]) == pytest.approx(expected, abs=1e-9, nan_ok=True)


@both
def test_only_the_best_100_detections_of_an_image_count(kind: Kind) -> None:
    scores = np.linspace(1, 0, 101)
    for place, expected in ((99, 0.01), (100, 0.0)):
        corners = [B] * 101
        corners[place] = A
        table = average_precision([coco_image(blocks(*corners), blocks(A), scores)], kind)
        assert numbers(table) == pytest.approx((expected,) * 3)
        assert table.resampled(np.array([0])) == pytest.approx((expected,) * 3)
        assert len(table.score) == 100


def test_detections_stand_best_first_with_their_image() -> None:
    images = [
        coco_image(blocks(A, B), blocks(A), np.array([0.2, 0.6])),
        coco_image(blocks(C), blocks(C), np.array([0.4])),
    ]
    table = average_precision(images, "segm")
    assert table.score.tolist() == [0.6, 0.4, 0.2]
    assert table.image.tolist() == [0, 1, 0]
    assert table.hits[0].tolist() == [False, True, True]
    assert table.true_counts.tolist() == [1, 1]


@given(hnp.arrays(bool, st.tuples(st.integers(0, 3), st.integers(1, 9), st.integers(1, 9))))
def test_masks_areas_and_boxes_are_those_of_the_masks(masks: np.ndarray) -> None:
    instances = Instances.from_masks(masks)
    image = coco_image(instances, Instances(instances.size))
    encoded = [coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"] for mask in masks]
    assert image.predicted.counts == tuple(encoded)
    decoded = [coco_mask.decode({"size": list(image.size), "counts": counts}) for counts in image.predicted.counts]
    assert np.array_equal(np.array(decoded).reshape(masks.shape), masks)
    assert image.predicted.areas.tolist() == masks.sum(axis=(1, 2)).tolist()
    tight = boxes_of(masks)
    assert (
        image.predicted.boxes.tolist() == np.concatenate([tight[:, :2], tight[:, 2:] - tight[:, :2]], axis=1).tolist()
    )
    assert image.scores.tolist() == [1.0] * len(masks)


MALFORMED = {
    "past the end": np.array([[238, 3]]),
    "start past the end": np.array([[240, 1]]),
    "before the start": np.array([[-1, 3]]),
    "overlapping": np.array([[0, 3], [2, 2]]),
    "touching": np.array([[0, 3], [3, 2]]),
    "descending": np.array([[9, 2], [0, 3]]),
    "no length": np.array([[4, 0]]),
    "wraps around 64 bits": np.array([[2**62, 2**62], [0, 1]]),
    "fractions": np.array([[0.5, 2.0]]),
    "one column": np.array([[4], [5]]),
    "flat": np.array([4, 5]),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_runs_are_refused(name: str, refused) -> None:
    sound, broken = blocks(A), Instances(SIZE, (blocks().union(), MALFORMED[name]))
    with refused("predicted instance 1", "runs", "12 x 20"):
        coco_image(broken, sound)
    with refused("true instance 1", "runs", "12 x 20"):
        coco_image(sound, broken)


def test_an_image_of_more_pixels_than_the_library_counts_is_refused(refused) -> None:
    huge = Instances((2**16, 2**16), (np.array([[0, 1]]),))
    with refused("2^32"):
        coco_image(huge, Instances(huge.size))


@pytest.mark.parametrize("scores", [np.ones(1), np.ones((2, 1)), np.array([0.5, np.nan]), np.array([0.5, np.inf])])
def test_scores_that_do_not_fit_are_refused(scores: np.ndarray, refused) -> None:
    with refused("scores", "(2,)"):
        coco_image(blocks(A, B), blocks(A), scores)


@pytest.mark.parametrize("boxes", [np.ones((2, 4)), np.ones(4), np.ones((1, 5)), np.array([[0, 0, np.nan, 1]])])
def test_boxes_that_do_not_fit_are_refused(boxes: np.ndarray, refused) -> None:
    with refused("boxes", "(N, 4)"):
        coco_image(blocks(A), blocks(A), None, boxes)


def test_a_box_given_as_width_and_height_is_refused(refused) -> None:
    with refused("box 1", "x0 y0 x1 y1"):
        coco_image(blocks(A, C), blocks(A), None, np.array([[0, 0, 5, 4], [12, 6, 7, 5]]))


def test_images_of_two_sizes_are_refused(refused) -> None:
    with refused("(12, 20)", "(20, 12)"):
        coco_image(blocks(A), Instances((20, 12)))


def test_another_kind_is_refused() -> None:
    with pytest.raises(InputError, match="'boundary' is unknown; use 'segm' or 'bbox'"):
        average_precision([], "boundary")  # type: ignore[arg-type]
