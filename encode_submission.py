#!/usr/bin/env python3
"""Predict a folder of images -> a submission file; where masks exist, Dice and pictures too.

python3 encode_submission.py                             the built-in test images, shipped or latest weights
python3 encode_submission.py --images DIR --weights runs/NAME --out OUT
python3 encode_submission.py --images ROOT/train_images/forged --masks ROOT/train_masks --out OUT
python3 encode_submission.py --images DIR --weights runs/A runs/B --rule vote --inference.views eight
python3 encode_submission.py --images DIR --format mediaeval_b --settings.team TEAM --out OUT

Formats: recodai, aaltoes, mediaeval_a, mediaeval_b, tianchi. With weights that `edarnn.py decide` has fitted a decision to,
OUT/decisions.csv says of every image whether it is authentic, forged or undecided.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from forgery_rcnn.cli import command, described, tyro  # first: it says what is not installed

# isort: split
from forgery_rcnn import decision, metrics, numbers, report, rle, tables
from forgery_rcnn.bootstrap import Resampling
from forgery_rcnn.config import BARE_PTH, DataConfig, ModelConfig
from forgery_rcnn.decision import Decision
from forgery_rcnn.errors import InputError, printable
from forgery_rcnn.inference.overrides import InferenceOver
from forgery_rcnn.instances import Answer, Instances, Truth
from forgery_rcnn.submission import formats
from forgery_rcnn.submission.written import Written

if TYPE_CHECKING:
    import numpy as np

    from forgery_rcnn.data.truths import Reader
    from forgery_rcnn.engine.runlog import Screen
    from forgery_rcnn.inference.ensemble import Ensemble
    from forgery_rcnn.instances import Prediction


BESIDE = ("report.csv", "report.json", "decisions.csv")  # files beside the submission
DECISIONS = ("case_id", "decision", "probability", "image_score", "regions")
"""Columns of decisions.csv. probability: that the image is forged, where as many are as among those fitted on; regions: of
the submission's answer, whose thresholds are others."""


@dataclass(frozen=True)
class Known:
    """The truth of one image, if there is one: instances None = authentic. False where nothing is known."""

    instances: Instances | None = None
    state: Literal["unknown", "known"] = "unknown"

    def __bool__(self) -> bool:
        return self.state == "known"


@dataclass(frozen=True)
class Job:
    """What to predict, with what, and where to."""

    images: Path | None = None
    """Folder of images, those in folders below it left out; default the built-in sample's test images."""
    masks: Path | None = None
    """Their truth: a folder of STEM.npy (or STEM.png) masks, or a solution CSV; an image without mask, or with a black one, is
    authentic."""
    weights: tuple[str, ...] = ()
    """A file, a run's folder, a name under weights/, an ensemble.json; several of these are merged, with the thresholds
    of the first. Default the shipped weights, else the latest run."""
    rule: Literal["mean", "vote"] | None = None
    """How several are merged: their mean, or what more than half of them say, each by its own thresholds; default as stored,
    else mean."""
    out: Path = Path("out")
    """Folder for the submission and overlays/; where there is truth, for report.csv and report.json too."""
    format: Literal["recodai", "aaltoes", "mediaeval_a", "mediaeval_b", "tianchi"] = "recodai"
    """Whose submission file to write."""
    settings: Written = field(default_factory=Written)
    inference: InferenceOver = field(default_factory=InferenceOver)
    overlays: int = 100
    """Draw at most so many pictures: of every image with truth, else of those that are flagged. One that an earlier run drew of any
    other of these images is removed."""
    device: str = "auto"
    precision: Literal["auto", "bf16", "float32"] = "auto"
    backend: Literal["torch", "openvino"] = "torch"
    """openvino: the Mask R-CNN's networks run through OpenVINO on the processor, faster (an extra, pip install '.[openvino]')."""
    model: ModelConfig = BARE_PTH
    """Which model a bare .pth file is for; weights with a JSON beside them say so themselves."""


@command
def main(argv: list[str] | None = None) -> int:
    """Returns 0, or 1 when some images have no answer, and so no row, or a mask that cannot be read: they are named."""
    job = tyro.cli(Job, args=argv, prog="encode_submission.py", description=described(__doc__))
    from forgery_rcnn.data import collection, records, sample, truths
    from forgery_rcnn.engine.distributed import device_of
    from forgery_rcnn.engine.precision import uses_bf16
    from forgery_rcnn.engine.runlog import Screen
    from forgery_rcnn.inference import backends, ensemble

    folder, source, screen = job.images, job.masks, Screen(sys.stdout)
    if folder is None:
        root = collection.root_of(DataConfig())
        folder, source = root / "test_images", source or root / sample.SOLUTION
    files, overlays = records.image_files(folder), job.out / "overlays"
    if job.overlays and overlays.exists() and overlays.samefile(folder):
        raise InputError(
            f"--images {folder}: the overlays of --out {job.out} would be drawn over it; use another --out, or --overlays 0"
        )
    found = ensemble.load(job.weights, job.model, job.rule)
    job.inference.check(found.gives)
    found = found.over(job.inference.over).to(device_of(job.device))
    found = backends.on(found, job.backend, "bf16" if uses_bf16(found.device, job.precision) else "float32")
    if formats.FORMATS[job.format].says == "where" and not found.localises:
        raise InputError(
            f"{found.path}: says whether an image is forged, not where; use --format mediaeval_a, or weights of another recipe"
        )
    screen.say(f"{len(files)} images of {folder}, weights {found.path}")
    for note in _passed_over(folder, job.out):
        screen.say(f"note: {note}")
    truth = truths.reader(source, files) if source is not None else None
    return _predict(job, files, found, truth, screen)


def _passed_over(folder: Path, out: Path) -> list[str]:
    """What in the folder is not looked at."""
    from forgery_rcnn.data.layouts import folders

    below = folders.count_below(folder, (out, out / "overlays"))
    other = folders.left_out(path for path in folder.iterdir() if path.is_file())
    said = f"{below} images in folders below {folder} are not looked at; name such a folder by --images"
    return [said] * bool(below) + [other] * bool(other)


@dataclass
class Results:
    """What has come out so far."""

    images: int = 0
    flagged: int = 0
    rows: list[report.ImageRow] = field(default_factory=list)
    sure: list[report.ImageRow] = field(default_factory=list)
    """The same with the image's own score, which decides, whatever the file can say."""
    problems: list[str] = field(default_factory=list)
    drawn: int = 0
    fitted: int = 0
    """Images that the thresholds were fitted on: predicted, not scored."""
    decisions: list[tuple[str, str, str, str, int]] = field(default_factory=list)
    """Rows of DECISIONS."""


def _predict(job: Job, files: list[Path], found: Ensemble, truth: Reader | None, screen: Screen) -> int:
    """Predict, print, draw and write; one image at a time, so that memory does not follow the folder's size."""
    from forgery_rcnn.data import images
    from forgery_rcnn.engine.precision import autocast
    from forgery_rcnn.engine.stopping import listening

    done, layout, settings = Results(), formats.FORMATS[job.format], job.settings.settings(found.thresholds)
    target = job.out / layout.filename(settings)
    partial = job.out / "partial" / target.name  # here until every image is in it
    with listening() as stop, screen.bar("predicting", len(files)) as bar, autocast(found.device, job.precision):

        def answers() -> Iterator[tuple[str, Answer]]:
            for path in files:
                if stop:
                    return
                try:
                    yield path.stem, _one(path, job, found, truth, done, screen)
                except InputError as error:
                    done.problems.append(f"{printable(str(error), 500)} (no row)")
                except images.FAULTS as error:
                    done.problems.append(f"{images.fault(path, error)} (no row)")
                bar()

        layout.write(partial, answers(), settings)
    if not done.images and done.problems:
        _let_go(partial)
        for line in done.problems:
            screen.say(f"error: {line}")
        raise InputError(f"none of the {len(files)} images has an answer; the first: {done.problems[0]}")
    if not stop:
        partial.replace(target)
        _let_go(partial)
    _finish(job, partial if stop else target, done, found.decision, screen)
    if job.format == "mediaeval_a" and not stop:
        from forgery_rcnn.engine import mediaeval_run

        for line in mediaeval_run.write_run(found, target, settings, job.precision, screen):
            screen.say(line)
    for line in done.problems:
        screen.say(f"error: {line}")
    if stop:
        screen.say(f"interrupted after {done.images} of {len(files)} images")
        return 128 + stop.number
    return 1 if done.problems else 0


def _let_go(partial: Path) -> None:
    """Take an unfinished file away, what was told of it, and its folder, unless another format's lies there too."""
    partial.unlink(missing_ok=True)
    beside = {partial.parent / name for name in BESIDE}
    if partial.parent.is_dir() and set(partial.parent.iterdir()) <= beside:
        for path in beside:
            path.unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        partial.parent.rmdir()


def _one(path: Path, job: Job, found: Ensemble, truth: Reader | None, done: Results, screen: Screen) -> Answer:
    """One image into `done`. Raises InputError when it has no answer; a bad mask costs its score alone."""
    from forgery_rcnn.data import images
    from forgery_rcnn.engine import held_out
    from forgery_rcnn.inference import pipeline

    formats.FORMATS[job.format].checked(path.stem)
    picture, case, name = images.read(path), printable(path.stem), printable(path.name)
    for note in picture.unseen:
        screen.say(f"note: {name}: {note}")
    pixels = picture.pixels
    prediction = found.predict(pixels)
    answer = pipeline.answer(prediction)
    if job.format == "mediaeval_b" and found.gives == "instances" and answer.instances is not None:
        answer = replace(answer, heatmap=None)  # score times mask stays below loc_threshold: the regions are written
    # What is scored is what the file can say.
    said = formats.FORMATS[job.format].expressed(answer, job.settings.settings(found.thresholds))
    done.images += 1
    done.flagged += said.instances is not None
    if tables.safe(path.stem) != path.stem:
        written = printable(str(tables.safe(path.stem)))
        screen.say(f"note: {name}: the file writes this case id as {written}; rename the image to submit it")
    _decide(path.stem, found.decision, answer, done)
    known = Known()
    if found.fitted and held_out.digest(pixels) in found.fitted:
        done.fitted += 1
    elif truth is not None:
        try:
            known = Known(truth(path, pixels.shape[:2]), "known")
            row = report.image_row(path.stem, said, Truth(pixels.shape[:2], known.instances))
            done.rows.append(row)
            done.sure.append(replace(row, image_score=answer.image_score))
        except InputError as error:
            done.problems.append(f"{printable(str(error), 500)} (not scored)")
    screen.say(_line(case, prediction, known) + (f" | {done.decisions[-1][1]}" if found.decision else ""))
    overlay = job.out / "overlays" / f"{path.stem}.png"
    try:
        if done.drawn < job.overlays and (known or answer.instances):
            _draw(overlay, pixels, known, prediction)
            done.drawn += 1
        elif overlay.is_file() and not overlay.samefile(path):  # of an earlier run, which may have said otherwise
            overlay.unlink()
    except (OSError, *images.FAULTS) as error:
        done.problems.append(f"{printable(f'{overlay}: {error}', 500)} (no picture)")
    return answer


def _decide(case: str, rule: Decision | None, answer: Answer, done: Results) -> None:
    """What the image's score says, into `done`; nothing where no decision was fitted."""
    if rule is not None:
        score = answer.image_score
        row = (case, rule.said(score), f"{rule.probability(score):.4f}", f"{score:.6g}", len(answer.instances or ()))
        done.decisions.append(row)


def _line(case: str, prediction: Prediction, known: Known) -> str:
    """What is printed per image: the boxes' scores, mask sums, intersection, Dice."""
    scores = " ".join(f"{score:.2f}" for score in prediction.scores) or "none"
    union = prediction.instances.union()
    line = f"{case}: scores {scores} | predicted {int(union[:, 1].sum())} px"
    if not known:
        return line
    truth = rle.EMPTY if known.instances is None else known.instances.union()
    counts = metrics.common_pixels(union, truth), int(union[:, 1].sum()), int(truth[:, 1].sum())
    of1 = metrics.image_score(prediction.instances if len(prediction.instances) else None, known.instances)
    return f"{line}, true {counts[2]} px, intersection {counts[0]} px | Dice {metrics.dice(*counts):.4f}, oF1 {of1:.4f}"


def _draw(path: Path, pixels: np.ndarray, known: Known, prediction: Prediction) -> None:
    from forgery_rcnn import draw
    from forgery_rcnn.data.layouts import folders

    truth = known.instances or Instances(prediction.instances.size)
    draw.save(draw.overlay(pixels, truth if known else None, prediction, path.stem), path)
    (path.parent / folders.DRAWN).touch()


def _finish(job: Job, written: Path, done: Results, rule: Decision | None, screen: Screen) -> None:
    """Write the report where there is truth, beside the file; say where everything is."""
    out = written.parent
    for name in BESIDE:  # of an earlier run, perhaps on other images
        (out / name).unlink(missing_ok=True)
    screen.say(f"{written}: {done.images} images, {done.flagged} forged, {done.images - done.flagged} authentic")
    if done.fitted:
        known = f"{done.fitted} of these {done.images} images"
        screen.say(f"note: the thresholds were fitted on {known}; a score on them would flatter, none is given")
    if rule is not None:
        tables.write(out / "decisions.csv", DECISIONS, done.decisions)
        counts = ", ".join(f"{sum(row[1] == name for row in done.decisions)} {name}" for name in decision.ANSWERS)
        screen.say(f"{out / 'decisions.csv'}: {counts}")
    if done.rows:
        whether = formats.FORMATS[job.format].says == "whether"
        rows = [report.without_regions(row) for row in done.rows] if whether else done.rows
        found = report.summary(rows) | numbers.decided(done.sure, rule)
        tables.save(out / "report.csv", report.to_csv(rows))
        tables.save(out / "report.json", report.to_json(found, rows))
        for line in [*numbers.decision_lines(done.sure, rule), *(_calls(rows) if whether else report.lines(found))]:
            screen.say(line)
        screen.say(f"report: {out / 'report.csv'}, {out / 'report.json'}")
    if done.drawn:
        screen.say(f"pictures: {job.out / 'overlays'}/")


def _calls(rows: list[report.ImageRow]) -> list[str]:
    """The report on a file that says which images are forged, and not where."""
    scored = numbers.Scored(rows)
    return numbers.image_lines(rows, numbers.intervals(scored, Resampling()), numbers.trivial(scored))


if __name__ == "__main__":
    sys.exit(main())
