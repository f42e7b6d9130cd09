"""Choose the weight file: an own run, a file found here, torchvision's weights, or a path that is typed."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from tui_trainer.past_runs import past_runs
from tui_trainer.text import display
from tui_trainer.tui.widgets.typed import PathSuggester, TypedInput

ENDINGS = (".pth", ".pt", ".safetensors", ".pt2", ".ckpt", ".bin")
MOST_ENTRIES, MOST_FILES = 5_000, 100  # of a folder that are looked at, and shown
OWN_MODELS = ("auto", "lenet", "mlp")


@dataclass(frozen=True, kw_only=True)
class Source:
    """What can be taken: the value of the setting, and what it is."""

    value: str
    what: str


class ChooseWeights(ModalScreen[str | None]):
    """A line to type in over a list of what there is; the arrows walk the list meanwhile."""

    BINDINGS = [
        Binding("escape", "close", "Cancel"),
        Binding("down", "move(1)", show=False, priority=True),
        Binding("up", "move(-1)", show=False, priority=True),
    ]

    def __init__(self, now: str, model: str) -> None:
        super().__init__()
        self._now, self._sources = now, sources(model)
        self._seen: list[Source] = []

    def compose(self) -> ComposeResult:
        """The line, the list, what enter takes."""
        with Vertical(classes="dialog tall"):
            yield Static("Weight file", classes="title")
            yield TypedInput(
                placeholder="path, or a part of a name below", suggester=PathSuggester(files=True), compact=True
            )
            yield OptionList()
            yield Static(classes="hint")

    def on_mount(self) -> None:
        """All that there is, on what is chosen now."""
        self.query_one(OptionList).can_focus = False
        self._fill("")

    def _fill(self, part: str) -> None:
        words = part.lower().split()
        self._seen = [found for found in self._sources if all(word in found.value.lower() for word in words)]
        options = self.query_one(OptionList)
        options.clear_options()
        options.add_options([Option(self._row(found)) for found in self._seen])
        values = [found.value for found in self._seen]
        if values:
            options.highlighted = values.index(self._now) if self._now in values else 0
        self._hint()

    def _row(self, found: Source) -> Content:
        return Content.assemble((f"{display(found.value, 120)}  ", "$foreground"), (found.what, "$foreground-muted"))

    @property
    def taken(self) -> str:
        """What enter takes: the path that was typed, else what is highlighted."""
        typed, at = self.query_one(Input).value, self.query_one(OptionList).highlighted
        if typed and (at is None or "/" in typed or _is_there(typed)):
            return typed
        return self._seen[at].value if at is not None else ""

    def _hint(self) -> None:
        where = display(self.taken, 200)
        text = f"enter takes {where}" if where else "no file was found here: type a path, right completes it"
        self.query_one(".hint", Static).update(Content.styled(text, "$foreground-muted"))

    def on_input_changed(self, event: Input.Changed) -> None:
        """Filter live."""
        self._fill(event.value)

    def on_input_submitted(self) -> None:
        """Take it."""
        if self.taken:
            self.dismiss(self.taken)

    def on_option_list_option_highlighted(self) -> None:
        """Say what enter would take."""
        self._hint()

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """A click."""
        self.dismiss(self._seen[event.option_index].value)

    def action_move(self, step: int) -> None:
        """Walk the list while typing."""
        options = self.query_one(OptionList)
        (options.action_cursor_down if step > 0 else options.action_cursor_up)()

    def action_close(self) -> None:
        """Keep the file."""
        self.dismiss(None)


def sources(model: str) -> list[Source]:
    """Torchvision's weights where the model may have some, own runs from the newest, files here and downloaded."""
    found = []
    if model not in OWN_MODELS and ":" not in model:
        found.append(Source(value="imagenet", what=f"torchvision's weights of {display(model, 40)}"))
    for run in past_runs():
        if run.folder.checkpoints.is_dir():
            words = (str(run.settings.get("model", "")), run.best_in_words)
            found.append(Source(value=run.name, what=f"own run, {display(', '.join(filter(None, words)), 60)}"))
    files = [*_files(Path(), ""), *_files(_downloaded(), "downloaded, ")]
    return found + files[:MOST_FILES]


def _downloaded() -> Path:
    """Where torch keeps what it downloads; torch itself may not be loaded yet."""
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(os.environ.get("TORCH_HOME") or f"{cache}/torch").expanduser() / "hub" / "checkpoints"


def _files(folder: Path, what: str) -> list[Source]:
    """The files of a folder that are called as weight files are, the newest first."""
    try:
        with os.scandir(folder) as entries:
            looked_at = [entry for entry, _ in zip(entries, range(MOST_ENTRIES), strict=False)]
        files = [(entry.stat(), entry) for entry in looked_at if entry.name.endswith(ENDINGS) and entry.is_file()]
    except OSError:
        return []
    files.sort(key=lambda pair: (-pair[0].st_mtime, pair[1].name))
    return [Source(value=str(folder / entry.name), what=f"{what}{size.st_size / 1e6:,.1f} MB") for size, entry in files]


def _is_there(typed: str) -> bool:
    try:
        return Path(typed).exists()
    except (OSError, ValueError):
        return False
