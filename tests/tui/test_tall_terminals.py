"""What is shown beside the settings and the runs where the terminal is high enough, and keys that come together."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from textual import events
from textual.widgets import Static

from tests.tui.conftest import MAKER, until
from tui_trainer.background import Background
from tui_trainer.config import read_toml
from tui_trainer.events import RunStarted, to_json
from tui_trainer.run_folder import make_folder
from tui_trainer.session import FollowedSession
from tui_trainer.tui.screens.choose_folder import ChooseFolder
from tui_trainer.tui.screens.dialogs import AskScreen
from tui_trainer.tui.widgets.form import Form
from tui_trainer.tui.widgets.typed import TypedInput

TALL, LOW = (200, 50), (80, 24)
STARTED = RunStarted(
    time=0.0, model="lenet", parameters=1, device="cpu", classes=("a",),
    train_samples=1, val_samples=1, steps_per_epoch=1, epochs=1,
)  # fmt: skip


def text_of(widget: Static) -> str:
    return str(widget.render())


async def test_groups_stand_open_where_there_is_room_until_somebody_folds(make_app: MAKER) -> None:
    app = make_app("recipe")
    async with app.run_test(size=TALL) as pilot:
        form = app.screen.query_one(Form)
        await until(pilot, lambda: "momentum" in form._rows)
        assert "seed" not in form._rows  # no room for this one
        form.go_to("momentum")
        await pilot.resize_terminal(*LOW)
        await until(pilot, lambda: "nproc" not in form._rows)
        assert form.current == "momentum"
        form.go_to("seed")
        await pilot.resize_terminal(*TALL)
        await pilot.pause()
        assert "nproc" not in form._rows


async def test_the_recipe_shows_command_and_file_of_what_was_changed(make_app: MAKER, tmp_path: Path) -> None:
    app = make_app("recipe", data="photos", lr_scheduler="cosine", warmup_epochs=2.0, name="a[b]c")
    async with app.run_test(size=TALL) as pilot:
        await pilot.pause()
        same = app.screen.query_one("#same", Static)
        assert same.display
        assert app.draft.command() in text_of(same)
        assert app.draft.changes() in text_of(same)
        path = tmp_path / "some.toml"
        path.write_text(app.draft.changes())
        assert read_toml(path) == {
            "data": "photos", "lr_scheduler": "cosine", "warmup_epochs": 2.0, "name": "a[b]c",
        }  # fmt: skip
        await pilot.resize_terminal(*LOW)
        await until(pilot, lambda: not same.display)


async def test_the_schedule_is_said_by_its_peak(make_app: MAKER) -> None:
    app = make_app("recipe", data="photos", lr_scheduler="cosine", warmup_epochs=2.0)
    async with app.run_test(size=LOW) as pilot:
        await pilot.pause()
        chart = app.screen.query_one("#schedule")
        await until(pilot, lambda: "learning rate: peak 0.01, end 0" in chart.render_line(0).text)  # type: ignore[attr-defined]


@pytest.mark.parametrize(("first", "dialog"), [("data", ChooseFolder), ("home", AskScreen)])
async def test_what_is_typed_right_behind_a_slash_reaches_the_dialog(
    make_app: MAKER, first: str, dialog: type[ChooseFolder | AskScreen]
) -> None:
    app = make_app(first, data="photos")
    async with app.run_test(size=LOW) as pilot:
        await pilot.pause()
        for character in "/q2/x":
            key = "slash" if character == "/" else character
            app.post_message(events.Key(key, character))  # all at once, as a terminal hands them over
        await until(pilot, lambda: isinstance(app.screen, dialog) and app.screen.focused)
        assert app.screen.query_one(TypedInput).value == "q2/x"
        assert app.return_code is None


async def test_a_slash_in_a_value_is_a_slash(make_app: MAKER) -> None:
    app = make_app("data")
    async with app.run_test(size=LOW) as pilot:
        await pilot.press("enter", *"a/b", "enter")
        await pilot.pause()
        assert app.draft.values["data"] == "a/b"


def test_what_several_processes_are_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, code = make_folder(tmp_path / "run"), list[int]()
    process = SimpleNamespace(poll=lambda: code[0] if code else None)
    session = FollowedSession(folder, Background(folder, process, 0, 2))  # type: ignore[arg-type]
    assert session.waiting_for == "starting 2 processes"
    folder.events.write_text(to_json(STARTED) + "\n")
    assert session.waiting_for == "restarting after a lost process"  # nobody holds the run
    monkeypatch.setattr("tui_trainer.session.is_running", lambda folder: True)
    assert session.waiting_for == ""
    monkeypatch.undo()
    code.append(0)
    assert session.waiting_for == ""
    assert FollowedSession(folder).waiting_for == ""
