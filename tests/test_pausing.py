"""A run of another process, while it waits."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tui_trainer.commands import Abort, Pause
from tui_trainer.run_folder import RunFolder


def test_a_paused_run_holds_no_processor(digits60: Path, tmp_path: Path, start: Callable[..., Any]) -> None:
    run = RunFolder(tmp_path / "run")
    process = start("--no-tui", digits60, "--epochs", 100000, "--output-dir", run.path)
    process.until(lambda: run.events.exists() and b'"progress"' in run.events.read_bytes())
    run.send(Pause())
    process.until(lambda: b'"paused"' in run.events.read_bytes())
    used, passed = _used(process.popen.pid), time.monotonic()
    time.sleep(1)
    used, passed = _used(process.popen.pid) - used, time.monotonic() - passed
    run.send(Abort())
    assert process.end().code == 0
    assert used < 0.2 * passed


def _used(pid: int) -> float:
    """Seconds of processor time, of all its threads (proc(5): utime and stime)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
