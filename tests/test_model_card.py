"""The model card: weak strata are those shown to be weak; nothing is claimed of few images; no number is left out."""

from __future__ import annotations

import numpy as np
import pytest

from forgery_rcnn import model_card, numbers, strata
from forgery_rcnn.bootstrap import Resampling
from forgery_rcnn.decision import Decision, of_scores
from forgery_rcnn.instances import Answer, Instances, Truth
from forgery_rcnn.model_card import Card, Measured

SIZE = (40, 40)


def image(share: float, kind: str, flagged: str) -> tuple[Answer, Truth]:
    """A square of 20 px, of which `share` is found; kind "" = authentic."""
    mask = np.zeros((1, *SIZE), bool)
    found = mask.copy()
    mask[0, 10:30, 10:30] = True
    found[0, 10 : 10 + max(1, round(20 * share)), 10:30] = True
    said = Instances.from_masks(found) if flagged == "flagged" else None
    return Answer(SIZE, said, 0.9 if said else 0.1), Truth(SIZE, Instances.from_masks(mask) if kind else None, kind)


def measured(few: int = 4) -> Measured:
    """Copies are found whole, splices by a fifth, `few` retouched ones not at all; one authentic image of 20 is flagged."""
    cases = [image(1.0, "copy_move", "flagged") for _ in range(30)]
    cases += [image(0.2 + 0.01 * i, "splice", "flagged") for i in range(12)]
    cases += [image(0, "retouch", "passed") for _ in range(few)]
    cases += [image(0.5, "", "flagged" if i == 0 else "passed") for i in range(20)]
    told = numbers.collect((str(i), *case) for i, case in enumerate(cases))
    how, rule = Resampling(200), Decision(1.0, 0.0, 0.5, 0.5, 0.05, 0.1)
    scores, forged = (
        np.array([row.image_score for row in told.rows]),
        np.array([r.label == "forged" for r in told.rows]),
    )
    parts = numbers.intervals(told, how), numbers.trivial(told), strata.by_stratum(told, how)
    return Measured("made up", len(cases), *parts, 0.5, "a machine", (rule, of_scores(rule, scores, forged)))


def test_weak_is_what_lies_below_with_its_whole_interval() -> None:
    found = model_card.weak(measured())
    assert [(one.title, one.name, one.images) for one in found] == [("kind", "splice", 12)]
    assert (
        found[0].gap == pytest.approx(measured().numbers["of1_forged"].value - found[0].value.value)
        and found[0].gap > 0.2
    )
    assert [one.name for one in model_card.weak(measured(few=12))] == ["retouch", "splice"]  # worst first


def test_the_card_says_it() -> None:
    found = measured()
    text = "\n".join(
        model_card.lines(Card("good", ["- a model"], ["data"], ["a file"], found, {"other": found.numbers["of1"]}))
    )
    assert "0.0500 [0.0089, 0.2361] (Wilson) of 20 authentic images are flagged" in text
    assert "- kind splice: oF1 " in text and "strata have fewer than 10 images" in text and "retouch (4)" in text
    assert "- Up to 23.6% of authentic images may be flagged" in text and "| other | " in text
    assert "| forged | score >= 0.5 | 1 | 42 | 0.9767 " in text and "nan" not in text
    known = [title for name, title in numbers.PIXELS.items() if name != "pixel_auc"]  # no heat map was given
    for title in (*known, *numbers.IMAGES.values(), "mask AP 0.50"):
        assert f"| {title} | " in text, title
    card = Card("good", [], [], [], model_card.Measured(**{**vars(found), "decided": None}))
    assert "No decision was fitted" in "\n".join(model_card.lines(card))
