"""Step 1: the dataset."""

from __future__ import annotations

import time

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.screen import ModalScreen, Screen
from textual.timer import Timer
from textual.widgets import Input, Static

from tui_trainer.data_config import WHICH_SAMPLES, DataConfig
from tui_trainer.errors import ConfigError
from tui_trainer.text import display
from tui_trainer.tui import groups, preferences
from tui_trainer.tui.draft import Draft
from tui_trainer.tui.explorer import Draw, Look, Place, View
from tui_trainer.tui.groups import of_tables
from tui_trainer.tui.keys import SCREENS, bindings
from tui_trainer.tui.screens.choose_folder import ChooseFolder
from tui_trainer.tui.ticking import every
from tui_trainer.tui.widgets.form import Form
from tui_trainer.tui.widgets.key_bar import KeyBar
from tui_trainer.tui.widgets.report_view import ReportView
from tui_trainer.tui.widgets.steps import StepBar
from tui_trainer.tui.widgets.thumbnails import MOST, Thumbnails

GROUPS = of_tables(groups.DATA, "data")
GRACE = 0.3  # seconds in which a thread ends that is asked to
TICK = 0.1  # seconds between two looks at what the threads have found
NO_FOLDER = (
    "No dataset folder yet: / types one, t shows the folders here.",
    "It holds a folder for each class, with its images: cat/1.jpg, dog/1.jpg; or train and val folders of such.",
)


class DataScreen(Screen[None]):
    """The dataset folder, what is in it, and samples as the model will see them."""

    DEFAULT_CSS = """
    DataScreen #found { width: 1fr; height: 1fr; }
    DataScreen #samples { height: 1fr; min-height: 9; }
    DataScreen #caption { height: auto; max-height: 2; padding: 0 1; background: $panel; color: $text-muted; }
    DataScreen Thumbnails { margin: 0 1; }
    """
    BINDINGS = [
        *bindings(SCREENS["data"]),
        Binding("tab", "app.focus_next", "Report", key_display="⇥", tooltip="to the report, which the arrows scroll"),
    ]

    def __init__(self, draft: Draft) -> None:
        super().__init__()
        self._draft = draft
        self._look: Look | None = None
        self._draw: Draw | None = None
        self._place: Place | None = None
        self._view: View | None = None
        self._number = 0
        self._timer: Timer | None = None
        self._since = 0.0
        self._problem = ""
        self._caption = Content("")

    def compose(self) -> ComposeResult:
        """The form on the left; the report and the samples on the right."""
        yield StepBar("data")
        with Horizontal():
            yield Form(self._draft, GROUPS)
            with Vertical(id="found"):
                yield ReportView()
                with Vertical(id="samples"):
                    yield Static(id="caption")
                    yield Thumbnails()
        yield KeyBar()

    def on_mount(self) -> None:
        """What the threads find is shown at a low rate, whatever theirs is."""
        self.query_one("#samples").display = False
        self._timer = every(TICK, self, self._tick)

    def on_screen_resume(self) -> None:
        """Values may have changed on other screens."""
        self.query_one(Form).refresh_rows()
        self._follow()
        if self._timer is not None:
            self._timer.resume()

    def on_screen_suspend(self) -> None:
        """Another step needs the processor for itself; a dialog above does not."""
        if isinstance(self.app.screen, ModalScreen):
            return
        self.stop()
        if self._timer is not None:
            self._timer.pause()

    def on_unmount(self) -> None:
        """Nothing outlives the screen but a thread that imports torch."""
        self.stop(GRACE)

    def on_form_changed(self) -> None:
        """Other images, or another view of them."""
        self._follow()

    def stop(self, seconds: float = 0.0) -> None:
        """End the threads, and wait so long for each; what was cut off begins anew."""
        if self._look is not None:
            if self._look.working:
                self._place = None
            self._look.stop(seconds)
        if self._draw is not None:
            if self._draw.working:
                self._view = None
            self._draw.stop(seconds)

    def _follow(self) -> None:
        """Look at the folder of the draft, and at samples as its settings show them."""
        place, view = self._place_now(), self._view_now()
        self._problem = self._draft.problem() if place.data.data else ""
        if place != self._place:
            self._place, self._view = place, view
            self._look_at(place)
        elif view != self._view:
            self._view = view
            self._new_draw()
        self._tick()

    def _place_now(self) -> Place:
        values = self._draft.values
        which = {name: values[name] for name in WHICH_SAMPLES}
        return Place(data=DataConfig(**which), seed=int(values["seed"]), trusted=bool(values["trust_code"]))  # type: ignore[arg-type]

    def _view_now(self) -> View:
        values = self._draft.values
        return View(
            model=str(values["model"]),
            image_size=values["image_size"],  # type: ignore[arg-type]
            channels=values["channels"],  # type: ignore[arg-type]
            resize=str(values["resize"]),
            augment=str(values["augment"]),
            trusted=bool(values["trust_code"]),
            still=bool(getattr(self.app, "training", False)),
            seed=int(values["seed"]),  # type: ignore[arg-type]
        )

    def _look_at(self, place: Place) -> None:
        """Forget the folder of before."""
        self.stop()
        self._place, self._view = place, self._view_now()
        self._look = self._draw = None
        self._number, self._since = 0, time.monotonic()
        self.query_one(Thumbnails).show(())
        if place.data.data:
            self._look = Look(place)
            self._look.start()

    def _new_draw(self) -> None:
        """Draw samples; those of before stay until the first one is there."""
        look = self._look
        if look is None or look.index is None or self._view is None:
            return
        if self._draw is not None:
            self._draw.stop()
        self._draw = Draw(look.index, self._view, self._number, MOST)
        self._draw.start()

    def _tick(self) -> None:
        look, lines = self._look, []
        if self._problem:
            lines.append((self._problem, "error"))
        if look is None:
            lines += [(sentence, "text") for sentence in NO_FOLDER]
        elif look.error:
            lines.append((look.error, "error"))
        elif look.report is None:
            seconds = time.monotonic() - self._since
            lines.append((f"Looking for images in {display(self._draft.text('data'))} ... {seconds:.0f} s", "label"))
        self.query_one(ReportView).show(look.report if look else None, lines)
        if look is not None and look.index is not None and self._draw is None and not look.error:
            preferences.remember_folder(look.source)
            self._new_draw()
        self._show_draw()

    def _show_draw(self) -> None:
        draw, caption = self._draw, Content("")
        if draw is not None:
            if draw.tiles:
                self.query_one(Thumbnails).show(draw.tiles)
            text = f"draw {self._number + 1}: {draw.caption}" if draw.caption else "Loading torch to draw samples ..."
            caption = Content.styled(draw.error, "$text-error") if draw.error else Content(text)
        if caption != self._caption:
            self._caption = caption
            self.query_one("#caption", Static).update(caption)
            self.query_one("#samples").display = bool(caption)

    def action_redraw(self) -> None:
        """Another draw."""
        self._number += 1
        self._new_draw()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """A slash in a value that is being typed is a part of it."""
        return not (action == "path" and isinstance(self.focused, Input))

    def action_path(self) -> None:
        """Type the folder."""
        self._choose("path")

    def action_tree(self) -> None:
        """Walk to the folder."""
        self._choose("tree")

    def _choose(self, focus: str) -> None:
        self.app.push_screen(ChooseFolder(self._draft.text("data"), focus=focus), self._chosen)

    def _chosen(self, folder: str | None) -> None:
        """Take the folder, and look again even if it is the same."""
        if folder is None:
            return
        try:
            self._draft.set("data", folder)
        except ConfigError as error:
            self.notify(str(error), severity="error", markup=False)
            return
        self._place = None
        self.query_one(Form).refresh_rows()
        self._follow()
