"""The terminal before and after the app: what may write to it, and that it is given back.

libjpeg, OpenCV and CUDA write to file descriptor 2, on which Textual draws. While the app runs,
descriptors 1 and 2 point at a log file and Textual draws on duplicates of the terminal.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path


def is_interactive() -> bool:
    """Whether a person sits at both ends."""
    return sys.stdin.isatty() and sys.stdout.isatty() and sys.stderr.isatty() and os.environ.get("TERM") != "dumb"


def speaks_utf8() -> bool:
    """Whether the terminal can show more than ASCII; without, braille is printed as escapes."""
    encoding = (getattr(sys.__stderr__, "encoding", None) or "").lower().replace("-", "")
    return encoding == "utf8"


@contextlib.contextmanager
def shielded(log: Path) -> Iterator[None]:
    """Textual keeps the terminal, everything else that writes to descriptors 1 and 2 goes to `log`."""
    log.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    before = sys.__stdout__, sys.__stderr__, sys.stdout, sys.stderr
    terminal = os.dup(1), os.dup(2)
    out = open(terminal[0], "w", encoding="utf-8", closefd=False)  # noqa: SIM115 - it outlives this line
    err = open(terminal[1], "w", encoding=getattr(sys.__stderr__, "encoding", "utf-8"), closefd=False)  # noqa: SIM115
    target = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        sys.__stdout__, sys.__stderr__ = out, err  # type: ignore[misc]
        os.dup2(target, 1)
        os.dup2(target, 2)
        yield
    finally:
        for stream in (out, err):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
        os.dup2(terminal[0], 1)
        os.dup2(terminal[1], 2)
        sys.__stdout__, sys.__stderr__, sys.stdout, sys.stderr = before  # type: ignore[misc]
        for descriptor in (*terminal, target):
            os.close(descriptor)


def send_noise_to(log: Path) -> None:
    """From now on descriptors 1 and 2 write to the log of a run."""
    target = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    os.dup2(target, 1)
    os.dup2(target, 2)
    os.close(target)
