"""Try an image: what the model says of any file."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING

from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from tui_trainer.errors import ConfigError
from tui_trainer.text import display, user_path
from tui_trainer.tui.keys import SCREENS, bindings
from tui_trainer.tui.ticking import every
from tui_trainer.tui.widgets.gallery import Gallery, Shown
from tui_trainer.tui.widgets.typed import PathSuggester, TypedInput
from tui_trainer.tui.work import Work, Works

if TYPE_CHECKING:
    from tui_trainer.results.predict import Prediction
    from tui_trainer.results.trained import Trained
    from tui_trainer.tui.explorer import Pixels

TICK = 0.1  # seconds between two looks at the thread
BAR = 24  # cells of a probability of 1


class TryScreen(ModalScreen[None]):
    """A path to type, the picture as the model sees it, and its answers as bars."""

    DEFAULT_CSS = """
    TryScreen .dialog { height: 20; }
    TryScreen Horizontal { height: 1fr; margin-top: 1; }
    TryScreen Gallery { width: 26; }
    TryScreen #answers { width: 1fr; padding: 0 1; }
    """
    BINDINGS = bindings(SCREENS["try"])
    KEYS = "try"

    def __init__(self, run: str) -> None:
        super().__init__()
        self._run = run
        self._trained: Trained | None = None  # kept by the thread for the next image
        self._answer: tuple[Prediction, Pixels | None] | None = None
        self._error = ""
        self._asked = ""
        self._work: Work | None = None

    def compose(self) -> ComposeResult:
        """A line to type in, a picture, bars."""
        with Vertical(classes="dialog"):
            yield Static(Content(f"Try an image on {display(Path(self._run).name, 40)}"), classes="title")
            yield TypedInput(placeholder="path/to/image.jpg", suggester=PathSuggester(files=True), compact=True)
            with Horizontal():
                yield Gallery()
                yield Static(id="answers")

    def on_mount(self) -> None:
        """What the thread finds is shown at a low rate."""
        every(TICK, self, self._look)

    def on_unmount(self) -> None:
        """Nothing is asked for a screen that is gone."""
        if self._work is not None:
            self._work.stop()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Ask the model."""
        if not event.value.strip() or (self._work is not None and self._work.thread.is_alive()):
            return
        self._asked, self._error, self._answer = str(user_path(event.value.strip())), "", None
        self.query_one("#answers", Static).update(Content("Asking the model ..."))
        works: Works = self.app.works  # type: ignore[attr-defined]
        self._work = works.start(Work("try", self._ask, self._fail, daemon=False))

    def _ask(self, stopped: threading.Event) -> None:
        """In the thread."""
        import numpy as np

        from tui_trainer.data.datasets import ImageDataset
        from tui_trainer.results.predict import files_index, predict
        from tui_trainer.results.trained import load_trained

        if self._trained is None:
            trusted = self.app.draft.trusts_code  # type: ignore[attr-defined]
            self._trained = load_trained(self._run, trusted=trusted)
        if self._trained.preprocessing.kind == "rows":
            raise ConfigError("The model takes rows of a table: tui-trainer predict RUN FILE answers for each row.")
        prediction = next(iter(predict(self._trained, [self._asked])))
        image = ImageDataset(files_index([self._asked]), self._trained.preprocessing.spec)[0, 0].image
        self._answer = prediction, None if image is None else np.ascontiguousarray(image.numpy())

    def _fail(self, sentence: str) -> None:
        self._error = sentence

    def _look(self) -> None:
        answers = self.query_one("#answers", Static)
        if self._error:
            answers.update(Content.styled(self._error, "$text-error"))
            self._error = ""
        if self._answer is None:
            return
        (prediction, pixels), self._answer = self._answer, None
        name = display(Path(prediction.path).name, 60)
        self.query_one(Gallery).show([Shown(pixels, name)], -1)
        if prediction.error:
            answers.update(Content.styled(f"{name}: {display(prediction.error)}.", "$text-error"))
        else:
            is_share = self._trained is not None and self._trained.task != "regression"
            answers.update(bars(prediction.answers, is_share=is_share, full=self._full))

    @property
    def _full(self) -> str:
        return "#" if getattr(self.app, "glyphs", "") == "ascii" else "█"

    def action_close(self) -> None:
        """Back."""
        self.dismiss(None)


def bars(answers: tuple[tuple[str, float], ...], *, is_share: bool, full: str) -> Content:
    """Each answer with its probability as a bar, or its number."""
    parts: list[tuple[str, str]] = []
    for rank, (name, value) in enumerate(answers):
        style = "bold $text-success" if rank == 0 else "$foreground"
        parts.append((f"{display(name, 30)}\n", style))
        if is_share:
            cells = round(value * BAR)
            parts += [(full * cells, "$accent"), (f"{' ' * (BAR - cells)} {value:7.2%}\n", "$foreground")]
        else:
            parts.append((f"  {value:.6g}\n", "$foreground"))
    return Content.assemble(*parts)
