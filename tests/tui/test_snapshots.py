"""How each screen looks, in each state, size and theme. `pytest --snapshot-update` after a wanted change."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from tests.tui.conftest import MAKER, ScriptedSession, a_run, settle
from tui_trainer.events import Event, Paused, RunEnded, to_json
from tui_trainer.run_folder import RunFolder, runs_root
from tui_trainer.tui.app import TrainerApp
from tui_trainer.tui.screens import home

SnapCompare = Callable[..., bool]
Act = Callable[[Pilot[int]], Awaitable[None]]
SIZES = [(80, 24), (100, 30), (200, 60)]

pytestmark = pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="pictures are compared on one Python only")


async def still(pilot: Pilot[int]) -> None:
    """Let the timer draw what there is, and the cursors stop blinking."""
    await pilot.pause()
    pilot.app._tick()  # type: ignore[attr-defined]
    for field in pilot.app.screen.query(Input):
        field.cursor_blink = False
    await pilot.pause()


def press(*keys: str) -> Act:
    """Press keys."""

    async def act(pilot: Pilot[int]) -> None:
        await pilot.press(*keys)
        await still(pilot)

    return act


def training(*events: Event | BaseException | None, theme: str = "textual-dark", keys: tuple[str, ...] = ()) -> Act:
    """Show the training screen after these events."""

    async def act(pilot: Pilot[int]) -> None:
        app = pilot.app
        assert isinstance(app, TrainerApp)
        app.theme = theme
        session = ScriptedSession(Path("/home/me/runs/lenet-20260101-120000"))
        app.begin(session)
        session.say(*events)
        await settle(pilot, app)
        await pilot.press(*keys)
        await still(pilot)

    return act


@pytest.fixture
def past(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three runs on this machine."""
    monkeypatch.setattr(home, "ago", lambda moment: "2 h ago")
    for name, outcome, values in (
        ("lenet-first", "finished", (0.5, 0.8, 0.9, 0.95, 0.97)),
        ("resnet18-[@click=app.quit]x[b]", "failed", (0.5, 0.4)),
        ("mobilenet", "", ()),
    ):
        folder = RunFolder(runs_root() / name)
        folder.path.mkdir(parents=True)
        folder.config.write_text('[data]\ndata = "/data/photos"\n[model]\nmodel = "lenet"\n', "utf-8")
        rows = "".join(f"{n},{v}\n" for n, v in enumerate(values, 1))
        folder.metrics.write_text("epoch,val_top1\n" + rows, "ascii")
        end = RunEnded(time=1.0, outcome=outcome, message="m", epochs=5, step=9, seconds=1.0)
        folder.events.write_text(to_json(end) + "\n" if outcome else "", "ascii")


@pytest.mark.parametrize("size", SIZES)
def test_home_at_the_first_start(snap_compare: SnapCompare, make_app: MAKER, size: tuple[int, int]) -> None:
    assert snap_compare(make_app(), terminal_size=size, run_before=press())


@pytest.mark.usefixtures("past")
@pytest.mark.parametrize("size", SIZES)
def test_home_with_runs(snap_compare: SnapCompare, make_app: MAKER, size: tuple[int, int]) -> None:
    assert snap_compare(make_app(), terminal_size=size, run_before=press())


@pytest.mark.parametrize("size", SIZES)
def test_recipe(snap_compare: SnapCompare, make_app: MAKER, size: tuple[int, int]) -> None:
    app = make_app("recipe", data="sample_data/digits", lr_scheduler="cosine", warmup_epochs=2.0, epochs=30)
    assert snap_compare(app, terminal_size=size, run_before=press("down"))


def test_recipe_while_a_value_is_typed_and_refused(snap_compare: SnapCompare, make_app: MAKER) -> None:
    app = make_app("recipe")
    keys = ("down", "enter", *["backspace"] * 4, *"nan", "enter")
    assert snap_compare(app, terminal_size=(80, 24), run_before=press(*keys))


def test_the_command_for_what_is_on_the_screens(snap_compare: SnapCompare, make_app: MAKER) -> None:
    app = make_app("recipe", data="sample_data/digits", output_dir="two words", epochs=3, shuffle=False)
    assert snap_compare(app, terminal_size=(100, 30), run_before=press("v"))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("theme", ["textual-dark", "textual-light"])
def test_training(snap_compare: SnapCompare, make_app: MAKER, size: tuple[int, int], theme: str) -> None:
    act = training(*a_run(until=50), theme=theme)
    assert snap_compare(make_app(), terminal_size=size, run_before=act)


@pytest.mark.parametrize("theme", ["ansi-dark", "colour-blind"])
def test_training_in_other_themes(snap_compare: SnapCompare, make_app: MAKER, theme: str) -> None:
    act = training(*a_run(until=50), theme=theme)
    assert snap_compare(make_app(), terminal_size=(80, 24), run_before=act)


def test_training_in_ascii(snap_compare: SnapCompare, make_app: MAKER) -> None:
    app = make_app()
    app.glyphs = "ascii"
    assert snap_compare(app, terminal_size=(80, 24), run_before=training(*a_run(until=50)))


def test_paused(snap_compare: SnapCompare, make_app: MAKER) -> None:
    act = training(*a_run(until=50), Paused(time=0.0, step=50))
    assert snap_compare(make_app(), terminal_size=(80, 24), run_before=act)


def test_a_crosshair_and_its_sentence(snap_compare: SnapCompare, make_app: MAKER) -> None:
    act = training(*a_run(until=50), keys=("left", "shift+left"))
    assert snap_compare(make_app(), terminal_size=(100, 30), run_before=act)


@pytest.mark.parametrize("size", SIZES)
def test_the_result(snap_compare: SnapCompare, make_app: MAKER, size: tuple[int, int]) -> None:
    assert snap_compare(make_app(), terminal_size=size, run_before=training(*a_run(), None))


def test_a_run_that_failed(snap_compare: SnapCompare, make_app: MAKER) -> None:
    message = "The loss is not a finite number at step 30: training diverged. Try a smaller --lr than 10."
    failed = RunEnded(time=0.0, outcome="failed", message=message, epochs=1, step=30, seconds=3.0, error="training")
    act = training(*a_run(until=30), failed, None)
    assert snap_compare(make_app(), terminal_size=(80, 24), run_before=act)


def test_leaving_while_training(snap_compare: SnapCompare, make_app: MAKER) -> None:
    act = training(*a_run(until=50), keys=("q",))
    assert snap_compare(make_app(), terminal_size=(80, 24), run_before=act)


def test_changing_a_setting_while_training(snap_compare: SnapCompare, make_app: MAKER) -> None:
    act = training(*a_run(until=50), keys=("e", *"lr=7000", "enter"))
    assert snap_compare(make_app(), terminal_size=(80, 24), run_before=act)


@pytest.mark.parametrize("size", SIZES[:2])
def test_help(snap_compare: SnapCompare, make_app: MAKER, size: tuple[int, int]) -> None:
    assert snap_compare(make_app(), terminal_size=size, run_before=press("question_mark"))
