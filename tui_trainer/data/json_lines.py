"""JSON lines as a stream: one file or many, local or behind HTTP, packed or not. No torch here."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from tui_trainer.data.plan import Place, Plan
from tui_trainer.data.raw import Raw, Walked
from tui_trainer.data.stream_files import GONE, Shards, State, UnreadableError, base_of, in_words, open_at
from tui_trainer.text import display

ENDINGS = (".jsonl", ".ndjson", ".jsonl.gz", ".ndjson.gz")
CHUNK = 1 << 20
LONGEST = 64 << 20  # bytes of a line


class JsonLines:
    """Lines of JSON objects; a line is called by its file and number."""

    unit = "lines"

    def __init__(self, source: str) -> None:
        self.source, self.base = source, base_of(source)
        self.files = Shards(source)
        self.whole_files = self.files.packed

    def walk(self, columns: tuple[str, ...] = ()) -> Iterator[Walked]:
        """Every line in order; what is not one has no values but a reason."""
        for file, place in enumerate(self.files.places):
            start = number = 0
            try:
                for line in _lines(place):
                    number += 1
                    end = start + len(line)
                    if line.strip():
                        at = Place(file, start, end, number)
                        yield Walked(at, self._name(file, number), *values_or_reason(line))
                    start = end
            except GONE as error:
                after = f" after line {number}" if number else ""
                yield Walked(None, self.files.names[file], None, f"{in_words(error)}{after}")

    def read(self, plan: Plan, block: int, lane: int = 0) -> list[Raw]:
        """The lines of a block; each lane has files of its own open.

        Raises:
            UnreadableError: the file cannot be read there.
        """
        file, first = int(plan.file[block]), int(plan.first[block])
        data = self.files.read(lane, file, int(plan.start[block]), int(plan.end[block]))
        if data[-1:] != b"\n":
            data += b"\n"
        lines = data.split(b"\n")[:-1]
        base = file << 40
        return [
            Raw(base + number, self._name(file, number), line)
            for number, line in enumerate(lines, first)
            if line and not line.isspace()
        ]

    def values(self, data: Any) -> Mapping[str, Any]:
        """What a line says.

        Raises:
            ValueError: it is no JSON object.
        """
        found, reason = values_or_reason(data)
        if found is None:
            raise ValueError(reason)
        return found

    def _name(self, file: int, number: int) -> bytes:
        return b"%s:%d" % (self.files.names[file], number)

    def state(self) -> list[State] | None:
        """What changes when a file does."""
        return self.files.state()

    def close(self) -> None:
        """Close the files."""
        self.files.close()

    def __str__(self) -> str:
        return display(self.source)


def values_or_reason(line: bytes) -> tuple[dict[str, Any] | None, str]:
    """The object that a line holds, or why it holds none."""
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None, "not JSON"
    return (found, "") if isinstance(found, dict) else (None, "not a JSON object")


def _lines(place: str) -> Iterator[bytes]:
    """Line after line with its end; what is longer than any row ought to be is an error."""
    file, _ = open_at(place)
    with file:
        while line := file.readline(LONGEST):
            if len(line) == LONGEST:
                raise OSError("a line is longer than 64 MB")
            yield line


__all__ = ["ENDINGS", "JsonLines", "UnreadableError", "values_or_reason"]
