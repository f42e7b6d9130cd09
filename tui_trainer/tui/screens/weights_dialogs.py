"""What the weights screen asks: which weights are meant, a preset, layers to leave out, adapters, consent."""

from __future__ import annotations

from collections.abc import Sequence

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from tui_trainer.settings import Value
from tui_trainer.tui.widgets.typed import TypedInput

SAME, ANY, LOADED, HEAD = "same", "any", "loaded", "head"
PRESETS = (
    (SAME, "Same structure, all but ...", "load every layer except those that you name"),
    (ANY, "Whatever fits", "load each layer whose name and shape fit, leave the others random"),
    (LOADED, "Whatever fits, frozen", "the same, and train only what the file did not fill"),
    (HEAD, "Train the last layer only", "load what fits and freeze all but the last layer"),
)
_FITTING: dict[str, Value] = {"include_layers": (), "exclude_layers": ()}
PRESET_SETTINGS: dict[str, dict[str, Value]] = {
    ANY: _FITTING,
    LOADED: {**_FITTING, "freeze": ("loaded",)},
    HEAD: {**_FITTING, "freeze": ("backbone",)},
}
ADAPTERS = (
    ("first_conv", "first convolution for another number of channels: summed, or repeated and scaled"),
    ("class_rows", "rows of the classifier put in the order of this dataset's class names"),
    ("positions", "position tables resized to another number of places"),
)


class ChooseScreen(ModalScreen[str | None]):
    """One of several, each with a sentence."""

    BINDINGS = [Binding("escape", "close", "Cancel")]

    def __init__(self, title: str, choices: Sequence[tuple[str, str, str]]) -> None:
        super().__init__()
        self._heading, self._choices = title, choices

    def compose(self) -> ComposeResult:
        """The question and its answers."""
        with Vertical(classes="dialog"):
            yield Static(Content(self._heading), classes="title")
            yield OptionList(
                *(
                    Option(Content.assemble((f"{name}  ", "bold"), (sentence, "$foreground-muted")))
                    for _, name, sentence in self._choices
                )
            )

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Take it; a choice is known by its place, as its name may be anything."""
        self.dismiss(self._choices[event.option_index][0])

    def action_close(self) -> None:
        """Nothing was chosen."""
        self.dismiss(None)


class AllButScreen(ModalScreen[str | None]):
    """The layers to leave out, with those proposed that cannot be loaded anyway."""

    BINDINGS = [Binding("escape", "close", "Cancel")]

    def __init__(self, proposal: str) -> None:
        super().__init__()
        self._proposal = proposal

    def compose(self) -> ComposeResult:
        """A line to type in."""
        with Vertical(classes="dialog"):
            yield Static("Load all layers but these (names or patterns, separated by commas)", classes="title")
            yield TypedInput(
                self._proposal, placeholder="fc1, layer4.*.conv1, **.bn1", compact=True, select_on_focus=False
            )

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Take them."""
        self.dismiss(event.value)

    def action_close(self) -> None:
        """Change nothing."""
        self.dismiss(None)


class AdaptersScreen(ModalScreen[tuple[str, ...] | None]):
    """Each adapter, switched on or off."""

    BINDINGS = [
        Binding("escape", "close", "Done"),
        Binding("space,enter", "switch", "On or off", priority=True),
    ]

    def __init__(self, on: Sequence[str]) -> None:
        super().__init__()
        self._on = set(on)

    def compose(self) -> ComposeResult:
        """A row each."""
        with Vertical(classes="dialog"):
            yield Static("Layers of another shape that are made to fit (space switches, esc ends)", classes="title")
            yield OptionList(*(Option(self._row(name, sentence)) for name, sentence in ADAPTERS))

    def _row(self, name: str, sentence: str) -> Content:
        on = name in self._on
        word = ("on  ", "$text-success") if on else ("off ", "$foreground-muted")
        return Content.assemble(word, (f"{name:<11}", "bold"), (sentence, "$foreground-muted"))

    def action_switch(self) -> None:
        """The one under the cursor."""
        options = self.query_one(OptionList)
        at = options.highlighted or 0
        self._on ^= {ADAPTERS[at][0]}
        options.replace_option_prompt_at_index(at, self._row(*ADAPTERS[at]))

    def action_close(self) -> None:
        """Take what is on."""
        names = tuple(name for name, _ in ADAPTERS if name in self._on)
        self.dismiss(names or ("none",))


class ConsentScreen(ModalScreen[bool]):
    """Whether the user's own Python may run."""

    BINDINGS = [Binding("escape,n", "answer(False)", "No"), Binding("y", "answer(True)", "Yes, run it")]

    def __init__(self, what: str) -> None:
        super().__init__()
        self._what = what

    def compose(self) -> ComposeResult:
        """The question."""
        with Vertical(classes="dialog"):
            yield Static("Run this Python?", classes="title")
            yield Static(Content(f"{self._what} lies outside the current folder. It would run with all your rights."))
            yield Static(Content.assemble(("\ny", "$accent"), "  run it, now and later     ", ("n", "$accent"), "  no"))

    def action_answer(self, answer: bool) -> None:
        """By key."""
        self.dismiss(answer)
