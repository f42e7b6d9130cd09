"""Choosing the dataset folder: type its path, take a recent one, or walk the tree."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from rich.text import Text, TextType
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical
from textual.content import Content
from textual.events import Key
from textual.screen import ModalScreen
from textual.widgets import DirectoryTree, Input, OptionList, Static
from textual.widgets.directory_tree import DirEntry
from textual.widgets.option_list import Option

from tui_trainer.data_config import DataConfig
from tui_trainer.errors import UserError
from tui_trainer.text import display
from tui_trainer.tui import preferences
from tui_trainer.tui.widgets.typed import PathSuggester, TypedInput, type_early

HINT = "enter takes it, tab goes on, esc leaves"
HINTS = {
    "path": "right completes, enter takes it, tab goes on, esc leaves",
    "recent": HINT,
    "tree": "right opens, left closes, backspace goes up, enter takes it",
}


class FolderTree(DirectoryTree):
    """Folders only, without hidden ones, their names made safe."""

    BINDINGS = [
        Binding("right", "open", "Open", show=False, tooltip="show the folders in it"),
        Binding("left", "shut", "Close", show=False, tooltip="hide them, or go to the folder above"),
        Binding("backspace", "up", "Up", show=False, tooltip="begin the tree one folder higher"),
    ]
    ICON_NODE_EXPANDED = "- "
    ICON_NODE = "+ "

    def on_mount(self) -> None:
        """Enter takes a folder; it does not open it."""
        self.auto_expand = False
        self.show_guides = getattr(self.app, "glyphs", "") != "ascii"
        self.guide_depth = 2

    def filter_paths(self, paths: Iterable[Path]) -> Iterable[Path]:
        """Folders that are not hidden."""
        return (path for path in paths if not path.name.startswith(".") and self._safe_is_dir(path))

    def process_label(self, label: TextType) -> Text:
        """A name as it can be shown."""
        return Text(display(str(label)) or "/")

    def action_open(self) -> None:
        """Show what is in the folder under the cursor, or go into it."""
        node = self.cursor_node
        if node is not None and node.is_expanded and node.children:
            self.action_cursor_down()
        elif node is not None:
            node.expand()

    def action_shut(self) -> None:
        """Hide what is in the folder under the cursor, or go to the one above."""
        node = self.cursor_node
        if node is not None and node.is_expanded and not node.is_root:
            node.collapse()
        else:
            self.action_cursor_parent()

    def action_up(self) -> None:
        """Begin one folder higher."""
        self.path = Path(self.path).parent


class ChooseFolder(ModalScreen[str | None]):
    """A folder, or None. `focus`: "path" or "tree"."""

    DEFAULT_CSS = """
    ChooseFolder Input { margin-bottom: 1; }
    ChooseFolder .dialog .problem { color: $text-error; height: auto; }
    ChooseFolder .dialog .hint { color: $text-muted; height: 1; }
    ChooseFolder #recent { max-height: 8; margin-bottom: 1; }
    ChooseFolder FolderTree { height: 1fr; background: transparent; padding: 0; }
    ChooseFolder .heading { color: $text-muted; height: 1; }
    """
    BINDINGS = [Binding("escape", "close", "Close", tooltip="leave the folder as it is")]

    def __init__(self, path: str, *, focus: str = "path") -> None:
        super().__init__()
        self._path, self._focus = path, focus
        self._recent = [folder for folder in preferences.recent_folders() if _usable(folder)]

    def compose(self) -> ComposeResult:
        """The path, recent folders, the tree."""
        with Vertical(classes="dialog tall"):
            yield Static("Dataset folder", classes="title")
            yield TypedInput(
                self._path, placeholder="~/pictures/birds", suggester=PathSuggester(), compact=True, id="path"
            )
            yield Static(classes="problem")
            yield Static("recent", classes="heading recent")
            yield OptionList(*(Option(Content(display(folder))) for folder in self._recent), id="recent", compact=True)
            yield Static("folders", classes="heading")
            yield FolderTree(_beginning(self._path), id="tree")
            yield Static(classes="hint")

    def on_mount(self) -> None:
        """Begin where it was asked for."""
        for widget in self.query("#recent, .recent"):
            widget.display = bool(self._recent)
        self.query_one(".problem").display = False
        self.query_one(f"#{self._focus}").focus()

    def on_key(self, event: Key) -> None:
        """Nothing that is typed right behind the key that opened this is lost."""
        if self._focus == "path":
            type_early(self, event)

    def on_descendant_focus(self) -> None:
        """Say what the keys do here."""
        where = (self.focused.id if self.focused else None) or ""
        self.query_one(".hint", Static).update(Content(HINTS.get(where, HINT)))

    def on_input_changed(self) -> None:
        """A sentence about another path is out of date."""
        self.query_one(".problem").display = False

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """The path that was typed."""
        self._take(event.value.strip() if not os.path.isdir(event.value) else event.value)  # noqa: PTH112

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """A recent one."""
        self._take(self._recent[event.option_index])

    def on_directory_tree_directory_selected(self, event: DirectoryTree.DirectorySelected) -> None:
        """One of the tree."""
        self._take(str(event.path))

    def on_tree_node_highlighted(self, event: DirectoryTree.NodeHighlighted[DirEntry]) -> None:
        """The whole path of what enter would take."""
        folder = str(event.node.data.path) if event.node.data else ""
        if self.query_one(FolderTree).has_focus and display(folder, len(folder) + 1) == folder:
            with self.prevent(Input.Changed):
                self.query_one(Input).value = folder

    def _take(self, folder: str) -> None:
        """Leave with it, or say why not and stay."""
        if problem := _problem(folder):
            shown = self.query_one(".problem", Static)
            shown.update(Content(problem))
            shown.display = True
            return
        self.dismiss(folder.rstrip("/") or "/")

    def action_close(self) -> None:
        """Change nothing."""
        self.dismiss(None)


def _usable(folder: str) -> bool:
    return not _problem(folder)


def _is_other_data(typed: str) -> bool:
    """Whether it is a dataset that is no folder: a table, IDX files, torchvision:NAME, the user's own."""
    from tui_trainer.data import sources  # numpy

    try:
        sources.require(DataConfig(data=typed))
    except UserError:
        return False
    return True


def _problem(folder: str) -> str:
    try:
        path = Path(os.path.expanduser(folder))  # noqa: PTH111 - pathlib raises for an unknown user
        if folder and path.is_dir():
            return ""
        if folder and not path.is_dir() and _is_other_data(folder):
            return ""
        what = "is a file, not a folder" if path.exists() else "does not exist"
    except (OSError, ValueError) as error:
        what = f"cannot be read: {getattr(error, 'strerror', None) or error}"
    return f"{display(folder)} {what}." if folder else "Type the path of a folder."


def _beginning(path: str) -> Path:
    """Where the tree begins: above the folder of now, else here."""
    if path and not _problem(path):
        return Path(os.path.expanduser(path)).absolute().parent  # noqa: PTH111
    return Path.cwd()
