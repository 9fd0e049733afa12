"""Do the encoder's vectors hold any cue that a region is forged?

python3 -m debug.features --weights runs/NAME
python3 -m debug.features --weights runs/NAME --images ROOT --split validation --count 100

Every forged region stands beside up to five authentic places of the same shape in the same image: neither the image nor
the size can pass for a cue. Row "pixels": what mean and contrast of the place's colours alone give, without any model.
Where the pristine twin of an image is there, only the regions that differ from it count, and they also stand beside
themselves in the twin: then nothing but what the forger did can tell them apart.
"""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass, field, replace

import numpy as np
from matplotlib.figure import Figure

from debug.case import Case
from debug.measures.places import PIXELS, Sampled, Vectors, look
from debug.pictures.features import overview
from debug.probe import Probe, run
from forgery_rcnn import separability
from forgery_rcnn.bootstrap import Interval
from forgery_rcnn.models.cues import HEAD, NAMES, POOLED, SMALLEST
from forgery_rcnn.separability import FEWEST, Separation

SURE = 0.05  # p, after Bonferroni over the encoder's vector sets, from which a cue is believed
ENOUGH = 20  # images, below which more of them are the first thing to try
TRAIN = "train the encoder (trainable: backbone; try --model.separability-weight 0.5), or look for the region's twin instead"
ENCODER = NAMES[:-1]  # the vector sets before the box head


@dataclass(frozen=True)
class Features:
    """sets: vector set -> Separation, {} where fewer than eight images can be used; images: that can be used.

    trained: of these, that the model was trained on; alone: of all, that have no pristine twin. dropped, small,
    untouched: regions left out, see Sampled. twins: vector set -> Separation from the pristine twins, {} where fewer than
    eight images have one. lost: AUC of the RoI-pooled vectors less that after the box head; gained: of the best set
    before the box head less that of the pixels' statistics; both with their interval over images, None without sets.
    """

    sets: dict[str, Separation]
    images: int
    trained: int
    alone: int
    dropped: int
    small: int
    untouched: int
    twins: dict[str, Separation] = field(default_factory=dict)
    lost: Interval | None = None
    gained: Interval | None = None


def best(sets: dict[str, Separation]) -> str:
    """The encoder's vector set, before the box head, that chance explains least: lowest p, then highest AUC."""
    return min(ENCODER, key=lambda name: (sets[name].auc_chance.p, -sets[name].auc.value))


def measure(case: Case, kept: list[Sampled]) -> Features:
    """-> Features over all images."""
    kept = sorted(kept, key=lambda sampled: sampled.key)  # folds follow the order: so training's number is the same
    used = [sampled for sampled in kept if sampled.vectors]
    known = set() if case.split is None else {r.key for s in case.config.stages for r in case.split.named(s.subset)}
    trained = sum(sampled.key in known for sampled in used)
    counts = [sum(getattr(s, name) for s in kept) for name in ("alone", "dropped", "small", "untouched")]
    twins = _separated([(s.twins, len(s.twins[HEAD]) // 2) for s in kept if s.twins])
    report = Features(_separated([(s.vectors, s.forged) for s in used]), len(used), trained, *counts, twins)
    if not report.sets:
        return report
    clouds = {name: each.cloud for name, each in report.sets.items()}
    lost = separability.rise(clouds[HEAD], clouds[POOLED])
    return replace(report, lost=lost, gained=separability.rise(clouds[PIXELS], clouds[best(report.sets)]))


def _separated(used: list[tuple[Vectors, int]]) -> dict[str, Separation]:
    """Of each image: vector set -> so many forged first, controls after -> Separation of each set; {} for too few images."""
    if len(used) < FEWEST:
        return {}
    counts = [len(vectors[HEAD]) for vectors, _ in used]
    forged = np.concatenate([np.arange(count) < first for count, (_, first) in zip(counts, used, strict=True)])
    groups = np.repeat(np.arange(len(used)), counts)
    found = {
        name: separability.separation(np.concatenate([vectors[name] for vectors, _ in used]), forged, groups)
        for name in (*NAMES, PIXELS)
    }
    return {name: each for name, each in found.items() if each is not None}


def lines(found: Features) -> list[str]:
    """A row per vector set, what was left out, and the verdict."""
    out = []
    if found.sets:
        forged, others = _counted(found.sets)
        out.append(
            f"{forged} forged regions of {found.images} images, beside {others} authentic places of their shapes"
        )
        out += _table(found.sets)
        out.append(f"from RoI pooled to after the box head the AUC falls by {shown(found.lost)}")
        name = best(found.sets)
        out.append(f"{name}, the best before the box head, is above the pixels' statistics by {shown(found.gained)}")
    if found.twins:
        forged, images = _counted(found.twins)[0], found.twins[POOLED].images
        out.append(f"the {forged} regions of {images} images that differ from their pristine twin, beside it")
        out += _table(found.twins)
    if found.sets and 0 < found.trained < found.images:
        out.append(f"note: the encoder was trained on {found.trained} of the {found.images} images")
    return [*out, *_left_out(found), f"verdict: {verdict(found)}"]


def _counted(sets: dict[str, Separation]) -> tuple[int, int]:
    """-> forged regions and authentic places."""
    forged = sets[POOLED].cloud.forged
    return int(forged.sum()), int((~forged).sum())


def _left_out(found: Features) -> list[str]:
    out = []
    if found.alone:
        out.append(
            f"note: {found.alone} forged images have no pristine twin: what a copy was taken of counts as forged there "
            "although it is pristine, and pulls the AUC to 0.5"
        )
    if found.untouched:
        out.append(f"left out: {found.untouched} regions that are as in the pristine twin (what a copy was taken of)")
    if found.dropped:
        out.append(f"left out: {found.dropped} regions that leave no authentic place of their shape")
    if found.small:
        out.append(f"left out: {found.small} regions below {SMALLEST} px a side at the model's size")
    return out


def shown(interval: Interval | None) -> str:
    """A number, and its interval where there is one."""
    if interval is None:
        return "n/a"
    return f"{interval.value:.4f}" if math.isnan(interval.low) else str(interval)


def _table(sets: dict[str, Separation]) -> list[str]:
    """A head, and a row per vector set."""
    head = f"{'vectors':<11}{'D':>5}  {'held-out AUC':<25}{'p':>6}  {'|diff| > 0.9, chance (p)':<28}"
    return [
        f"{head}{'FDR .05':>8}{'d-prime':>9}{'Fisher':>8}{'silh.':>8}",
        *(_row(name, each) for name, each in sets.items()),
    ]


def _row(name: str, each: Separation) -> str:
    large = each.large
    counted = f"{large.value:.0f}, {large.mean:.1f} up to {large.high:.0f} ({large.p:.3f})"
    return (
        f"{name:<11}{each.dimensions:>5}  {shown(each.auc):<25}{each.auc_chance.p:>6.3f}  {counted:<28}"
        f"{each.surviving:>8}{each.d_prime:>9.2f}{each.fisher:>8.3f}{_number(each.silhouette):>8}"
    )


def _number(value: float) -> str:
    return "n/a" if np.isnan(value) else f"{value:.3f}"


def chance_of(each: Separation) -> float:
    """p of as high an AUC by chance, after Bonferroni over the encoder's vector sets, of which the best was picked."""
    return min(1.0, each.auc_chance.p * len(ENCODER))


def sure(each: Separation) -> bool:
    """Whether a picked set is told from chance."""
    return chance_of(each) <= SURE


def verdict(found: Features) -> str:
    """One line: whether there is a cue, where, and what to do next."""
    if not found.sets:
        return (
            f"n/a: {found.images} images have a forged region and an authentic place of its shape; {FEWEST} are needed: "
            "--split all --count 100, or --images ROOT with more"
        )
    if not sure(found.sets[best(found.sets)]):
        return _none(found)
    if not (sure(found.twins[best(found.twins)]) if found.twins else found.gained.low > 0):
        if _unsure(found):
            return (
                f"the encoder tells forged regions from other places, but these images do not say whether by what forgers leave "
                f"or by where they put it: {_told(found)}; look at more: --count 100"
            )
        return f"the encoder tells where forgers put regions, not what they leave: {_told(found)}; {TRAIN}"
    before, after = found.sets[POOLED], found.sets[HEAD]
    holds = f"the features hold a cue: {_told(found)}"
    if found.lost.low > 0:
        return (
            f"{holds}; the box head loses it: {before.auc.value:.4f} before, {after.auc.value:.4f} after it; train "
            "roi_heads.box_head, the encoder can stay as it is"
        )
    if before.auc_chance.p > SURE:
        return (
            f"{holds}; of the RoI-pooled vectors, all that the heads are given, {before.auc.value:.4f}, no more than chance "
            "could be: train backbone.fpn too"
        )
    return f"{holds}; after the box head {after.auc.value:.4f}, not surely less"


def _unsure(found: Features) -> bool:
    """Whether that no cue is surely beside the twins, or else the pixels, may be for want of images."""
    if not found.twins:
        return found.images < ENOUGH
    beside = found.twins[best(found.twins)].auc
    return beside.count < ENOUGH or beside.low > 0.5


def _told(found: Features) -> str:
    """What the best set gives beside authentic places, and beside the pristine twins or else the pixels' statistics."""
    name = best(found.sets)
    images = " of images that it was trained on" if found.trained == found.images else ""
    said = f"a linear probe of {name} gives {_quoted(found.sets[name])} beside authentic places{images}"
    if found.twins:
        name = best(found.twins)
        return f"{said}, one of {name} {_quoted(found.twins[name])} beside their pristine twins"
    return f"{said}, {shown(found.gained)} above mean and contrast of the places alone (no twins to compare with)"


def _quoted(each: Separation) -> str:
    return f"AUC {shown(each.auc)} (p {chance_of(each):.3f} over {len(ENCODER)} sets)"


def _none(found: Features) -> str:
    """The verdict where no set is surely above chance."""
    few = f"{found.images} images are few, so first look at more: --count 100; then " if found.images < ENOUGH else ""
    return f"the features hold no cue that these {found.images} images can show: {_told(found)}; {few}{TRAIN}"


def figures(found: Features) -> dict[str, Figure]:
    """A picture of all sets beside authentic places, one of all beside the pristine twins, as far as there are any."""
    out = {"features": overview(found.sets, best(found.sets))} if found.sets else {}
    if found.twins:
        out["twins"] = overview(found.twins, best(found.twins))
    return out


PROBE = Probe("features", "Do the encoder's vectors hold any cue?", measure, lines, figures, look)

if __name__ == "__main__":
    sys.exit(run(PROBE, __doc__))
