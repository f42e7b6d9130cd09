"""Step 3: the model, and what is loaded into it."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.screen import Screen
from textual.widgets import Footer, Static

from tui_trainer import user_code
from tui_trainer.config import SETTINGS
from tui_trainer.layer_facts import LayerFacts
from tui_trainer.text import display
from tui_trainer.tui.draft import Draft
from tui_trainer.tui.keys import SCREENS, bindings
from tui_trainer.tui.model_look import Fetch, look
from tui_trainer.tui.screens import weights_dialogs as dialogs
from tui_trainer.tui.screens.choose_model import ChooseModel
from tui_trainer.tui.widgets.form import Form
from tui_trainer.tui.widgets.layer_pane import LayerPane
from tui_trainer.tui.widgets.layer_table import LayerTable
from tui_trainer.tui.widgets.steps import StepBar
from tui_trainer.weights.picking import cover, patterns_for

if TYPE_CHECKING:
    from tui_trainer.model_facts import ModelFacts
    from tui_trainer.settings import Value

HIDDEN = ("pretrained_fingerprint",)  # written by a run, not chosen
NAMES = tuple(name for name, item in SETTINGS.items() if item.table == "model" and name not in HIDDEN)
CHOICES = ("include_layers", "exclude_layers", "by_order", "freeze", "freeze_epochs")  # need no new look at the file
COLOURS = {"green": "$text-success", "amber": "$text-warning", "red": "$text-error"}
VERDICTS = {"green": "fits", "amber": "doubtful", "red": "wrong file?"}


class WeightsScreen(Screen[None]):
    """The model and its layers; with a weight file, which of them are loaded."""

    BINDINGS = bindings(SCREENS["weights"])

    def __init__(self, draft: Draft) -> None:
        super().__init__()
        self._draft = draft
        self._facts: ModelFacts | None = None
        self._seen: object = None  # the settings that the facts are of
        self._asked: object = None  # those that a question was asked for
        self._fetch: Fetch | None = None

    def compose(self) -> ComposeResult:
        """The form on the left, the layers on the right."""
        yield StepBar("weights")
        with Horizontal():
            yield Form(self._draft, NAMES)
            with Vertical(classes="summary"):
                yield Static(id="model-facts")
                yield LayerPane()
                yield Static(id="fit")
        yield Footer(compact=True)

    def on_screen_resume(self) -> None:
        """The data may have changed, and with it the number of classes."""
        self.query_one(Form).refresh_rows()
        self._look()

    def on_screen_suspend(self) -> None:
        """Nobody waits for numbers any more."""
        self.query_one(LayerPane).stop_reading()

    def on_form_changed(self, event: Form.Changed) -> None:
        """Another model, file or pattern."""
        if event.name == "pretrained":
            self._draft.reset("pretrained_fingerprint")
        self._look()

    def _look(self) -> None:
        """Look again where that is needed, else show the other choice at once."""
        now = {name: value for name, value in self._draft.values.items() if name not in CHOICES}
        if problem := self._draft.problem():
            self._failed(now, problem)
            self._seen = None
        elif now == self._seen:
            self._show_choice()
        else:
            self._seen, self._facts = now, None
            self._say("looking at the model ...", "$foreground-muted")
            look(
                self._draft.config(),
                lambda facts: self.app.call_later(self._found, now, facts),
                lambda error: self.app.call_later(self._failed, now, str(error), error),
            )

    def _found(self, of: object, facts: ModelFacts) -> None:
        if of != self._seen:
            return
        self._facts = facts
        takes = "x".join(map(str, facts.takes))
        short = facts.name.rpartition("/")[2] if user_code.names_code(facts.name) else facts.name
        sizes = f"{facts.parameters:,} parameters, {takes} to {facts.outputs} outputs"
        self._say(f"{display(short, 60)}: {sizes}", "bold")
        self._show_choice()
        if facts.fit and facts.fit.question and not self._draft.values["pretrained_group"] and self._asked != of:
            self._asked = of
            if self.is_current:
                self.action_which()

    def _failed(self, of: object, sentence: str, error: Exception | None = None) -> None:
        if of != self._seen and self._seen is not None and error is not None:
            return
        self._facts = None
        from_web = type(error).__name__ == "NotDownloadedError"
        self._say(f"{sentence} d downloads it now." if from_web else sentence, "$text-error")
        self.query_one("#fit", Static).update("")
        self.query_one(LayerPane).show((), None)
        if isinstance(error, user_code.ConsentNeededError) and self.is_current:
            self._ask_consent()

    def _say(self, text: str, style: str) -> None:
        self.query_one("#model-facts", Static).update(Content.styled(text, style))

    def _ask_consent(self) -> None:
        spec = str(self._draft.values["model"])

        def answered(yes: bool | None) -> None:
            if yes:
                user_code.consent(spec)
                self._seen = None
                self._look()

        self.app.push_screen(dialogs.ConsentScreen(spec), answered)

    def _show_choice(self) -> None:
        if self._facts is None:
            return
        choice = self._facts.choose(self._draft.config().model)
        fit = self._facts.fit
        self.query_one(LayerPane).show(choice.layers, fit.file if fit else None)
        verdict = fit.matched.verdict if fit else None
        parts: list[tuple[str, str]] = []
        if verdict is None:
            parts = [("All layers start random. A file in pretrained fills those that fit.\n", "$foreground-muted")]
        else:
            colour = COLOURS[verdict.colour]
            parts = [(f"{VERDICTS[verdict.colour]}: ", f"bold {colour}"), (f"{verdict.sentence}\n", colour)]
            parts.append((f"{choice.summary}\n", "$foreground"))
        if fit and fit.question:
            name = display(fit.branch.name, 60)
            parts.append((f"Of several weights that fit, {name} is shown; w chooses.\n", "$text-warning"))
        parts += [(f"{note}\n", "$text-warning") for note in choice.notes]
        parts += [(choice.problem, "$text-error")] if choice.problem else []
        self.query_one("#fit", Static).update(Content.assemble(*parts))

    def _set(self, **values: Value) -> None:
        """Change settings, show them in the form, show what follows."""
        for name, value in values.items():
            self._draft.set(name, value)
        self.query_one(Form).refresh_rows()
        self._look()

    def _choose(self, layers: Collection[LayerFacts], wanted: Callable[[LayerFacts], bool]) -> None:
        """Load of these layers those that are wanted; all others stay as they are."""
        fitting = [layer for layer in layers if layer.fits]
        if not fitting:
            why = next((layer.detail for layer in layers if layer.detail), "the file has nothing for it")
            no_file = self._facts is None or self._facts.fit is None
            told = "Give a weight file in pretrained first; then layers can be ticked."
            self.notify(told if no_file else f"It cannot be loaded: {why}.", markup=False)
            return
        every = [layer for layer in self.query_one(LayerPane).every if layer.fits]
        asked = {layer.name for layer in fitting}
        now = {layer.name for layer in every if (wanted(layer) if layer.name in asked else layer.taken)}
        include, exclude = (self._patterns(name) for name in ("include_layers", "exclude_layers"))
        include, exclude = patterns_for([layer.name for layer in every], now, include, exclude)
        guesses = any(layer.status == "guess" for layer in every)
        more: dict[str, Value] = {"by_order": True} if guesses and now else {}
        self._set(include_layers=include, exclude_layers=exclude, **more)

    def _patterns(self, name: str) -> tuple[str, ...]:
        value = self._draft.values[name]
        assert isinstance(value, tuple)
        return tuple(str(pattern) for pattern in value)

    def action_tick(self) -> None:
        """Load the layers under the cursor, or leave them out."""
        if (row := self.query_one(LayerPane).current) is not None:
            fitting = [layer for layer in row.layers if layer.fits]
            all_taken = all(layer.taken for layer in fitting)
            self._choose(row.layers, lambda layer: not all_taken)

    def on_layer_table_ticked(self, event: LayerTable.Ticked) -> None:
        """The same by a click."""
        self.action_tick()

    def action_all(self, wanted: bool) -> None:
        """Load all layers that are shown, or none of them."""
        self._choose(self.query_one(LayerPane).filtered, lambda layer: wanted)

    def action_invert(self) -> None:
        """Load what is left out, and the other way round."""
        self._choose(self.query_one(LayerPane).filtered, lambda layer: not layer.taken)

    def action_freeze(self) -> None:
        """Freeze the layers under the cursor, or let them train."""
        row = self.query_one(LayerPane).current
        if row is None or self._facts is None or row.of_file:
            return
        layers = self.query_one(LayerPane).every
        own = [layer for layer in layers if layer.name in (*self._facts.owners, *self._facts.others)]
        asked = {layer.name for layer in row.layers}
        hold = row.frozen < len([layer for layer in own if layer.name in asked])
        frozen = {layer.name for layer in own if (hold if layer.name in asked else layer.frozen)}
        values: dict[str, Value] = {"freeze": cover([layer.name for layer in own], frozen)}
        if not frozen:
            values = {"freeze_epochs": 0, **values}
        self._set(**values)

    def action_preset(self) -> None:
        """The tutorial's two cases, and the usual third."""

        def chosen(preset: str | None) -> None:
            if preset == dialogs.SAME:
                self._ask_all_but()
            elif preset is not None:
                self._set(
                    include_layers=(),
                    exclude_layers=(),
                    **({"freeze": ("backbone",)} if preset == dialogs.HEAD else {}),
                )

        self.app.push_screen(dialogs.ChooseScreen("Which layers to load", dialogs.PRESETS), chosen)

    def _ask_all_but(self) -> None:
        def named(text: str | None) -> None:
            if text is not None:
                self._set(include_layers=(), exclude_layers=SETTINGS["exclude_layers"].from_text(text, ""))

        row = self.query_one(LayerPane).current
        now = self._patterns("exclude_layers") or ((row.path.removesuffix("."),) if row else ())
        self.app.push_screen(dialogs.AllButScreen(",".join(now)), named)

    def action_adapters(self) -> None:
        """Switch single adapters."""

        def switched(names: tuple[str, ...] | None) -> None:
            if names is not None:
                self._set(adapters=names)

        self.app.push_screen(dialogs.AdaptersScreen(self._patterns("adapters")), switched)

    def action_which(self) -> None:
        """Which of the file's weights are meant."""
        if self._facts is None or self._facts.fit is None or not self._facts.fit.question:
            self.notify("The file has one set of weights that fits.", markup=False)
            return
        fit = self._facts.fit

        def chosen(name: str | None) -> None:
            if name is not None:
                self._set(pretrained_group=name)

        choices = [(branch.name, "", branch.sentence) for branch in fit.branches]
        self.app.push_screen(dialogs.ChooseScreen(f"{fit.question} Which are meant?", choices), chosen)

    def action_download(self) -> None:
        """Fetch torchvision's weights, or stop that."""
        if self._fetch is not None:
            self._fetch.stop()
            return
        if self._draft.values["pretrained"] != "imagenet":
            self.notify("Write imagenet in pretrained first: torchvision's weights are fetched by d.", markup=False)
            return
        self._fetch = Fetch(self._draft.config())
        self._fetch.start(
            lambda text: self.app.call_later(self._say, f"{text} (d stops)", "$foreground-muted"),
            lambda: self.app.call_later(self._fetched, ""),
            lambda error: self.app.call_later(self._fetched, str(error)),
        )

    def _fetched(self, sentence: str) -> None:
        self._fetch, self._seen = None, None
        if sentence:
            self._say(sentence, "$text-error")
        else:
            self._look()

    def action_filter(self) -> None:
        """Show only some layers."""
        self.query_one(LayerPane).begin_filter()

    def action_search(self) -> None:
        """Choose a model by a part of its name."""

        def chosen(name: str | None) -> None:
            if name is not None:
                self._set(model=name)

        self.app.push_screen(ChooseModel(str(self._draft.values["model"])), chosen)
