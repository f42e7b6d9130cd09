"""The real program on a real pseudo terminal: what only that shows (signals, restored modes, stray output)."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Sequence

import pyte

LEFT_ALTERNATE_SCREEN, SHOWN_CURSOR = b"\x1b[?1049l", b"\x1b[?25h"
_FOREIGN = re.compile(rb"\x1b\[[<=>][0-9;]*[a-zA-Z]")  # keyboard protocols, which the model of the terminal prints


class PtyApp:
    """A process on a terminal of its own; `output` is all that it has written so far, `screen` what is seen of it."""

    def __init__(
        self, code: str, env: dict[str, str], size: tuple[int, int] = (80, 24), args: Sequence[str] = ()
    ) -> None:
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", size[1], size[0], 0, 0))
        self._slave = slave
        self.modes_before = termios.tcgetattr(slave)
        self.output = b""
        self._sent_at = 0  # how much had been written when the last keys were sent
        self._drawn = 0  # how much of the output the model of the terminal has taken in
        self._model = pyte.Screen(*size)
        self._stream = pyte.ByteStream(self._model)
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

    @property
    def screen(self) -> str:
        """What a person sees now, a line for each row."""
        new, self._drawn = self.output[self._drawn :], len(self.output)
        self._stream.feed(_FOREIGN.sub(b"", new))
        return "\n".join(self._model.display)

    def read_until(self, pattern: str, seconds: float = 30.0) -> None:
        """Read until the screen shows what the regular expression describes; `.` goes over the ends of rows too."""
        wanted, begin = re.compile(pattern, re.DOTALL), time.monotonic()
        while not wanted.search(self.screen):
            assert time.monotonic() - begin < seconds, f"{pattern!r} did not appear on\n{self.screen}"
            self._read(0.1)

    def read_bytes_until(self, text: bytes, seconds: float = 30.0) -> None:
        """Read until `text` is written in answer to the last keys; cheaper than a look at the screen."""
        begin = time.monotonic()
        while text not in self.output[self._sent_at :]:
            assert time.monotonic() - begin < seconds, f"{text!r} was not written in {self.output[-3000:]!r}"
            self._read(0.1)

    def idle(self, seconds: float) -> None:
        """Let time pass, and read meanwhile: a terminal that is not read stalls the program."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self._read(left)

    def send(self, keys: bytes) -> None:
        """Type."""
        self._sent_at = len(self.output)
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
