"""Plans: many of them have the real data's sizes, instance counts and forged areas."""

from __future__ import annotations

import numpy as np
import pytest

from forgery_rcnn.data.forge import plans
from forgery_rcnn.data.forge.operations import OPERATIONS
from forgery_rcnn.data.forge.plans import Recipe, plan

MANY = [plan(case, 0, Recipe(authentic=0.0)) for case in range(4000)]


def test_a_plan_is_fixed_by_seed_and_case_alone() -> None:
    assert plan(7, 1, Recipe()) == plan(7, 1, Recipe())
    assert plan(7, 1, Recipe()) != plan(7, 2, Recipe()) != plan(8, 2, Recipe())


@pytest.mark.parametrize(("quantile", "share"), [item for item in plans.AREAS.items() if 0 < item[0] < 1])
def test_areas_have_the_real_quantiles(quantile: float, share: float) -> None:
    large = [each.area for each in MANY if each.size[0] * each.size[1] > 300_000]  # on others the least mask counts
    assert np.quantile(large, quantile) == pytest.approx(share, rel=0.2)


def test_instances_occur_as_often_as_in_the_real_set() -> None:
    counts = np.bincount([len(each.operations) for each in MANY], minlength=6) / len(MANY)
    total = sum(plans.INSTANCES.values())
    for number, real in plans.INSTANCES.items():
        assert counts[number] == pytest.approx(real / total, abs=0.02)


def test_sizes_have_the_median_and_stay_in_range() -> None:
    sides = np.array([sorted(each.size) for each in MANY])
    assert np.median(sides[:, 1]) == pytest.approx(800, rel=0.05)
    assert np.median(sides[:, 0]) == pytest.approx(600, rel=0.05)
    assert sides.min() >= plans.SIDES[0] and sides.max() <= plans.SIDES[1]
    assert len({each.size for each in MANY}) > 763


def test_no_plan_asks_for_less_than_the_smallest_mask() -> None:
    assert all(each.area * each.size[0] * each.size[1] / len(each.operations) >= plans.SMALLEST for each in MANY)


def test_recipe_decides_the_shares() -> None:
    drawn = [plan(case, 0, Recipe(compound=0.3, authentic=0.25)) for case in range(2000)]
    assert np.mean([not each.operations for each in drawn]) == pytest.approx(0.25, abs=0.03)
    assert 0.2 < np.mean([each.layout == "compound" for each in drawn]) <= 0.32
    assert all(plan(case, 0, Recipe(compound=0.0)).layout != "compound" for case in range(50))


def test_every_operation_has_a_weight_and_a_layout_that_suits_it() -> None:
    assert plans.WEIGHTS.keys() == OPERATIONS.keys() >= {*plans.LARGEST, *plans.SMALLEST_SHARE}
    assert set().union(*plans.SUITABLE.values()) == set(OPERATIONS)


def test_operations_suit_layout_and_area() -> None:
    for each in MANY:
        assert set(each.operations) <= set(plans.SUITABLE[each.layout])
    share = np.mean([name == "copy_move" for each in MANY for name in each.operations])
    assert 0.4 < share < 0.75, "the home competition's forgeries are copy-moves"
    assert {each.layout for each in MANY} == set(plans.SUITABLE)


def test_only_allowed_operations_are_planned() -> None:
    found = [plan(case, 0, Recipe(operations=("lanes",))) for case in range(200)]
    assert all(set(each.operations) <= {"lanes"} for each in found)
    assert all(bool(each.operations) <= (each.layout != "view") for each in found), (
        "no blot, no lanes: nothing is forged"
    )


def test_an_unknown_operation_and_a_share_out_of_range_are_refused(refused) -> None:
    with refused("operations", "teleport", "copy_move"):
        Recipe(operations=("copy_move", "teleport"))
    with refused("operations", "at least one"):
        Recipe(operations=())
    for name in ("compound", "authentic"):
        with refused(name, "1.5", "0..1"):
            Recipe(**{name: 1.5})
