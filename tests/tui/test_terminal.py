"""The terminal is given back whatever happens, and nobody else writes to it. Real process, real pseudo terminal."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.test_background import eventually
from tests.tui.pty_app import PtyApp

Start = Callable[..., PtyApp]
MAIN = "import sys; from tui_trainer.cli import main; sys.exit(main(sys.argv[1:]))"
OWN_CODE = Path(__file__).parent.parent / "data" / "own_code.py"
NO_WARM_UP = "import tui_trainer.tui.launch as launch; launch.warm_up = lambda: None; "


@pytest.fixture
def on_pty(tmp_path: Path) -> Iterator[Start]:
    """Start the program with a home of its own; all are ended afterwards."""
    apps: list[PtyApp] = []

    def begin(code: str = NO_WARM_UP + MAIN, *args: str) -> PtyApp:
        home = {"HOME": str(tmp_path), "XDG_DATA_HOME": str(tmp_path / "data"), "XDG_STATE_HOME": str(tmp_path)}
        apps.append(PtyApp(code, {**home, "XDG_CONFIG_HOME": str(tmp_path)}, args=args))
        return apps[-1]

    yield begin
    for app in apps:
        app.close()


def test_quitting_restores_the_terminal(on_pty: Start) -> None:
    app = on_pty()
    app.read_until("Quit")
    app.send(b"q")
    assert app.wait() == 0
    assert app.restored()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 130)])
def test_signals_restore_the_terminal(on_pty: Start, number: int, code: int) -> None:
    app = on_pty()
    app.read_until("Quit")
    app.kill(number)
    assert app.wait() == code
    assert app.restored()


def test_an_exception_in_a_widget_restores_the_terminal_and_is_an_error(on_pty: Start) -> None:
    broken = "from tui_trainer.tui.widgets.form import Form; Form.refresh_rows = lambda self: 1 / 0; "
    app = on_pty(NO_WARM_UP + broken + MAIN)
    app.read_until("Quit")
    app.send(b"4")
    assert app.wait() == 1
    assert app.restored()


def test_native_output_does_not_reach_the_screen(on_pty: Start, tmp_path: Path) -> None:
    noise = "import os\nlaunch.warm_up = lambda: [os.write(n, b'NOISE-OF-A-LIBRARY') for n in (1, 2)]\n"
    app = on_pty(NO_WARM_UP + noise + MAIN)
    app.read_until("Quit")
    app.send(b"1")
    app.read_until("image_size")
    (log,) = tmp_path.rglob("screens.log")
    eventually(lambda: (app._read(0.05), log.read_bytes().count(b"NOISE-OF-A-LIBRARY") == 2)[1])
    app.send(b"q")
    assert app.wait() == 0
    assert b"NOISE" not in app.output


def test_an_exception_in_the_loop_is_shown_and_the_screens_go_on(on_pty: Start, digits60: Path) -> None:
    broken = (
        "import tui_trainer.engine.loop as loop\n"
        "def fail(*args): raise RuntimeError('the loop broke')\n"
        "loop.train_progress = fail\n"
    )
    app = on_pty(broken + MAIN, str(digits60))
    app.read_until("Quit")
    app.send(b"\x12")
    app.read_until("the loop broke", 60)
    app.send(b"q")
    assert app.wait() == 0
    assert app.restored()


def test_a_signal_while_training_saves_and_restores(on_pty: Start, tmp_path: Path, digits60: Path) -> None:
    app = on_pty(MAIN, str(digits60), "--epochs", "10000")
    app.read_until("Quit")
    app.send(b"\x12")
    app.read_until("checkpoint", 60)
    app.kill(signal.SIGTERM)
    assert app.wait() == 143
    assert app.restored()
    (events,) = tmp_path.rglob("events.jsonl")
    assert '"outcome":"stopped"' in events.read_text("ascii").splitlines()[-1]


@pytest.mark.parametrize(("end", "code"), [(signal.SIGTERM, 143), (signal.SIGKILL, -9)])
def test_after_a_killed_worker_no_process_outlives_the_screens(
    on_pty: Start, tmp_path: Path, end: int, code: int
) -> None:
    """The worker is killed while the run is paused; the processes of own data come from a forkserver in the app."""
    look_often = "import tui_trainer.data.respawn as respawn; respawn.LOOK = 0.3; "
    words = (f"{OWN_CODE}:Numbers", "--trust-code", "--epochs", "10000", "-j", "2", "--persistent-workers")
    app = on_pty(look_often + MAIN, *words)
    app.read_until("Quit")
    app.send(b"\x12")
    app.read_until("checkpoint", 60)
    app.send(b" ")
    app.read_until("paused after", 60)
    workers = [pid for pid in leaves(app.process.pid) if b"forkserver" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    assert workers
    for worker in workers:
        os.kill(worker, signal.SIGKILL)
    app.send(b" ")
    (events,) = tmp_path.rglob("events.jsonl")
    eventually(lambda: (app._read(0.05), b"orker ended" in events.read_bytes())[1])
    app.kill(end)
    assert app.wait() == code
    assert app.restored() == (end != signal.SIGKILL)
    eventually(lambda: not session_of(app.process.pid))


def session_of(leader: int) -> list[Path]:
    """The processes that live in the session of the terminal, zombies aside."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, _, session = stat.read_text("latin-1").rpartition(")")[2].split()[:4]
        except FileNotFoundError:  # it has ended meanwhile
            continue
        if int(session) == leader and state != "Z":
            found.append(stat)
    return found


def leaves(pid: int) -> list[int]:
    """The processes under this one that have none under them."""
    tasks = [task / "children" for task in Path(f"/proc/{pid}/task").iterdir()]
    below = [int(child) for task in tasks for child in task.read_text().split()]
    return [leaf for child in below for leaf in leaves(child) or [child]]
