"""Runs side by side: where their settings differ, and their curves, read in bounded time from records of any length."""

from __future__ import annotations

import contextlib
import csv
import json
import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tui_trainer.config import SETTINGS
from tui_trainer.past_runs import PastRun, past_runs, read_run
from tui_trainer.run_folder import RunFolder

POINTS = 400  # samples of a long record that are read for a curve: about 10 ms a run
WHOLE = 600 * POINTS  # bytes up to which a record is read in full
NO_MATTER = ("output_dir", "name", "resume", "mean", "std")  # differ between any two runs, or follow from others

Point = tuple[float, float]  # (epochs, value)


@dataclass(frozen=True)
class Difference:
    """A setting and its value in each run, as a flag or a file would say it."""

    name: str
    values: tuple[str, ...]

    @property
    def differs(self) -> bool:
        """Whether they are not all the same."""
        return len(set(self.values)) > 1


def differences(runs: Sequence[PastRun]) -> list[Difference]:
    """Every setting that counts, in the order of the configuration."""
    return [
        Difference(name, tuple(item.to_text(run.settings.get(name, item.default)) for run in runs))
        for name, item in SETTINGS.items()
        if name not in NO_MATTER
    ]


def train_curve(folder: RunFolder, metric: str, points: int = POINTS) -> list[Point]:
    """The metric (such as `loss`) of single steps over epochs; of a long run about so many, evenly spread."""
    curve: list[Point] = []
    with contextlib.suppress(OSError):
        for line in _sampled(folder.events, points):
            point = _point(line, f"batch_{metric}")
            if point is None:
                continue
            while curve and curve[-1][0] >= point[0]:  # trained again after a resume
                curve.pop()
            curve.append(point)
    return curve


def val_curve(folder: RunFolder, metric: str) -> list[Point]:
    """The metric (such as `val_loss`) after each epoch."""
    with contextlib.suppress(OSError, ValueError, csv.Error), folder.metrics.open(encoding="ascii", newline="") as file:
        return [(float(row["epoch"]), float(row[metric])) for row in csv.DictReader(file) if row.get(metric)]
    return []


def _sampled(path: Path, points: int) -> Iterator[bytes]:
    """All lines of a short file, so many of a long one: a seek costs less than reading what lies between."""
    size = path.stat().st_size
    with path.open("rb") as file:
        if size <= WHOLE:
            yield from file
            return
        for number in range(points):
            file.seek(size * number // points)
            if number:
                file.readline()  # the rest of a line
            yield file.readline()
        file.seek(max(0, size - 4096))
        yield from file.read().splitlines()[1:]


def _point(line: bytes, metric: str) -> Point | None:
    try:
        event = json.loads(line)
        if event["kind"] == "progress" and event["part"] == "train":
            value = float(event["metrics"][metric])
            return (event["epoch"] + event["batch"] / max(1, event["batches"]), value) if math.isfinite(value) else None
    except (ValueError, KeyError, TypeError):
        pass
    return None


def best_before(folder: RunFolder) -> PastRun | None:
    """The best other run on the same data with the same metric, to be seen behind the one that trains."""
    this = read_run(folder)
    root = folder.path.parent
    others = [run for run in past_runs(root) if os.fspath(run.folder.path) != os.fspath(folder.path)]
    rivals = [
        run
        for run in others
        if run.curve and run.settings.get("data") == this.settings.get("data") and run.settings.get("data")
    ]
    return max(rivals, key=lambda run: run.best or -math.inf, default=None)
