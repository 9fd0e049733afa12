#!/usr/bin/env python3
"""Score a submission, or weights on a split: oF1 and where the rest of it went, pixel, image and instance scores.

python3 scoring.py                                                   the shipped weights, validation split of the sample
python3 scoring.py --submission S.csv --solution T.csv --out OUT
python3 scoring.py --submission S.zip --solution ROOT                the truth from a data root, or a folder of masks
python3 scoring.py --compare A.csv B.csv --solution T.csv --images DIR
python3 scoring.py --weights runs/NAME --data.root ROOT --split validation
python3 scoring.py --weights runs/A runs/B --rule vote               several as one

All four competitions' files are read (README). Every number comes with a 95 % interval over images: a
bootstrap's, Wilson's for the shares of images flagged and passed over.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from forgery_rcnn.cli import command, described, tyro  # first: it says what is not installed

# isort: split
from forgery_rcnn import compare, contracts, numbers, report, strata, tables
from forgery_rcnn.bootstrap import Resampling
from forgery_rcnn.data_config import Where
from forgery_rcnn.decision import Decision
from forgery_rcnn.errors import FileProblems, InputError, Problem, listed
from forgery_rcnn.instances import ANY_SIZE, Answer, Instances, Truth
from forgery_rcnn.submission import formats, mediaeval, official, recodai, tianchi


@dataclass(frozen=True)
class Job:
    """Either --submission and --solution, or --compare and --solution, or weights and a split."""

    submission: Path | None = None
    """A submission file or folder; its format is recognised."""
    solution: Path | None = None
    """CSV case_id,annotation,shape (a column `kind` is used), a data root, or a folder of masks."""
    compare: tuple[Path, Path] | None = None
    """Two submissions A and B for the same solution."""
    lenient: bool = False
    """Score the rows that can be read, and say what was left out."""
    strict: bool = False
    """Accept exactly what the official Recod.ai/LUC scorer accepts: rows by position, runs clipped, one bad cell fails all."""
    contract: str = "recodai"
    """A published way to score, beside the report: recodai, recodai_forged, union_by_count, pixel_f1, pixel_f1_forged,
    pixel_f1_or_inverted, f1_plus_iou."""
    images: Path | None = None
    """Folder of the images, for the overlays of --compare; default those of a data root, else the masks alone are drawn."""
    weights: tuple[str, ...] = ()
    """A file, a run's folder, a name under weights/, an ensemble.json; several of these are merged, with the thresholds
    of the first. Default the shipped weights, else the latest run."""
    rule: Literal["mean", "vote"] | None = None
    """How several are merged: their mean, or what more than half say, each by its own thresholds; default as stored, else mean."""
    data: Where = field(default_factory=Where)
    split: Literal["single", "few", "full", "validation", "held_out", "all"] = "validation"
    """Part of the data, split as in the weights' training; held_out: the validation images that no threshold was fitted on."""
    out: Path | None = None
    """Folder for report.json, report.csv and error_budget.png; of --compare, for overlays/ (there the default is out/compare)."""
    json: Path | None = None
    """Write the report here as JSON."""
    csv: Path | None = None
    """Write one line per image here."""
    resamples: int = 1000
    """Of the bootstrap; 0 = none, which leaves the two rates their Wilson intervals."""
    seed: int = 0
    """Of the bootstrap."""
    device: str = "auto"
    precision: Literal["auto", "bf16", "float32"] = "auto"

    def __post_init__(self) -> None:
        contracts.named(self.contract)
        files = self.compare or self.submission
        for wrong, said in (
            (self.lenient and self.strict, "--lenient and --strict exclude each other; pass one"),
            (not 0 <= self.resamples <= 100_000, f"--resamples {self.resamples}: must be 0 to 100000"),
            (
                (files is None) != (self.solution is None),
                "--submission (or --compare) and --solution go together: pass both, or neither to score weights",
            ),
            (self.compare and self.submission, "--compare takes the two submissions itself; leave --submission out"),
            (
                (self.lenient or self.strict) and not files,
                "--lenient and --strict are about submission files; leave them out",
            ),
            (self.images and not self.compare, "--images is for the pictures of --compare; leave it out"),
            (self.compare and (self.json or self.csv), "--json and --csv are of one submission; leave them out"),
            (self.compare and self.contract != "recodai", "--compare is of oF1; score each submission with --contract"),
        ):
            if wrong:
                raise InputError(said)


@command
def main(argv: list[str] | None = None) -> int:
    """Returns 0 when a report was made."""
    job = tyro.cli(Job, args=argv, prog="scoring.py", description=described(__doc__))
    if job.compare:
        return _compare(job, job.compare)
    if job.submission:
        layout = formats.detect(job.submission)
        if layout.says == "whether":
            _check_calls(job, job.submission)
        truths = _truths(job, job.submission, layout)
        scored = _in_order(numbers.collect(_answers(job, job.submission, layout, truths)), truths)
        return _report(job, scored, layout.masks, None) if layout.says == "where" else _report_calls(job, scored, None)
    from forgery_rcnn.config import BARE_PTH
    from forgery_rcnn.engine import evaluate, runlog
    from forgery_rcnn.inference import ensemble

    how, found = (job.device, job.precision), ensemble.load(job.weights, BARE_PTH, job.rule)
    thresholds, each = evaluate.weights_on_split(
        found, job.data.root, job.data.skip_bad, job.split, how, runlog.Screen(sys.stdout)
    )
    if not found.localises:
        _check_calls(job, found.path)
        calls = ((case, mediaeval.expressed_a(answer, found.thresholds[0]), truth) for case, answer, truth in each)
        return _report_calls(job, numbers.collect(calls), found.decision)
    masks = f"instances with score >= {thresholds.score_threshold:g}, pixels >= {thresholds.mask_threshold:g}"
    return _report(job, numbers.collect(each), masks, found.decision)


def _truths(job: Job, path: Path, layout: formats.Format) -> dict[str, Truth]:
    assert job.solution is not None
    if not job.solution.is_dir():
        return recodai.read_solution(job.solution)
    if job.strict:
        raise InputError(f"--strict matches rows by position, {job.solution} is a folder; pass a solution CSV")
    from forgery_rcnn.data import truths

    asked = layout.read(path, {})  # nothing is known yet, so every id comes back as unknown
    cases = [found.case_id for found in asked if isinstance(found, Problem) and found.case_id]
    known, more = truths.of_folder(job.solution, cases), truths.unanswered(job.solution, cases)
    if more:
        print(f"note: {job.solution} has the truth of {more} more images, for which {path} has no answer: not scored")
    clean = [case for case, truth in known.items() if truth.size == ANY_SIZE]
    if clean:
        print(f"note: {len(clean)} images have no mask in {job.solution} and count as authentic (first: {clean[0]})")
    return known


def _answers(
    job: Job, path: Path, layout: formats.Format, truths: dict[str, Truth]
) -> Iterator[tuple[str, Answer, Truth]]:
    """Every image's answer beside its truth. Raises FileProblems at the end unless --lenient."""
    if job.strict:
        if layout is not formats.FORMATS["recodai"]:
            raise InputError(f"{path}: --strict is the Recod.ai/LUC scorer's way; this is {layout.title}")
        yield from ((case, answer, truths[case]) for case, answer in official.read(path, truths))
        return
    problems, rows, most = [], 0, 0.0
    for found in layout.read(path, truths):
        if isinstance(found, Problem):
            problems.append(found)
        else:
            rows += 1
            most = max(most, tianchi.brightest(found[1]))
            yield *found, truths[found[0]]
    if problems and (not job.lenient or not rows):
        raise FileProblems(path, problems)
    if problems:
        print("\n".join(listed(path, problems)))
        print(f"left out: {len(truths) - rows} of {len(truths)} images; every number below is of the other {rows}")
    if layout is formats.FORMATS["tianchi"] and 0 < most < 1.5 / 255:
        print(
            f"note: no mask in {path} has a value above 1: all are authentic; write 255 where a pixel is forged, not 1"
        )


def _in_order(scored: numbers.Scored, truths: Mapping[str, Truth]) -> numbers.Scored:
    """In the order of the truths, so that no number depends on the order of a file's rows."""
    place = {case: number for number, case in enumerate(truths)}
    return scored.only(sorted(range(len(scored.rows)), key=lambda i: place[scored.rows[i].case_id]))


def _report(job: Job, scored: numbers.Scored, masks: str, rule: Decision | None) -> int:
    """Print the report, and write what was asked for. rule: what weights make of an image's score."""
    how = Resampling(job.resamples, job.seed)
    found: dict[str, Any] = report.summary(scored.rows)
    judged = contracts.judge(job.contract, scored.rows, masks, how)
    found |= {"contract": judged, "numbers": numbers.intervals(scored, how), "baselines": numbers.trivial(scored)}
    found |= {"strata": strata.by_stratum(scored, how)} | numbers.decided(scored.rows, rule)
    tied: Literal["tied", "ranked"] = "tied" if any(table.tied() for table in scored.tables.values()) else "ranked"
    table = [*report.head(found), *report.budget(found), *numbers.lines(found["numbers"], found["baselines"], tied)]
    table += numbers.decision_lines(scored.rows, rule)
    print("\n".join([*table, *strata.lines(found["strata"]), *contracts.lines(judged)]))
    _write(job, found, scored.rows)
    if job.out is not None:
        print(f"written: {_budget_bar(found, job.out)}")
    return 0


def _check_calls(job: Job, path: Path) -> None:
    """Raises InputError where regions are to be judged of a file or weights that only say which images are forged."""
    if job.contract != "recodai":
        raise InputError(f"{path}: says whether, not where; --contract {job.contract} is about regions, leave it out")


def _report_calls(job: Job, scored: numbers.Scored, rule: Decision | None) -> int:
    """The report on what says which images are forged, and not where. rule: what weights make of an image's score."""
    how = Resampling(job.resamples, job.seed)
    scored = numbers.Scored([report.without_regions(row) for row in scored.rows])
    found: dict[str, Any] = report.summary(scored.rows)
    found |= {"contract": numbers.IMAGE_CONTRACT, "numbers": numbers.intervals(scored, how)}
    found |= {"baselines": numbers.trivial(scored), "strata": strata.by_stratum(scored, how)}
    found |= numbers.decided(scored.rows, rule)
    table = numbers.decision_lines(scored.rows, rule)
    print("\n".join([*table, *numbers.image_lines(scored.rows, found["numbers"], found["baselines"])]))
    _write(job, found, scored.rows)
    return 0


def _write(job: Job, found: dict[str, Any], rows: Sequence[report.ImageRow]) -> None:
    folder = job.out
    for text, asked, name in ((report.to_json(found, rows), job.json, "json"), (report.to_csv(rows), job.csv, "csv")):
        for path in (asked, folder and folder / f"report.{name}"):
            if path is not None:
                tables.save(path, text)
                print(f"written: {path}")


def _budget_bar(found: dict[str, Any], out: Path) -> Path:
    from forgery_rcnn import draw

    baselines = {f"everything {answer}": found[f"baseline_all_{answer}"] for answer in ("authentic", "forged")}
    shares = {name.replace("_", " "): share for name, share in found["error_budget"].items()}
    title = f"where 1 - oF1 went, {found['images']} images"
    return draw.save(draw.error_budget(found["of1_mean"], shares, baselines, title), out / "error_budget.png")


def _compare(job: Job, paths: tuple[Path, Path]) -> int:
    """Print the comparison and draw the images that moved most."""
    layouts = [formats.detect(path) for path in paths]
    for path, layout in zip(paths, layouts, strict=True):
        if layout.says != "where":
            raise InputError(f"{path}: says which images are forged, not where; --compare is of oF1, score it alone")
    rows: list[list[report.ImageRow]] = [[], []]
    regions: list[dict[str, Instances | None]] = [
        {},
        {},
    ]  # without the heat maps, of which a submission may hold gigabytes
    truths: dict[str, Instances | None] = {}
    for side, path in enumerate(paths):
        known = _truths(job, path, layouts[side])
        for case, answer, truth in _answers(job, path, layouts[side], known):
            rows[side].append(report.image_row(case, answer, truth))
            regions[side][case], truths[case] = answer.instances, truth.instances
        rows[side] = list(_in_order(numbers.Scored(rows[side]), known).rows)
    found = compare.compare(*rows, Resampling(job.resamples, job.seed))
    if not found.a:
        raise InputError(f"{paths[0]} and {paths[1]} share no image that could be scored")
    print("\n".join(compare.lines(found, (str(paths[0]), str(paths[1])))))
    from forgery_rcnn import draw

    out = (job.out or Path("out/compare")) / "overlays"
    for picture in out.glob("[0-9][0-9]_*.png"):  # of an earlier comparison
        picture.unlink()
    for place, i in enumerate(found.moved, start=1):
        case = found.a[i].case_id
        sides = {"A": (regions[0][case], found.a[i].of1), "B": (regions[1][case], found.b[i].of1)}
        _draw(out / draw.file_name(place, case), job, case, truths[case], sides)
    if found.moved:
        print(f"pictures: {out}/")
    return 0


def _draw(
    path: Path, job: Job, case: str, truth: Instances | None, sides: dict[str, tuple[Instances | None, float]]
) -> None:
    """Draw one image; a picture that cannot be read costs only itself."""
    from forgery_rcnn import draw
    from forgery_rcnn.data import images, truths

    image, pixels = truths.image_of(job.images or job.solution, case, truth), None
    if image is not None:
        try:
            pixels = images.read(image).pixels
        except (InputError, OSError) as error:
            print(f"note: {error}; drawn without it")
    draw.save(draw.comparison(pixels, truth, sides, case), path)


if __name__ == "__main__":
    sys.exit(main())
