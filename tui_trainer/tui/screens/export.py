"""Take the model away: a format to choose, and what came of it."""

from __future__ import annotations

import threading

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from tui_trainer.text import display, user_path
from tui_trainer.tui.keys import SCREENS, bindings
from tui_trainer.tui.ticking import every
from tui_trainer.tui.work import Work, Works

TICK = 0.1  # seconds between two looks at the thread
CHOICES = (
    ("safetensors", False, "safetensors", "weights, class names and preprocessing: for Python, or for another run"),
    ("onnx", False, "ONNX", "a graph that takes normalised float32 images, any number of them"),
    ("onnx", True, "ONNX with preprocessing", "the same from plain uint8 images of the model's size"),
    ("pt2", False, "pt2", "a program of torch.export, from normalised float32 images"),
    ("pt2", True, "pt2 with preprocessing", "the same from plain uint8 images; of any size where they are squashed"),
)


class ExportScreen(ModalScreen[None]):
    """Formats, one sentence each; the result below, checked on validation images."""

    DEFAULT_CSS = """
    ExportScreen OptionList { margin-bottom: 1; }
    ExportScreen #told { height: auto; min-height: 4; }
    """
    BINDINGS = bindings(SCREENS["export"])
    KEYS = "export"

    def __init__(self, run: str) -> None:
        super().__init__()
        self._run = run
        self._told = Content("Each is checked on validation images before it gets its name.")
        self._shown: Content | None = None
        self._work: Work | None = None

    def compose(self) -> ComposeResult:
        """A list and the result."""
        with Vertical(classes="dialog"):
            yield Static("Export", classes="title")
            yield OptionList(
                *(Option(Content.assemble((f"{name}: ", "bold"), sentence)) for *_, name, sentence in CHOICES)
            )
            yield Static(id="told")

    def on_mount(self) -> None:
        """What the thread tells is shown at a low rate."""
        every(TICK, self, self._look)

    def _look(self) -> None:
        if self._told != self._shown:
            self._shown = self._told
            self.query_one("#told", Static).update(self._told)

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Export in the format under the cursor."""
        if self._work is not None and self._work.thread.is_alive():
            return
        form, preprocessing, name, _ = CHOICES[event.option_index]
        self._told = Content(f"Exporting to {name} ...")
        works: Works = self.app.works  # type: ignore[attr-defined]
        work = Work("export", lambda stopped: self._export(form, preprocessing, stopped), self._fail, daemon=False)
        self._work = works.start(work)

    def _export(self, form: str, preprocessing: bool, stopped: threading.Event) -> None:
        """In the thread."""
        from tui_trainer.results.export import export, require
        from tui_trainer.results.trained import load_trained

        require(form)
        trained = load_trained(self._run, trusted=self.app.draft.trusts_code)  # type: ignore[attr-defined]
        done = export(trained, form, user_path(self._run) / "export" / form, preprocessing=preprocessing)
        self._told = Content.assemble(
            (f"{display(done.path, 300)}\n", "bold $text-success"),
            f"{done.size / 1e6:.1f} MB, inside: {done.inside.in_words(trained.task)}\n",
            f"{done.verified.in_words()}\n",
            ("model.toml beside it describes it.", "$foreground-muted"),
        )

    def _fail(self, sentence: str) -> None:
        self._told = Content.styled(sentence, "$text-error")

    def action_close(self) -> None:
        """Back."""
        self.dismiss(None)
