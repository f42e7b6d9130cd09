"""From a command to the event that confirms it: p50 and p95 over a run of another process, and CPU while paused.

python benchmarks/commands.py [COUNT]
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tui_trainer.commands import Abort, Checkpoint, Command, Evaluate, Pause, Resume, Set
from tui_trainer.run_folder import RunFolder

DIGITS = Path(__file__).resolve().parent.parent / "sample_data" / "digits"
ANSWERS = {
    "pause": "paused",
    "resume": "resumed",
    "set": "setting_changed",
    "checkpoint": "checkpoint_saved",
    "evaluate": "evaluated_now",
}
LOOK = 0.002


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    with tempfile.TemporaryDirectory() as folder:
        run = RunFolder(Path(folder) / "run")
        words = [sys.executable, "-m", "tui_trainer", "--no-tui", str(DIGITS), "--epochs", "100000"]
        process = subprocess.Popen([*words, "--output-dir", str(run.path)], stderr=subprocess.DEVNULL)
        while not run.events.exists() or b"progress" not in run.events.read_bytes():
            time.sleep(0.1)
        kinds: list[Command] = [Pause(), Resume(), Set(name="lr", value=0.01), Checkpoint()]
        seconds = sorted(answer(run, kinds[i % len(kinds)]) for i in range(count))
        print(
            f"{count} commands: p50 {1000 * seconds[count // 2]:.0f} ms, p95 {1000 * seconds[int(count * 0.95)]:.0f} ms"
        )
        print(f"evaluate: {1000 * answer(run, Evaluate()):.0f} ms, validation included")
        answer(run, Pause())
        before = cpu(process.pid)
        time.sleep(3)
        print(f"paused: {(cpu(process.pid) - before) / 3:.1%} of a core")
        run.send(Abort())
        process.wait()


def answer(run: RunFolder, command: Command) -> float:
    """Seconds until the event that confirms it."""
    wanted = f'"kind":"{ANSWERS[command.kind]}"'.encode()
    with run.events.open("rb") as file:
        file.seek(0, os.SEEK_END)
        began, rest = time.perf_counter(), b""
        run.send(command)
        while wanted not in rest:
            time.sleep(LOOK)
            rest += file.read()
    return time.perf_counter() - began


def cpu(pid: int) -> float:
    """Seconds of processor time of a process so far (Linux)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
