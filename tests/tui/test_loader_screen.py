from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import Static

from tests.tui.conftest import until
from tui_trainer import search, tune
from tui_trainer.errors import DataError
from tui_trainer.loader_facts import Facts, FirstBatch, Measurement
from tui_trainer.tui import tuned
from tui_trainer.tui.app import TrainerApp
from tui_trainer.tui.screens.loader import LoaderScreen
from tui_trainer.tui.widgets.key_bar import KeyBar
from tui_trainer.tune_facts import Trial

MakeApp = Callable[..., TrainerApp]
FACTS = Facts(images=48, image_size=32, channels=1, needs_two=False)
OUT_OF_MEMORY = (
    "Out of memory: try --batch-size 16 --grad-accum-steps 2, which make the same steps (--resume goes on with them, "
    "--auto-batch by itself), or a smaller model or --image-size."
)
BATCH = FirstBatch(
    images=(8, 32, 32, 1), images_dtype="uint8", images_range=(0.0, 255.0),
    inputs=(8, 1, 32, 32), inputs_dtype="float32", inputs_range=(-0.94, 2.14),
    targets=(8,), targets_dtype="int64", classes=(("[@click=quit]x[/]", 5), ("\x1b[31mb", 3)),
    bytes=8256, seconds=0.25, warnings=(),
)  # fmt: skip


class FakeTune:
    """What measuring would find; it goes on when the test says so."""

    def __init__(self) -> None:
        self.go_on, self.closed = threading.Event(), threading.Event()
        self.started = 0
        self.error: Exception | None = None
        self.steps: list[Trial] = []

    def search(self, config: Any, *, tell: Callable[[str], None]) -> Iterator[Measurement | Trial]:
        """0, 1 and 2 workers: 1 is enough."""
        self.started += 1
        tell("measuring 0 workers")
        try:
            yield from self.steps
            for count, trained in ((0, 1000.0), (1, 1900.0), (2, 1950.0)):
                rates = {"images_per_second": 2 * trained, "trained_per_second": trained, "wait_share": 0.25}
                yield Measurement(num_workers=count, step_seconds=0.01)
                yield Measurement(num_workers=count, step_seconds=0.01, final=True, **rates)
                while count == 1 and not self.go_on.wait(0.01):
                    yield Measurement(num_workers=2, step_seconds=0.01)
                if self.error is not None:
                    raise self.error
        finally:
            self.closed.set()


STOPPED = "Stopped before the end, 2 of 5 numbers of workers measured; m starts again."


def keys_shown(app: TrainerApp) -> dict[str, str]:
    """The line at the bottom."""
    return {shown.key: shown.label for shown in app.screen.query_one(KeyBar)._shown}


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeTune:
    """No thread computes anything."""
    fake = FakeTune()
    monkeypatch.setattr(search, "search", fake.search)
    monkeypatch.setattr(tuned, "candidates", lambda: (0, 1, 2, 3, 4))
    monkeypatch.setattr(tune, "facts", lambda config: FACTS)
    monkeypatch.setattr(tune, "first_batch", lambda config: BATCH)
    return fake


def shown(app: TrainerApp, name: str) -> str:
    """The text of a part of the right side."""
    widget = app.get_screen("loader").query_one(f"#{name}", Static)
    return str(widget.content) if widget.display else ""


async def measure_all(pilot: Pilot[int], app: TrainerApp, fake: FakeTune) -> None:
    fake.go_on.set()
    await pilot.press("m")
    await until(pilot, lambda: shown(app, "recommended"))


async def test_it_says_what_the_options_mean_for_the_data(make_app: MakeApp, digits60: Path) -> None:
    app = make_app("loader", data=str(digits60))
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "batches" in shown(app, "options"))
        assert shown(app, "options") == (
            "48 training images make 2 batches of 32; the last one has 16. "
            "Each of 33 kB is read between two steps, while the model waits."
        )
        await pilot.press("down", "down", "enter", *"2", "enter")
        await until(pilot, lambda: "2 workers each keep 2 batches ready" in shown(app, "options"))


async def test_options_that_do_not_go_together_are_told(make_app: MakeApp, fake: FakeTune) -> None:
    app = make_app("loader", data="somewhere", num_workers=2, prefetch_factor=4)
    async with app.run_test() as pilot:
        await until(pilot, lambda: "48 training images" in shown(app, "options"))
        await pilot.press("down", "down", "backspace")
        assert shown(app, "options").startswith("prefetch_factor needs workers that read ahead")
        await pilot.press("m", "b")
        assert not fake.started


async def test_data_that_cannot_be_read_is_told(make_app: MakeApp) -> None:
    app = make_app("loader", data="/nowhere/at/all")
    async with app.run_test() as pilot:
        await until(pilot, lambda: "does not exist" in shown(app, "options"))


async def test_measuring_shows_bars_as_they_come_and_recommends(make_app: MakeApp, fake: FakeTune) -> None:
    app = make_app("loader", data="somewhere")
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("m")
        await until(pilot, lambda: "1,900" in shown(app, "rates"))
        assert "2,000" in shown(app, "rates")
        assert shown(app, "doing") == "measuring 0 workers; m stops"
        assert not shown(app, "recommended")
        fake.go_on.set()
        await until(pilot, lambda: shown(app, "recommended"))
        assert shown(app, "recommended").startswith("num_workers = 1: With 1 worker training is 1.9 times as fast")
        assert [line[0] for line in shown(app, "rates").splitlines()] == ["w", " ", "▸", " "]
        assert not shown(app, "doing")


async def test_u_takes_what_is_recommended(make_app: MakeApp, fake: FakeTune) -> None:
    app = make_app("loader", data="somewhere")
    async with app.run_test() as pilot:
        await pilot.press("u")
        assert app.draft.values["num_workers"] == 0
        assert "u" not in app.screen.active_bindings
        await measure_all(pilot, app, fake)
        assert "u" in app.screen.active_bindings
        await pilot.press("u")
        assert app.draft.values["num_workers"] == 1
        assert "u" not in app.screen.active_bindings
        assert not shown(app, "recommended").startswith("Measured with other options")


async def test_u_takes_threads_and_16_bits_and_says_so(make_app: MakeApp, fake: FakeTune) -> None:
    fake.steps = [
        Trial(threads=1, rates=(100.0, 102.0), losses=(2.0,)),
        Trial(threads=2, rates=(150.0, 153.0), losses=(2.0,)),
        Trial(threads=1, precision="bf16", rates=(200.0, 204.0), losses=(2.01,)),
        Trial(threads=2, precision="bf16", rates=(300.0, 306.0), losses=(2.01,)),
        Trial(threads=2, precision="bf16", num_workers=1, rates=(290.0, 290.0)),
    ]
    app = make_app("loader", data="somewhere")
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await measure_all(pilot, app, fake)
        lines = shown(app, "computing").splitlines()[1:]
        assert [line[:11].strip() for line in lines] == ["1 float32", "2 float32", "1 bf16", "▸    2 bf16"]
        assert "1+2 bf16" in shown(app, "together")
        assert "amp = true: bf16 autocast trains 2.00 times as fast" in shown(app, "recommended")
        assert app.draft.values["amp"] is False
        await pilot.press("u")
        taken = {name: app.draft.values[name] for name in ("num_workers", "threads", "amp", "amp_dtype")}
        assert taken == {"num_workers": 1, "threads": 2, "amp": True, "amp_dtype": "bf16"}
        assert any("threads = 2 (Recipe screen, group speed)" in note.message for note in app._notifications)
        assert not shown(app, "recommended").startswith("Measured with other options")
        assert "u" not in app.screen.active_bindings


async def test_taking_no_workers_takes_back_what_needs_them(
    make_app: MakeApp, fake: FakeTune, monkeypatch: pytest.MonkeyPatch
) -> None:
    def equal(config: Any, *, tell: Any) -> Iterator[Measurement]:
        for count in (0, 1):
            rates = {"images_per_second": 9.0, "trained_per_second": 9.0}
            yield Measurement(num_workers=count, step_seconds=0.01, final=True, **rates)

    monkeypatch.setattr(search, "search", equal)
    app = make_app("loader", data="somewhere", num_workers=2, prefetch_factor=4, timeout=9.0)
    async with app.run_test() as pilot:
        await measure_all(pilot, app, fake)
        await pilot.press("u")
        assert app.draft.problem() == ""
        assert app.draft.values["num_workers"] == 0


async def test_figures_of_other_options_are_marked(make_app: MakeApp, fake: FakeTune) -> None:
    app = make_app("loader", data="somewhere")
    async with app.run_test() as pilot:
        await measure_all(pilot, app, fake)
        await pilot.press("enter", *"64", "enter")
        await until(pilot, lambda: shown(app, "recommended").startswith("Measured with other options"))


async def test_m_again_stops_and_recommends_nothing(make_app: MakeApp, fake: FakeTune) -> None:
    app = make_app("loader", data="somewhere")
    async with app.run_test() as pilot:
        await pilot.press("m")
        await until(pilot, lambda: "1,900" in shown(app, "rates"))
        assert keys_shown(app)["m"] == "Stop"
        await pilot.press("m")
        await until(pilot, fake.closed.is_set)
        await until(pilot, lambda: not shown(app, "doing"))
        assert keys_shown(app)["m"] == "Measure"
        assert shown(app, "recommended") == STOPPED
        assert len(shown(app, "rates").splitlines()) == 3  # what was not finished is gone
        await pilot.press("b")
        await until(pilot, lambda: shown(app, "batch"))
        assert shown(app, "recommended") == STOPPED


async def test_leaving_the_screen_ends_the_measuring(make_app: MakeApp, fake: FakeTune) -> None:
    app = make_app("loader", data="somewhere")
    async with app.run_test() as pilot:
        await pilot.press("m")
        await until(pilot, lambda: "1,900" in shown(app, "rates"))
        await pilot.press("4")
        await until(pilot, fake.closed.is_set)
        await pilot.press("2")
        await until(pilot, lambda: shown(app, "recommended") == STOPPED)  # half a table says why


async def test_leaving_the_app_ends_the_measuring(make_app: MakeApp, fake: FakeTune) -> None:
    app = make_app("loader", data="somewhere")
    async with app.run_test() as pilot:
        await pilot.press("m")
        await until(pilot, lambda: "1,900" in shown(app, "rates"))
        await pilot.press("q")
    assert fake.closed.is_set()


async def test_training_starts_when_the_measuring_has_ended(
    make_app: MakeApp, fake: FakeTune, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = make_app("loader", data="somewhere")
    ended_first: list[bool] = []
    monkeypatch.setattr(app, "action_start", lambda: ended_first.append(fake.closed.is_set()))
    async with app.run_test() as pilot:
        await pilot.press("m")
        await until(pilot, lambda: "1,900" in shown(app, "rates"))
        await pilot.press("ctrl+r")
        await until(pilot, lambda: ended_first)
        await pilot.press("ctrl+r")
        await until(pilot, lambda: len(ended_first) == 2)
    assert ended_first == [True, True]


async def test_nothing_is_measured_beside_a_training(
    make_app: MakeApp, fake: FakeTune, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TrainerApp, "training", property(lambda app: True))
    app = make_app("loader", data="somewhere")
    async with app.run_test(notifications=True) as pilot:
        await pilot.press("m")
        await pilot.pause()
        assert not fake.started
        assert any("A run is training" in note.message for note in app._notifications)
        monkeypatch.undo()


async def test_the_first_batch_shows_names_as_text(make_app: MakeApp, fake: FakeTune) -> None:
    app = make_app("loader", data="somewhere")
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("b")
        await until(pilot, lambda: shown(app, "batch"))
        text = shown(app, "batch")
        assert "8x32x32x1 uint8, 0 to 255" in text
        assert "8x1x32x32 float32, -0.94 to 2.14" in text
        assert "[@click=quit]x[/]: 5" in text
        assert "\x1b" not in text


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (DataError("The disk is gone."), "The disk is gone."),
        (MemoryError(), OUT_OF_MEMORY),
        (ZeroDivisionError("why\x1b"), "This is a bug: ZeroDivisionError: why\\x1b"),
    ],
)
async def test_what_ends_the_measuring_is_told(make_app: MakeApp, fake: FakeTune, error: Exception, words: str) -> None:
    fake.error = error
    app = make_app("loader", data="somewhere")
    async with app.run_test() as pilot:
        await pilot.press("m")
        await until(pilot, lambda: shown(app, "doing") == words)
        assert not shown(app, "recommended")


async def test_every_line_can_be_read_at_80x24(make_app: MakeApp, fake: FakeTune) -> None:
    app = make_app("loader", data="somewhere")
    async with app.run_test(size=(80, 24)) as pilot:
        await measure_all(pilot, app, fake)
        await pilot.press("b")
        await until(pilot, lambda: shown(app, "batch"))
        await pilot.pause()
        pane = app.screen.query_one(".summary")
        assert not pane.show_horizontal_scrollbar
        await pilot.press(*["j"] * 4)
        assert pane.scroll_y == pane.max_scroll_y
        await pilot.press(*["k"] * 4)
        assert pane.scroll_y == 0


async def test_without_unicode(make_app: MakeApp, fake: FakeTune) -> None:
    app = make_app("loader", data="somewhere")
    app.glyphs = "ascii"
    async with app.run_test() as pilot:
        await measure_all(pilot, app, fake)
        assert shown(app, "rates").isascii()


async def test_every_key_says_what_it_does() -> None:
    assert all(getattr(binding, "tooltip", "") for binding in LoaderScreen.BINDINGS)
