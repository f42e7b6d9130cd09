"""The layers with a filter above and the one under the cursor below: its numbers are read when the cursor rests."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical
from textual.content import Content
from textual.timer import Timer
from textual.widgets import Input, Static

from tui_trainer.layer_facts import LayerFacts
from tui_trainer.text import display
from tui_trainer.tui.layer_rows import Row
from tui_trainer.tui.model_look import Reading
from tui_trainer.tui.widgets.form import ValueInput
from tui_trainer.tui.widgets.layer_detail import LayerDetail
from tui_trainer.tui.widgets.layer_table import LayerTable

if TYPE_CHECKING:
    from tui_trainer.weights.contents import WeightFile
    from tui_trainer.weights.statistics import Statistics

REST = 0.15  # seconds that the cursor stays before a layer's numbers are read
PLACEHOLDERS = ("part of a name, or a pattern with *    (tab: regex)", "regular expression    (tab: pattern)")


class FilterInput(ValueInput):
    """Where a filter is typed; tab changes what it means."""

    BINDINGS = [Binding("tab", "other_kind", "Regex", tooltip="pattern or regular expression")]

    def action_other_kind(self) -> None:
        """Pattern or regular expression."""
        assert isinstance(self.parent, LayerPane)
        self.parent.change_filter()


class LayerPane(Vertical):
    """Filter, table, detail."""

    def __init__(self) -> None:
        super().__init__()
        self._file: WeightFile | None = None
        self._reading: Reading | None = None
        self._rest: Timer | None = None
        self._regex = False

    def compose(self) -> ComposeResult:
        """From the top."""
        yield FilterInput(placeholder=PLACEHOLDERS[0], compact=True, id="filter")
        yield Static(id="filter-problem")
        yield LayerTable()
        yield LayerDetail()

    def on_mount(self) -> None:
        """Nothing is filtered."""
        self.query_one("#filter").display = False
        self.query_one("#filter-problem").display = False

    @property
    def current(self) -> Row | None:
        """The row under the cursor."""
        return self.query_one(LayerTable).current

    @property
    def every(self) -> list[LayerFacts]:
        """All layers."""
        return list(self.query_one(LayerTable).rows.layers)

    @property
    def filtered(self) -> list[LayerFacts]:
        """The layers that the filter leaves, folded ones included."""
        rows = self.query_one(LayerTable).rows
        return [layer for row in rows.visible for layer in row.layers] if rows.pattern else self.every

    def show(self, layers: tuple[LayerFacts, ...], file: WeightFile | None) -> None:
        """Other layers, or the same in another state; `file` is where their numbers are."""
        self._file = file
        self.query_one(LayerTable).show(layers)

    def focus_layers(self) -> None:
        """The keys go to the layers."""
        self.query_one(LayerTable).focus()

    def stop_reading(self) -> None:
        """Nobody waits for numbers any more."""
        if self._rest is not None:
            self._rest.stop()
        if self._reading is not None:
            self._reading.stop()
        self._rest = self._reading = None

    def on_layer_table_pointed(self, event: LayerTable.Pointed) -> None:
        """Say why it is or is not loaded."""
        self.stop_reading()
        self.query_one(LayerDetail).about(event.row)
        if event.row is not None and not event.row.is_group and self._file is not None:
            self._rest = self.set_timer(REST, self._read)

    def _read(self) -> None:
        row = self.current
        if row is None or self._file is None:
            return
        reading = self._reading = Reading(self._file, row.layers[0].tensors)
        later = self.app.call_later  # asked for here: in the thread the screen may be gone

        def found(name: str, statistics: Statistics | None) -> None:
            later(self._add, reading, name, statistics)

        reading.start(found, lambda error: later(self._unreadable, reading, str(error)))

    def _add(self, of: Reading, name: str, found: Statistics | None) -> None:
        if of is self._reading:
            self.query_one(LayerDetail).add(name, found)

    def _unreadable(self, of: Reading, sentence: str) -> None:
        if of is self._reading:
            self.query_one(LayerDetail).say(sentence)

    def begin_filter(self) -> None:
        """Type a filter; enter keeps it, escape takes it away."""
        field = self.query_one("#filter", Input)
        field.display = True
        self.screen.set_focus(field)  # at once, not after the keys that wait already

    def change_filter(self) -> None:
        """A pattern becomes a regular expression, and the other way round."""
        self._regex = not self._regex
        field = self.query_one("#filter", Input)
        field.placeholder = PLACEHOLDERS[self._regex]
        self._filter(field.value)

    def _filter(self, text: str) -> None:
        table = self.query_one(LayerTable)
        problem = table.filter(text, is_regex=self._regex)
        line = self.query_one("#filter-problem", Static)
        line.display = bool(problem or text or self._regex)
        kind = "regular expression: " if self._regex else ""
        count = f"{kind}{len(self.filtered):,} of {len(table.rows.layers):,} layers"
        line.update(Content.styled(display(problem) or count, "$text-error" if problem else "$foreground-muted"))

    def on_input_changed(self, event: Input.Changed) -> None:
        """Filter live."""
        self._filter(event.value)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Back to the layers, filtered."""
        event.input.display = bool(event.value)
        self.query_one(LayerTable).focus()

    def on_value_input_left(self) -> None:
        """Back to all layers."""
        field = self.query_one("#filter", Input)
        field.value, field.display, self._regex = "", False, False
        field.placeholder = PLACEHOLDERS[0]
        self._filter("")
        self.query_one(LayerTable).focus()
