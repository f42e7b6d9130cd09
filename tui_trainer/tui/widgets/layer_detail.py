"""One layer in detail: both sides, why it is loaded or not, and its numbers."""

from __future__ import annotations

from textual.content import Content
from textual.widgets import Static

from tui_trainer.text import display
from tui_trainer.tui.layer_rows import Row
from tui_trainer.tui.widgets.layer_table import shape_text
from tui_trainer.weights.statistics import Statistics

BARS = " ▁▂▃▄▅▆▇█"
ASCII_BARS = " .:-=+*#%"
TENSORS = 4  # of a layer that are described


class LayerDetail(Static):
    """Sentences first, then a line for each tensor as its numbers are read."""

    def __init__(self) -> None:
        super().__init__()
        self._head, self._lines = Content(""), list[Content]()

    def about(self, row: Row | None) -> None:
        """Another row."""
        self._lines = []
        self._head = Content("") if row is None else Content(self._group(row) if row.is_group else self._layer(row))
        self._draw()

    def _group(self, row: Row) -> str:
        words: dict[str, int] = {}
        for layer in row.layers:
            words[layer.status or "random"] = words.get(layer.status or "random", 0) + 1
        name = row.label if row.of_file else row.path.removesuffix(".")
        return f"{display(name, 80)}: {', '.join(f'{count} {word}' for word, count in words.items())}"

    def _layer(self, row: Row) -> str:
        layer = row.layers[0]
        sides = [f"{shape_text(layer.shape) or 'one number'} here"] if layer.shape or not layer.file_shape else []
        if layer.file_name:
            other = f" as {display(layer.file_name, 60)}" if layer.file_name != layer.name else ""
            sides.append(f"{shape_text(layer.file_shape) or 'one number'} in the file{other}")
        why = f": {layer.detail}" if layer.detail else ""
        return f"{display(layer.name, 80)}  {', '.join(sides)}{why}"

    def add(self, name: str, found: Statistics | None) -> None:
        """The numbers of one of its tensors."""
        leaf = display(name.rpartition(".")[2], 16)
        in_ascii = getattr(self.app, "glyphs", "") == "ascii"
        if found is None:
            self._lines.append(Content(f"{leaf}: too large to look at"))
        else:
            figures = f" min {found.least:.3g} max {found.greatest:.3g} mean {found.mean:.3g} std {found.deviation:.3g}"
            counts = {"zeros": found.zeros, "NaN": found.nan, "inf": found.infinite}
            figures += "".join(f" {word} {count:,}" for word, count in counts.items() if count)
            style = "$text-error" if found.nan or found.infinite else "$foreground-muted"
            bars = histogram(found.histogram, ASCII_BARS if in_ascii else BARS)
            self._lines.append(Content.assemble((f"{leaf} ", "$foreground"), (bars, "$accent"), (figures, style)))
        self._draw()

    def say(self, sentence: str) -> None:
        """Why the numbers cannot be read."""
        self._lines = [Content.styled(sentence, "$text-error")]
        self._draw()

    def _draw(self) -> None:
        self.update(Content("\n").join([self._head.stylize("$foreground-muted"), *self._lines[:TENSORS]]))


def histogram(counts: tuple[int, ...], bars: str = BARS) -> str:
    """Counts as a line of bars; what is not zero is seen."""
    most = max(counts, default=0)
    return "".join(bars[0 if not count else max(1, round(count / most * (len(bars) - 1)))] for count in counts)
