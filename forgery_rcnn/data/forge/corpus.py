"""A data set of made figures on disk, in the competition's layout; made in parallel, resumed where it stopped."""

from __future__ import annotations

import functools
import hashlib
import json
import multiprocessing
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from forgery_rcnn import tables
from forgery_rcnn.data import worker
from forgery_rcnn.data.forge import hosts
from forgery_rcnn.data.forge.figure import make
from forgery_rcnn.data.forge.hosts import Host
from forgery_rcnn.data.forge.output import Row, rows, save, write_manifest
from forgery_rcnn.data.forge.plans import Recipe, plan
from forgery_rcnn.data.forge.views import Pool
from forgery_rcnn.errors import InputError
from forgery_rcnn.instances import Answer, Instances, Truth
from forgery_rcnn.submission import recodai

VERSION = 1  # raise it whenever the same seed gives other figures: a set of another version is not continued
LOG = ".forge.jsonl"
MANIFEST, SPLITS, SOLUTION, EXAMPLE = "manifest.csv", "splits.csv", "solution.csv", "sample_submission.csv"
FORGED_TESTS = 0.54  # share of the test images that show their forged version, as in the real training set


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
    def read(cls, line: bytes) -> Case | None:
        """From its line of the log; None for a line that is not whole."""
        try:
            values = json.loads(line)
            return cls(**{**values, "rows": tuple(values["rows"]), "size": tuple(values["size"])})
        except (ValueError, TypeError, KeyError):
            return None

    def line(self) -> str:
        """Its line of the log."""
        return json.dumps(asdict(self)) + "\n"

    def files(self) -> list[str]:
        """What was written of it, relative to the root."""
        name, forged = self.rows[0]["case_id"], self.rows[0]["label"] == "forged"
        if self.part == "test":
            return [f"test_images/{name}.png"]
        twin = [f"train_images/authentic/{name}.png"]
        return [*twin, f"train_images/forged/{name}.png", f"train_masks/{name}.npy"] if forged else twin


def build(corpus: Corpus, workers: int, advance: Callable[[], None] = lambda: None) -> list[Case]:
    """Make what is missing of the corpus; `advance` is called for every case. Whatever stops it, the next call goes on.

    Raises InputError: the folder holds something else, or a set made with other settings; a host cannot be read any more.
    """
    done = {case.case: case for case in _begun(corpus)}
    for _ in done:
        advance()
    missing = [case for case in range(1, corpus.count + 1) if case not in done]
    missing.sort(key=lambda case: corpus.assigned(case)[1])  # one pool after another, so that its hosts stay decoded
    context = multiprocessing.get_context("spawn")
    with (
        open(corpus.out / LOG, "a", encoding="utf-8") as log,
        ProcessPoolExecutor(max(workers, 1), context, _start, (corpus,)) as processes,
    ):
        for case in processes.map(_made, missing, chunksize=2):
            log.write(case.line())
            log.flush()
            done[case.case] = case
            advance()
    cases = [done[number] for number in sorted(done)]
    _write_tables(corpus, cases)
    return cases


def _begun(corpus: Corpus) -> list[Case]:
    """The cases that earlier calls have finished; makes the folder where there is none."""
    stamp, log = corpus.out / hosts.STAMP, corpus.out / LOG
    if not stamp.is_file():
        if corpus.out.exists() and any(corpus.out.iterdir()):
            raise InputError(f"{corpus.out}: is not empty and was not made here; move it away, or name another folder")
        tables.save(stamp, json.dumps(corpus.stamp()))
    if stamp.read_text() != json.dumps(corpus.stamp()):
        raise InputError(f"{corpus.out}: was begun with other hosts or settings; use those, or name another folder")
    cases = [
        case for case in map(Case.read, log.read_bytes().split(b"\n") if log.is_file() else ()) if case is not None
    ]
    cases = [case for case in cases if all((corpus.out / name).is_file() for name in case.files())]
    # Without what a kill cut short, and what was deleted since.
    tables.save(log, "".join(case.line() for case in cases))
    if any(case.case > corpus.count for case in cases):
        raise InputError(f"{corpus.out}: holds more than {corpus.count} figures already; ask for at least {len(cases)}")
    return cases


_corpus: Corpus  # of a worker process


def _start(corpus: Corpus) -> None:
    global _corpus
    _corpus = corpus
    worker.begin()


@functools.lru_cache(maxsize=2)
def _pool(number: int) -> Pool:
    return Pool(_corpus.pools[number])


def _made(case: int) -> Case:
    """Make one case and write its files. Runs in a worker."""
    part, number = _corpus.assigned(case)
    figure = make(plan(case, _corpus.seed, _corpus.recipe), _pool(number))
    out, name, size = _corpus.out, f"{case:05d}", figure.masks.shape[1:]
    common: Row = {"case_id": name, "part": part, "seed": _corpus.seed}
    if part == "test":
        shows = bool(figure.steps) and np.random.default_rng([_corpus.seed, case, 3]).random() < FORGED_TESTS
        common["sha256"] = save(out / "test_images" / f"{name}.png", figure.after if shows else figure.before)
        answer = recodai.annotation_of(Instances.from_masks(figure.masks) if shows else None)
        return Case(case, part, tuple(rows(figure, common, "forged" if shows else "authentic")), size, answer)
    train = out / "train_images"
    common["sha256_authentic"] = save(train / "authentic" / f"{name}.png", figure.before)
    if figure.steps:
        common["sha256"] = save(train / "forged" / f"{name}.png", figure.after)
        common["sha256_mask"] = save(out / "train_masks" / f"{name}.npy", figure.masks)
    return Case(case, part, tuple(rows(figure, common, "forged" if figure.steps else "authentic")), size)


def _write_tables(corpus: Corpus, cases: Sequence[Case]) -> None:
    """Manifest, splits where there is something to validate on, and of the test images solution and example submission."""
    write_manifest(corpus.out / MANIFEST, [row for case in cases for row in case.rows])
    names = ((case.rows[0]["case_id"], case.part) for case in cases)
    if {"train", "validation"} <= {case.part for case in cases}:  # else whoever trains draws folds
        tables.write(corpus.out / SPLITS, ("case_id", "part"), names)
    truths = {case.rows[0]["case_id"]: _truth(case) for case in cases if case.part == "test"}
    if truths:
        recodai.write_solution(corpus.out / SOLUTION, truths)
        recodai.write(corpus.out / EXAMPLE, ((name, Answer(truth.size, None)) for name, truth in truths.items()))


def _truth(case: Case) -> Truth:
    kinds = sorted({row["operation"] for row in case.rows} - {"none"})
    return Truth(case.size, recodai.parse(case.answer, case.size), " + ".join(kinds))
