"""Runs in the background: does one outlive its terminal, and how fast is it seen again.

python -m benchmarks.attach hangup [TIMES]     the terminal goes, tmux is killed: does the run go on
python -m benchmarks.attach open [EVENTS]      seconds and memory until a record of so many events is shown
python -m benchmarks.attach follow [SECONDS]   from an event to the screen's state, with a run that goes on
"""

from __future__ import annotations

import os
import pty
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from benchmarks.ranks import DIGITS, steps, wait_for
from tui_trainer.commands import Stop
from tui_trainer.events import Event, Progress, to_json
from tui_trainer.run_folder import RunFolder
from tui_trainer.run_lock import is_running
from tui_trainer.session import FollowedSession

FLAGS = ("--epochs", "1000000", "-b", "64", "--threads", "1", "--background")
TICK = 0.1  # seconds between two looks of the screen at its inbox


def hangup(times: int) -> None:
    ways = ["terminal", *["tmux"] * bool(shutil.which("tmux"))]
    for way in ways:
        survived = 0
        for _ in range(times):
            with tempfile.TemporaryDirectory() as root:
                folder = Path(root) / "run"
                words = [sys.executable, "-m", "tui_trainer", str(DIGITS), *FLAGS, "--output-dir", str(folder)]
                (in_tmux if way == "tmux" else in_terminal)(words, folder)
                before = steps(folder)[-1][0]
                wait_for(lambda: steps(folder)[-1][0] > before + 20)  # noqa: B023
                survived += is_running(RunFolder(folder))
                RunFolder(folder).send(Stop())
                wait_for(lambda: not is_running(RunFolder(folder)))  # noqa: B023
        print(f"{way} gone: {survived} of {times} runs went on", flush=True)
    print("load", os.getloadavg())


def in_terminal(words: list[str], folder: Path) -> None:
    """Start it on a terminal of its own, which is hung up when it trains."""
    pid, master = pty.fork()
    if pid == 0:
        os.execv("/bin/sh", ["sh", "-c", '"$@"; exec cat', "sh", *words])
    wait_for(lambda: len(steps(folder)) > 5)
    os.close(master)
    os.waitpid(pid, 0)


def in_tmux(words: list[str], folder: Path) -> None:
    """The same in a tmux server, which is killed."""
    server = ["tmux", "-L", f"attach-{os.getpid()}"]
    subprocess.run([*server, "new-session", "-d", *words], check=True)
    wait_for(lambda: len(steps(folder)) > 5)
    subprocess.run([*server, "kill-server"], check=False, stderr=subprocess.DEVNULL)


def open_record(events: int) -> None:
    with tempfile.TemporaryDirectory() as root:
        numbers = {"epoch": 0, "batches": events, "samples": 1, "lr": 0.1, "seconds": 1.0}
        more: dict[str, Any] = {**numbers, "images_per_second": 1.0, "eta_seconds": 1.0, "part": "train"}
        with (Path(root) / "events.jsonl").open("w") as file:
            for step in range(events):
                event = Progress(step=step, batch=step, metrics={"batch_loss": 1.0, "train_loss": 1.0}, **more)
                file.write(to_json(event) + "\n")
        code = (
            "import sys, time; from pathlib import Path; from tui_trainer.run_folder import RunFolder;"
            "from tui_trainer.session import FollowedSession; from tui_trainer.run_state import RunState;"
            "began = time.perf_counter(); state = RunState(); seen = [];"
            "[(state.add(e), seen.append(e.step)) for e in FollowedSession(RunFolder(Path(sys.argv[1]))).events()];"
            "took = time.perf_counter() - began; assert seen == list(range(len(seen)));"
            "peak = next(line for line in open('/proc/self/status') if line.startswith('VmHWM')).split()[1];"
            "print(f'{len(seen)} events, no gap, {1000 * took:.0f} ms, {int(peak) / 1024:.0f} MB at most, torch:',"
            "'torch' in sys.modules)"
        )
        began = time.perf_counter()
        subprocess.run([sys.executable, "-c", code, root], check=True)
        print(f"with the start of Python {time.perf_counter() - began:.2f} s; load", os.getloadavg())


def follow(seconds: float) -> None:
    with tempfile.TemporaryDirectory() as root:
        folder = Path(root) / "run"
        words = [str(DIGITS), *FLAGS, "--output-dir", str(folder), "--json"]
        subprocess.run([sys.executable, "-m", "tui_trainer", *words], check=True, stdout=subprocess.DEVNULL)
        session, took, inbox = FollowedSession(RunFolder(folder)), list[float](), list[Event]()

        def gather() -> None:
            for event in session.events():
                inbox.append(event)

        threading.Thread(target=gather, daemon=True).start()
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            time.sleep(TICK)
            now, fresh = time.time(), inbox[:]
            del inbox[: len(fresh)]
            took += [now - event.time for event in fresh if now - event.time < 1]
        RunFolder(folder).send(Stop())
        wait_for(lambda: not is_running(RunFolder(folder)))
        took.sort()
        p50, p95 = took[len(took) // 2], took[int(0.95 * len(took))]
        print(f"event to state: p50 {1000 * p50:.0f} ms, p95 {1000 * p95:.0f} ms, {len(took)} events")
        print("load", os.getloadavg())


def main() -> None:
    what, *more = sys.argv[1:] or [""]
    match what:
        case "hangup":
            hangup(int(more[0]) if more else 10)
        case "open":
            open_record(int(more[0]) if more else 10_000)
        case "follow":
            follow(float(more[0]) if more else 20)
        case _:
            print(__doc__)


if __name__ == "__main__":
    main()
