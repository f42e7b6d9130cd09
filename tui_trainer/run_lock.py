"""Who trains in a run folder: one process at a time.

The lock is the kernel's and goes with the process, however it ends; the process number that stands
beside it is for people only. (Numbers come again, and in containers all begin at 1.) On a disk that several machines
share, many a lock is known to its own machine only: of others the age of the owner's file must do, which the owner
touches from a thread: that goes on while the run is paused, and in the midst of a long save.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from pathlib import Path

import filelock

from tui_trainer.errors import ConfigError
from tui_trainer.run_folder import RunFolder
from tui_trainer.text import display

ON = " on "
BEAT = 30.0  # seconds between two touches of the owner's file
SILENT = 150.0  # without one, after which a run of another machine counts as gone: clocks differ, networks keep times
PATIENCE = 0.5  # seconds: whoever only looks whether a run is running holds the lock for an instant


class RunLock:
    """Held by the process that trains in a folder."""

    def __init__(self, folder: RunFolder) -> None:
        self._folder, self._lock = folder, filelock.FileLock(folder.lock, timeout=PATIENCE)
        self._released = threading.Event()

    def acquire(self) -> RunLock:
        """Hold it.

        Raises:
            ConfigError: another process holds it, here or on another machine, or the folder cannot be written.
        """
        try:
            self._lock.acquire()
            self._require_nobody_elsewhere()
            self._folder.owner.write_text(f"Process {os.getpid()}{ON}{socket.gethostname()}", "utf-8")
        except filelock.Timeout:
            raise ConfigError(
                f"{self._owner()} is training in {display(self._folder.path)}: wait for it, or stop it."
            ) from None
        except OSError as error:
            self.release()
            raise ConfigError(
                f"Cannot write the run folder {display(self._folder.path)}: {error.strerror}; it must be writable."
            ) from None
        self._released.clear()
        threading.Thread(target=_beat, args=(self._folder.owner, self._released), name="owner", daemon=True).start()
        return self

    def _require_nobody_elsewhere(self) -> None:
        if _is_elsewhere(self._folder):
            self._lock.release()
            raise ConfigError(
                f"{self._owner()} is training in {display(self._folder.path)}: wait for it, or stop it "
                f"(if it was killed, {SILENT / 60:g} minutes after that it counts as gone)."
            )

    def _owner(self) -> str:
        with contextlib.suppress(OSError):
            return display(self._folder.owner.read_text("utf-8", "replace"), 100)
        return "Another process"

    def release(self) -> None:
        """Let others train here."""
        self._released.set()
        if self._lock.is_locked:
            with contextlib.suppress(OSError):
                self._folder.owner.unlink(missing_ok=True)
        self._lock.release()


def _beat(owner: Path, released: threading.Event) -> None:
    """Show that the owner is there until it has `released` the folder."""
    while not released.wait(BEAT):
        with contextlib.suppress(OSError):  # the next one may come through
            os.utime(owner)


def is_running(folder: RunFolder) -> bool:
    """Whether a process trains here now."""
    try:
        with folder.lock.open("rb") as file:
            return _is_held(file.fileno()) or _is_elsewhere(folder)
    except OSError:  # there is no lock: nobody ever held it
        return False


def _is_elsewhere(folder: RunFolder) -> bool:
    """Whether another machine trains here, of whose lock this one may know nothing."""
    try:
        host = folder.owner.read_text("utf-8", "replace").partition(ON)[2]
        return host != socket.gethostname() and time.time() - folder.owner.stat().st_mtime < SILENT
    except OSError:
        return False


def _is_held(descriptor: int) -> bool:
    import fcntl

    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False
