"""Step 3: the model, and what is loaded into it."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.screen import Screen
from textual.widgets import Input, Static

from tui_trainer import user_code
from tui_trainer.config import SETTINGS
from tui_trainer.layer_facts import LayerFacts
from tui_trainer.text import display
from tui_trainer.tui import layer_settings
from tui_trainer.tui.draft import Draft
from tui_trainer.tui.groups import MODEL, of_tables
from tui_trainer.tui.keys import SCREENS, bindings
from tui_trainer.tui.model_look import Fetch, look
from tui_trainer.tui.screens import weights_dialogs as dialogs
from tui_trainer.tui.screens.choose_model import ChooseModel
from tui_trainer.tui.screens.choose_weights import ChooseWeights
from tui_trainer.tui.widgets.fit_panel import FitPanel
from tui_trainer.tui.widgets.form import Form
from tui_trainer.tui.widgets.key_bar import KeyBar
from tui_trainer.tui.widgets.layer_pane import LayerPane
from tui_trainer.tui.widgets.layer_table import LayerTable
from tui_trainer.tui.widgets.steps import StepBar

if TYPE_CHECKING:
    from tui_trainer.model_facts import ModelFacts
    from tui_trainer.settings import Value

GROUPS = of_tables(MODEL, "model")
CHOICES = ("include_layers", "exclude_layers", "by_order", "freeze", "freeze_epochs")  # need no new look at the file


class WeightsScreen(Screen[None]):
    """The model and its layers; with a weight file, which of them are loaded."""

    # first of all: a letter typed right behind it would else come to the layers, before the filter has the keys
    BINDINGS = [Binding("slash", "filter", "Filter", priority=True), *bindings(SCREENS["weights"])]

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
            yield Form(self._draft, GROUPS)
            with Vertical(classes="summary"):
                yield Static(id="model-facts")
                yield LayerPane()
                yield FitPanel(id="fit")
        yield KeyBar()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Where a text is typed, / is a letter of it."""
        return not (action == "filter" and isinstance(self.focused, Input))

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
            later = self.app.call_later  # asked for here: in the thread the screen may be gone
            look(
                self._draft.config(),
                lambda facts: later(self._found, now, facts),
                lambda error: later(self._failed, now, str(error), error),
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
        self.query_one(FitPanel).update("")
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
        self.query_one(FitPanel).show(fit, choice)

    def _set(self, **values: Value) -> None:
        """Change settings, show them in the form, show what follows."""
        for name, value in values.items():
            self._draft.set(name, value)
        self.query_one(Form).refresh_rows()
        self._look()

    def _choose(self, layers: Collection[LayerFacts], wanted: Callable[[LayerFacts], bool]) -> None:
        """Load of these layers those that are wanted; all others stay as they are."""
        if not any(layer.fits for layer in layers):
            why = next((layer.detail for layer in layers if layer.detail), "the file has nothing for it")
            no_file = self._facts is None or self._facts.fit is None
            told = "Choose a weight file first (o); then layers can be ticked."
            self.notify(told if no_file else f"It cannot be loaded: {why}.", markup=False)
            return
        self._set(**layer_settings.loading(self._draft.values, self.query_one(LayerPane).every, layers, wanted))

    def action_tick(self) -> None:
        """Load the layers under the cursor, or leave them out."""
        if (row := self.query_one(LayerPane).current) is not None:
            all_taken = all(layer.taken for layer in row.fitting)
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
        trained = (*self._facts.owners, *self._facts.others)
        self._set(**layer_settings.freezing(self.query_one(LayerPane).every, row.layers, trained))

    def action_preset(self) -> None:
        """The tutorial's two cases, and what is usual to freeze."""

        def chosen(preset: str | None) -> None:
            if preset == dialogs.SAME:
                self._ask_all_but()
            elif preset is not None:
                self._set(**dialogs.PRESET_SETTINGS[preset])

        self.app.push_screen(dialogs.ChooseScreen("Which layers to load", dialogs.PRESETS), chosen)

    def _ask_all_but(self) -> None:
        def named(text: str | None) -> None:
            if text is not None:
                self._set(include_layers=(), exclude_layers=SETTINGS["exclude_layers"].from_text(text, ""))

        row = self.query_one(LayerPane).current
        now = layer_settings.patterns(self._draft.values, "exclude_layers") or (
            (row.path.removesuffix("."),) if row else ()
        )
        self.app.push_screen(dialogs.AllButScreen(",".join(now)), named)

    def action_adapters(self) -> None:
        """Switch single adapters."""

        def switched(names: tuple[str, ...] | None) -> None:
            if names is not None:
                self._set(adapters=names)

        self.app.push_screen(dialogs.AdaptersScreen(layer_settings.patterns(self._draft.values, "adapters")), switched)

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
            self.notify("Choose imagenet first (o): torchvision's weights are fetched by d.", markup=False)
            return
        self._fetch, later = Fetch(self._draft.config()), self.app.call_later
        self._fetch.start(
            lambda text: later(self._say, f"{text} (d stops)", "$foreground-muted"),
            lambda: later(self._fetched, ""),
            lambda error: later(self._fetched, str(error)),
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

    def action_other_side(self) -> None:
        """From the settings to the layers, and back; in a narrow terminal the one that has the keys gets the room."""
        pane = self.query_one(LayerPane)
        if pane.has_focus_within:
            self.remove_class("-layers")
            self.query_one(Form).focus_list()
        else:
            pane.focus_layers()

    def on_descendant_focus(self) -> None:
        """Layers get the whole width of a narrow terminal while keys go to them."""
        self.set_class(self.query_one(LayerPane).has_focus_within, "-layers")

    def action_file(self) -> None:
        """Choose the weight file."""

        def chosen(text: str | None) -> None:
            if text is not None:
                self._draft.reset("pretrained_fingerprint")
                self._set(pretrained=text, pretrained_group="")

        now = {name: str(self._draft.values[name]) for name in ("pretrained", "model")}
        self.app.push_screen(ChooseWeights(now["pretrained"], now["model"]), chosen)

    def action_search(self) -> None:
        """Choose a model by a part of its name."""

        def chosen(name: str | None) -> None:
            if name is not None:
                self._set(model=name)

        self.app.push_screen(ChooseModel(str(self._draft.values["model"])), chosen)
