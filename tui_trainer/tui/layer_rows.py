"""Layers as rows of a tree that folds: which are to be seen, and what a folded one says of those below it."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from tui_trainer.layer_facts import LayerFacts

FILE_ONLY = "only in the file"
NOT_IN_MODEL = "not in model"
DEEPEST = 24  # a name from a file may have thousands of dots


@dataclass
class Row:
    """A layer, or a subtree of several: `path` is its name, `label` the part of it that its parent does not say."""

    path: str
    label: str
    depth: int
    layers: list[LayerFacts] = field(default_factory=list)
    below: list[Row] = field(default_factory=list)
    of_file: bool = False

    @property
    def is_group(self) -> bool:
        """Whether it folds."""
        return bool(self.below)

    @property
    def taken(self) -> int:
        """How many of its layers are loaded."""
        return sum(layer.taken for layer in self.layers)

    @property
    def fitting(self) -> list[LayerFacts]:
        """Those that can be loaded."""
        return [layer for layer in self.layers if layer.fits]

    @property
    def frozen(self) -> int:
        """How many of its layers stand still."""
        return sum(layer.frozen for layer in self.layers)

    @property
    def parameters(self) -> int:
        """Numbers in all of its layers."""
        return sum(layer.parameters for layer in self.layers)

    @property
    def status(self) -> str:
        """The word for all of its layers; "several" where they differ."""
        words = {layer.status for layer in self.layers}
        return words.pop() if len(words) == 1 else "several"


class LayerRows:
    """The rows of some layers; what is open stays so when the layers come again in another state."""

    def __init__(self) -> None:
        self.layers: Sequence[LayerFacts] = ()
        self._top: list[Row] = []
        self._open: set[str] = set()
        self._places: tuple[tuple[str, bool], ...] = ()  # what the tree is made of
        self._held: list[tuple[Row, list[int]]] = []  # each row with the places of its layers
        self.pattern, self.is_regex, self.problem = "", False, ""

    def show(self, layers: Sequence[LayerFacts], height: int) -> None:
        """Take other layers, or the same in another state; new ones are opened as far as `height` rows allow."""
        places = tuple((layer.name, layer.status == NOT_IN_MODEL) for layer in layers)
        if places == self._places:
            self._in_place(layers)
            return
        self._places, self.layers = places, layers
        self._top = _tree([layer for layer in layers if layer.status != NOT_IN_MODEL])
        extra = [layer for layer in layers if layer.status == NOT_IN_MODEL]
        if extra:
            rows = [Row(layer.name, layer.name, 1, [layer], of_file=True) for layer in extra]
            self._top.append(Row("\0file", FILE_ONLY, 0, extra, rows, of_file=True))
        at = {id(layer): number for number, layer in enumerate(layers)}
        self._held = [(row, [at[id(layer)] for layer in row.layers]) for row in self._all()]
        self._open_to(height)

    def _in_place(self, layers: Sequence[LayerFacts]) -> None:
        """The same layers in another state: the tree stays, so that a key costs no second one."""
        self.layers = layers
        for row, held in self._held:
            row.layers = [layers[number] for number in held]

    def _all(self) -> Iterator[Row]:
        """Every row, folded ones included."""
        todo = self._top[::-1]
        while todo:
            row = todo.pop()
            yield row
            todo += row.below[::-1]

    def _open_to(self, height: int) -> None:
        """Open level by level while all rows are to be seen at once; a lone top row is always opened."""
        self._open = {row.path for row in self._top[:1] if len(self._top) == 1}
        level = [row for row in self._top if row.is_group and not row.of_file]
        while level:
            before = set(self._open)
            self._open |= {row.path for row in level}
            if len(self.visible) > height and before:
                self._open = before
                return
            if len(self.visible) > height:
                self._open = set()
                return
            level = [row for parent in level for row in parent.below if row.is_group]

    @property
    def visible(self) -> list[Row]:
        """The rows to be seen, from the top: the tree as far as it is open, or all that the filter leaves."""
        if self.pattern and not self.problem:
            return [
                Row(layer.name, layer.name, 0, [layer], of_file=layer.status == NOT_IN_MODEL)
                for layer in self.layers
                if self._passes(layer.name)
            ]
        found: list[Row] = []
        todo = self._top[::-1]
        while todo:
            row = todo.pop()
            found.append(row)
            if row.path in self._open:
                todo += row.below[::-1]
        return found

    def filter(self, pattern: str, *, is_regex: bool) -> None:
        """Show only the layers of a pattern: a part of the name, a pattern with * ? [...], or a regular expression."""
        self.pattern, self.is_regex, self.problem = pattern, is_regex, ""
        if is_regex:
            try:
                self._regex = re.compile(pattern)
            except (re.error, OverflowError, RecursionError) as error:
                self.problem = f"not a regular expression: {error}"
        else:
            wild = pattern if any(sign in pattern for sign in "*?[") else f"*{pattern}*"
            self._regex = re.compile(fnmatch.translate(wild))

    def _passes(self, name: str) -> bool:
        return bool(self._regex.search(name[:1000]) if self.is_regex else self._regex.match(name))

    def is_open(self, row: Row) -> bool:
        """Whether what is below it is seen."""
        return row.path in self._open

    def fold(self, row: Row, *, opened: bool) -> None:
        """Open it or close it."""
        if row.is_group:
            (self._open.add if opened else self._open.discard)(row.path)


def _tree(layers: Sequence[LayerFacts]) -> list[Row]:
    """Rows by the segments of names; a module that owns tensors and has children is a row below itself."""
    return _level([(layer.name.split("."), layer) for layer in layers], "", 0)


def _level(named: list[tuple[list[str], LayerFacts]], prefix: str, depth: int) -> list[Row]:
    by_first: dict[str, list[tuple[list[str], LayerFacts]]] = {}
    for segments, layer in named:
        by_first.setdefault(segments[0] if segments else "", []).append((segments[1:], layer))
    rows = []
    for first, found in by_first.items():
        path, label, members = f"{prefix}.{first}" if prefix else first, first, found
        if depth == DEEPEST:
            rows += [Row(layer.name, ".".join([first, *rest]), depth, [layer]) for rest, layer in members]
            continue
        while len(members) > 1 and len({rest[0] if rest else "" for rest, _ in members}) == 1 and members[0][0]:
            label, path = f"{label}.{members[0][0][0]}", f"{path}.{members[0][0][0]}"
            members = [(rest[1:], layer) for rest, layer in members]  # a chain of single children is one row
        if len(members) == 1:
            rest, layer = members[0]
            rows.append(Row(layer.name, ".".join([label, *rest]) or "(root)", depth, [layer]))
            continue
        inside = [layer for _, layer in members]
        own = [Row(layer.name, "(itself)", depth + 1, [layer]) for rest, layer in members if not rest]
        below = own + _level([(rest, layer) for rest, layer in members if rest], path, depth + 1)
        rows.append(Row(f"{path}.", label, depth, inside, below))
    return rows
