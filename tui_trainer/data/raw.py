"""Rows of a stream as they come from it, before anything is decoded. No torch here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from tui_trainer.data.plan import Place, Plan
from tui_trainer.data.stream_files import State


class Raw(NamedTuple):
    """A row that is not decoded yet: its number, its name, what `RowSource.values` reads; or why there is nothing."""

    number: int
    name: bytes
    data: Any
    reason: str = ""


class Walked(NamedTuple):
    """A row while the plan is made. `place` is None if all that is left of a file cannot be read."""

    place: Place | None
    name: bytes
    values: Mapping[str, Any] | None
    reason: str


class RowSource(Protocol):
    """Where the rows of a stream come from. `base`: the folder that paths in it are relative to."""

    source: str
    base: Path
    unit: str

    @property
    def whole_files(self) -> bool:
        """Whether a file can only be read from its begin on."""

    def walk(self, columns: tuple[str, ...] = ()) -> Iterator[Walked]:
        """Every row in order, with the values of these columns, or all."""

    def read(self, plan: Plan, block: int, lane: int = 0) -> list[Raw]:
        """The rows of a block.

        Raises:
            UnreadableError: they cannot be read.
        """

    def values(self, data: Any) -> Mapping[str, Any]:
        """What a row says, by column.

        Raises:
            ValueError: it cannot be understood.
        """

    def state(self) -> list[State] | None:
        """What changes when its rows do; None where nobody can know."""

    def close(self) -> None:
        """Let files and connections go."""
