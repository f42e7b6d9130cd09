"""The pictures behind a figure: what the model saw, what it said, and which of them are labelled wrongly."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

from textual.app import ComposeResult
from textual.content import Content
from textual.screen import Screen
from textual.widgets import Static

from tui_trainer.errors import UserError
from tui_trainer.text import display
from tui_trainer.tui.keys import SCREENS, bindings
from tui_trainer.tui.screens.dialogs import TextScreen
from tui_trainer.tui.ticking import every
from tui_trainer.tui.widgets.gallery import Gallery, Shown
from tui_trainer.tui.widgets.key_bar import KeyBar
from tui_trainer.tui.work import Work, Works

if TYPE_CHECKING:
    from tui_trainer.results.mislabelled import Mislabelled
    from tui_trainer.results.tested import Tested
    from tui_trainer.tui.explorer import Pixels

TICK = 0.1  # seconds between two looks at what the thread has read


def looking_at(tested: Tested, samples: Sequence[int], title: str) -> Screen[None]:
    """Samples of a test as pictures, or in words where they are none."""
    if tested.has_pictures:
        return LookScreen(tested, samples, title)
    return TextScreen(title, "\n".join(f"{tested.label(sample)}: {tested.in_words(sample)[1]}" for sample in samples))


class LookScreen(Screen[None]):
    """Samples of a test, a page at a time."""

    DEFAULT_CSS = """
    LookScreen .heading { height: 1; padding: 0 1; background: $panel; }
    LookScreen Gallery { margin: 0 1; }
    LookScreen #picture { height: 2; padding: 0 1; border-top: hkey $panel; }
    """
    BINDINGS = bindings(SCREENS["look"])
    KEYS = "look"

    def __init__(self, tested: Tested, samples: Sequence[int], title: str) -> None:
        super().__init__()
        self._tested, self._samples, self._heading = tested, list(samples), title
        self._cursor = 0
        self._pixels: dict[int, Pixels] = {}  # by sample; filled by the thread
        self._drawn: tuple[object, ...] = ()
        self._work: Work | None = None
        self._marks: Mislabelled | None = None

    def compose(self) -> ComposeResult:
        """Pictures, and the one under the cursor in words."""
        yield Static(Content(f"{self._heading} ({len(self._samples):,})"), classes="heading")
        yield Gallery()
        yield Static(id="picture")
        yield KeyBar()

    def on_mount(self) -> None:
        """Pictures come as they are read."""
        from tui_trainer.results.mislabelled import Mislabelled

        self._marks = Mislabelled(self._tested)
        every(TICK, self, self._draw)
        self.call_after_refresh(self._draw)

    def on_unmount(self) -> None:
        """Nothing is read for a screen that is gone."""
        if self._work is not None:
            self._work.stop()

    def on_resize(self) -> None:
        """Another number of pictures fits."""
        self._drawn = ()

    @property
    def _page(self) -> list[int]:
        across, down = self.query_one(Gallery).grid
        most = across * down
        start = self._cursor // most * most
        return self._samples[start : start + most]

    def _draw(self) -> None:
        page = self._page
        self._read([sample for sample in page if sample not in self._pixels])
        marks = self._marks.marked if self._marks is not None else frozenset()
        state = (tuple(page), self._cursor, sum(sample in self._pixels for sample in page), marks)
        if state == self._drawn:
            return
        self._drawn = state
        across, down = self.query_one(Gallery).grid
        shown = [Shown(self._pixels.get(s), self._label(s), self._tested.name(s) in marks) for s in page]
        self.query_one(Gallery).show(shown, self._cursor % (across * down))
        self.query_one("#picture", Static).update(Content(self._words(self._samples[self._cursor])))

    def _read(self, missing: list[int]) -> None:
        if not missing or (self._work is not None and self._work.thread.is_alive()):
            return
        works: Works = self.app.works  # type: ignore[attr-defined]
        self._work = works.start(Work("look", lambda stopped: self._decode(missing, stopped), self._fail, daemon=True))

    def _decode(self, samples: list[int], stopped: threading.Event) -> None:
        """In the thread: read them as the model saw them."""
        import numpy as np

        empty = np.zeros((1, 1, 1), np.uint8)
        for sample in samples:
            if stopped.is_set():
                return
            seen = self._tested.seen(sample)
            self._pixels[sample] = empty if seen is None else seen

    def _fail(self, sentence: str) -> None:
        self._heading = sentence

    def _label(self, sample: int) -> str:
        return self._tested.in_words(sample)[0]

    def _words(self, sample: int) -> str:
        return f"{display(self._tested.name(sample), 90)}: {self._tested.in_words(sample)[1]}"

    def action_move(self, columns: int, rows: int) -> None:
        """Move the cursor by pictures."""
        across, _ = self.query_one(Gallery).grid
        self._cursor = min(max(self._cursor + columns + rows * across, 0), len(self._samples) - 1)
        self._draw()

    def action_page(self, pages: int) -> None:
        """Move by a page."""
        across, down = self.query_one(Gallery).grid
        self.action_move(pages * across * down, 0)

    def action_mark(self) -> None:
        """Mark as mislabelled, or take the mark away; kept in a file at once."""
        if self._marks is None:
            return
        try:
            self._marks.toggle(self._samples[self._cursor])
        except UserError as error:
            self.notify(str(error), severity="error", markup=False)
            return
        count = len(self._marks.marked)
        self.notify(f"{count} in {display(self._marks.path)}", timeout=3, markup=False)
        self._draw()

    def action_back(self) -> None:
        """To the matrix, or to the figures."""
        self.app.pop_screen()
