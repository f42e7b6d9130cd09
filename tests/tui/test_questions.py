"""What is asked when a run could not begin."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual.widgets import Static

from tui_trainer.errors import DataError, TooManyBadError
from tui_trainer.text import display
from tui_trainer.tui.questions import BadFilesScreen

from .conftest import MAKER, ScriptedSession, until


@pytest.mark.parametrize(
    ("keys", "started", "then"),
    [("y", 1, "train"), ("escape", 0, "train"), ("d", 0, "data"), ("down enter", 0, "data")],
)
async def test_too_many_bad_files_are_a_question(
    make_app: MAKER, digits60: Path, monkeypatch: pytest.MonkeyPatch, keys: str, started: int, then: str
) -> None:
    app = make_app(data=str(digits60))
    starts: list[float] = []
    fact = "9 of 10 images cannot be read, such as \x1b[31m[b]x[/b].png."
    async with app.run_test(size=(80, 24)) as pilot:
        session = ScriptedSession()
        session.say(TooManyBadError(fact, allowed=0.9, advice="Type `tui-trainer data`."))
        app.begin(session)  # type: ignore[arg-type]
        await until(pilot, lambda: isinstance(app.screen, BadFilesScreen))
        said = "\n".join(str(part.render()) for part in app.screen.query(Static))
        assert display(fact) in said
        assert "tui-trainer" not in said  # what to do here are keys
        monkeypatch.setattr(type(app), "action_start", lambda self: starts.append(float(self.draft.values["max_bad"])))
        await pilot.press(*keys.split())
        await until(pilot, lambda: not isinstance(app.screen, BadFilesScreen))
        app._tick()
        await pilot.pause()
        assert starts == [0.9] * started
        assert app.screen is app.get_screen(then)


async def test_other_refusals_are_no_question(make_app: MAKER, digits60: Path) -> None:
    app = make_app(data=str(digits60))
    async with app.run_test(size=(80, 24)) as pilot:
        session = ScriptedSession()
        session.say(DataError("There is nothing."))
        app.begin(session)  # type: ignore[arg-type]
        await until(pilot, lambda: app.trainer is not None and not app.trainer.running)
        app._tick()
        await pilot.pause()
        assert not isinstance(app.screen, BadFilesScreen)
