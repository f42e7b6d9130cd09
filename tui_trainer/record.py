"""Recorders: each is called with every event of a run and keeps what it wants of it."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Protocol

from tui_trainer.events import Evaluated, Event, RunStarted, to_json


class Recorder(Protocol):
    """Called with each event, in its order."""

    def __call__(self, event: Event) -> None:
        """Keep what is wanted of it."""

    def close(self) -> None:
        """The run is over."""


class JsonLines:
    """`events.jsonl`: one event a line, on disk as soon as it happened; readers may follow."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a+", encoding="ascii", buffering=1)
        if cut := self._file.tell():  # a process that was killed may have left half a line
            self._file.seek(cut - 1)
            self._file.write("" if self._file.read() == "\n" else "\n")

    def __call__(self, event: Event) -> None:
        """Append it."""
        self._file.write(to_json(event) + "\n")

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()


class MetricsCsv:
    """`metrics.csv`: one row an epoch; epochs count from 1 as a person counts them."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __call__(self, event: Event) -> None:
        """Append a row after an epoch; where a run goes on, take back the rows of epochs that come again."""
        if isinstance(event, RunStarted) and self._path.exists():
            self._keep(event.epoch)
        if isinstance(event, Evaluated):
            epoch = {"epoch": event.epoch + 1, "step": event.step, "lr": event.lr}
            self._append({**epoch, **event.metrics, "seconds": round(event.seconds, 3)})

    def _keep(self, epochs: int) -> None:
        lines = self._path.read_text("ascii", "replace").splitlines()
        numbered = [(row.partition(",")[0], row) for row in lines[1:]]
        kept = [row for number, row in numbered if number.isdecimal() and int(number) <= epochs]
        if kept:
            self._path.write_text("".join(f"{line}\n" for line in (lines[0], *kept)), "ascii")
        else:
            self._path.unlink()

    def _append(self, row: dict[str, float]) -> None:
        is_new = not self._path.exists()
        with self._path.open("a", encoding="ascii", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            if is_new:
                writer.writerow(row)
            writer.writerow(row.values())

    def close(self) -> None:
        """Nothing is held open."""
