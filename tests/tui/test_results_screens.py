"""After the run: every key of the screens that test, look, try and export, over a run that was trained."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from textual.pilot import Pilot
from textual.widgets import DataTable, Input, OptionList, Static

from tests.conftest import DIGITS, ROOT, copy_digits
from tests.tui.conftest import MAKER, until
from tui_trainer.results.outcomes import Regressed, classified
from tui_trainer.results.tested import run_test
from tui_trainer.results.trained import load_trained
from tui_trainer.run_folder import RunFolder
from tui_trainer.tui.app import TrainerApp
from tui_trainer.tui.screens.confusion import ConfusionScreen
from tui_trainer.tui.screens.dialogs import TextScreen
from tui_trainer.tui.screens.export import ExportScreen
from tui_trainer.tui.screens.look import LookScreen
from tui_trainer.tui.screens.results import ResultsScreen
from tui_trainer.tui.screens.try_image import TryScreen, bars
from tui_trainer.tui.widgets.confusion_matrix import ConfusionMatrix
from tui_trainer.tui.widgets.residuals import Residuals
from tui_trainer.tui.widgets.typed import complete


@pytest.fixture(scope="module")
def trained_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One epoch on sixty digits: many are mixed up."""
    from tui_trainer.config import build
    from tui_trainer.session import LocalSession

    data = copy_digits(tmp_path_factory.mktemp("data") / "digits", classes=3, each=20)
    folder = tmp_path_factory.mktemp("runs") / "run"
    settings = {"data": str(data), "epochs": 1, "threads": 1, "device": "cpu", "output_dir": str(folder)}
    list(LocalSession(build(settings)).events())
    return folder


async def ended(pilot: Pilot[int], run: Path) -> TrainerApp:
    """The training screen over a run that has ended."""
    app = pilot.app
    assert isinstance(app, TrainerApp)
    app.replay(RunFolder(run))
    await until(pilot, lambda: app._train_screen._said)
    return app


async def figures_of(pilot: Pilot[int], run: Path) -> ResultsScreen:
    """Its figures."""
    app = await ended(pilot, run)
    await pilot.press("T")
    screen = app.screen
    assert isinstance(screen, ResultsScreen)
    await until(pilot, lambda: screen._shown is not None)
    await pilot.pause()
    return screen


def words(screen: object, selector: str) -> str:
    """What a line says."""
    return str(screen.query_one(selector, Static).render())  # type: ignore[attr-defined]


async def test_figures_parts_and_order(make_app: MAKER, trained_run: Path) -> None:
    async with make_app().run_test(size=(80, 24), notifications=True) as pilot:
        screen = await figures_of(pilot, trained_run)
        assert "12 samples (val)" in words(screen, "#title")
        assert "top-1" in words(screen, "#summary")
        table = screen.query_one(DataTable)
        worst = [str(table.get_row_at(i)[0]) for i in range(3)]
        await pilot.press("o")
        assert [str(table.get_row_at(i)[0]) for i in range(3)] == ["0", "1", "2"]
        assert sorted(worst) == ["0", "1", "2"]
        await pilot.press("p")
        await until(pilot, lambda: screen._error)
        await until(pilot, lambda: "no test part" in words(screen, "#title"))
        await pilot.press("p")
        await until(pilot, lambda: screen._shown is not None and screen._shown.part == "train")
        await pilot.press("w")
        assert isinstance(pilot.app.screen, LookScreen)
        await pilot.press("escape", "c")
        assert isinstance(pilot.app.screen, ConfusionScreen)
        await pilot.press("escape", "escape")
        assert pilot.app.screen is pilot.app.get_screen("train")


async def test_rows_are_looked_at_in_words_and_own_code_runs_where_it_is_trusted(
    make_app: MAKER, tmp_path: Path
) -> None:
    from tui_trainer.config import build
    from tui_trainer.session import LocalSession

    (tmp_path / "mine.py").write_text("items = lambda: [([float(i), float(i % 3)], i % 2) for i in range(40)]\n")
    sources = {"rows": str(ROOT / "sample_data" / "wine.csv"), "own": f"{tmp_path / 'mine.py'}:items"}
    for name, data in sources.items():
        settings = {"epochs": 1, "threads": 1, "output_dir": str(tmp_path / name), "trust_code": True}
        list(LocalSession(build({**settings, "data": data, "device": "cpu"})).events())
    async with make_app(trust_code=True).run_test(size=(80, 24)) as pilot:
        await figures_of(pilot, tmp_path / "rows")
        await pilot.press("w")
        assert isinstance(pilot.app.screen, TextScreen)
        assert pilot.app.screen._text.startswith("row ")
        await pilot.press("escape", "escape")
        screen = await figures_of(pilot, tmp_path / "own")
        assert not screen._error


async def test_from_the_matrix_to_the_pictures_to_the_list(make_app: MAKER, trained_run: Path) -> None:
    async with make_app().run_test(size=(80, 24), notifications=True) as pilot:
        app = await ended(pilot, trained_run)
        await pilot.press("C")
        await until(pilot, lambda: isinstance(app.screen, ConfusionScreen))
        screen = app.screen
        assert isinstance(screen, ConfusionScreen)
        await pilot.pause()
        matrix, pairs = screen.query_one(ConfusionMatrix), screen._pairs
        assert matrix.cursor == pairs[0][:2]  # the worst pair first
        await pilot.press("n")
        assert matrix.cursor == pairs[1 % len(pairs)][:2]
        await pilot.press("N")
        assert matrix.cursor == pairs[0][:2]
        await pilot.press("o")
        assert matrix.cursor == pairs[0][:2]
        assert "were taken for" in words(screen, "#cell")
        await pilot.press("home", "end", "left", "up", "right", "down", "pageup", "pagedown", "o")
        matrix.go_to(*pairs[0][:2])
        await pilot.press("tab")
        assert screen.query_one(OptionList).has_focus
        await pilot.press("shift+tab", "enter")
        look = app.screen
        assert isinstance(look, LookScreen)
        assert len(look._samples) == pairs[0][2]
        await until(pilot, lambda: len(look._pixels) == min(len(look._samples), len(look._page)))
        confidence = screen._outcomes.confidence[look._samples]
        assert list(confidence) == sorted(confidence, reverse=True)
        await pilot.press("x", "right", "left", "down", "up", "pagedown", "pageup")
        listed = trained_run / "mislabelled.csv"
        rows = list(csv.DictReader(listed.read_text().splitlines()))
        assert [row["path"] for row in rows] == [screen._tested.name(look._samples[0])]
        assert rows[0]["true"] != rows[0]["predicted"]
        await pilot.press("x")
        assert list(csv.DictReader(listed.read_text().splitlines())) == []
        await pilot.press("2")  # a step is reached from anywhere, and is on the stack once
        assert app.screen is app.get_screen("loader")
        assert len(app.screen_stack) == 2


async def test_back_is_where_the_matrix_was_asked_for(make_app: MAKER, trained_run: Path) -> None:
    async with make_app().run_test(size=(80, 24), notifications=True) as pilot:
        app = await ended(pilot, trained_run)
        await pilot.press("C")
        await until(pilot, lambda: isinstance(app.screen, ConfusionScreen))
        await pilot.press("escape", "t")
        assert isinstance(app.screen, TryScreen)
        assert app.screen_stack[-2] is app.get_screen("train")
        await pilot.press("escape")
        screen = await figures_of(pilot, trained_run)
        for key, opened in (("t", TryScreen), ("x", ExportScreen), ("c", ConfusionScreen)):
            await pilot.press(key)
            assert isinstance(app.screen, opened)
            await pilot.press("escape")
            assert app.screen is screen


@pytest.mark.parametrize("size", [(80, 24), (100, 30), (200, 50)])
async def test_figures_stand_under_their_names_and_nothing_is_cut(
    make_app: MAKER, trained_run: Path, size: tuple[int, int]
) -> None:
    async with make_app().run_test(size=size) as pilot:
        screen = await figures_of(pilot, trained_run)
        lines = words(screen, "#summary").splitlines()
        figures = screen.query_one("#figures")
        ends = {len(line) for line in lines if " - " in line}
        assert ends == {len(lines[0])}
        assert lines[0].endswith("95 % interval")
        assert len({line.rindex(" - ") for line in lines if " - " in line}) == 1
        assert len(lines[0]) <= screen.query_one("#summary").size.width
        assert not figures.show_horizontal_scrollbar
        assert not figures.show_vertical_scrollbar
        table = screen.query_one(DataTable)
        assert [str(column.label).strip() for column in table.columns.values()] == [
            "class", "precision", "recall", "F1", "samples",
        ]  # fmt: skip
        assert not table.show_horizontal_scrollbar
        assert table.size.height > table.row_count
        for column, cell in list(zip(table.columns.values(), table.get_row_at(0), strict=True))[1:]:
            assert len(str(column.label)) == len(str(cell))


async def test_try_an_image(make_app: MAKER, trained_run: Path) -> None:
    async with make_app().run_test(size=(80, 24), notifications=True) as pilot:
        app = await ended(pilot, trained_run)
        await pilot.press("t")
        screen = app.screen
        assert isinstance(screen, TryScreen)
        screen.query_one(Input).value = str(DIGITS / "1" / "1_000.png")
        await pilot.press("enter")
        await until(pilot, lambda: "%" in words(screen, "#answers"))
        screen.query_one(Input).value = str(trained_run / "nothing.png")
        await pilot.press("enter")
        await until(pilot, lambda: "nothing.png: No such file" in words(screen, "#answers"))
        await pilot.press("escape")
        assert app.screen is app.get_screen("train")


async def test_export(make_app: MAKER, trained_run: Path) -> None:
    async with make_app().run_test(size=(80, 24), notifications=True) as pilot:
        app = await ended(pilot, trained_run)
        await pilot.press("x")
        screen = app.screen
        assert isinstance(screen, ExportScreen)
        await pilot.press("enter")
        await until(pilot, lambda: "same answer on 12" in words(screen, "#told"))
        assert (trained_run / "export" / "safetensors" / "model.toml").exists()
        await pilot.press("escape", "n")
        assert app.screen is app.get_screen("data")


async def test_without_a_run_the_keys_say_so(make_app: MAKER) -> None:
    async with make_app(first="train").run_test(size=(80, 24), notifications=True) as pilot:
        await pilot.press("T", "t", "x", "C")
        assert pilot.app.screen is pilot.app.get_screen("train")


async def test_a_matrix_of_a_thousand_classes_draws_what_is_seen(make_app: MAKER, trained_run: Path) -> None:
    generator = np.random.default_rng(0)
    true = generator.integers(0, 1000, 5000)
    outputs = generator.normal(size=(5000, 1000)).astype(np.float32)
    outputs[np.arange(5000), true] += 4
    names = [f"[@click=app.quit]class {i}[/]" for i in range(1000)]
    outcomes = classified(outputs, true, names)
    async with make_app().run_test(size=(80, 24)) as pilot:
        app = pilot.app
        base = run_test(load_trained(str(trained_run)))
        await app.push_screen(ConfusionScreen(base, outcomes))
        await pilot.pause()
        matrix = app.screen.query_one(ConfusionMatrix)
        drawn = 0
        real = matrix._segment

        def counted(*asked: object) -> object:
            nonlocal drawn
            drawn += 1
            return real(*asked)  # type: ignore[arg-type]

        matrix._segment = counted  # type: ignore[assignment, method-assign]
        await pilot.press("end")
        await pilot.pause()
        assert matrix.cursor == (999, 999)
        assert 0 < drawn < 80 * 24 * 4
        await pilot.press("n", "o")
        assert matrix.cursor == outcomes.confused()[0][:2]


async def test_residuals_are_drawn(make_app: MAKER) -> None:
    true = np.linspace(0, 10, 200)
    outcomes = Regressed(names=("age",), true=true[:, None], predicted=(true + np.sin(true))[:, None])
    async with make_app().run_test(size=(80, 24)) as pilot:
        plot = Residuals()
        await pilot.app.screen.mount(plot)
        plot.styles.height = 20
        plot.show(outcomes.true[:, 0], outcomes.residuals[:, 0], outcomes.names[0])
        await pilot.pause()
        text = "\n".join("".join(s.text for s in plot.render_line(y)) for y in range(plot.size.height))
        assert "predicted - true over age" in text
        assert any(0x2801 <= ord(c) <= 0x28FF for c in text)


def test_completion_of_files(tmp_path: Path) -> None:
    (tmp_path / "cats").mkdir()
    (tmp_path / "car.png").touch()
    assert complete(f"{tmp_path}/ca", files=True) == f"{tmp_path}/car.png"
    assert complete(f"{tmp_path}/cat", files=True) == f"{tmp_path}/cats/"
    assert complete(f"{tmp_path}/x", files=True) is None
    assert complete("/no/such/folder/x", files=True) is None


def test_bars_show_hostile_names_as_text() -> None:
    shown = bars((("[red]\x1b[31m", 0.75), ("b", 0.25)), is_share=True, full="#")
    assert "\x1b" not in shown.plain
    assert "75.00%" in shown.plain
    assert shown.plain.count("#") == 24
