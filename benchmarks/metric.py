"""How much faster the run-length metric is than its dense definition, in one run on the same inputs.

PYTHONPATH=. python benchmarks/metric.py docs/results/metric.md      (some 8 minutes; --quick leaves out 4096 px)

Three dense ways, all from the same decoded (H, W) bool masks, one thread: *official*, step by step what the competition's
scorer does for every pair (flatten both masks in row-major order, compare with 1 and 0, three sums); *plain*, one numpy F1
per pair without copies (three sums of `&` and `~`); *tuned*, `count_nonzero` of two masks and their `&`, the fastest dense
form tried. The time given for dense is that of *plain*.
"""

from __future__ import annotations

import csv
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from itertools import islice
from pathlib import Path

import numpy as np
from scipy.optimize import linear_sum_assignment

from forgery_rcnn import metrics, report, rle
from forgery_rcnn.instances import Answer, Instances, Truth
from forgery_rcnn.submission import recodai

MEDIAN_SHARE = 0.0235  # forged share of a forged image in the competition's training set
Side = list[np.ndarray] | None
F1 = Callable[[np.ndarray, np.ndarray], float]
Timed = tuple[float, object]  # seconds, and what came out


def blob(rng: np.random.Generator, size: tuple[int, int], share: float) -> np.ndarray:
    """(H, W) bool: a region and its copy, ellipses that cover about `share` of the image together."""
    height, width = size
    mask = np.zeros(size, bool)
    area, ratio = share * height * width / 2, rng.uniform(0.5, 2)
    b = min(np.sqrt(area / np.pi * ratio), 0.45 * height)
    a = min(area / np.pi / b, 0.45 * width)
    for _ in range(2):
        x, y = rng.uniform(a, width - a), rng.uniform(b, height - b)
        rows, columns = slice(int(y - b), int(y + b) + 2), slice(int(x - a), int(x + a) + 2)
        part = mask[rows, columns]
        yy, xx = np.ogrid[rows.start : rows.start + part.shape[0], columns.start : columns.start + part.shape[1]]
        part |= ((xx - x) / a) ** 2 + ((yy - y) / b) ** 2 <= 1
    return mask


def case(
    rng: np.random.Generator, size: tuple[int, int], true: int, predicted: int, share: float
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Predicted and true masks: the true ones apart from each other, predictions off by a few pixels, the rest spurious."""
    truth: list[np.ndarray] = []
    taken = np.zeros(size, bool)
    while len(truth) < true:
        mask = blob(rng, size, share)
        if not (mask & taken).any():
            truth.append(mask)
            taken |= mask
    found = [np.roll(mask, tuple(rng.integers(-5, 6, 2)), (0, 1)) for mask in truth[:predicted]]
    found += [blob(rng, size, share) for _ in range(predicted - len(found))]
    return found, truth


def dense_decode(cell: str, size: tuple[int, int]) -> Side:
    """A cell -> its masks, filled run by run; None = authentic."""
    if cell == recodai.AUTHENTIC:
        return None
    masks = []
    for part in cell.split(";"):
        numbers = np.asarray(json.loads(part), np.int64)
        flat = np.zeros(size[0] * size[1], bool)
        for start, length in zip((numbers[::2] - 1).tolist(), numbers[1::2].tolist(), strict=True):
            flat[start : start + length] = True
        masks.append(flat.reshape(size, order="F"))
    return masks


def official_f1(a: np.ndarray, b: np.ndarray) -> float:
    """Pixel F1 with the official scorer's steps: both masks are copied to row-major order for every pair."""
    a, b = a.flatten(), b.flatten()
    hits, wrong, lost = np.sum((a == 1) & (b == 1)), np.sum((a == 1) & (b == 0)), np.sum((a == 0) & (b == 1))
    return 2 * hits / (2 * hits + wrong + lost) if hits else 0.0


def plain_f1(a: np.ndarray, b: np.ndarray) -> float:
    """Pixel F1 from true positives, false positives and false negatives, without a copy."""
    a, b = a.ravel(order="K"), b.ravel(order="K")
    hits, wrong, lost = np.sum(a & b), np.sum(a & ~b), np.sum(~a & b)
    return 2 * hits / (2 * hits + wrong + lost) if hits else 0.0


def tuned_f1(a: np.ndarray, b: np.ndarray) -> float:
    """Pixel F1 from three counts."""
    total = np.count_nonzero(a) + np.count_nonzero(b)
    return 2 * np.count_nonzero(a & b) / total if total else 0.0


DENSE: Mapping[str, F1] = {"official": official_f1, "plain": plain_f1, "tuned": tuned_f1}


def dense_score(predicted: Side, true: Side, f1: F1) -> float:
    """oF1 of one image by its definition."""
    if predicted is None or true is None:
        return float(predicted is true)
    matrix = np.array([[f1(a, b) for b in true] for a in predicted])
    return float(matrix[linear_sum_assignment(-matrix)].sum() / max(matrix.shape))


def seconds(work: Callable[[], object], repeats: int) -> Timed:
    """Best of `repeats`, and what came out."""
    best, out = np.inf, None
    for _ in range(repeats):
        start = time.perf_counter()
        out = work()
        best = min(best, time.perf_counter() - start)
    return best, out


def line(name: str, here: Timed, dense: Mapping[str, Timed], goal: str) -> str:
    """One row of the table; all ways must have come to the same result."""
    for way, (_, found) in dense.items():
        assert np.allclose(found, here[1], rtol=0, atol=1e-9), (name, way)
    ratios = {way: f"{dense[way][0] / here[0]:,.0f}x" if way in dense else "" for way in DENSE}
    print(name, ratios, flush=True)
    return (
        f"| {name} | {1e3 * dense['plain'][0]:,.1f} | {1e3 * here[0]:,.3f} | {' | '.join(ratios.values())} | {goal} |"
    )


def one_image(side: int, goal: str) -> list[str]:
    """10 true and 30 predicted instances of a square image: from text, and from arrays."""
    rng, size = np.random.default_rng(side), (side, side)
    predicted, true = case(rng, size, 10, 30, MEDIAN_SHARE / 10)
    cells = [recodai.annotation_of(Instances.from_masks(np.stack(masks))) for masks in (predicted, true)]
    stacks = [np.stack(masks) for masks in (predicted, true)]

    def from_text() -> float:
        return metrics.image_score(*(recodai.parse(cell, size) for cell in cells))

    def from_arrays() -> float:
        return metrics.image_score(*(Instances.from_masks(stack) for stack in stacks))

    from_text()  # scipy's import is nobody's work
    text, arrays = seconds(from_text, 20), seconds(from_arrays, 5)
    decoded = {
        way: seconds(lambda f1=f1: dense_score(*(dense_decode(cell, size) for cell in cells), f1), 1)
        for way, f1 in DENSE.items()
    }
    ready = {way: seconds(lambda f1=f1: dense_score(*map(list, stacks), f1), 1) for way, f1 in DENSE.items()}
    name = f"one image {side} x {side}, 10 true, 30 predicted"
    return [
        line(f"{name}, run-length text", text, decoded, goal),
        line(f"{name}, arrays in memory", arrays, ready, ">= 50" if side == 4096 else ""),
    ]


def encoding(side: int) -> list[str]:
    """Encoding one mask against a diff along the transposed copy."""
    rng, out = np.random.default_rng(1), []
    for name, share in (("0.5 % forged", 0.005), ("3 % forged", 0.03), ("20 % forged", 0.2)):
        mask = blob(rng, (side, side), share)

        def plain(mask: np.ndarray = mask) -> np.ndarray:
            flat = np.ascontiguousarray(mask.T).ravel().astype(np.int8)
            edges = np.diff(np.concatenate([[np.int8(0)], flat, [np.int8(0)]]))
            starts, ends = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
            return np.stack([starts, ends - starts], axis=1)

        def ours(mask: np.ndarray = mask) -> np.ndarray:
            return rle.runs_of(mask)

        goal = ">= 50" if share == 0.005 else ""
        out.append(
            line(f"encoding a {side} x {side} mask, {name}", seconds(ours, 20), {"plain": seconds(plain, 3)}, goal)
        )
    return out


def submissions(folder: Path, images: int, counts: tuple[int, int] | None) -> tuple[Path, Path]:
    """Write a submission and its solution of 1200 x 900 images with so many (true, predicted) instances each.

    None: the mix of the competition's training set, 46 % authentic, the others with 1 to 3 instances on either side.
    """
    rng, size, answers, truths = np.random.default_rng(2), (1200, 900), [], {}
    for number in range(images):
        predicted = true = None
        if counts is not None or rng.random() > 0.4635:
            many, found = counts or (rng.choice(3, 2, p=(0.68, 0.26, 0.06)) + 1)
            masks = case(rng, size, many, found, MEDIAN_SHARE / many)
            predicted, true = (Instances.from_masks(np.stack(side)) for side in masks)
        answers.append((str(number), Answer(size, predicted)))
        truths[str(number)] = Truth(size, true)
    recodai.write(folder / "submission.csv", answers)
    recodai.write_solution(folder / "solution.csv", truths)
    return folder / "submission.csv", folder / "solution.csv"


def ours_scores(submission: Path, solution: Path) -> list[float]:
    """oF1 of every image as the package reads and scores the two files."""
    truths = recodai.read_solution(solution)
    found = [(answer, truths[case].instances) for case, answer in recodai.read(submission, truths)]
    return [metrics.image_score(answer.instances, true) for answer, true in found]


def ours_report(submission: Path, solution: Path) -> list[float]:
    """The same with all that a report row holds."""
    truths = recodai.read_solution(solution)
    rows = [report.image_row(case, answer, truths[case]) for case, answer in recodai.read(submission, truths)]
    return [row.of1 for row in rows]


def dense_scores(submission: Path, solution: Path, most: int, f1: F1) -> list[float]:
    """oF1 of the first `most` images by the dense definition, one at a time."""
    csv.field_size_limit(2**31 - 1)
    with open(submission, newline="") as mine, open(solution, newline="") as theirs:
        scores = []
        for found, true in islice(zip(csv.DictReader(mine), csv.DictReader(theirs), strict=True), most):
            size = tuple(json.loads(true["shape"]))
            sides = (dense_decode(cells["annotation"], size) for cells in (found, true))
            scores.append(dense_score(*sides, f1))
    return scores


def peak_memory(submission: Path, solution: Path) -> str:
    """Peak resident memory of a fresh process that scores the two files with all of scoring.py's report."""
    peak_of_linux = (
        "print(open('/proc/self/status').read().split('VmHWM:')[1].split()[0])"  # ru_maxrss has the parent's
    )
    code = f"import scoring, sys; scoring.main(sys.argv[1:]); {peak_of_linux}"
    flags = ["--submission", str(submission), "--solution", str(solution)]
    start = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", code, *flags], capture_output=True, text=True, check=True)
    spent, peak = time.perf_counter() - start, int(done.stdout.split()[-1]) / 1024
    return f"all of `scoring.py` with its intervals in {spent:.1f} s, peak memory {peak:.0f} MiB"


def whole_submission(images: int, title: str, counts: tuple[int, int] | None, most: int) -> tuple[list[str], str]:
    """A submission from its two files; dense is timed on the first `most` images where all would take minutes."""
    with tempfile.TemporaryDirectory() as folder:
        files = submissions(Path(folder), images, counts)
        fast, full = seconds(lambda: ours_scores(*files), 3), seconds(lambda: ours_report(*files), 3)
        dense = {}
        for way, f1 in DENSE.items():
            spent, scores = seconds(lambda f1=f1: dense_scores(*files, most, f1), 1)
            assert np.allclose(scores, fast[1][:most], rtol=0, atol=1e-9) and fast[1] == full[1]
            dense[way] = (spent * images / most, np.mean(fast[1]))
        name, mean = f"submission of {images:,} images, 1200 x 900, {title}", np.mean(fast[1])
        rows = [
            line(name, (fast[0], mean), dense, ">= 100"),
            line("the same with every score of a report row", (full[0], mean), dense, ""),
        ]
        return rows, f"- {title}: dense timed on {most:,} images; {peak_memory(*files)}"


def main(argv: list[str]) -> int:
    """Print the table; write it where the first argument says."""
    quick = "--quick" in argv
    rows = one_image(1024, ">= 100") + ([] if quick else one_image(4096, ">= 5,000") + encoding(4096))
    images = 200 if quick else 2000
    wholes = [
        whole_submission(images, "46 % authentic, else 1-3 true, 1-3 predicted", None, images),
        whole_submission(images, "3 true, 5 predicted", (3, 5), images // 10),
        whole_submission(images, "10 true, 30 predicted", (10, 30), images // 40),
    ]
    table, notes = [row for part, _ in wholes for row in part], [note for _, note in wholes]
    head = [
        "| work | plain, ms | here, ms | over official | over plain | over tuned | asked |",
        "|---|" + "---:|" * 5 + "---|",
    ]
    about = (__doc__ or "").split("\n\n")[2].strip()
    text = "\n".join(["# Speed of the metric", "", about, "", *head, *rows, *table, "", *notes, ""])
    print(text)
    for path in [Path(word) for word in argv if not word.startswith("-")][:1]:
        path.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
