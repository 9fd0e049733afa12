"""Do the encoder's vectors hold any cue that a region is forged?

python3 -m debug.features --weights runs/NAME
python3 -m debug.features --weights runs/NAME --images ROOT --split validation --count 100

Every forged region stands beside an authentic place of the same shape in the same image: neither the image nor the
size can pass for a cue. Row "pixels": what mean and contrast of the place's colours alone give, without any model.
Where the pristine twin of an image is there, the regions that differ from it also stand beside themselves in the twin:
then nothing but what the forger did can tell them apart.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field, replace

import numpy as np
from matplotlib.figure import Figure

from debug.case import Case
from debug.measures.places import PIXELS, Sampled, look
from debug.pictures.features import overview
from debug.probe import Probe, run
from forgery_rcnn import separability
from forgery_rcnn.bootstrap import Interval
from forgery_rcnn.models.cues import HEAD, NAMES, POOLED, SMALLEST
from forgery_rcnn.separability import FEWEST, Separation

SURE = 0.05  # p, after Bonferroni over the encoder's vector sets, from which a cue is believed
FEW = 20  # images, below which more of them are the first thing to try


@dataclass(frozen=True)
class Features:
    """sets: vector set -> Separation, {} where fewer than four images can be used; images: that can be used.

    dropped, small: regions left out, see Sampled. trained: images that the model was trained on. lost: AUC of the
    RoI-pooled vectors less that after the box head; twins: vector set -> Separation from the pristine twins, {} where fewer
    than four images have one; gained: of the best set before the box head less that of the pixels'
    statistics; both with their interval over images, None without sets.
    """

    sets: dict[str, Separation]
    images: int
    dropped: int
    small: int
    trained: int
    lost: Interval | None = None
    gained: Interval | None = None
    twins: dict[str, Separation] = field(default_factory=dict)

    def best(self) -> str:
        """The encoder's vector set, before the box head, with the highest AUC."""
        return max(NAMES[:-1], key=lambda name: self.sets[name].auc.value)


def measure(case: Case, kept: list[Sampled]) -> Features:
    """-> Features over all images."""
    used = [sampled.vectors for sampled in kept if sampled.vectors]
    dropped, small = sum(s.dropped for s in kept), sum(s.small for s in kept)
    known = set() if case.split is None else {r.key for s in case.config.stages for r in case.split.named(s.subset)}
    trained = sum(sampled.key in known for sampled in kept if sampled.vectors)
    if len(used) < FEWEST:
        return Features({}, len(used), dropped, small, trained)
    sets = _separated(used)
    report = Features(sets, len(used), dropped, small, trained, separability.rise(sets[HEAD].cloud, sets[POOLED].cloud))
    report = replace(report, twins=_separated([sampled.twins for sampled in kept if sampled.twins]))
    return replace(report, gained=separability.rise(sets[PIXELS].cloud, sets[report.best()].cloud))


def _separated(used: list[dict[str, np.ndarray]]) -> dict[str, Separation]:
    """Of each image: vector set -> forged first, as many controls after -> Separation of each set; {} for too few images."""
    if len(used) < FEWEST:
        return {}
    counts = [len(vectors[HEAD]) for vectors in used]
    forged = np.concatenate([np.arange(count) < count // 2 for count in counts])
    groups = np.repeat(np.arange(len(used)), counts)
    found = {
        name: separability.separation(np.concatenate([vectors[name] for vectors in used]), forged, groups)
        for name in (*NAMES, PIXELS)
    }
    return {name: each for name, each in found.items() if each is not None}


def lines(found: Features) -> list[str]:
    """A row per vector set, what was left out, and the verdict."""
    out = []
    if found.sets:
        some = found.sets[POOLED]
        out.append(
            f"{some.regions // 2} forged regions of {found.images} images, each beside an authentic place of its shape"
        )
        out += _table(found.sets)
        out.append(f"from RoI pooled to after the box head the AUC falls by {found.lost}")
        out.append(f"{found.best()}, the best before the box head, is above the pixels' statistics by {found.gained}")
    if found.twins:
        some = found.twins[POOLED]
        out.append(
            f"the {some.regions // 2} regions of {some.images} images that differ from their pristine twin, beside it"
        )
        out += _table(found.twins)
    if found.sets and found.trained:
        out.append(
            f"note: the encoder was trained on {found.trained} of the {found.images} images; what it says of them is the "
            "most that it can say"
        )
    if found.dropped:
        out.append(f"left out: {found.dropped} regions that leave no authentic place of their shape")
    if found.small:
        out.append(f"left out: {found.small} regions below {SMALLEST} px a side at the model's size")
    return [*out, f"verdict: {verdict(found)}"]


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
        f"{name:<11}{each.dimensions:>5}  {each.auc!s:<25}{each.auc_chance.p:>6.3f}  {counted:<28}"
        f"{each.surviving:>8}{each.d_prime:>9.2f}{each.fisher:>8.3f}{_number(each.silhouette):>8}"
    )


def _number(value: float) -> str:
    return "n/a" if np.isnan(value) else f"{value:.3f}"


def sure(each: Separation, tried: int) -> bool:
    """Whether a set holds a cue: its p holds over all the sets that were tried, and its interval is above chance."""
    return each.auc_chance.p * tried <= SURE and each.auc.low > 0.5


def verdict(found: Features) -> str:
    """One line: whether there is a cue, where, and what to do next."""
    if not found.sets:
        return (
            f"n/a: {found.images} images have a forged region and an authentic place of its shape; {FEWEST} are needed: "
            "--images ROOT --count 100"
        )
    name = found.best()
    best, tried = found.sets[name], len(NAMES) - 1
    if not sure(best, tried):
        return _none(found)
    before, after = found.sets[POOLED], found.sets[HEAD]
    holds = f"the features hold a cue: a linear probe of {name} tells held-out images' regions with AUC {best.auc}"
    if found.lost is not None and found.lost.low > 0:
        return (
            f"{holds}, which the box head loses: {before.auc.value:.4f} before, {after.auc.value:.4f} after it; train "
            f"roi_heads.box_head, the encoder can stay as it is{_content(found)}"
        )
    if not sure(before, 1):
        return (
            f"{holds}; of the RoI-pooled vectors, all that the heads are given, {before.auc.value:.4f}, no more than chance "
            f"could be: train backbone.fpn too{_content(found)}"
        )
    return f"{holds}; after the box head {after.auc.value:.4f}, not surely less{_content(found)}"


def _none(found: Features) -> str:
    """The verdict where no set is surely above chance."""
    name = found.best()
    best = found.sets[name]
    few = f"{found.images} images are few, so first look at more: --count 100; then " if found.images < FEW else ""
    return (
        f"the features hold no cue that these {found.images} images can show: best is {name}, AUC {best.auc}, where chance "
        f"reaches {best.auc_chance.high:.4f}; {few}train the encoder (trainable: backbone; try --model.separability-weight "
        f"0.5), or look for the region's twin instead{_content(found)}"
    )


def _content(found: Features) -> str:
    """A word of caution where a place's colours tell as much as the encoder; what the twins say, where there are any."""
    said = ""
    if found.twins:
        name = max(NAMES[:-1], key=lambda each: found.twins[each].auc.value)
        said = f"; beside their pristine twins {name} gives {found.twins[name].auc}"
    if found.gained is None or found.gained.low > 0:
        return said
    return (
        f"{said}; mean and contrast of the place alone give {found.sets[PIXELS].auc.value:.4f}, not surely less: it may be "
        "where forgers put regions, not what they leave"
    )


def figures(found: Features) -> dict[str, Figure]:
    """A picture of all sets beside authentic places, one of all beside the pristine twins, as far as there are any."""
    out = {"features": overview(found.sets, found.best())} if found.sets else {}
    if found.twins:
        out["twins"] = overview(found.twins, max(NAMES[:-1], key=lambda name: found.twins[name].auc.value))
    return out


PROBE = Probe("features", "Do the encoder's vectors hold any cue?", measure, lines, figures, look)

if __name__ == "__main__":
    sys.exit(run(PROBE, __doc__))
