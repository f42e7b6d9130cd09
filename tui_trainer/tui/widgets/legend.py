"""The first row of a chart: its title, its lines with their values, and what was chosen. Plain data, no terminal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from rich.cells import cell_len, set_cell_size
from textual.content import Content

from tui_trainer.tui.widgets.table import shortened

Run = tuple[str, str]  # a text, and the style class that it is shown in ("" for none)
SHORTEST = 5  # cells of a name of which the middle is left out


@dataclass(frozen=True, kw_only=True)
class Word:
    """A line in the legend."""

    mark: str  # "" where lines differ by colour
    name: str  # safe to show
    value: str
    style: str
    ghost: bool

    @property
    def run(self) -> Run:
        """As it is shown."""
        return " ".join(part for part in (self.mark, self.name, self.value) if part), self.style


def header(title: str, words: Sequence[Word], status: str, width: int, sign: str) -> list[Run]:
    """All of them; in less room the status goes first, then ghosts, then the middles of names."""
    own = [word for word in words if not word.ghost]
    for gap, end, shown in (("   ", status, words), (" ", status, words), (" ", "", words), (" ", "", own)):
        runs = _row(title, shown, gap)
        free = width - _cells(runs) - (len(end) + 2 if end else 0)
        if free >= 0:
            return [*runs, (" " * (free + 2) + end, "chart--axis")] if end else runs
    names = [cell_len(word.name) for word in own]
    most = max(SHORTEST, _share(names, width - _cells(runs) + sum(names)))
    short = [replace(word, name=shortened(Content(word.name), most).plain.replace("…", sign)) for word in own]
    return cut(_row(title, short, " "), width, sign)


def _row(title: str, words: Sequence[Word], gap: str) -> list[Run]:
    runs = [(title, "chart--title")]
    for word in words:
        runs += [(gap, ""), word.run]
    return runs


def _cells(runs: Sequence[Run]) -> int:
    return sum(cell_len(text) for text, _ in runs)


def _share(lengths: Sequence[int], room: int) -> int:
    """The most that each may have for all to fit into `room`: what the short ones leave is for the long."""
    for number, length in enumerate(sorted(lengths)):
        most = room // (len(lengths) - number)
        if length > most:
            return most
        room -= length
    return max(lengths, default=0)


def cut(runs: Sequence[Run], width: int, sign: str) -> list[Run]:
    """`runs` in at most `width` cells, with `sign` where something was left out."""
    kept: list[Run] = []
    free = width
    for text, name in runs:
        if cell_len(text) > free:
            return [*kept, (set_cell_size(text, free - 1) + sign, name)] if free else kept
        kept.append((text, name))
        free -= cell_len(text)
    return kept
