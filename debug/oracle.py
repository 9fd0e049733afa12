"""Which part of the detector fails? The score with the truth in the place of each part, alone and together.

python3 -m debug.oracle --weights runs/NAME
python3 -m debug.oracle --weights runs/NAME --images ROOT --split validation --count 50
"""

from __future__ import annotations

import sys

import numpy as np
from matplotlib.figure import Figure

from debug.case import Case, Specimen
from debug.probe import Probe, run
from forgery_rcnn import draw
from forgery_rcnn.inference import oracle
from forgery_rcnn.inference.oracle import NAMES, PARTS, Climbed, Ladder


def look(specimen: Specimen) -> Climbed:
    """oF1 of one image on every rung."""
    s = specimen
    return oracle.climb(s.model, s.anatomy, s.truth, s.true, s.inference)


def measure(case: Case, kept: list[Climbed]) -> Ladder:
    """-> Ladder over all images."""
    return oracle.ladder(kept, case.inference.regions)


def lines(found: Ladder) -> list[str]:
    """Every rung with its mean oF1, the gain of each part alone, its share, and the verdict."""
    count = len(found.rungs[()])
    out = [
        f"mean oF1 of {count} image{'s' * (count != 1)}, with the truth in the place of",
        f"  {'nothing':<34} {found.mean(()):.4f}",
    ]
    for part in sorted(PARTS, key=lambda p: -found.shares[p].value):
        text = f"  {NAMES[part]:<34} {found.mean((part,)):.4f}   alone {found.gains[part]}, share {found.shares[part]}"
        out.append(text)
    for rung in found.rungs:
        if len(rung) > 1:
            out.append(f"  {' + '.join(rung):<34} {found.mean(rung):.4f}")
    return [*out, f"verdict: {oracle.verdict(found)}"]


def figures(found: Ladder) -> dict[str, Figure]:
    """The rungs as bars, the shares as one bar from the model's score to the truth's."""
    figure, (a, b) = draw.panels(2, 2, (6.2, 4.4))
    shown = sorted(found.rungs, key=lambda rung: (len(rung), -found.mean(rung)))
    colours = ["#9e9e9e" if len(rung) != 1 else "#1e88e5" for rung in shown]
    places = np.arange(len(shown))[::-1]
    a.barh(places, [found.mean(rung) for rung in shown], color=colours)
    a.set_yticks(places, [" + ".join(rung) or "nothing" for rung in shown], fontsize=7)
    a.set(xlim=(0, 1), xlabel="mean oF1", title="truth given for")
    for place, rung in zip(places, shown, strict=True):
        a.text(min(found.mean(rung) + 0.01, 0.92), place, f"{found.mean(rung):.3f}", va="center", fontsize=7)
    blamed, values = found.blamed(), [found.shares[part] for part in PARTS]
    errors = np.nan_to_num([[max(v.value - v.low, 0), max(v.high - v.value, 0)] for v in values]).T
    colours = ["#d32f2f" if p == found.failing() else "#fb8c00" if p in blamed else "#1e88e5" for p in PARTS]
    b.bar(range(4), [v.value for v in values], yerr=errors, capsize=4, color=colours)
    b.set_xticks(range(4), [NAMES[part].replace("the ", "").replace(" (", "\n(") for part in PARTS], fontsize=8)
    b.axhline(0, color="black", linewidth=0.8)
    b.set(
        ylabel="oF1 that its truth brings (Shapley value)",
        title=f"share of the gap of {found.gap():.3f} (95 % interval over images)",
    )
    return {"ladder": figure}


PROBE = Probe("oracle", "Which part, given the truth, would help most?", measure, lines, figures, look)

if __name__ == "__main__":
    sys.exit(run(PROBE, __doc__))
