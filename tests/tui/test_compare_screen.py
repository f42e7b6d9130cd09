"""The list of runs and two or more of them side by side."""

from __future__ import annotations

import pytest
from textual.content import Content
from textual.widgets import DataTable, Input, Static

from tests.test_comparison import make_run
from tests.tui.conftest import until
from tui_trainer.config import resolve
from tui_trainer.events import RunStarted, to_json
from tui_trainer.run_folder import runs_root
from tui_trainer.tui.app import TrainerApp
from tui_trainer.tui.screens.compare import CompareScreen
from tui_trainer.tui.widgets.chart import Chart
from tui_trainer.tui.widgets.table import shortened


async def test_marked_runs_are_compared_and_brackets_jump_to_differences() -> None:
    make_run("one", (0.5, 0.6), lr=0.1)
    make_run("two", (0.7, 0.8), lr=0.2, epochs=5)
    app = TrainerApp(resolve({}))
    async with app.run_test(size=(100, 30)) as pilot:
        await pilot.pause()
        await pilot.press("v")
        assert not isinstance(app.screen, CompareScreen)
        await pilot.press("space", "space", "v")
        await pilot.pause()
        assert isinstance(app.screen, CompareScreen)
        table, chart = app.screen.query_one(DataTable), app.screen.query_one(Chart)
        seen = set()
        for _ in range(2):
            await pilot.press("right_square_bracket")
            seen.add(table.get_row_at(table.cursor_row)[0].plain)
        await pilot.press("left_square_bracket")
        assert table.get_row_at(table.cursor_row)[0].plain in seen
        assert seen == {"lr", "epochs"}

        await pilot.press("comma")
        text = str(app.screen.query_one("#crosshair", Static).content)
        assert "one" in text
        assert "two" in text
        await pilot.press("m", "m")
        await pilot.pause()
        assert "train loss" in chart._look.title
        before = chart.sentence()
        await pilot.press("full_stop", "y")
        assert chart._look.log
        assert chart.sentence()
        assert before
        await pilot.press("escape")
        assert app.screen is app.get_screen("home")


LONG = "resnet18-on-the-photos-of-last-summer"


@pytest.mark.parametrize(("size", "runs"), [((80, 24), 2), ((80, 24), 4), ((200, 50), 2)])
async def test_long_names_are_told_apart_and_use_the_room_there_is(size: tuple[int, int], runs: int) -> None:
    for end in range(runs):
        make_run(f"{LONG}-[b]{end}", data=f"/home/me/{LONG}/and/many/more/{end}")
    app = TrainerApp(resolve({}))
    async with app.run_test(size=size) as pilot:
        await pilot.pause()
        await pilot.press(*["space"] * runs, "v")
        await pilot.pause()
        chart, table = app.screen.query_one(Chart), app.screen.query_one(DataTable)
        headers = [str(column.label) for column in table.columns.values()][1:]
        paths = [str(cell) for row in range(table.row_count) for cell in table.get_row_at(row) if "/" in str(cell)]
        header = "".join(segment.text for segment in chart.render_line(0))
        for end in range(runs):
            assert any(name.startswith("resnet18-") and name.endswith(f"-[b]{end}") for name in headers)
            assert any(path.startswith("/home/me") and path.endswith(f"/{end}") for path in paths)
            assert f"]{end} 75.0 %" in header
        assert len(headers) == runs
        assert table.virtual_size.width <= size[0] - 2 or runs > 2
        assert any("…" in name for name in headers) == (size[0] == 80)
        await pilot.press("comma")
        await pilot.pause()
        told = app.screen.query_one("#crosshair", Static)
        assert told.size.height * told.size.width >= min(2 * size[0], len(str(told.content)))
        await pilot.resize_terminal(runs * 100, 50)
        await until(pilot, lambda: all("…" not in str(column.label) for column in table.columns.values()))


async def test_help_begins_with_the_keys_of_the_screen_and_no_line_is_broken_twice() -> None:
    make_run("one")
    make_run("two")
    app = TrainerApp(resolve({}))
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        for keys, first in (("2", "loader"), ("0", "home"), ("space space v", "compare")):
            await pilot.press(*keys.split(), "question_mark")
            keys_shown = app.screen.query_one("#keys", Static)
            await until(pilot, lambda shown=keys_shown: "everywhere" in str(shown.content))
            text = str(keys_shown.content)
            assert text.strip().startswith(first)
            assert max(map(len, text.splitlines())) <= keys_shown.size.width
            await pilot.press("escape")
    assert text.split("\n")[2].startswith("  ]  ")  # as it is on the keyboard


async def test_the_list_is_filtered_sorted_noted_renamed_and_cleared() -> None:
    make_run("good", (0.9,))
    make_run("bad", (0.1,))
    app = TrainerApp(resolve({}))
    async with app.run_test(size=(100, 30)) as pilot:
        await pilot.pause()
        table = app.screen.query_one(DataTable)

        async def ask(key: str, text: str) -> None:
            await pilot.press(key)
            await pilot.pause()
            app.screen.query_one(Input).value = text
            await pilot.press("enter")
            await pilot.pause()

        def names() -> list[str]:
            return [table.get_row_at(row)[0].plain for row in range(table.row_count)]

        await pilot.press("S")
        assert names() == ["good", "bad"]
        await ask("slash", "bad")
        assert names() == ["bad"]
        await ask("N", "[b]x")
        assert names() == ["bad  [b]x"]
        await ask("R", "worst")
        assert (runs_root() / "worst").exists()
        await ask("slash", "worst")
        await ask("D", "no")
        assert names() == ["worst  [b]x"]
        await ask("D", "yes")
        assert names() == []
        assert not (runs_root() / "worst").exists()
        await ask("slash", "")
        assert names() == ["good"]


async def test_the_best_earlier_run_on_the_same_data_is_behind_the_curves() -> None:
    make_run("before", (0.5, 0.75), data="/photos")
    folder = make_run("this", data="/photos")
    started = RunStarted(model="m", parameters=1, device="cpu", classes=("a",), train_samples=1, val_samples=1,
                         steps_per_epoch=1, epochs=2)  # fmt: skip
    folder.events.write_text(to_json(started) + "\n")
    app = TrainerApp(resolve({}), follow=folder)
    async with app.run_test(size=(100, 30)) as pilot:
        score = app.get_screen("train").query_one("#score", Chart)
        await until(pilot, lambda: "before" in score._series)
        assert score._series["before"].at(2.0, 0) == 0.75


async def test_the_page_of_a_run_is_written_from_the_list() -> None:
    folder = make_run("one")
    app = TrainerApp(resolve({}))
    async with app.run_test(size=(100, 30)) as pilot:
        await pilot.pause()
        await pilot.press("P")
        await until(pilot, lambda: any("Written:" in told.message for told in app._notifications))
    assert "Not tested" in (folder.path / "report.html").read_text()


async def test_on_a_narrow_terminal_columns_are_left_out_and_names_keep_both_ends() -> None:
    make_run("first-resnet18-with-a-very-long-name-2")
    app = TrainerApp(resolve({}))
    async with app.run_test(size=(56, 24)) as pilot:
        await pilot.pause()
        table = app.screen.query_one(DataTable)
        assert [str(column.label) for column in table.columns.values()] == ["run", "state", "best", "when"]
        name = str(table.get_row_at(0)[0])
        assert name.startswith("first-res")
        assert "…" in name
        assert name.endswith("-name-2")
        assert table.virtual_size.width <= 54


@pytest.mark.parametrize("width", range(1, 14))
def test_a_name_is_shortened_to_its_cells(width: int) -> None:
    for name in ("abcdefghijklmn", "漢字漢字漢字漢字", "ab"):
        short = shortened(Content(name), width)
        assert short.cell_length <= width
        assert ("…" in str(short)) == (Content(name).cell_length > width)
