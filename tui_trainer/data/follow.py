"""A file of JSON lines that grows while it is trained on: line after line in its order, so many batches an epoch."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

import torch

from tui_trainer.data.bad_files import BadFiles
from tui_trainer.data.loader import Batch
from tui_trainer.data.raw import Raw
from tui_trainer.data.stream_files import GONE, in_words, open_local
from tui_trainer.data.stream_items import At, StreamItems
from tui_trainer.errors import DataError
from tui_trainer.text import display

LOOK = 0.1  # seconds between two looks for more


class FollowLoader:
    """Batch `k` of epoch `e` holds the lines from `(e * steps + k) * batch_size` on, and is waited for.

    While nothing comes, empty batches do, so that whoever trains can be stopped.
    """

    def __init__(
        self, items: StreamItems, path: str, *, batch_size: int, steps: int, bad_files: BadFiles, name: str
    ) -> None:
        self.batch_size, self.batches, self.samples = batch_size, steps, steps * batch_size
        self._items, self._path, self._name, self.bad_files = items, path, name, bad_files
        self._rows = self._line = self._at = 0  # taken so far: rows, lines, bytes
        self._file: tuple[int, int] | None = None  # which it is on its disk

    def close(self) -> None:
        """There are no workers."""

    def epoch(self, number: int, start: int = 0) -> Iterator[Batch]:
        """The batches of epoch `number` after the first `start`."""
        lines = self._lines((number * self.batches + start) * self.batch_size)
        for count in range(start, self.batches):
            rows: list[At] = []
            while len(rows) < self.batch_size:
                raw = next(lines)
                if raw is None:
                    yield Batch(torch.empty(0), torch.empty(0), count, ())
                else:
                    rows.append((number, raw))
            batch = self._items.read(rows)
            yield Batch(batch.inputs, batch.targets, count + 1, self.bad_files.tell(batch.bad))

    def _lines(self, first: int) -> Iterator[Raw | None]:
        """The rows from number `first` on; None each time that there are no more yet.

        Raises:
            DataError: the file has gone, or another has taken its place.
        """
        if first < self._rows:
            self._rows = self._line = self._at = 0
        try:
            with open_local(self._path) as file:
                self._require_same(os.fstat(file.fileno()))
                file.seek(self._at)
                rest = b""
                while True:
                    line = rest + file.readline()
                    if not line.endswith(b"\n"):
                        rest = line  # it is being written
                        self._require_same(os.stat(self._path))
                        if self._at + len(rest) > file.seek(0, 2):
                            raise DataError(f"{display(self._name)} is shorter than it was: followed files only grow.")
                        file.seek(self._at + len(rest))
                        time.sleep(LOOK)
                        yield None
                        continue
                    rest = b""
                    self._at, self._line = self._at + len(line), self._line + 1
                    if line.isspace():
                        continue
                    self._rows += 1
                    if self._rows > first:
                        yield Raw(self._line, f"{self._name}:{self._line}".encode(), line)
        except GONE as error:
            raise DataError(f"{display(self._name)} cannot be followed: {in_words(error)}.") from None

    def _require_same(self, status: os.stat_result) -> None:
        """Refuse another file of the same name, as after a log was rotated."""
        found = status.st_dev, status.st_ino
        if self._file not in (None, found):
            raise DataError(f"{display(self._name)} is another file than it was: followed files only grow.")
        self._file = found
