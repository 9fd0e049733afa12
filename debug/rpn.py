"""Do the proposals find the true regions, and if not: anchors, box regression, or objectness?

python3 -m debug.rpn --weights runs/NAME
python3 -m debug.rpn --weights runs/NAME --images ROOT --split validation --count 50
"""

from __future__ import annotations

import sys

from matplotlib.figure import Figure

from debug.case import LARGER
from debug.measures.anchors import look
from debug.measures.reach import needed
from debug.measures.recall import RpnReport, measure, strides
from debug.pictures import proposals as pictures
from debug.probe import Probe, run
from forgery_rcnn.models.anatomy import MATCH

FINE = 0.9  # recall at IoU 0.5 from which the proposals do
TELLS = 0.8  # AUC from which objectness is said to tell regions from background; 0.5 tells nothing
FEWEST = 5  # regions: with all of 4 found the interval still goes down to 0.51
WHY = {
    "reach": "no anchor has IoU 0.5 with them",
    "moved": "an anchor has, but none after the RPN has moved it",
    "dropped": "a moved anchor has, but it is not kept",
}


def lines(found: RpnReport) -> list[str]:
    """Recall, best overlaps, objectness, sizes, levels, and the verdict."""
    out = [f"{found.regions} true regions in {found.images} images; the model keeps up to {found.kept} proposals"]
    if found.regions == 0:
        return [*out, "recall, objectness, anchors: n/a", f"verdict: {verdict(found)}"]
    if found.tiny:
        out.append(f"note: training leaves out {found.tiny} of them, whose boxes are too thin for it (min_box)")
    numbers = list(found.chance)
    out += [f"recall by number kept   {''.join(f'{n:>8}' for n in numbers)}   at {found.kept}, 95 % interval"]
    for iou, recall in found.recall.items():
        own = found.own[iou]
        cells = "".join(f"{recall[n]:8.3f}" for n in numbers)
        out.append(f"  IoU >= {iou}            {cells}   {own.value:.3f} [{own.low:.3f}, {own.high:.3f}]")
    out.append(
        f"  IoU >= 0.5 by chance  {''.join(f'{found.chance[n]:8.3f}' for n in numbers)}   (anchors drawn at random)"
    )
    b = found.best
    out += [
        f"best IoU per region, mean: anchors' shapes {b['shape']:.3f}, anchors {b['anchor']:.3f}, moved {b['moved']:.3f}, "
        f"proposals {b['kept']:.3f}",
        f"regression: matching anchors go from IoU {found.moving[0]:.3f} to {found.moving[1]:.3f}",
        f"objectness, matching against background anchors of the same image: AUC {found.auc}",
    ]
    out += [f"missed: {found.missed[cause]} regions, {why}" for cause, why in WHY.items() if found.missed[cause]]
    out.append("by size: regions, found at IoU 0.5, best IoU of anchors, moved, proposals")
    for row in found.by_size:
        means = f"{row.anchor:.3f} {row.moved:.3f} {row.kept:.3f}"
        out.append(f"  {row.size:<18} {row.regions:>4}  {row.found}  {means}")
    return [*out, *_level_lines(found), f"verdict: {verdict(found)}"]


def _level_lines(found: RpnReport) -> list[str]:
    """The three tables level x size."""
    names = [f"stride {s} ({a} px)" for s, a in zip(strides(len(found.anchor_sizes)), found.anchor_sizes, strict=True)]
    out = [f"feature level (its anchors): {', '.join(names)}, ? = none or cannot be told"]
    for table, of_size in found.levels.items():
        out.append(
            f"  level of the {table}" if table != "RoIAlign" else "  level that RoIAlign pools the true box from"
        )
        out += [f"    {size:<18} {' '.join(f'{n:>4}' for n in counts)}" for size, counts in of_size.items()]
    return out


def verdict(found: RpnReport) -> str:
    """One line: fine, or which part of the RPN misses the regions, and what to do."""
    if found.regions == 0:
        return f"n/a: none of the {found.images} images holds a true region; choose forged ones, e.g. --split few"
    own, missed = found.own[MATCH], sum(found.missed.values())
    recall = (
        f"{own.value:.3f} [{own.low:.3f}, {own.high:.3f}] of the {found.regions} regions have a proposal of IoU 0.5 among "
        f"{found.kept} ({found.chance[found.kept]:.3f} by chance)"
    )
    parts, weak = _objectness(found) + "; " + _regression(found), _weak(found)
    reach = f"; {_out_of_reach(found)}" if found.missed["reach"] else ""
    if found.regions < FEWEST or own.value < FINE <= own.high:
        return f"too few regions ({found.regions}) to judge: {recall}; {parts}{reach}"
    if own.value >= FINE and weak is None:
        return f"the RPN is fine: {recall}, {found.own[0.7].value:.3f} one of IoU 0.7; {parts}"
    if own.value >= FINE:
        return f"the proposals find the regions, but the RPN is {weak}: {recall}; {parts}"
    if found.missed["reach"] > missed / 2:
        return f"{_out_of_reach(found)}; {recall}; {parts}"
    if weak is not None:
        return (
            f"the RPN is {weak}: {parts}; {recall}; train it: rpn among a stage's trainable parts, more epochs, or more "
            f"images if these are not the training's{reach}"
        )
    cause = max(("moved", "dropped"), key=lambda name: found.missed[name])
    count = found.missed[cause]
    if cause == "dropped":
        return (
            f"the RPN's scores are wrong: for {count} of the {missed} missed regions a moved anchor of IoU 0.5 exists and is "
            f"not kept; {parts}; {recall}; try a larger --model.rpn-proposals, train rpn.head longer{reach}"
        )
    return (
        f"the RPN's box regression is wrong: for {count} of the {missed} missed regions an anchor of IoU 0.5 exists and none "
        f"is left after it is moved; {parts}; {recall}; train rpn.head longer{reach}"
    )


def _weak(found: RpnReport) -> str | None:
    """Untrained where neither of its two parts has learnt, half trained where one has not, None where both have."""
    weak = (found.auc.value < TELLS) + (found.moving[1] <= found.moving[0])
    return (None, "half trained", "untrained")[weak]


def _objectness(found: RpnReport) -> str:
    says = "tells" if found.auc.value >= TELLS else "hardly tells"
    return f"its objectness {says} regions from background (AUC {found.auc.value:.3f}, 0.5 is chance)"


def _regression(found: RpnReport) -> str:
    before, after = found.moving
    says = "does not help" if after <= before else "helps"
    return f"its box regression {says}: matching anchors go from IoU {before:.3f} to {after:.3f}"


def _out_of_reach(found: RpnReport) -> str:
    """Which sizes or ratios to add, or that the anchors lie too far apart."""
    sizes, ratios = needed(found.beyond, found.anchor_sizes, found.ratios)
    text = f"the anchors cannot reach {found.missed['reach']} regions (none has IoU 0.5 with them)"
    advice = []
    if sizes:
        advice.append(
            f"shift --model.anchor-sizes {' '.join(map(str, found.anchor_sizes))} to hold {_listed(sizes)} px"
        )
    if ratios:
        advice.append(f"add --model.aspect-ratios {_listed(ratios)} (height / width)")
    if not advice or found.beyond_by_shape < len(found.beyond):
        advice.append(f"{LARGER[found.fit]}: the shapes fit, the places are too far apart")
    return f"{text}: {', and '.join(advice)}"


def _listed(values: list[int] | list[float]) -> str:
    return " ".join(f"{value:g}" for value in values)


def figures(found: RpnReport) -> dict[str, Figure]:
    """recall: four plots; levels: three tables; proposals: the best on the first images."""
    out = {"proposals": pictures.proposals(found)}
    return {"recall": pictures.recall(found), "levels": pictures.levels(found), **out} if found.regions else out


PROBE = Probe("rpn", "Do the proposals find the true regions?", measure, lines, figures, look)

if __name__ == "__main__":
    sys.exit(run(PROBE, __doc__))
