"""A data set of made figures on disk, in the competition's layout; made in parallel, resumed where it stopped."""

from __future__ import annotations

import functools
import hashlib
import io
import json
import signal
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from forgery_rcnn import tables
from forgery_rcnn.data.forge import hosts
from forgery_rcnn.data.forge.figure import Figure, make
from forgery_rcnn.data.forge.hosts import Host
from forgery_rcnn.data.forge.plans import Recipe, plan
from forgery_rcnn.data.forge.views import Pool
from forgery_rcnn.errors import InputError
from forgery_rcnn.instances import Answer, Instances, Truth
from forgery_rcnn.submission import recodai

VERSION = 1  # raise it whenever the same seed gives other figures: a set of another version is not continued
STAMP, LOG = ".forge.json", ".forge.jsonl"
MANIFEST, SPLITS, SOLUTION, EXAMPLE = "manifest.csv", "splits.csv", "solution.csv", "sample_submission.csv"
FORGED_TESTS = 0.54  # share of the test images that show their forged version, as in the real training set
COLUMNS = (
    *("case_id", "part", "label", "instance", "operation", "parameters", "transform", "source", "targets"),
    *("hosts", "treatment", "seed", "sha256", "sha256_authentic", "sha256_mask"),
)
Row = dict[str, Any]


@dataclass(frozen=True)
class Corpus:
    """`count` figures of the seed, in folder `out`. pools: what figures are made of, see hosts.pools."""

    out: Path
    pools: Sequence[tuple[Host, ...]]
    count: int
    seed: int
    recipe: Recipe

    def stamp(self) -> Row:
        """All that decides what a figure looks like; not the count, so that a set can be made longer."""
        seen = hashlib.sha256(repr([[(host.id, host.shows.hashes) for host in pool] for pool in self.pools]).encode())
        recipe = json.loads(json.dumps(asdict(self.recipe)))  # tuples as lists
        return {"version": VERSION, "seed": self.seed, "hosts": seen.hexdigest(), "recipe": recipe}

    def assigned(self, case: int) -> tuple[str, int]:
        """-> the part of the data set, and the number of the pool, that a case belongs to."""
        rng, parts = np.random.default_rng([self.seed, case, 2]), hosts.parts(len(self.pools))
        shares = np.array([hosts.SHARES[part] for part in parts])
        part = str(rng.choice(list(parts), p=shares / shares.sum()))
        return part, int(rng.choice(parts[part]))


@dataclass(frozen=True)
class Case:
    """What became of one case: its rows of the manifest, (H, W), and of a test image its cell of the solution."""

    case: int
    part: str
    rows: tuple[Row, ...]
    size: tuple[int, int]
    answer: str = ""

    @classmethod
    def read(cls, line: bytes) -> Case:
        """From its line of the log."""
        values = json.loads(line)
        return cls(**{**values, "rows": tuple(values["rows"]), "size": tuple(values["size"])})


def build(corpus: Corpus, workers: int, advance: Callable[[], None] = lambda: None) -> list[Case]:
    """Make what is missing of the corpus; `advance` is called for every case. Whatever stops it, the next call goes on.

    Raises InputError: the folder holds something else, or a set made with other settings; a host cannot be read any more.
    """
    done = {case.case: case for case in _begun(corpus)}
    for _ in done:
        advance()
    missing = [case for case in range(1, corpus.count + 1) if case not in done]
    missing.sort(key=lambda case: corpus.assigned(case)[1])  # one pool after another, so that its hosts stay decoded
    context = get_context("spawn")
    with (
        open(corpus.out / LOG, "a", encoding="utf-8") as log,
        ProcessPoolExecutor(max(workers, 1), context, _start, (corpus,)) as processes,
    ):
        for case in processes.map(_made, missing, chunksize=2):
            log.write(json.dumps(asdict(case)) + "\n")
            log.flush()
            done[case.case] = case
            advance()
    cases = [done[number] for number in sorted(done)]
    _write_tables(corpus, cases)
    return cases


def _begun(corpus: Corpus) -> list[Case]:
    """The cases that earlier calls have finished; makes the folder where there is none."""
    stamp, log = corpus.out / STAMP, corpus.out / LOG
    if not stamp.is_file():
        if corpus.out.exists() and any(corpus.out.iterdir()):
            raise InputError(f"{corpus.out}: is not empty and was not made here; move it away, or name another folder")
        with tables.replacing(stamp) as temporary:
            temporary.write_text(json.dumps(corpus.stamp()))
    if stamp.read_text() != json.dumps(corpus.stamp()):
        raise InputError(f"{corpus.out}: was begun with other hosts or settings; use those, or name another folder")
    lines = log.read_bytes().split(b"\n") if log.is_file() else [b""]
    if lines[-1]:  # cut short by a kill: that case is made again
        log.write_bytes(b"".join(line + b"\n" for line in lines[:-1]))
    cases = [Case.read(line) for line in lines[:-1]]
    if any(case.case > corpus.count for case in cases):
        raise InputError(f"{corpus.out}: holds more than {corpus.count} figures already; ask for at least {len(cases)}")
    return cases


_corpus: Corpus  # of a worker process


def _start(corpus: Corpus) -> None:
    global _corpus
    _corpus = corpus
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    cv2.setNumThreads(1)


@functools.lru_cache(maxsize=2)
def _pool(number: int) -> Pool:
    return Pool(_corpus.pools[number])


def _made(case: int) -> Case:
    """Make one case and write its files. Runs in a worker."""
    part, number = _corpus.assigned(case)
    figure = make(plan(case, _corpus.seed, _corpus.recipe), _pool(number), _corpus.recipe.operations)
    out, name = _corpus.out, f"{case:05d}"
    if part == "test":
        shows = bool(figure.steps) and np.random.default_rng([_corpus.seed, case, 3]).random() < FORGED_TESTS
        found = figure.masks if shows else figure.masks[:0]
        sums = (_write(out / "test_images" / f"{name}.png", _png(figure.after if shows else figure.before)), "", "")
        answer = recodai.annotation_of(Instances.from_masks(found))
        return Case(case, part, _rows(figure, name, part, sums, shows), figure.masks.shape[1:], answer)
    authentic = _write(out / "train_images" / "authentic" / f"{name}.png", _png(figure.before))
    if not figure.steps:
        return Case(case, part, _rows(figure, name, part, ("", authentic, ""), False), figure.masks.shape[1:])
    forged = _write(out / "train_images" / "forged" / f"{name}.png", _png(figure.after))
    mask = _write(out / "train_masks" / f"{name}.npy", _npy(figure.masks))
    return Case(case, part, _rows(figure, name, part, (forged, authentic, mask), True), figure.masks.shape[1:])


def _rows(figure: Figure, name: str, part: str, sums: tuple[str, str, str], shows: bool) -> tuple[Row, ...]:
    """Lines of the manifest: one per instance; one with operation "none" where nothing is forged."""
    common: Row = {
        "case_id": name,
        "part": part,
        "label": "forged" if shows else "authentic",
        "hosts": ";".join(figure.hosts),
        "treatment": _json(figure.treatment),
        "seed": _corpus.seed,
        **dict(zip(("sha256", "sha256_authentic", "sha256_mask"), sums, strict=True)),
    }
    if not shows:
        return ({**common, "instance": "", "operation": "none"},)
    return tuple(
        {
            **common,
            "instance": number,
            "operation": step.operation,
            "parameters": _json(step.parameters),
            "transform": _json([np.round(matrix, 4).tolist() for matrix in step.matrices]),
            "source": _json(step.source.polygon() if step.source else []),
            "targets": _json([target.polygon() for target in step.targets]),
        }
        for number, step in enumerate(figure.steps)
    )


def _json(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))


def _png(pixels: np.ndarray) -> bytes:
    """(H, W), (H, W, 3) RGB or (H, W, 4) RGBA uint8 -> a PNG file, quickly."""
    order = {2: None, 3: cv2.COLOR_RGB2BGR, 4: cv2.COLOR_RGBA2BGRA}[
        pixels.ndim if pixels.ndim == 2 else pixels.shape[2]
    ]
    return cv2.imencode(
        ".png", pixels if order is None else cv2.cvtColor(pixels, order), [cv2.IMWRITE_PNG_COMPRESSION, 1]
    )[1].tobytes()


def _npy(masks: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, masks)
    return file.getvalue()


def _write(path: Path, data: bytes) -> str:
    """Write a file whole or not at all -> its sha256."""
    with tables.replacing(path) as temporary:
        temporary.write_bytes(data)
    return hashlib.sha256(data).hexdigest()


def _write_tables(corpus: Corpus, cases: Sequence[Case]) -> None:
    """Manifest, splits, and for the test images solution and example of a submission."""
    rows = [row for case in cases for row in case.rows]
    tables.write(corpus.out / MANIFEST, COLUMNS, ([row.get(column, "") for column in COLUMNS] for row in rows))
    names = ((case.rows[0]["case_id"], case.part) for case in cases)
    tables.write(corpus.out / SPLITS, ("case_id", "part"), names)
    truths = {case.rows[0]["case_id"]: _truth(case) for case in cases if case.part == "test"}
    if truths:
        recodai.write_solution(corpus.out / SOLUTION, truths)
        recodai.write(corpus.out / EXAMPLE, ((name, Answer(truth.size, None)) for name, truth in truths.items()))


def _truth(case: Case) -> Truth:
    kinds = sorted({row["operation"] for row in case.rows} - {"none"})
    return Truth(case.size, recodai.parse(case.answer, case.size), " + ".join(kinds))
