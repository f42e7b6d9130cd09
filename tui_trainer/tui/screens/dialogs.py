"""Small screens over another one: leaving, help, live edit, text to copy."""

from __future__ import annotations

import textwrap

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.events import Key as Pressed
from textual.screen import ModalScreen
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from tui_trainer.commands import LIVE_SETTINGS, Set
from tui_trainer.errors import ConfigError
from tui_trainer.session import set_from_text
from tui_trainer.text import display
from tui_trainer.tui.keys import EVERYWHERE, FORM, LAYERS, SCREENS, Key
from tui_trainer.tui.widgets.typed import TypedInput, type_early

KEY_COLUMN = 19  # cells of a key in the help
CLOSE: list[BindingType] = [Binding("escape", "close", "Close", tooltip="back to the screen below")]


class LeaveScreen(ModalScreen[str | None]):
    """Asked when leaving while a run is training; the charts stay visible behind it."""

    BINDINGS = [
        Binding("escape,q", "close", "Go on", tooltip="keep training"),
        Binding("s", "choose('stop')", "Stop and save"),
        Binding("b", "choose('background')", "Background"),
        Binding("a", "choose('abort')", "Abort"),
    ]
    CHOICES = (
        ("stop", "s", "Stop and save", "finish this step, save, leave; resume goes on"),
        ("background", "b", "Background", "leave; it trains on, and attach shows it"),
        ("abort", "a", "Abort", "leave now; what came after a save is lost"),
        ("", "esc", "Go on", "back to the screen; nothing changes"),
    )

    def compose(self) -> ComposeResult:
        """One sentence a choice."""
        with Vertical(classes="dialog bottom"):
            yield Static("A run is training.", classes="title")
            yield OptionList(
                *(
                    Option(
                        Content.assemble((f"{key:>4}  ", "$accent"), (f"{name:<15}", "bold"), sentence),
                        id=choice or "go_on",
                    )
                    for choice, key, name, sentence in self.CHOICES
                )
            )

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """The choice under the cursor."""
        self.dismiss(None if event.option.id == "go_on" else event.option.id)

    def action_choose(self, choice: str) -> None:
        """A choice by its key."""
        self.dismiss(choice)

    def action_close(self) -> None:
        """Keep training."""
        self.dismiss(None)


class HelpScreen(ModalScreen[None]):
    """Every key, from the one table: those of the screen below first."""

    BINDINGS = [Binding("escape,q,question_mark", "close", "Close")]

    def __init__(self, here: str = "") -> None:
        super().__init__()
        self._here = here

    def compose(self) -> ComposeResult:
        """A list for each screen."""
        with VerticalScroll(classes="dialog tall"):
            yield Static(Content.assemble(("Keys", "bold"), ("   the arrows scroll, esc closes", "$foreground-muted")))
            yield Static(id="keys")

    def on_mount(self) -> None:
        """Written when the width is known."""
        self.call_after_refresh(self._write)

    def on_resize(self) -> None:
        """Lines break somewhere else."""
        self.call_after_refresh(self._write)

    def _write(self) -> None:
        room = max(20, self.query_one("#keys").size.width - KEY_COLUMN - 1)
        parts: list[tuple[str, str]] = []
        for name, keys in self._groups():
            parts.append((f"\n{name}\n", "bold $accent"))
            for key in keys:
                words = f"\n{' ' * KEY_COLUMN}".join(textwrap.wrap(key.help, room))
                parts += [
                    (f"  {key_in_words(key.key):<{KEY_COLUMN - 2}}", "$text-accent"),
                    (f"{words}\n", "$foreground"),
                ]
        self.query_one("#keys", Static).update(Content.assemble(*parts))

    def _groups(self) -> list[tuple[str, tuple[Key, ...]]]:
        groups = [("everywhere", EVERYWHERE), ("forms", FORM), ("layers of a model", LAYERS), *SCREENS.items()]
        return sorted(groups, key=lambda group: group[0] != self._here)

    def action_close(self) -> None:
        """Back."""
        self.dismiss(None)


class LiveEditScreen(ModalScreen[Set | None]):
    """Change lr, epochs or patience of the running loop: `lr=0.001`."""

    BINDINGS = CLOSE

    def __init__(self, now: str) -> None:
        super().__init__()
        self._now = now

    def compose(self) -> ComposeResult:
        """A line to type in."""
        with Vertical(classes="dialog bottom"):
            yield Static(
                f"Change while running: {', '.join(LIVE_SETTINGS)}   enter applies, esc closes", classes="title"
            )
            yield TypedInput(self._now, compact=True, select_on_focus=False)
            yield Static(classes="help")

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Send it, or say why not."""
        try:
            self.dismiss(set_from_text(event.value))
        except ConfigError as error:
            self.query_one(".help", Static).update(Content(str(error)))

    def action_close(self) -> None:
        """Change nothing."""
        self.dismiss(None)


class AskScreen(ModalScreen[str | None]):
    """A line of text; escape gives none."""

    BINDINGS = CLOSE

    def __init__(self, title: str, example: str) -> None:
        super().__init__()
        self._heading, self._example = title, example

    def compose(self) -> ComposeResult:
        """A line to type in."""
        with Vertical(classes="dialog"):
            yield Static(Content(self._heading), classes="title")
            yield TypedInput(placeholder=self._example, compact=True)

    def on_key(self, event: Pressed) -> None:
        """Nothing that is typed right behind the key that opened this is lost."""
        type_early(self, event)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Take it."""
        self.dismiss(event.value)

    def action_close(self) -> None:
        """Nothing."""
        self.dismiss(None)


def shown_line(line: str) -> str:
    """One line of a text, safe to show, its tabs as spaces."""
    return display(line.expandtabs(), len(line) + 8 * line.count("\t"))


class TextScreen(ModalScreen[None]):
    """Text to read or to copy: the command line, the TOML file, the log."""

    BINDINGS = [
        Binding("escape,q", "close", "Close"),
        Binding("y,c", "copy", "Copy", tooltip="to the clipboard, where the terminal can (OSC 52)"),
    ]

    def __init__(self, title: str, text: str) -> None:
        super().__init__()
        self._heading, self._text = title, text

    def compose(self) -> ComposeResult:
        """The whole text, which scrolls."""
        with VerticalScroll(classes="dialog tall"):
            yield Static(Content.assemble((self._heading, "bold"), ("   c copies, esc closes", "$foreground-muted")))
            yield Static(Content("\n".join(map(shown_line, self._text.split("\n")))), classes="plain")

    def action_copy(self) -> None:
        """To the clipboard."""
        self.app.copy_to_clipboard(self._text)
        self.notify("Copied.", timeout=2)

    def action_close(self) -> None:
        """Back."""
        self.dismiss(None)


def key_in_words(key: str) -> str:
    """`question_mark` as a person sees it on the keyboard."""
    names = {"question_mark": "?", "slash": "/", "plus": "+", "minus": "-", "comma": ",", "full_stop": "."}
    names |= {"left_square_bracket": "[", "right_square_bracket": "]"}
    return " ".join(names.get(part, part) for part in key.split(","))
