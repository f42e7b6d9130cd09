"""Step 3: the model, and what is loaded into it."""

from __future__ import annotations

import logging
import threading

from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.screen import Screen
from textual.widgets import Footer, Input, Static

from tui_trainer.config import SETTINGS
from tui_trainer.errors import UserError
from tui_trainer.text import display
from tui_trainer.tui.draft import Draft
from tui_trainer.tui.keys import SCREENS, bindings
from tui_trainer.tui.screens.choose_model import ChooseModel
from tui_trainer.tui.widgets.form import Form, ValueInput
from tui_trainer.tui.widgets.layer_table import LayerRow, LayerTable
from tui_trainer.tui.widgets.steps import StepBar

NAMES = tuple(name for name, item in SETTINGS.items() if item.table == "model")
COLOURS = {"green": "$text-success", "amber": "$text-warning", "red": "$text-error"}


class WeightsScreen(Screen[None]):
    """The model and its layers; with a weight file, which of them are loaded."""

    BINDINGS = bindings(SCREENS["weights"])

    def __init__(self, draft: Draft) -> None:
        super().__init__()
        self._draft = draft
        self._seen = -1  # revision of the draft that the layers are of

    def compose(self) -> ComposeResult:
        """The form on the left, the layers on the right."""
        yield StepBar("weights")
        with Horizontal():
            yield Form(self._draft, NAMES)
            with Vertical(classes="summary"):
                yield Static(id="model-facts")
                yield ValueInput(placeholder="part of a name, or a pattern with *", compact=True, id="filter")
                yield LayerTable()
                yield Static(id="layer-detail")
                yield Static(id="fit")
        yield Footer(compact=True)

    def on_mount(self) -> None:
        """Nothing is filtered."""
        self.query_one("#filter").display = False

    def on_screen_resume(self) -> None:
        """The data may have changed, and with it the number of classes."""
        self.query_one(Form).refresh_rows()
        self._look()

    def on_form_changed(self) -> None:
        """Another model, file or pattern."""
        self._look()

    def _look(self) -> None:
        """Build and match in a thread: the first time PyTorch may still be loading."""
        if self._seen == self._draft.revision:
            return
        self._seen = self._draft.revision
        if problem := self._draft.problem():
            self._failed(self._seen, problem)
            return
        self.query_one("#model-facts", Static).update(Content.styled("looking at the model ...", "$foreground-muted"))
        threading.Thread(target=self._work, args=(self._seen,), daemon=True).start()

    def _work(self, revision: int) -> None:
        from tui_trainer.model_facts import look_at_model

        try:
            facts = look_at_model(self._draft.config())
        except UserError as error:
            self.app.call_later(self._failed, revision, str(error))
        except Exception as error:
            logging.getLogger("tui_trainer").exception("A bug while looking at the model")
            self.app.call_later(self._failed, revision, display(f"This is a bug: {type(error).__name__}: {error}", 300))
        else:
            rows = [
                LayerRow(
                    name=layer.name,
                    shape="x".join(map(str, layer.shape)) or "()",
                    parameters=layer.parameters,
                    status=layer.status,
                    taken=layer.taken,
                    frozen=layer.frozen,
                    detail=layer.detail,
                )
                for layer in facts.layers
            ]
            channels, side, _ = facts.takes
            text = f"{facts.name}: {facts.parameters:,} parameters, {channels}x{side}x{side} to {facts.classes} classes"
            self.app.call_later(self._show, revision, text, rows, (facts.summary, facts.verdict, facts.colour))

    def _show(self, revision: int, text: str, rows: list[LayerRow], fit: tuple[str, str, str]) -> None:
        if revision != self._seen:
            return
        summary, verdict, colour = fit
        self.query_one("#model-facts", Static).update(Content.styled(text, "bold"))
        self.query_one(LayerTable).show(rows)
        parts = [(f"{verdict}\n", COLOURS.get(colour, "$foreground")), (summary, "$foreground")] if summary else []
        hint = ("All layers start random. A file in pretrained fills those that fit.", "$foreground-muted")
        self.query_one("#fit", Static).update(Content.assemble(*(parts or [hint])))

    def _failed(self, revision: int, sentence: str) -> None:
        if revision == self._seen:
            self.query_one("#model-facts", Static).update(Content.styled(sentence, "$text-error"))
            self.query_one("#fit", Static).update("")
            self.query_one(LayerTable).show([])

    def on_layer_table_pointed(self, event: LayerTable.Pointed) -> None:
        """Why this layer is or is not loaded."""
        text = f"{event.row.shape}  {display(event.row.detail, 300)}"
        self.query_one("#layer-detail", Static).update(Content.styled(text, "$foreground-muted"))

    def action_tick(self) -> None:
        """Load the layer under the cursor, or leave it out."""
        row = self.query_one(LayerTable).current
        if row is None or not row.status:
            self.notify("Give a weight file in pretrained first; then layers can be ticked.", markup=False)
            return
        self._change("exclude_layers", row.name, add=row.taken)

    def action_freeze(self) -> None:
        """Freeze the layer under the cursor, or let it train."""
        if (row := self.query_one(LayerTable).current) is not None:
            self._change("freeze", row.name, add=not row.frozen)

    def _change(self, setting: str, layer: str, *, add: bool) -> None:
        now = self._draft.values[setting]
        assert isinstance(now, tuple)
        names = [str(name) for name in now if name != layer]
        self._draft.set(setting, tuple([*names, layer] if add else names))
        self.query_one(Form).refresh_rows()
        self._look()

    def action_all(self) -> None:
        """Whatever fits."""
        self._draft.set("exclude_layers", ())
        self._draft.set("include_layers", ())
        self.query_one(Form).refresh_rows()
        self._look()

    def action_filter(self) -> None:
        """Type a filter; enter keeps it, escape takes it away."""
        field = self.query_one("#filter", Input)
        field.display = True
        field.focus()

    def on_input_changed(self, event: Input.Changed) -> None:
        """Filter live."""
        if event.input.id == "filter":
            self.query_one(LayerTable).filter(event.value)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Back to the layers, filtered."""
        if event.input.id == "filter":
            event.input.display = bool(event.value)
            self.query_one(LayerTable).focus()

    def on_value_input_left(self) -> None:
        """Back to all layers."""
        field = self.query_one("#filter", Input)
        field.value, field.display = "", False
        self.query_one(LayerTable).focus()

    def action_search(self) -> None:
        """Choose a model by a part of its name."""

        def chosen(name: str | None) -> None:
            if name is not None:
                self._draft.set("model", name)
                self.query_one(Form).refresh_rows()
                self._look()

        self.app.push_screen(ChooseModel(str(self._draft.values["model"])), chosen)
