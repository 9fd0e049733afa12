"""Pictures of the classifier's scores."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from debug.measures.classifier import FAR, Scores
from debug.measures.proposals import number
from forgery_rcnn import draw, ranking
from forgery_rcnn.calibration import scores_of
from forgery_rcnn.models.anatomy import MATCH

FORGED, NEAR, AUTHENTIC = "#d32f2f", "#ffab00", "#1e88e5"


def overview(found: Scores) -> Figure:
    """Histograms of scores, best scores of each image, calibration curves, and what each threshold gives."""
    figure, (a, b, c, d) = draw.panels(4, 2, (6.4, 4.4))
    scores = np.concatenate([scores_of(seen.margins) for seen in found.seen])
    ious = np.concatenate([seen.ious for seen in found.seen])
    _histogram(a, found, scores, ious)
    _best(b, found)
    _calibration(c, found)
    _thresholds(d, found, scores, ious >= MATCH)
    return figure


def _cuts(ax: Axes, found: Scores) -> None:
    """Where the model and the inference cut, on an axis of scores."""
    ax.axvline(found.score_min, color="black", linestyle=":", label=f"model's least score {found.score_min:g}")
    ax.axvline(found.used.threshold, color="black", linestyle="--", label=f"threshold {found.used.threshold:g}")


def _histogram(ax: Axes, found: Scores, scores: np.ndarray, ious: np.ndarray) -> None:
    groups = {
        f"authentic (IoU < {FAR:g})": (ious < FAR, AUTHENTIC),
        f"near ({FAR:g} to {MATCH:g})": ((ious >= FAR) & (ious < MATCH), NEAR),
        f"forged (IoU ≥ {MATCH:g})": (ious >= MATCH, FORGED),
    }
    bins = np.linspace(0, 1, 41)
    for name, (those, colour) in groups.items():
        if those.any():
            label = f"{name}, {those.sum()}"
            ax.hist(scores[those], bins, histtype="step", color=colour, linewidth=1.6, label=label)
    _cuts(ax, found)
    ax.set(xlabel="score of a proposal", ylabel="proposals (log scale)", yscale="symlog", xlim=(-0.01, 1.01))
    ax.set_title(
        f"scores: AUC {number(found.auc.value)}, average precision {number(found.average_precision)}", fontsize=10
    )
    ax.legend(fontsize=7)


def _best(ax: Axes, found: Scores) -> None:
    """One row an image: its best forged and best authentic score."""
    shown = sorted(found.best, key=lambda b: (b.label, np.nan_to_num(b.forged), np.nan_to_num(b.authentic)))
    places = np.arange(len(shown))
    ax.plot([b.authentic for b in shown], places, "o", color=AUTHENTIC, label=f"authentic (IoU < {FAR:g})")
    ax.plot([b.forged for b in shown], places, "^", color=FORGED, label="forged")
    first = sum(b.label == "authentic" for b in shown)
    if 0 < first < len(shown):
        ax.axhline(first - 0.5, color="grey", linewidth=0.8)
        ax.text(0.99, first - 0.4, "forged images", fontsize=7, ha="right", va="bottom")
        ax.text(0.99, first - 0.6, "authentic images", fontsize=7, ha="right", va="top")
    ax.axvline(max(found.used.threshold, found.image_threshold), color="black", linestyle="--")
    if len(shown) <= 40:
        ax.set_yticks(places, [b.key.split("/")[-1][:16] for b in shown], fontsize=6)
    ax.set(xlabel="best score among the image's proposals", ylabel="image", xlim=(-0.02, 1.02))
    ax.set_title(f"best forged above best authentic: {number(found.order.value)} of the pairs of images", fontsize=10)
    ax.legend(fontsize=7)


def _calibration(ax: Axes, found: Scores) -> None:
    c = found.calibration
    ax.plot([0, 1], [0, 1], color="grey", linewidth=0.8, label="score = share")
    ax.plot(c.before[:, 0], c.before[:, 1], "o-", color="black", label=f"as it is, error {number(c.error)}")
    if len(c.after):
        label = f"with temperature {c.temperature:.2f}, error {number(c.fitted_error)}"
        ax.plot(c.after[:, 0], c.after[:, 1], "s--", color=AUTHENTIC, label=label)
    for score, share, count in c.before:
        ax.annotate(f"{count:.0f}", (score, share), (4, -9), textcoords="offset points", fontsize=7)
    ax.set(xlabel="mean score of a bin, 0.1 wide; beside it its proposals", ylabel="share of forged proposals in it")
    ax.set(xlim=(-0.02, 1.06), ylim=(-0.06, 1.04))
    ax.set_title(
        f"calibration of the {c.proposals} proposals above {found.score_min:g}; held-out error with temperature "
        f"{number(c.held_out_error)}",
        fontsize=9,
    )
    ax.legend(fontsize=7, loc="upper left")


def _thresholds(ax: Axes, found: Scores, scores: np.ndarray, forged: np.ndarray) -> None:
    thresholds, precision, recall = ranking.precision_recall(scores, forged)
    if len(thresholds):
        ax.plot(thresholds, precision, color="#6a1b9a", linewidth=1, label="precision")
        ax.plot(thresholds, recall, color="#00897b", linewidth=1, label="recall")
        both = np.maximum(precision + recall, 1e-12)
        ax.plot(thresholds, 2 * precision * recall / both, color="black", linewidth=1.8, label="F1")
        ax.axvline(found.best_cut.threshold, color=FORGED, linestyle="--", label=f"best {found.best_cut.threshold}")
    else:
        ax.text(0.5, 0.5, "n/a: no forged proposal", ha="center", transform=ax.transAxes)
    _cuts(ax, found)
    ax.set(xlabel="threshold on the score", ylabel="of proposals", xlim=(-0.01, 1.01), ylim=(-0.02, 1.02))
    ax.set_title("what each threshold calls", fontsize=10)
    ax.legend(fontsize=7)


def sizes(found: Scores) -> Figure:
    """Best score of each region against its side."""
    figure, (ax,) = draw.panels(1, 1, (6.8, 4.2))
    regions = [region for seen in found.seen for region in seen.regions]
    if regions:
        side = [region.side for region in regions]
        ax.plot(side, [r.true_box for r in regions], "o", color="#00c853", label="the true box itself", alpha=0.7)
        ax.plot(side, [r.best for r in regions], "^", color=FORGED, label="best of its forged proposals", alpha=0.8)
        missed = [region.side for region in regions if not region.proposals]
        ax.plot(missed, [-0.04] * len(missed), "x", color="black", label=f"no forged proposal: {len(missed)}")
        ax.axhline(found.used.threshold, color="black", linestyle="--", linewidth=0.8)
        ax.set_xscale("log", base=2)
        ax.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        ax.legend(fontsize=7)
    else:
        ax.text(0.5, 0.5, "n/a: no forged region", ha="center", transform=ax.transAxes)
    ax.set(xlabel="side of the region (px of the model's input, log scale)", ylabel="score", ylim=(-0.08, 1.05))
    ax.set_title("scores of regions by size", fontsize=10)
    return figure
