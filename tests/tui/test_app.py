"""The app by its keys: every screen by its number, a run steered, leaving asked about."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual import events
from textual.pilot import Pilot
from textual.widgets import Input, OptionList

from tests.tui.conftest import MAKER, ScriptedSession, a_run, settle, until
from tui_trainer.commands import Abort, Checkpoint, Pause, Resume, Set, Stop
from tui_trainer.errors import DataError
from tui_trainer.events import CheckpointSaved, Paused, Resumed, RunEnded
from tui_trainer.tui.app import TrainerApp
from tui_trainer.tui.keys import EVERYWHERE, SCREENS, STEPS
from tui_trainer.tui.screens.dialogs import HelpScreen, LeaveScreen, LiveEditScreen, TextScreen, key_in_words
from tui_trainer.tui.screens.train import TrainScreen
from tui_trainer.tui.widgets.chart import Chart
from tui_trainer.tui.widgets.steps import StepBar


def shown(app: TrainerApp, selector: str) -> str:
    """The text of a widget of the current screen."""
    return str(app.screen.query_one(selector).render())


async def begin(pilot: Pilot[int], app: TrainerApp, *events: object) -> ScriptedSession:
    """Show the training screen over a scripted run that has said these events."""
    session = ScriptedSession()
    app.begin(session)
    session.say(*events)  # type: ignore[arg-type]
    await settle(pilot, app)
    return session


async def test_every_step_is_reached_by_its_number_from_every_other(make_app: MAKER) -> None:
    app = make_app()
    async with app.run_test(size=(80, 24)) as pilot:
        for number, step in enumerate(STEPS, 1):
            await pilot.press(str(number))
            assert app.screen is app.get_screen(step)
        await pilot.press("0")
        assert app.screen is app.get_screen("home")


def test_every_key_of_the_table_has_an_action() -> None:
    for name, keys in {"app": EVERYWHERE, **SCREENS}.items():
        owner = TrainerApp if name == "app" else _screen_class(name)
        for key in keys:
            action = key.action.partition("(")[0]
            does = TrainerApp if action.startswith("app.") else owner
            assert hasattr(does, f"action_{action.removeprefix('app.')}"), f"{name}: {key.key} has no {action}"
            assert key.help


def _screen_class(name: str) -> type:
    from tui_trainer.tui.screens import (
        compare,
        confusion,
        data,
        export,
        home,
        loader,
        look,
        recipe,
        results,
        train,
        try_image,
        weights,
    )

    module = {
        "compare": compare,
        "confusion": confusion,
        "export": export,
        "look": look,
        "results": results,
        "try": try_image,
        "data": data,
        "home": home,
        "loader": loader,
        "recipe": recipe,
        "train": train,
        "weights": weights,
    }[name]
    return getattr(module, f"{name.capitalize()}Screen")  # type: ignore[no-any-return]


async def test_starting_without_data_says_what_is_missing(make_app: MAKER) -> None:
    app = make_app()
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await pilot.press("ctrl+r")
        assert any("dataset folder" in note.message for note in app._notifications)
        assert app.trainer is None


async def test_help_lists_every_key_and_closes(make_app: MAKER) -> None:
    app = make_app()
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("question_mark")
        assert isinstance(app.screen, HelpScreen)
        await until(pilot, lambda: "everywhere" in shown(app, "#keys"))
        text = " ".join(shown(app, "#keys").split())
        assert all(key.help in text for keys in (EVERYWHERE, *SCREENS.values()) for key in keys)
        await pilot.press("escape")
        assert not app.screen.is_modal


async def test_the_theme_is_changed_and_remembered(make_app: MAKER) -> None:
    app = make_app()
    async with app.run_test() as pilot:
        before = app.theme
        await pilot.press("ctrl+t")
        changed = app.theme
        assert changed != before
    again = make_app()
    async with again.run_test():
        assert again.theme == changed


async def test_a_run_is_shown_while_it_goes_on(make_app: MAKER) -> None:
    app = make_app()
    async with app.run_test(size=(100, 30)) as pilot:
        session = await begin(pilot, app, *a_run(until=30))
        assert "training" in shown(app, "#steps")
        assert "epoch 2/4" in shown(app, "RunStatus")
        assert "2,512 images/s" in shown(app, "RunStatus")
        assert "step-20.pt" in shown(app, "#log")
        assert app.screen.query_one("#result").display is False
        session.close()


@pytest.mark.parametrize(
    ("key", "command", "asked"),
    [
        ("space", Pause(), "pausing"),
        ("s", Stop(), "stopping"),
        ("c", Checkpoint(), "saving"),
        ("a", Abort(), "aborting"),
    ],
)
async def test_a_key_sends_its_command_and_says_so_until_confirmed(
    make_app: MAKER, key: str, command: object, asked: str
) -> None:
    app = make_app()
    async with app.run_test(size=(80, 24)) as pilot:
        session = await begin(pilot, app, *a_run(until=5))
        await pilot.press(key)
        await settle(pilot, app)
        assert session.sent == [command]
        assert asked in shown(app, "#steps")
        session.close()


async def test_pausing_is_confirmed_and_the_same_key_goes_on(make_app: MAKER) -> None:
    app = make_app()
    async with app.run_test(size=(80, 24)) as pilot:
        session = await begin(pilot, app, *a_run(until=5))
        await pilot.press("space")
        session.say(Paused(step=5))
        await settle(pilot, app)
        assert "paused" in shown(app, "#steps")
        await pilot.press("space")
        assert session.sent == [Pause(), Resume()]
        session.say(Resumed(step=5))
        await settle(pilot, app)
        assert "training" in shown(app, "#steps")
        session.close()


async def test_lr_is_changed_while_running_and_nonsense_is_refused(make_app: MAKER) -> None:
    app = make_app()
    async with app.run_test(size=(80, 24)) as pilot:
        session = await begin(pilot, app, *a_run(until=5))
        await pilot.press("e", *["backspace"] * 10, *"lr=x", "enter")
        assert isinstance(app.screen, LiveEditScreen)
        assert "lr = x" in shown(app, ".help")
        assert session.sent == []
        await pilot.press(*["backspace"] * 4, *"lr=0.002", "enter")
        await settle(pilot, app)
        assert session.sent == [Set(name="lr", value=0.002)]
        session.close()


async def test_when_the_run_ends_the_screen_stays_with_the_result(make_app: MAKER) -> None:
    app = make_app()
    async with app.run_test(size=(80, 24)) as pilot:
        session = await begin(pilot, app, *a_run(), None)
        assert session.folder is None
        assert "finished" in shown(app, "#steps")
        assert app.screen.query_one("#result").display
        assert "best val top-1 83.00% in epoch 4" in shown(app, "#result")
        assert not app.training


async def test_a_failed_run_says_why(make_app: MAKER) -> None:
    app = make_app()
    async with app.run_test(size=(80, 24)) as pilot:
        await begin(pilot, app, DataError("There are no images in [red]x[/]: take another folder."))
        assert "failed" in shown(app, "#steps")
        assert "There are no images in [red]x[/]: take another folder." in shown(app, "#result")


async def test_foreign_text_is_never_markup(make_app: MAKER) -> None:
    app = make_app()
    async with app.run_test(size=(100, 30)) as pilot:
        await begin(pilot, app, *a_run(), None)
        assert "[@click=app.quit]x[/].png" in shown(app, "#log")


async def test_leaving_asks_while_training_and_keeps_the_charts_in_view(make_app: MAKER) -> None:
    app = make_app()
    async with app.run_test(size=(80, 24)) as pilot:
        session = await begin(pilot, app, *a_run(until=5))
        await pilot.press("q")
        assert isinstance(app.screen, LeaveScreen)
        await pilot.press("escape")
        assert app.screen is app.get_screen("train")
        assert session.sent == []
        await pilot.press("q", "s")
        assert session.sent == [Stop()]
        assert app.is_running
        session.say(RunEnded(outcome="stopped", message="Stopped.", epochs=0, step=5, seconds=1.0), None)
        await settle(pilot, app)
    assert app.return_code == 0


async def test_leaving_by_abort_sends_it(make_app: MAKER) -> None:
    app = make_app()
    async with app.run_test(size=(80, 24)) as pilot:
        session = await begin(pilot, app, *a_run(until=5))
        await pilot.press("q", "a")
        assert session.sent == [Abort()]
        session.close()


async def test_leaving_without_a_run_is_immediate(make_app: MAKER) -> None:
    app = make_app()
    async with app.run_test() as pilot:
        await pilot.press("q")
    assert app.return_code == 0


async def test_a_second_run_is_not_started_over_the_first(make_app: MAKER) -> None:
    app = make_app(data="/nowhere")
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        session = await begin(pilot, app, *a_run(until=5))
        await pilot.press("4", "ctrl+r")
        assert app.trainer is not None
        assert app.trainer.session is session
        assert any("training already" in note.message for note in app._notifications)
        session.close()


async def test_the_footer_offers_what_works_now(make_app: MAKER) -> None:
    app = make_app()
    steering = {"space", "s", "c", "e", "a"}
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("5", "space")
        assert "no run" in shown(app, "#steps")
        assert "Nothing is training. Choose a dataset folder first" in shown(app, "#advice")
        assert steering.isdisjoint(app.screen.active_bindings)
        session = await begin(pilot, app, *a_run(until=5))
        assert steering <= set(app.screen.active_bindings)
        assert "r" not in app.screen.active_bindings
        await pilot.press("T")
        assert [note.message for note in app._notifications] == [
            "That needs the trained model: when the run has ended, or s stops it now."
        ]
        session.say(CheckpointSaved(epoch=0, step=5, file="step-5.pt"))
        session.say(RunEnded(outcome="stopped", message="Stopped.", epochs=0, step=5, seconds=1.0), None)
        await settle(pilot, app)
        assert steering.isdisjoint(app.screen.active_bindings)
        assert "r" in app.screen.active_bindings


async def test_the_charts_move_together(make_app: MAKER) -> None:
    app = make_app()
    async with app.run_test(size=(120, 40)) as pilot:
        await begin(pilot, app, *a_run(), None)
        await pilot.press("left")
        sentence = shown(app, "#advice")
        assert "epoch" in sentence
        assert "train" in sentence
        await pilot.press("left")
        assert shown(app, "#advice") != sentence
        await pilot.press("escape")
        assert "train" not in shown(app, "#advice")
        await pilot.press("m")
        assert [chart.display for chart in app.screen.query(Chart)] == [True, False]
        await pilot.press("m")
        assert [chart.display for chart in app.screen.query(Chart)] == [False, True]
        await pilot.press("m", "plus", "minus", "y", "z", "Z", "end")
        assert [chart.display for chart in app.screen.query(Chart)] == [True, True]


async def test_the_log_opens_and_advice_is_switched_off(make_app: MAKER) -> None:
    app = make_app()
    async with app.run_test(size=(80, 24)) as pilot:
        await begin(pilot, app, *a_run(), None)
        await pilot.press("l")
        assert isinstance(app.screen, TextScreen)
        await pilot.press("escape", "i")
        screen = app.screen
        assert isinstance(screen, TrainScreen)
        assert screen.query_one("#advice").render() is not None
        assert screen._advise is False


async def test_events_are_taken_in_behind_other_screens(make_app: MAKER) -> None:
    app = make_app()
    async with app.run_test(size=(80, 24)) as pilot:
        session = await begin(pilot, app, *a_run(until=5))
        await pilot.press("4")
        session.say(*a_run(until=50)[6:])
        await settle(pilot, app)
        await pilot.press("5")
        await settle(pilot, app)
        assert "epoch 3/4" in shown(app, "RunStatus")
        session.close()


async def test_resizing_in_the_middle_of_a_run(make_app: MAKER) -> None:
    app = make_app()
    async with app.run_test(size=(80, 24)) as pilot:
        session = await begin(pilot, app, *a_run(until=50))
        for size in ((40, 12), (200, 60), (20, 6), (100, 30)):
            await pilot.resize_terminal(*size)
            await settle(pilot, app)
        assert "epoch 3/4" in shown(app, "RunStatus")
        session.close()


async def test_the_step_bar_marks_where_one_is(make_app: MAKER) -> None:
    app = make_app()
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("4")
        spans = app.screen.query_one(StepBar).render()
        assert "Recipe" in str(spans)
        assert app.screen.query_one(OptionList).has_focus


async def test_the_palette_offers_every_key_of_the_screen(make_app: MAKER) -> None:
    app = make_app()
    async with app.run_test() as pilot:
        await pilot.press("5")
        titles = {command.title for command in app.get_system_commands(app.screen)}
        assert {f"{key.label} ({key_in_words(key.key)})" for key in (*SCREENS["train"], *EVERYWHERE)} <= titles
        command = next(c for c in app.get_system_commands(app.screen) if c.title == "Recipe (4)")
        result = command.callback()
        if result is not None:
            await result
        await pilot.pause()
        assert app.screen is app.get_screen("recipe")


async def test_a_configuration_is_opened_from_home(make_app: MAKER, tmp_path: Path) -> None:
    (tmp_path / "run.toml").write_text("[recipe]\nepochs = 7\n", "utf-8")
    app = make_app()
    async with app.run_test(notifications=True) as pilot:
        await pilot.press("o", *"nowhere.toml", "enter")
        assert app.draft.values["epochs"] == 20
        await pilot.press("o")
        app.screen.query_one(Input).value = str(tmp_path / "run.toml")
        await pilot.press("enter")
        assert app.draft.values["epochs"] == 7


async def test_a_terminal_that_is_made_tiny_in_the_middle_of_a_run_is_survived(make_app: MAKER) -> None:
    app, events = make_app(), a_run()
    async with app.run_test(size=(80, 24)) as pilot:
        session = await begin(pilot, app, *events[:20])
        for number, size in enumerate(((80, 12), (40, 12), (80, 8), (20, 5), (10, 3), (80, 24)), 1):
            await pilot.resize_terminal(*size)
            session.say(*events[10 + 10 * number : 20 + 10 * number])
            await settle(pilot, app)
        assert app.crash is None
        session.close()


async def test_ctrl_q_and_ctrl_c_ask_as_q_does(make_app: MAKER) -> None:
    app = make_app()
    async with app.run_test(size=(80, 24)) as pilot:
        session = await begin(pilot, app, *a_run(until=5))
        for key in ("ctrl+q", "ctrl+c"):
            await pilot.press(key)
            assert isinstance(app.screen, LeaveScreen)
            await pilot.press("escape")
        assert session.sent == []
        session.close()


async def test_a_folder_that_is_not_there_is_told_of_before_anything_starts(make_app: MAKER) -> None:
    app = make_app("recipe", data="/nowhere/at/all")
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await pilot.press("ctrl+r")
        assert app.trainer is None
        assert any("There is no /nowhere/at/all" in note.message for note in app._notifications)


async def test_keys_that_come_in_one_chunk_keep_their_order(make_app: MAKER) -> None:
    app = make_app()
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("2", "down", "down", "enter")
        await pilot.pause()
        for key, character in (("backspace", "\x7f"), ("2", "2"), ("enter", "\r")):
            app.post_message(events.Key(key, character))
        await until(pilot, lambda: app.draft.values["num_workers"] == 2)


async def test_a_run_that_failed_before_its_first_checkpoint_offers_what_there_is(make_app: MAKER) -> None:
    message = "The loss is not a finite number. There is no checkpoint yet."
    failed = RunEnded(time=0.0, outcome="failed", message=message, epochs=0, step=9, seconds=0.1, error="training")
    app, session = make_app(), ScriptedSession(Path("/runs/one"))
    async with app.run_test(size=(100, 30)) as pilot:
        app.begin(session)
        session.say(*a_run(until=9), failed, None)
        await settle(pilot, app)
        words = str(app._train_screen._result.render())
        assert message in words
        assert "r resumes" not in words
        assert "T test" not in words
        assert "ctrl+r trains again" in words
        assert not app._train_screen.check_action("resume_run", ())
        assert not app._train_screen.check_action("export", ())
        assert app._train_screen.check_action("new_run", ())
        log = str(app._train_screen._log.render())
        assert "81,194 parameters" in log
        assert message not in log  # it is said above
