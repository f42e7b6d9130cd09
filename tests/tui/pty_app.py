"""The real program on a real pseudo terminal: what only that shows (signals, restored modes, stray output)."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Sequence

LEFT_ALTERNATE_SCREEN, SHOWN_CURSOR = b"\x1b[?1049l", b"\x1b[?25h"


class PtyApp:
    """A process on a terminal of its own; `output` is all that it has written so far."""

    def __init__(
        self, code: str, env: dict[str, str], size: tuple[int, int] = (80, 24), args: Sequence[str] = ()
    ) -> None:
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", size[1], size[0], 0, 0))
        self._slave = slave
        self.modes_before = termios.tcgetattr(slave)
        self.output = b""
        self.process = subprocess.Popen(
            [sys.executable, "-c", code, *args],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env={**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor", **env},
            preexec_fn=self._own_terminal,  # noqa: PLW1509 - the parent has no threads that matter here
        )

    @staticmethod
    def _own_terminal() -> None:
        os.setsid()
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        signal.signal(signal.SIGINT, signal.default_int_handler)

    def read_until(self, text: str, seconds: float = 30.0) -> None:
        """Read until the screen has shown `text`."""
        wanted, begin, start = text.encode(), time.monotonic(), len(self.output)
        while wanted not in self.output[max(0, start - 4096) :]:
            assert time.monotonic() - begin < seconds, f"{text!r} did not appear in {self.output[-3000:]!r}"
            self._read(0.1)

    def idle(self, seconds: float) -> None:
        """Let time pass, and read meanwhile: a terminal that is not read stalls the program."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self._read(left)

    def send(self, keys: bytes) -> None:
        """Type."""
        os.write(self.master, keys)

    def kill(self, number: int) -> None:
        """Send a signal."""
        self.process.send_signal(number)

    def wait(self, seconds: float = 60.0) -> int:
        """Its exit code; what it still writes is read."""
        begin = time.monotonic()
        while self.process.poll() is None:
            assert time.monotonic() - begin < seconds, f"it did not end: {self.output[-2000:]!r}"
            self._read(0.05)
        while self._read(0.05):
            pass
        return self.process.returncode

    def restored(self) -> bool:
        """Whether the terminal is as it was: modes, cursor, main screen."""
        last = self.output.rfind(LEFT_ALTERNATE_SCREEN) > self.output.rfind(b"\x1b[?1049h")
        cursor = self.output.rfind(SHOWN_CURSOR) > self.output.rfind(b"\x1b[?25l")
        return termios.tcgetattr(self._slave) == self.modes_before and last and cursor

    def close(self) -> None:
        """End what is left."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.master)
        os.close(self._slave)

    def _read(self, seconds: float) -> bytes:
        if not select.select([self.master], [], [], seconds)[0]:
            return b""
        with contextlib.suppress(OSError):
            data = os.read(self.master, 65536)
            self.output += data
            return data
        return b""
