"""A newcomer's whole way, on a real terminal of 80x24: choose, set, start, steer, stop, and the same run again."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import Told
from tests.tui.pty_app import PtyApp
from tui_trainer.run_folder import RunFolder

MAIN = "import sys; from tui_trainer.cli import main; sys.exit(main(sys.argv[1:]))"
MOST_KEYS = 25


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[PtyApp]:
    """The program on a terminal, with a home of its own."""
    app = PtyApp(MAIN, dict.fromkeys(("HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_CONFIG_HOME"), str(tmp_path)))
    yield app
    app.close()


def test_from_nothing_to_a_trained_network_in_few_keys(
    terminal: PtyApp, tmp_path: Path, run_cli: Callable[..., Told]
) -> None:
    pressed = 0

    def press(*keys: bytes, until: str) -> None:
        nonlocal pressed
        pressed += len(keys)
        for key in keys:
            terminal.send(key)
            terminal.idle(0.1)
        terminal.read_until(until, 90)

    down, enter, backspace = b"\x1b[B", b"\r", b"\x7f"
    terminal.read_until("Sample")
    press(b"s", until="1,438 train")
    press(b"2", until="batch_size")
    press(down, down, enter, backspace, b"2", enter, until="2 workers")
    press(b"3", until="81,194")
    press(b"4", until="epochs")
    press(b"\x12", until="step-45.pt")
    press(b" ", until="paused after step")
    press(b" ", until="paused after step.*going on")
    press(b"c", until="going on.*checkpoint step-")
    press(b"s", until="trains again")
    press(b"q", until="")
    assert terminal.wait() == 0
    assert terminal.restored()
    assert pressed <= MOST_KEYS

    (run,) = (RunFolder(path) for path in (tmp_path / "tui-trainer" / "runs").iterdir())
    told = run_cli("-c", str(run.config), "--no-tui", "--output-dir", str(tmp_path / "again"))
    assert told.code == 0
    first, again = rows(run), rows(RunFolder(tmp_path / "again"))
    assert first
    assert again[: len(first)] == first
    assert {path.name for path in run.path.iterdir()} == {path.name for path in (tmp_path / "again").iterdir()}


def rows(run: RunFolder) -> list[dict[str, str]]:
    """The epochs of a run, without the time they took."""
    with run.metrics.open(encoding="ascii", newline="") as file:
        return [{name: value for name, value in row.items() if name != "seconds"} for row in csv.DictReader(file)]
