"""A run leaves the screens for a process of its own, on a real terminal that then goes away."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.test_background import eventually
from tests.tui.pty_app import PtyApp
from tests.tui.test_journey import MAIN
from tui_trainer.commands import Stop
from tui_trainer.events import RunEnded
from tui_trainer.past_runs import last_event
from tui_trainer.run_folder import RunFolder
from tui_trainer.run_lock import is_running

FLAGS = ("--epochs", "100000", "-b", "8", "--threads", "1", "--output-dir")


@pytest.fixture
def terminal(tmp_path: Path, digits60: Path) -> Iterator[PtyApp]:
    """The program on a terminal, filled in."""
    home = dict.fromkeys(("HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_CONFIG_HOME"), str(tmp_path))
    app = PtyApp(MAIN, home, args=(str(digits60), *FLAGS, str(tmp_path / "run")))
    yield app
    app.close()
    run = RunFolder(tmp_path / "run")
    if is_running(run):
        run.send(Stop())
        eventually(lambda: not is_running(run))


def owner(run: RunFolder) -> int:
    return int(run.owner.read_text().split()[1])


def test_detached_it_survives_the_terminal_and_goes_on_where_it_was(terminal: PtyApp, tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    terminal.read_until("train", 60)
    terminal.send(b"\x12")
    terminal.read_until("step-", 90)
    assert owner(run) == terminal.process.pid

    terminal.send(b"d")
    eventually(lambda: (terminal._read(0.05), is_running(run) and owner(run) != terminal.process.pid)[1])
    outcomes = [event.outcome for event in run.read_events() if isinstance(event, RunEnded)]
    assert outcomes == ["stopped"]

    os.close(terminal.master)  # the terminal is gone
    terminal.master = os.dup(terminal._slave)
    terminal.process.wait(60)
    before = last_event(run)
    eventually(lambda: last_event(run) != before)
    assert is_running(run)


def test_started_in_the_background_it_is_watched_and_steered_like_any_other(terminal: PtyApp, tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    terminal.read_until("train", 60)
    terminal.send(b"4")
    terminal.read_until("optimizer", 60)
    terminal.send(b"b")
    terminal.read_until("step-", 90)
    assert owner(run) != terminal.process.pid
    terminal.send(b" ")
    terminal.read_until("paused after step", 60)
    terminal.send(b"s")
    terminal.read_until("trains again", 60)
    last = last_event(run)
    assert isinstance(last, RunEnded)
    assert last.outcome == "stopped"
    terminal.send(b"q")
    assert terminal.wait() == 0
    assert terminal.restored()
