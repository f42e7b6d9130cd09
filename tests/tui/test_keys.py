"""What every key does: the table of keys on one side, a test of its effect on the other. A new key needs one."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterator
from pathlib import Path

import pytest
from textual.widgets import DataTable, OptionList

from tests.conftest import DIGITS, copy_digits
from tests.test_comparison import make_run
from tests.tui.conftest import MAKER, ScriptedSession, a_run, settle, until
from tui_trainer.commands import Evaluate
from tui_trainer.config import Config
from tui_trainer.engine.lr_range import Point
from tui_trainer.errors import UserError
from tui_trainer.events import RunEnded
from tui_trainer.run_folder import RunFolder, runs_root
from tui_trainer.session import FollowedSession
from tui_trainer.tui import app as app_module
from tui_trainer.tui.app import TrainerApp
from tui_trainer.tui.keys import CHART, EVERYWHERE, FORM, LAYERS, SCREENS
from tui_trainer.tui.screens import recipe, weights
from tui_trainer.tui.screens.choose_model import ChooseModel
from tui_trainer.tui.screens.dialogs import HelpScreen, TextScreen
from tui_trainer.tui.widgets.chart import Chart
from tui_trainer.tui.widgets.form import Form
from tui_trainer.tui.widgets.layer_table import LayerTable
from tui_trainer.tui.widgets.status import RunStatus

TABLES = {"everywhere": EVERYWHERE, "forms": FORM, "layers": LAYERS, "chart": CHART, **SCREENS}
HERE, APP, COMPARE = "test_keys", "test_app", "test_compare_screen"
WEIGHTS, LOADER, CHARTS, RESULTS = "test_weights_screen", "test_loader_screen", "test_chart", "test_results_screens"
CODE = "test_code_screen::test_each_setup_screen_shows_its_code"
TESTED = {  # module::test, and the keys of a table whose effect it looks at
    "everywhere": {
        f"{HERE}::test_keys_that_work_everywhere": "1 2 3 4 5 0 h question_mark ctrl+t",
        f"{APP}::test_starting_without_data_says_what_is_missing": "ctrl+r",
        f"{APP}::test_leaving_asks_while_training_and_keeps_the_charts_in_view": "q",
    },
    "forms": {f"{HERE}::test_keys_of_forms": "enter right space left backspace delete"},
    "layers": {
        f"{WEIGHTS}::test_keys_over_layers_and_subtrees_under_a_filter": "space f slash tab a n i",
        f"{HERE}::test_keys_that_move_over_layers": "shift+tab up k down j pageup pagedown home end right left enter",
    },
    "chart": {
        f"{CHARTS}::test_crosshair_moves_over_samples_and_says_them": "left right shift+left shift+right",
        f"{CHARTS}::test_escape_clears_the_crosshair_and_then_is_left_to_others": "escape",
        f"{CHARTS}::test_zoom_keeps_the_crosshair_in_the_middle_and_goes_back": "z Z",
        f"{CHARTS}::test_zoom_freezes_the_view_until_end": "end",
        f"{CHARTS}::test_log_scale_and_smoothing_keys": "y plus minus",
    },
    "home": {
        f"{HERE}::test_keys_over_runs": "n s enter r c",
        f"{APP}::test_a_configuration_is_opened_from_home": "o",
        f"{COMPARE}::test_marked_runs_are_compared_and_brackets_jump_to_differences": "space v",
        f"{COMPARE}::test_the_list_is_filtered_sorted_noted_renamed_and_cleared": "slash S N R D",
        f"{COMPARE}::test_the_page_of_a_run_is_written_from_the_list": "P",
    },
    "compare": {
        f"{COMPARE}::test_marked_runs_are_compared_and_brackets_jump_to_differences": "right_square_bracket "
        "left_square_bracket m comma full_stop y escape",
    },
    "data": {
        CODE: "ctrl+e",
        "test_choose_folder::test_typing_a_path_with_completion": "slash",
        "test_choose_folder::test_the_tree_walks_folders_only": "t",
        "test_data_screen::test_r_draws_others_and_settings_draw_anew": "r",
    },
    "loader": {
        CODE: "ctrl+e",
        f"{LOADER}::test_measuring_shows_bars_as_they_come_and_recommends": "m",
        f"{LOADER}::test_the_first_batch_shows_names_as_text": "b",
        f"{LOADER}::test_u_takes_what_is_recommended": "u",
        f"{LOADER}::test_every_line_can_be_read_at_80x24": "j k",
        f"{LOADER}::test_training_starts_when_the_measuring_has_ended": "ctrl+r",
    },
    "weights": {
        CODE: "ctrl+e",
        f"{WEIGHTS}::test_keys_over_layers_and_subtrees_under_a_filter": "tab slash",
        f"{WEIGHTS}::test_a_file_is_chosen_from_runs_and_files_or_typed": "o",
        f"{HERE}::test_keys_that_move_over_layers": "m shift+tab",
        f"{WEIGHTS}::test_the_tutorial_s_two_cases_as_presets_and_what_to_freeze": "p",
        f"{WEIGHTS}::test_adapters_are_switched_one_by_one": "c",
        f"{WEIGHTS}::test_two_weights_that_fit_are_asked_for_once": "w",
        f"{HERE}::test_weights_are_downloaded_on_demand": "d",
    },
    "recipe": {
        CODE: "ctrl+e",
        f"{HERE}::test_keys_of_the_recipe": "v d l u",
        f"{HERE}::test_a_start_in_the_background": "b",
    },
    "train": {
        f"{APP}::test_a_key_sends_its_command_and_says_so_until_confirmed": "space s c a",
        f"{APP}::test_lr_is_changed_while_running_and_nonsense_is_refused": "e",
        f"{HERE}::test_keys_over_a_run": "v d m y plus minus left right shift+left shift+right z Z end l i escape n r",
        f"{RESULTS}::test_without_a_run_the_keys_say_so": "T C",
        f"{RESULTS}::test_try_an_image": "t",
        f"{RESULTS}::test_export": "x",
    },
    "results": {
        f"{RESULTS}::test_figures_parts_and_order": "c w o p escape",
        f"{RESULTS}::test_back_is_where_the_matrix_was_asked_for": "t x",
    },
    "confusion": {
        f"{RESULTS}::test_figures_parts_and_order": "escape",
        f"{RESULTS}::test_from_the_matrix_to_the_pictures_to_the_list": "enter n N o tab",
    },
    "look": {
        f"{RESULTS}::test_figures_parts_and_order": "escape",
        f"{RESULTS}::test_from_the_matrix_to_the_pictures_to_the_list": "left right up down pagedown pageup x",
    },
    "try": {f"{RESULTS}::test_try_an_image": "escape"},
    "export": {f"{RESULTS}::test_export": "escape"},
}


def each_key() -> Iterator[tuple[str, str]]:
    for table, keys in TABLES.items():
        yield from ((table, one) for key in keys for one in key.key.split(","))


def test_every_key_has_a_test_that_presses_it() -> None:
    tested = {
        (table, key): place
        for table, places in TESTED.items()
        for place, keys in places.items()
        for key in keys.split()
    }
    assert set(each_key()) == set(tested)
    for (table, key), place in tested.items():
        module, _, name = place.partition("::")
        test = getattr(importlib.import_module(f"tests.tui.{module}"), name)
        assert f'"{key}"' in inspect.getsource(test), f"{place} does not press {key} of {table}"


async def test_keys_that_work_everywhere(make_app: MAKER) -> None:
    app = make_app()
    async with app.run_test(size=(80, 24)) as pilot:
        for key, name in (("1", "data"), ("2", "loader"), ("3", "weights"), ("4", "recipe"), ("5", "train")):
            await pilot.press(key)
            assert app.screen is app.get_screen(name)
        for key in ("0", "h"):
            await pilot.press("4", key)
            assert app.screen is app.get_screen("home")
        await pilot.press("question_mark")
        assert isinstance(app.screen, HelpScreen)
        theme = app.theme
        await pilot.press("escape", "ctrl+t")
        assert app.theme != theme


async def test_keys_of_forms(make_app: MAKER) -> None:
    app = make_app("recipe")
    async with app.run_test(size=(80, 24)) as pilot:
        form, values = app.screen.query_one(Form), app.draft.values
        await pilot.press("right", "space")
        assert values["epochs"] == 22
        await pilot.press("left")
        assert values["epochs"] == 21
        await pilot.press("backspace")
        assert values["epochs"] == 20
        await pilot.press("enter", *["backspace"] * 2, *"7", "enter")
        assert values["epochs"] == 7
        await pilot.press("delete")
        assert values["epochs"] == 20

        options, before = form.query_one(OptionList), len(form._rows)
        options.highlighted = form._rows.index("head:schedule")
        await pilot.press("right")
        assert len(form._rows) == before + 5
        await pilot.press("down", "right", "up", "left")  # step_size, behind the heading that then closes over it
        assert len(form._rows) == before
        assert "changed" in form._row("head:schedule").plain or app.draft.values["step_size"] is None
        await pilot.press("enter", "enter")
        assert len(form._rows) == before
        form.go_to("gamma")
        assert form.current == "gamma"


async def test_the_default_of_a_heading_is_that_of_all_under_it(make_app: MAKER) -> None:
    app = make_app("recipe", momentum=0.5, weight_decay=0.1)
    async with app.run_test(size=(80, 24)) as pilot:
        form = app.screen.query_one(Form)
        form.query_one(OptionList).highlighted = form._rows.index("head:optimizer")
        await pilot.pause()
        assert "2 of 6 changed" in form._row("head:optimizer").plain
        await pilot.press("backspace")
        assert not app.draft.changed("momentum")
        assert not app.draft.changed("weight_decay")


async def test_keys_that_move_over_layers(make_app: MAKER) -> None:
    app = make_app("weights", data=str(DIGITS), model="resnet18")
    async with app.run_test(size=(120, 16)) as pilot:
        table = app.screen.query_one(LayerTable)
        await until(pilot, lambda: len(table._seen) > 3)
        await pilot.press("tab")
        assert table.has_focus
        await pilot.press("shift+tab")
        assert not table.has_focus
        await pilot.press("tab", "down", "j")
        assert table.cursor == 2
        await pilot.press("up", "k")
        assert table.cursor == 0
        await pilot.press("pagedown")
        further = table.cursor
        assert further > 2
        await pilot.press("pageup")
        assert table.cursor < further
        await pilot.press("end")
        assert table.cursor == len(table._seen) - 1
        await pilot.press("home")
        assert table.cursor == 0
        while not table._seen[table.cursor].is_group:
            await pilot.press("down")
        count = len(table._seen)
        await pilot.press("left")
        folded = len(table._seen)
        await pilot.press("right")
        opened = len(table._seen)
        assert folded != opened
        assert count in (folded, opened)
        await pilot.press("enter")
        assert len(table._seen) == folded
        await pilot.press("m")
        assert isinstance(app.screen, ChooseModel)


async def test_weights_are_downloaded_on_demand(make_app: MAKER, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = list[str]()

    class NoFetch:
        def __init__(self, config: Config) -> None:
            self.config = config

        def start(self, *told: object) -> None:
            asked.append(self.config.model.pretrained)

        def stop(self) -> None:
            asked.append("stopped")

    monkeypatch.setattr(weights, "Fetch", NoFetch)
    app = make_app("weights", data="somewhere", model="resnet18", pretrained="imagenet")
    async with app.run_test(size=(100, 24)) as pilot:
        await pilot.press("d")
        assert asked == ["imagenet"]
        await pilot.press("d")
        assert asked == ["imagenet", "stopped"]


async def test_keys_over_runs(make_app: MAKER, monkeypatch: pytest.MonkeyPatch) -> None:
    make_run("one", (0.5, 0.6), lr=0.1)
    app = make_app()
    resumed: list[RunFolder] = []
    monkeypatch.setattr(TrainerApp, "resume", lambda self, folder: resumed.append(folder))
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("r")
        assert [folder.path.name for folder in resumed] == ["one"]
        await pilot.press("c")
        assert app.draft.values["lr"] == 0.1
        assert app.screen is app.get_screen("recipe")
        await pilot.press("0", "n")
        assert app.screen is app.get_screen("data")
        await pilot.press("0", "s")
        assert app.screen is app.get_screen("data")
        assert str(app.draft.values["data"]).endswith("digits")
        await pilot.press("0", "enter")
        await until(pilot, lambda: app.trainer is not None)
        assert app.trainer is not None
        assert isinstance(app.trainer.session, FollowedSession)
        assert app.trainer.session.folder.path == runs_root() / "one"
        assert app.screen is app.get_screen("train")
        await pilot.pause()
        status = str(app.screen.query_one(RunStatus).render_line(1).text)
        assert "321 MB" not in status  # that of this program, which does not train it


async def test_keys_of_the_recipe(make_app: MAKER, monkeypatch: pytest.MonkeyPatch) -> None:
    app = make_app("recipe", data="somewhere")
    monkeypatch.setattr(recipe, "_steps", lambda config: iter(["A step takes 3 ms."]))
    curve = [Point(10.0 ** (n / 5 - 6), 2.0 - n / 20 if n < 25 else n - 24.0) for n in range(30)]
    monkeypatch.setattr(recipe, "_rates", lambda config: iter(curve))
    async with app.run_test(size=(80, 24)) as pilot:
        screen = app.screen
        await pilot.press("v")
        assert isinstance(app.screen, TextScreen)
        assert "--data somewhere" in app.screen._text
        await pilot.press("escape", "d")
        await until(pilot, lambda: "A step takes 3 ms." in str(screen.query_one("#estimate").render()))
        await pilot.press("l")
        await until(pilot, lambda: "is a tenth of the rate" in str(screen.query_one("#estimate").render()))
        chart = screen.query_one("#lr-test", Chart)
        assert chart.display
        assert "1e-5" in chart.render_line(chart.size.height - 1).text
        await pilot.press("l")
        assert not chart.display
        await pilot.press("u")
        assert app.draft.values["lr"] == 0.01
        await pilot.press("l")
        await until(pilot, lambda: screen._ranging is None)  # type: ignore[attr-defined]
        await pilot.press("u")
        assert app.draft.values["lr"] == pytest.approx(10.0**-1.2 / 10, rel=0.1)
        assert not chart.display


async def test_a_start_in_the_background(make_app: MAKER, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = make_app("recipe", data=str(copy_digits(tmp_path / "data", classes=2, each=2)))
    started: list[str] = []

    def start_new(words: list[str], **named: object) -> None:
        started.extend(words)
        raise UserError("This machine starts nothing.")

    monkeypatch.setattr(app_module, "start_new", start_new)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await pilot.press("b")
        await pilot.pause()
        assert "--data" in started
        assert any("This machine starts nothing." in note.message for note in app._notifications)


async def test_keys_over_a_run(make_app: MAKER, monkeypatch: pytest.MonkeyPatch) -> None:
    app = make_app()
    resumed: list[RunFolder] = []
    monkeypatch.setattr(TrainerApp, "resume", lambda self, folder: resumed.append(folder))
    async with app.run_test(size=(160, 30), notifications=True) as pilot:
        session = ScriptedSession(runs_root() / "run")
        app.begin(session)
        session.say(*a_run(until=75))
        await settle(pilot, app)
        screen = app._train_screen
        loss, score = screen.query(Chart)
        await pilot.press("v")
        assert session.sent == [Evaluate()]

        def header() -> str:
            return loss.render_line(0).text

        await pilot.press("y")
        assert "log" in header()
        await pilot.press("y", "plus")
        assert "smooth 0.9" in header()
        await pilot.press("minus", "minus")
        assert "smooth" not in header()
        await pilot.press("left", "left")
        two = score._look.crosshair
        await pilot.press("right")
        one = score._look.crosshair
        await pilot.press("shift+left")
        far = score._look.crosshair
        assert None not in (one, two, far)
        assert far < two < one  # type: ignore[operator]
        await pilot.press("shift+right")
        assert score._look.crosshair > two  # type: ignore[operator]
        await pilot.press("z", "z")
        assert loss._look.window is not None
        narrow = loss._look.window
        await pilot.press("Z")
        assert loss._look.window[1] - loss._look.window[0] > narrow[1] - narrow[0]
        await pilot.press("end")
        assert loss._look.window is None
        await pilot.press("escape")
        assert score._look.crosshair is None
        await pilot.press("m")
        assert (loss.display, score.display) == (True, False)
        await pilot.press("m", "m", "l")
        assert isinstance(app.screen, TextScreen)
        assert "step-20.pt" in app.screen._text
        await pilot.press("escape", "i")
        assert "Advice is off." in [note.message for note in app._notifications]
        session.owned = False  # it trains in another process
        await pilot.press("d")
        assert app.screen is app.get_screen("home")
        await pilot.press("5")
        session.owned = True
        session.say(RunEnded(outcome="stopped", message="Stopped.", epochs=0, step=75, seconds=1.0), None)
        await settle(pilot, app)
        await pilot.press("r")
        assert resumed == [session.folder]
        await pilot.press("n")
        assert app.screen is app.get_screen("data")


async def test_names_of_runs_are_written_in_full_once_there_is_room(make_app: MAKER) -> None:
    name = "a-run-with-a-name-of-forty-letters-or-so"
    make_run(name, (0.5, 0.6), lr=0.1)
    app = make_app()
    async with app.run_test(size=(80, 24)) as pilot:
        table = app.screen.query_one(DataTable)
        await until(pilot, lambda: table.row_count == 1)
        assert table.ordered_columns[0].width < len(name)
        await pilot.resize_terminal(120, 40)
        await until(pilot, lambda: table.ordered_columns[0].width == len(name))


async def test_a_range_test_in_which_no_rate_helps_says_so(make_app: MAKER, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recipe, "_rates", lambda config: iter([Point(10.0 ** (n / 5 - 6), 2.0) for n in range(30)]))
    app = make_app("recipe", data="somewhere")
    async with app.run_test(size=(80, 24)) as pilot:
        screen = app.screen
        await pilot.press("l")
        await until(pilot, lambda: "No rate made the loss fall" in str(screen.query_one("#estimate").render()))
        await pilot.press("u")
        assert app.draft.values["lr"] == 0.01
