"""What a run leaves behind and shows: log.jsonl and boxes.jsonl (one line per epoch), TensorBoard, printed lines, bars."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from forgery_rcnn.models.weights import ROOT


def commit() -> str:
    """The checkout's git commit, with + when files differ from it; "unknown" outside git."""
    try:
        head = subprocess.run(
            ["git", "rev-parse", "--short=12", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True
        )
        changed = subprocess.run(
            ["git", "status", "--porcelain", "-uno"], cwd=ROOT, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return head.stdout.strip() + ("+" if changed.stdout.strip() else "")


class Bar:
    """A progress bar's handle: call it after each item, with whatever is worth showing beside the bar."""

    def __init__(self, progress: Progress, task: Any) -> None:
        self._progress, self._task = progress, task

    def __call__(self, note: str = "") -> None:
        self._progress.update(self._task, advance=1, note=note)


class Screen:
    """Printing for rank 0; the other ranks' screens stay dark."""

    def __init__(self, shown: Any) -> None:
        self.console = Console(file=shown, highlight=False, soft_wrap=True, markup=False) if shown is not None else None

    def say(self, line: str) -> None:
        """Print one line, above a running bar."""
        if self.console is not None:
            self.console.print(line)
            self.console.file.flush()

    @contextmanager
    def bar(self, title: str, total: int, done: int = 0) -> Iterator[Bar]:
        """A bar with count, note and time left; drawn on terminals only, so that logs stay readable."""
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}"),
        )
        console = self.console or Console(quiet=True)
        shown = self.console is not None and console.is_terminal
        with Progress(*columns, TimeRemainingColumn(), console=console, transient=True, disable=not shown) as progress:
            yield Bar(progress, progress.add_task(title, total=total, completed=done, note=""))


class RunLog:
    """log.jsonl, boxes.jsonl and TensorBoard of one run; of older ones `lines` are kept: a resumed run redoes the rest."""

    def __init__(self, out: Path, lines: int, step: int, tensorboard: bool) -> None:
        self.path, self.boxes_path = out / "log.jsonl", out / "boxes.jsonl"
        out.mkdir(parents=True, exist_ok=True)
        for path in (self.path, self.boxes_path):
            if path != self.path and not path.is_file():
                continue
            kept = path.read_text().splitlines()[:lines] if path.is_file() else []
            temporary = path.with_suffix(".tmp")
            temporary.write_text("".join(f"{line}\n" for line in kept))
            temporary.replace(path)
        self._writer = None
        if tensorboard:
            from torch.utils.tensorboard import SummaryWriter

            self._writer = SummaryWriter(str(out / "tensorboard"), purge_step=step if lines else None)

    def epoch(self, values: dict[str, Any]) -> None:
        """Append one epoch's numbers; every number also goes to TensorBoard under the stage's name."""
        with open(self.path, "a") as file:
            file.write(json.dumps(values, allow_nan=False) + "\n")
        if self._writer is not None:
            for name, value in values.items():
                if isinstance(value, (int, float)) and name not in ("step", "epoch"):
                    self._writer.add_scalar(f"{values['stage']}/{name}", value, values["step"])
            self._writer.flush()

    def boxes(self, values: dict[str, Any]) -> None:
        """Append one epoch's boxes of the watched image, see watch.Watch.boxes."""
        with open(self.boxes_path, "a") as file:
            file.write(json.dumps(values, allow_nan=False) + "\n")

    def close(self) -> None:
        """Flush TensorBoard's file."""
        if self._writer is not None:
            self._writer.close()


def epoch_line(values: dict[str, Any], epochs: int, best_by: str) -> str:
    """One epoch's numbers, of `epochs` in the stage, as they are printed; the image AUC where weights are kept by it."""
    line = f"  epoch {values['epoch']:>3}/{epochs}  loss {values['loss']:.4f}  lr {values['lr']:.1e}  "
    line += "" if values["images_per_s"] is None else f"{values['images_per_s']:.1f} images/s"
    if "of1_mean" in values:
        line += f"   oF1 {values['of1_mean']:.4f} (all authentic {values['baseline_all_authentic']:.4f})"
        line += f"  Dice {values['dice_mean']:.4f}"
    if best_by == "image_auc" and values.get("image_auc") is not None:
        line += f"  image AUC {values['image_auc']:.4f}"
    if "validation_loss" in values:
        line += f"  validation loss {values['validation_loss']:.4f}"
    if "separability" in values:
        line += f"  separability {values['separability']:.2f}"
    return line


def read_log(path: Path) -> list[dict[str, Any]]:
    """log.jsonl or boxes.jsonl -> its epochs."""
    return [json.loads(line) for line in path.read_text().splitlines()]
