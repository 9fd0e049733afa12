"""Published ways to score, each by hand on small images, and what a line of a contract says."""

from __future__ import annotations

import math

import numpy as np
import pytest

from forgery_rcnn import contracts
from forgery_rcnn.bootstrap import Interval, Resampling
from forgery_rcnn.contracts import CONTRACTS, Judged, judge
from forgery_rcnn.instances import ANY_SIZE, Answer, Instances, Truth
from forgery_rcnn.report import ImageRow, image_row

SIZE = (4, 5)
NONE = Resampling(0)


def region(rows: slice, columns: slice) -> np.ndarray:
    mask = np.zeros(SIZE, bool)
    mask[rows, columns] = True
    return mask


EVERY = slice(None)
LEFT, RIGHT = region(EVERY, slice(0, 2)), region(EVERY, slice(3, 5))  # 8 pixels each, 4 between them
TOP, BOTTOM = (region(rows, EVERY) & (LEFT | RIGHT) for rows in (slice(0, 2), slice(2, 4)))  # 8 pixels, half of either


def row(name: str, predicted: list[np.ndarray], true: list[np.ndarray]) -> ImageRow:
    mine, theirs = (Instances.from_masks(np.array(masks)) if masks else None for masks in (predicted, true))
    return image_row(name, Answer(SIZE, mine), Truth(SIZE, theirs))


ROWS = {
    "found": row("found", [LEFT], [LEFT]),
    "swapped": row("swapped", [TOP, BOTTOM], [LEFT, RIGHT]),
    "few": row("few", [LEFT], [LEFT, RIGHT]),
    "many": row("many", [LEFT, RIGHT], [LEFT]),
    "inverted": row("inverted", [~LEFT], [LEFT]),
    "mostly inverted": row("mostly inverted", [TOP | BOTTOM], [~LEFT]),
    "passed": row("passed", [], [LEFT]),
    "clean": row("clean", [], []),
    "alarm": row("alarm", [LEFT], []),
}

# image: recodai, union_by_count, pixel_f1, pixel_f1_or_inverted, iou
BY_HAND = {
    "found": (1, 1, 1, 1, 1),
    "swapped": (0.5, 1, 1, 1, 1),  # no instance is right, their union is
    "few": (0.5, 2 / 3, 2 / 3, 2 / 3, 0.5),
    "many": (0.5, 1 / 3, 2 / 3, 2 / 3, 0.5),
    "inverted": (0, 0, 0, 1, 0),
    "mostly inverted": (4 / 7, 4 / 7, 4 / 7, 4 / 7, 0.4),  # the inverted mask holds 4 of the 12: F1 0.5
    "passed": (0, 0, 0, 4 / 7, 0),  # inverted: all 20 pixels
    "clean": (1, 1, 1, None, 1),
    "alarm": (0, 0, 0, None, 0),
}


@pytest.mark.parametrize("name", ROWS)
def test_each_contract_of_each_image_by_hand(name: str) -> None:
    of1, by_count, f1, inverted, iou = BY_HAND[name]
    expected = {
        "recodai": of1,
        "recodai_forged": of1,
        "union_by_count": by_count,
        "pixel_f1": f1,
        "pixel_f1_forged": f1,
    }
    expected |= {"pixel_f1_or_inverted": inverted, "f1_plus_iou": f1 + iou}
    assert expected.keys() == CONTRACTS.keys()
    for contract, value in expected.items():
        if value is not None:
            assert CONTRACTS[contract].score(ROWS[name]) == pytest.approx(value), contract


@pytest.mark.parametrize("name", CONTRACTS)
def test_means_are_over_the_images_that_count(name: str) -> None:
    contract, rows = CONTRACTS[name], list(ROWS.values())
    counting = rows if contract.images == "all" else rows[:7]
    assert contract.over(rows) == counting
    found = judge(name, rows, "masks", Resampling(200)).value
    assert found.value == pytest.approx(sum(contract.score(row) for row in counting) / len(counting))
    assert found.count == len(counting) and found.low < found.value < found.high
    assert contract.images == (
        "forged" if name in ("recodai_forged", "pixel_f1_forged", "pixel_f1_or_inverted") else "all"
    )


def test_union_by_count_and_of1_are_two_numbers() -> None:
    rows = [ROWS["swapped"], ROWS["many"]]
    assert judge("recodai", rows, "masks", NONE).value.value == pytest.approx(0.5)
    assert judge("union_by_count", rows, "masks", NONE).value.value == pytest.approx((1 + 1 / 3) / 2)


def test_union_by_count_of_forged_without_a_region() -> None:
    nowhere = Instances(SIZE)
    true = Instances.from_masks(LEFT[None])
    rows = [
        image_row("a", Answer(SIZE, nowhere), Truth(SIZE, true)),
        image_row("b", Answer(SIZE, nowhere), Truth(SIZE, None)),
        image_row("c", Answer(SIZE, nowhere), Truth(SIZE, nowhere)),
    ]
    assert [CONTRACTS["union_by_count"].score(row) for row in rows] == [0, 0, 0]


def test_authentic_images_of_unknown_size_have_a_score() -> None:
    runs = (np.array([[3, 5]]),)
    for instances, right in ((None, 1), (Instances(ANY_SIZE, runs), 0)):
        unknown = image_row("x", Answer(ANY_SIZE, instances), Truth(ANY_SIZE, None))
        for name, contract in CONTRACTS.items():
            if contract.images == "all":
                assert contract.score(unknown) == right * (2 if name == "f1_plus_iou" else 1), name


# Judged


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        (
            "recodai",
            ["oF1", "one-to-one match", "instances, THRESHOLD", "authentic images in", "no pixel left out at borders"],
        ),
        ("recodai_forged", ["oF1", "instances, THRESHOLD", "authentic images out", "no pixel left out at borders"]),
        ("union_by_count", ["no match", "union of instances, THRESHOLD", "authentic images in", "borders"]),
        ("pixel_f1", ["pixel F1", "union of instances, THRESHOLD", "authentic images in", "borders"]),
        ("pixel_f1_forged", ["pixel F1", "union of instances, THRESHOLD", "authentic images out", "borders"]),
        ("pixel_f1_or_inverted", ["inverted", "union of instances, THRESHOLD", "authentic images out", "borders"]),
        ("f1_plus_iou", ["pixel F1 + IoU", "union of instances, THRESHOLD", "authentic images in", "borders"]),
    ],
)
def test_the_contract_says_all_that_a_number_hangs_on(name: str, parts: list[str]) -> None:
    line = CONTRACTS[name].line("THRESHOLD")
    assert [part for part in parts if part not in line] == []
    assert ("union of instances" in line) == (CONTRACTS[name].regions != "instances")
    judged = judge(name, list(ROWS.values()), "THRESHOLD", NONE)
    assert judged.line == line and contracts.lines(judged)[-2] == f"contract: {line}"


@pytest.mark.parametrize(
    ("name", "authentic", "forged"),
    [
        ("recodai", 2 / 9, (4 / 7 * 4 + 2 / 7 * 2 + 3 / 4) / 9),
        ("recodai_forged", 0, (4 / 7 * 4 + 2 / 7 * 2 + 3 / 4) / 7),
        ("union_by_count", 2 / 9, (4 / 7 * 4 + 8 / 9 * 2 + 3 / 4) / 9),
        ("pixel_f1", 2 / 9, (4 / 7 * 4 + 8 / 9 * 2 + 3 / 4) / 9),
        ("f1_plus_iou", 4 / 9, (4 / 7 * 4 + 8 / 9 * 2 + 3 / 4 + 0.4 * 4 + 0.8 * 2 + 0.6) / 9),
        ("pixel_f1_or_inverted", (4 / 7 * 4 + 8 / 9 * 2 + 3 / 4) / 7, (4 / 7 * 4 + 8 / 9 * 2 + 3 / 4) / 7),
    ],
)
def test_baselines_by_hand(name: str, authentic: float, forged: float) -> None:
    rows, contract = list(ROWS.values()), CONTRACTS[name]
    judged = judge(name, rows, "masks as submitted", Resampling(100))
    assert judged.baselines == pytest.approx({"authentic": authentic, "forged": forged})
    assert judged.best == ("forged" if forged > authentic else "authentic")
    assert judged.gap.value == pytest.approx(judged.value.value - max(authentic, forged))
    assert contracts.lines(judged) == [
        f"{name}: {judged.value} over {len(contract.over(rows))} images",
        f"  baseline: everything authentic {authentic:.4f}",
        f"  baseline: everything forged    {forged:.4f}",
        f"contract: {contract.line('masks as submitted')}",
        f"verdict: {contracts.verdict(judged)}",
    ]


def test_the_gap_is_of_the_same_images() -> None:
    """found, passed and clean against all authentic (0, 0, 1): every image's own difference is resampled."""
    judged = judge("recodai", [ROWS["found"], ROWS["passed"], ROWS["clean"]], "masks", Resampling(200))
    assert judged.baselines == pytest.approx({"authentic": 1 / 3, "forged": 4 / 7 * 2 / 3})
    assert judged.best == "forged"
    assert judged.gap == Resampling(200).mean(np.array([1 - 4 / 7, -4 / 7, 1.0]))
    against = judge("recodai", [ROWS["found"], ROWS["clean"], ROWS["clean"]], "masks", Resampling(200))
    assert (against.best, against.gap) == ("authentic", Resampling(200).mean(np.array([1.0, 0, 0])))


@pytest.mark.parametrize("answer", ["authentic", "forged"])
def test_what_a_baseline_says_is_no_better_and_no_worse(answer: str) -> None:
    masks = [np.ones(SIZE, bool)] if answer == "forged" else []
    count = {"authentic": 1, "forged": 3}[answer]
    rows = [row("a", masks, [LEFT]) for _ in range(count)] + [row("c", masks, []) for _ in range(4 - count)]
    judged = judge("recodai", rows, "masks", Resampling(50))
    assert judged.best == answer and judged.gap == Interval(0.0, 0.0, 0.0, 4)
    assert contracts.verdict(judged) == f"no better and no worse than calling everything {answer}"


@pytest.mark.parametrize(
    ("gap", "said"),
    [
        (Interval(0.25, 0.1, 0.4, 9), "0.2500 above calling everything forged"),
        (Interval(-0.25, -0.4, -0.1, 9), "0.2500 BELOW calling everything forged"),
        (
            Interval(0.25, -0.1, 0.4, 9),
            "0.2500 above calling everything forged, but the 95 % interval of the difference holds 0",
        ),
        (
            Interval(-0.25, -0.4, 0.0, 9),
            "0.2500 BELOW calling everything forged, but the 95 % interval of the difference holds 0",
        ),
        (Interval(0.25, math.nan, math.nan, 1), "0.2500 above calling everything forged; there is no 95 % interval"),
        (Interval(1e-12, -0.1, 0.1, 9), "no better and no worse than calling everything forged"),
        (Interval(math.nan, math.nan, math.nan, 0), "no image was scored"),
    ],
)
def test_verdict(gap: Interval, said: str) -> None:
    judged = Judged("x", "line", Interval(0.5, 0.4, 0.6, 9), {"authentic": 0.0, "forged": 0.25}, "forged", gap)
    assert contracts.verdict(judged) == said
    assert contracts.lines(judged)[-1] == f"verdict: {said}"


def test_one_image_and_no_resamples() -> None:
    (first, *_) = contracts.lines(judge("recodai", [ROWS["few"]], "masks", Resampling(100)))
    assert first == "recodai: 0.5000 [n/a, n/a] over 1 images"
    judged = judge("recodai", list(ROWS.values()), "masks", NONE)
    assert math.isnan(judged.value.low) and math.isnan(judged.gap.low)


@pytest.mark.parametrize(("name", "rows"), [("recodai_forged", ["clean"]), ("recodai", []), ("pixel_f1_forged", [])])
def test_no_nan_is_printed_where_no_image_counts(name: str, rows: list[str]) -> None:
    table = contracts.lines(judge(name, [ROWS[row] for row in rows], "masks", Resampling(20)))
    assert table[0] == f"{name}: n/a over 0 images" and table[-1] == "verdict: no image was scored"
    assert "nan" not in "\n".join(table).replace("instan", "")


def test_an_unknown_name_lists_the_right_ones(refused) -> None:
    assert contracts.named("pixel_f1") is CONTRACTS["pixel_f1"]
    with refused("no contract 'dice'; there are: ", *CONTRACTS):
        contracts.named("dice")
    with refused("no contract 'Recodai'"):
        judge("Recodai", list(ROWS.values()), "masks", NONE)
