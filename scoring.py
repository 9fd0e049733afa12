#!/usr/bin/env python3
"""oF1, Dice, recall and precision of a submission, or of weights on a split, beside the trivial baselines.

python3 scoring.py                                                   latest weights, validation split of the sample
python3 scoring.py --submission S.csv --solution T.csv --json R.json
python3 scoring.py --submission S.csv --solution ROOT                the truth from a data root
python3 scoring.py --weights runs/NAME --data.root ROOT --split validation
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from forgery_rcnn.cli import command, tyro  # first: it says what is not installed

# isort: split
from forgery_rcnn import report, submission
from forgery_rcnn.errors import InputError


@dataclass(frozen=True)
class Where:
    """Images to score weights on."""

    root: Path | None = None
    """Data root in the competition's layout; default the built-in sample."""
    skip_bad: bool = False
    """List bad files and leave them out."""


@dataclass(frozen=True)
class Job:
    """Either --submission and --solution, or weights and a split."""

    submission: Path | None = None
    """CSV case_id,annotation."""
    solution: Path | None = None
    """CSV case_id,annotation,shape, or a data root."""
    weights: str | None = None
    """A file, a run's folder, or a name under weights/; default the shipped weights, else the latest run."""
    data: Where = field(default_factory=Where)
    split: Literal["single", "few", "full", "validation", "all"] = "validation"
    """Part of the data, split as in the weights' training."""
    json: Path | None = None
    """Write the report here as JSON."""
    csv: Path | None = None
    """Write one line per image here."""
    device: str = "auto"
    precision: Literal["auto", "bf16", "float32"] = "auto"


@command
def main(argv: list[str] | None = None) -> int:
    """Returns 0 when a report was made."""
    job = tyro.cli(Job, args=argv, prog="scoring.py", description=__doc__)
    if (job.submission is None) != (job.solution is None):
        raise InputError("--submission and --solution go together: pass both, or neither to score weights")
    rows = _rows_of_files(job.submission, job.solution) if job.submission else _rows_of_weights(job)
    found = report.summary(rows)
    print("\n".join(report.lines(found)))
    for path, text in ((job.json, report.to_json(found, rows)), (job.csv, report.to_csv(rows))):
        if path is not None:
            _write(path, text)
            print(f"written: {path}")
    return 0


def _rows_of_files(answers: Path, solution: Path) -> list[report.ImageRow]:
    if solution.is_dir():
        from forgery_rcnn.data import truths

        truth = truths.of_root(solution, submission.read(answers).keys())
    else:
        truth = submission.read_solution(solution)
    found = submission.answers(answers, truth)
    return [report.image_row(case, found[case], known.instances, known.size) for case, known in truth.items()]


def _rows_of_weights(job: Job) -> list[report.ImageRow]:
    from forgery_rcnn.engine import evaluate, runlog

    screen = runlog.Screen()
    return evaluate.weights_on_split(
        job.weights, job.data.root, job.data.skip_bad, job.split, (job.device, job.precision), screen
    )


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror})") from None


if __name__ == "__main__":
    sys.exit(main())
