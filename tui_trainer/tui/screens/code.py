"""The plain PyTorch code that a setup screen stands for, to read and to copy."""

from __future__ import annotations

from collections.abc import Mapping

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import VerticalScroll
from textual.content import Content
from textual.highlight import highlight
from textual.screen import ModalScreen
from textual.widgets import Static

from tui_trainer.settings import Value
from tui_trainer.text import display

LONGEST = 400  # characters of a line


class CodeScreen(ModalScreen[None]):
    """Code with its words in colours; the clipboard is the terminal's (OSC 52)."""

    BINDINGS = [
        Binding("escape,q,ctrl+e", "close", "Close"),
        Binding("c,y", "copy", "Copy", tooltip="to the clipboard, where the terminal can (OSC 52)"),
    ]

    def __init__(self, step: str, code: str) -> None:
        super().__init__()
        self._step = step
        self.code = code

    def compose(self) -> ComposeResult:
        """The whole code, which scrolls."""
        with VerticalScroll(classes="dialog tall"):
            heading = f"{self._step} as plain PyTorch"
            yield Static(Content.assemble((heading, "bold"), ("   c copies, esc closes\n", "$foreground-muted")))
            yield Static(in_colours(self.code))

    def action_copy(self) -> None:
        """To the clipboard."""
        self.app.copy_to_clipboard(self.code)
        self.notify("Copied.", timeout=2)

    def action_close(self) -> None:
        """Back."""
        self.dismiss(None)


def code_screen(step: str, values: Mapping[str, Value]) -> CodeScreen:
    """The code that a step stands for, with these values."""
    return CodeScreen(step.title(), code_of_step(step, values))


def code_of_step(step: str, values: Mapping[str, Value]) -> str:
    """The same as text that is safe to show."""
    from tui_trainer.results.code import code_of  # numpy

    return "".join(f"{display(line, LONGEST)}\n" for line in code_of(step, values).splitlines())


def in_colours(code: str) -> Content:
    """Python with its words in colours."""
    return highlight(code, language="python")
