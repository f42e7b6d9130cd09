"""Step 1: the report grows while the screen answers, the samples are those of the model, a folder is chosen by keys."""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.color import ColorSystem
from textual.pilot import Pilot
from textual.widgets import OptionList, Static

from tests.tui.conftest import MAKER, until
from tui_trainer.data import examine as examine_module
from tui_trainer.data import sources
from tui_trainer.data.index import TRAIN, Index
from tui_trainer.data.report import Report
from tui_trainer.tui import preferences
from tui_trainer.tui.app import TrainerApp
from tui_trainer.tui.screens import data as data_screen
from tui_trainer.tui.screens.data import DataScreen
from tui_trainer.tui.widgets.form import Form
from tui_trainer.tui.widgets.report_view import ReportBody, ReportView
from tui_trainer.tui.widgets.thumbnails import MOST, Thumbnails

HOSTILE = (
    "[@click=app.quit]x[]",
    "a[]b",
    "\x1b]0;evil\x07",
    "\u202ereversed",
    "two\nlines",
    "日本語",
    "-rf",
)


def screen_of(app: TrainerApp) -> DataScreen:
    screen = app.get_screen("data")
    assert isinstance(screen, DataScreen)
    return screen


async def settle(pilot: Pilot[int]) -> None:
    """Wait until all is known and drawn."""
    assert isinstance(pilot.app, TrainerApp)
    screen = screen_of(pilot.app)

    def done() -> bool:
        look, draw = screen._look, screen._draw
        return look is None or (not look.working and bool(look.error or (draw is not None and not draw.working)))

    await until(pilot, done)
    screen._tick()
    await pilot.pause()


def report_lines(app: TrainerApp) -> list[str]:
    body = screen_of(app).query_one(ReportBody)
    return [body.render_line(y).text.rstrip() for y in range(body.size.height)]


def report_text(app: TrainerApp) -> str:
    return " ".join(" ".join(report_lines(app)).split())


def caption(app: TrainerApp) -> str:
    return str(screen_of(app).query_one("#caption", Static).render())


def labels(app: TrainerApp) -> list[str]:
    return [tile.label for tile in screen_of(app).query_one(Thumbnails)._tiles]


def pixels(app: TrainerApp) -> np.ndarray:
    return np.stack([tile.pixels for tile in screen_of(app).query_one(Thumbnails)._tiles])


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Looking at a folder stands still after its first report until this is set."""
    go = threading.Event()
    real = examine_module.examine

    def slow(index: Index) -> Iterator[Report]:
        reports = real(index, pace=0)
        yield next(reports)
        while not go.wait(0.05):
            yield next(reports)
        yield from reports

    monkeypatch.setattr(examine_module, "examine", slow)
    yield go
    go.set()


async def test_the_report_and_the_samples(make_app: MAKER, digits60: Path) -> None:
    app = make_app("data", data=str(digits60))
    async with app.run_test(size=(100, 30)) as pilot:
        await settle(pilot)
        text = report_text(app)
        assert "images 60: 48 train, 12 val" in text
        assert "classes 3, each with 16 in train" in text
        assert "looked at all files, all decoded" in text
        bars = report_lines(app)[-3:]
        assert [(bar.split()[0], bar.split()[-1]) for bar in bars] == [("0", "20"), ("1", "20"), ("2", "20")]
        assert bars[0].count("━") == pytest.approx(4 * bars[0].count("─"), abs=3)
        assert caption(app) == "draw 1: lenet sees 32x32 grey, squash"
        assert pixels(app).shape == (MOST, 32, 32, 1)
        assert set(labels(app)[:3]) == {"0", "1", "2"}  # each class before one comes again
        assert isinstance(app.focused, OptionList)  # keys stay free


@pytest.mark.parametrize(("augment", "told"), [("light", "24x24 RGB, pad, augment light"), ("none", "24x24 RGB, pad")])
async def test_samples_are_what_training_reads(make_app: MAKER, colour24: Path, augment: str, told: str) -> None:
    from tui_trainer.data.datasets import ImageDataset, Spec

    app = make_app("data", data=str(colour24), image_size=24, resize="pad", augment=augment, seed=5)
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await pilot.press("r")
        await settle(pilot)
        look = screen_of(app)._look
        assert look is not None
        assert look.index is not None
        dataset = ImageDataset(look.index, Spec(image_size=24, channels=3, resize="pad"), augment, 5)
        train = look.index.part(TRAIN).tolist()
        epoch_1 = {dataset[1, i].image.numpy().tobytes() for i in train}  # type: ignore[union-attr]
        assert {picture.tobytes() for picture in pixels(app)} <= epoch_1
        assert caption(app) == f"draw 2: lenet sees {told}"


async def test_r_draws_others_and_settings_draw_anew(make_app: MAKER, digits60: Path) -> None:
    app = make_app("data", data=str(digits60))
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        first = pixels(app)
        await pilot.press("r")
        await settle(pilot)
        assert caption(app).startswith("draw 2:")
        assert not np.array_equal(pixels(app), first)
        look = screen_of(app)._look
        app.draft.set("image_size", 20)
        app.draft.set("channels", 3)
        screen_of(app).query_one(Form)._accept()
        await until(pilot, lambda: pixels(app).shape == (MOST, 20, 20, 3))  # drawn one after another
        assert screen_of(app)._look is look  # the folder is not looked at again


async def test_the_screen_answers_while_it_looks(make_app: MAKER, digits60: Path, held: threading.Event) -> None:
    app = make_app("data", data=str(digits60))
    async with app.run_test(size=(100, 30)) as pilot:
        await until(pilot, lambda: "of 60 headers ..." in report_text(app))
        await pilot.press("down", "down")
        assert screen_of(app).query_one(Form).current == data_screen.GROUPS[0].names[2]
        held.set()
        await settle(pilot)
        assert "..." not in report_text(app)


async def test_another_folder_cancels_the_look_at_the_first(
    make_app: MAKER, digits60: Path, colour24: Path, held: threading.Event
) -> None:
    app = make_app("data", data=str(digits60))
    async with app.run_test(size=(100, 30)) as pilot:
        await until(pilot, lambda: screen_of(app)._look and screen_of(app)._look.report)  # type: ignore[union-attr]
        first = screen_of(app)._look
        assert first is not None
        app.draft.set("data", str(colour24))
        screen_of(app).query_one(Form)._accept()
        await until(pilot, lambda: not first.working)
        assert first.report is not None
        assert first.report.stage
        held.set()
        await settle(pilot)
        assert "images 24:" in report_text(app)
        assert set(labels(app)) == {"blue", "red"}


async def test_another_step_cancels_and_coming_back_goes_on(
    make_app: MAKER, digits60: Path, held: threading.Event
) -> None:
    app = make_app("data", data=str(digits60))
    async with app.run_test(size=(100, 30)) as pilot:
        await until(pilot, lambda: screen_of(app)._look and screen_of(app)._look.report)  # type: ignore[union-attr]
        look = screen_of(app)._look
        assert look is not None
        await pilot.press("question_mark")
        await pilot.pause()
        assert look.working  # a dialog does not end it
        await pilot.press("escape", "2")
        await until(pilot, lambda: not look.working)
        held.set()
        await pilot.press("1")
        await settle(pilot)
        assert screen_of(app)._look is not look
        assert "all files, all decoded" in report_text(app)
        look = screen_of(app)._look
        await pilot.press("2", "1")
        await settle(pilot)
        assert screen_of(app)._look is look  # what was looked at to the end is kept


@pytest.mark.parametrize("name", ["nowhere", "file", "empty", "~nosuch/x"])
async def test_a_wrong_folder_is_a_sentence(
    make_app: MAKER, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    (tmp_path / "empty").mkdir()
    app = make_app("data", data=name)
    async with app.run_test(size=(200, 60)) as pilot:
        await settle(pilot)
        assert name in report_text(app)
        assert {style for line in screen_of(app).query_one(ReportBody)._lines for _, style in line[1:]} == {"error"}
        assert not screen_of(app).query_one("#samples").display
        assert preferences.recent_folders() == []


async def test_no_folder_yet(make_app: MAKER) -> None:
    app = make_app("data")
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        assert "No dataset folder yet: / types one" in report_text(app)
        await pilot.press("r")
        assert screen_of(app)._draw is None


async def test_a_bug_while_looking_does_not_end_the_app(
    make_app: MAKER, digits60: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any, **__: Any) -> Index:
        raise RuntimeError("[/]\x1b[31m")

    monkeypatch.setattr(sources, "open_source", broken)
    app = make_app("data", data=str(digits60))
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        assert "This is a bug: RuntimeError: [/]\\x1b[31m" in report_text(app)


async def test_a_setting_that_does_not_go_with_another_is_told(make_app: MAKER, digits60: Path) -> None:
    app = make_app("data", data=str(digits60))
    async with app.run_test(size=(80, 24)) as pilot:
        app.draft.set_text("mean", "0.5")
        screen_of(app).query_one(Form)._accept()
        await settle(pilot)
        assert "mean has 1 numbers and std 0" in report_text(app)


async def test_hostile_names_reach_no_terminal(make_app: MAKER, digits60: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    for name in HOSTILE:
        shutil.copytree(digits60 / "0", data / name)
        (data / name / f"{name}.jpg").write_text("no image")
    app = make_app("data", data=str(data))
    async with app.run_test(size=(200, 60)) as pilot:
        await settle(pilot)
        thumbnails = screen_of(app).query_one(Thumbnails)
        lines = report_lines(app) + [thumbnails.render_line(y).text for y in range(thumbnails.size.height)]
        assert [line for line in lines if not line.isprintable()] == []
        assert any("[@click=app.quit]x[]/[@click=app.quit]x[].jpg: " in line for line in lines)
        assert sum("\\x1b]0;evil" in line for line in lines) >= 2


async def test_a_thousand_classes_scroll_by_keys(make_app: MAKER, tmp_path: Path) -> None:
    from tests.conftest import DIGITS

    some = sorted((DIGITS / "0").glob("*.png"))[:2]
    for i in range(1000):
        folder = tmp_path / f"class{i:04}"
        folder.mkdir()
        for image in some:
            shutil.copy(image, folder)
    app = make_app("data", data=str(tmp_path))
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await pilot.press("tab", "end")
        await pilot.pause()
        view = screen_of(app).query_one(ReportView)
        assert app.focused is view
        assert view.scroll_y == view.max_scroll_y > 990
        body = screen_of(app).query_one(ReportBody)
        assert body.render_line(body.size.height - 1).text.startswith("class0999")
        await pilot.press("r", "4")
        assert app.screen is app.get_screen("recipe")  # letters and digits work from there too


async def test_without_unicode_the_report_is_ascii(make_app: MAKER, digits60: Path) -> None:
    app = make_app("data", data=str(digits60))
    app.glyphs = "ascii"
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        assert all(line.isascii() for line in report_lines(app))


def test_the_screens_import_neither_torch_nor_numpy() -> None:
    code = "import sys, tui_trainer.tui.app; assert not {'torch', 'numpy', 'cv2', 'PIL'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


@pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="pictures are compared on one Python only")
@pytest.mark.parametrize("size", [(80, 24), (100, 30), (200, 60)])
def test_how_it_looks(
    snap_compare: Callable[..., bool],
    make_app: MAKER,
    digits60: Path,
    monkeypatch: pytest.MonkeyPatch,
    size: tuple[int, int],
) -> None:
    monkeypatch.chdir(digits60.parent)
    app = make_app("data", data="digits60")

    async def act(pilot: Pilot[int]) -> None:
        app.console._color_system = ColorSystem.TRUECOLOR  # whatever TERM is where this is tested
        await settle(pilot)

    assert snap_compare(app, terminal_size=size, run_before=act)
