"""Recorders: each is called with every event of a run and keeps what it wants of it."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Protocol

from tui_trainer.events import Evaluated, Event, RunStarted, to_json
from tui_trainer.whole_file import write_whole

MOST_WAITING = 1 << 24  # bytes that wait for room on the disk; what comes after them is lost


class Recorder(Protocol):
    """Called with each event, in its order."""

    def __call__(self, event: Event) -> None:
        """Keep what is wanted of it."""

    def close(self) -> None:
        """The run is over."""


class Appended:
    """A file that grows by lines. What a full disk did not take waits in memory and is tried again with the next."""

    def __init__(self, path: Path) -> None:
        self._file, self._waiting = path.open("ab+", buffering=0), b""
        if cut := self._file.tell():  # a process that was killed may have left half a line
            self._file.seek(cut - 1)
            self._waiting = b"" if self._file.read(1) == b"\n" else b"\n"

    @property
    def is_new(self) -> bool:
        """Whether nothing was ever written to it."""
        return not self._waiting and self._file.seek(0, io.SEEK_END) == 0

    def write(self, line: str) -> None:
        """Append a line.

        Raises:
            OSError: it is not on disk yet.
        """
        if len(self._waiting) < MOST_WAITING:
            self._waiting += line.encode("ascii", "replace") + b"\n"
        while self._waiting:
            self._waiting = self._waiting[self._file.write(self._waiting) :]

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()


class JsonLines:
    """`events.jsonl`: one event a line, on disk as soon as it happened; readers may follow."""

    def __init__(self, path: Path) -> None:
        self._lines = Appended(path)

    def __call__(self, event: Event) -> None:
        """Append it."""
        self._lines.write(to_json(event))

    def close(self) -> None:
        """Let go of the file."""
        self._lines.close()


class MetricsCsv:
    """`metrics.csv`: one row an epoch; epochs count from 1 as a person counts them."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._rows: Appended | None = None

    def __call__(self, event: Event) -> None:
        """Append a row after an epoch; where a run goes on, take back the rows of epochs that come again."""
        if isinstance(event, RunStarted) and self._path.exists():
            self._keep(event.epoch)
        if isinstance(event, Evaluated):
            epoch = {"epoch": event.epoch + 1, "step": event.step, "lr": event.lr}
            self._append({**epoch, **event.metrics, "seconds": round(event.seconds, 3)})

    def _keep(self, epochs: int) -> None:
        """Keep the rows of so many epochs; half a row of a process that was killed is none."""
        lines = self._path.read_text("ascii", "replace").splitlines()
        numbered = [(row.partition(",")[0], row) for row in lines[1:] if row.count(",") == lines[0].count(",")]
        kept = [row for number, row in numbered if number.isdecimal() and int(number) <= epochs]
        if kept:
            write_whole(self._path, "".join(f"{line}\n" for line in (lines[0], *kept)).encode("ascii"))
        else:
            self._path.unlink()

    def _append(self, row: dict[str, float]) -> None:
        self._rows = self._rows or Appended(self._path)
        if self._rows.is_new:
            self._rows.write(_line(row))
        self._rows.write(_line(row.values()))

    def close(self) -> None:
        """Let go of the file."""
        if self._rows is not None:
            self._rows.close()
            self._rows = None


def _line(values: object) -> str:
    """Values as a line of a CSV file."""
    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow(values)  # type: ignore[arg-type]
    return text.getvalue()
