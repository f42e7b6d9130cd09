"""The files of one run: what they are called, how a folder is made, how commands and events are read.

config.toml     events.jsonl   commands.jsonl   metrics.csv   split.csv   output.log
checkpoints/    step-N.pt + step-N.json, best.safetensors, final.safetensors
"""

from __future__ import annotations

import contextlib
import os
import queue
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

from tui_trainer import commands, events
from tui_trainer.commands import Command
from tui_trainer.errors import ConfigError
from tui_trainer.events import Event
from tui_trainer.text import display, user_path

MAX_NAME_BYTES = 255  # of one folder name, on every common file system
LOOK = 0.02  # seconds between two looks at a file of commands: each costs a small network a hundredth of its step


@dataclass(frozen=True)
class RunFolder:
    """Where each thing of a run lies."""

    path: Path

    @property
    def config(self) -> Path:
        """The whole resolved configuration."""
        return self.path / "config.toml"

    @property
    def events(self) -> Path:
        """One event a line, append only."""
        return self.path / "events.jsonl"

    @property
    def commands(self) -> Path:
        """One command a line, append only."""
        return self.path / "commands.jsonl"

    @property
    def metrics(self) -> Path:
        """One row an epoch."""
        return self.path / "metrics.csv"

    @property
    def tensorboard(self) -> Path:
        """TensorBoard's event files, where it was asked for."""
        return self.path / "tensorboard"

    @property
    def weights(self) -> Path:
        """Which layers were loaded from which file, if any were."""
        return self.path / "weights.json"

    @property
    def split(self) -> Path:
        """path, target, part of every sample."""
        return self.path / "split.csv"

    @property
    def bad_files(self) -> Path:
        """path, reason of every file that was left out; none if there was none."""
        return self.path / "bad_files.csv"

    @property
    def log(self) -> Path:
        """Tracebacks, log records, what native code writes to file descriptor 2."""
        return self.path / "output.log"

    @property
    def note(self) -> Path:
        """What a person wrote down about the run."""
        return self.path / "note.txt"

    @property
    def lock(self) -> Path:
        """Held by the process that trains."""
        return self.path / ".lock"

    @property
    def owner(self) -> Path:
        """Which process that is, in words."""
        return self.path / ".owner"

    @property
    def checkpoints(self) -> Path:
        """step-N.pt with their manifests, best.safetensors, final.safetensors."""
        return self.path / "checkpoints"

    def holds_a_run(self) -> bool:
        """Whether a run was started here."""
        return self.events.exists() or self.config.exists()

    def send(self, command: Command) -> None:
        """Append one command for the process that runs here."""
        with self.commands.open("a", encoding="ascii") as file:
            file.write(commands.to_json(command) + "\n")

    def read_events(self) -> Iterator[Event]:
        """The events so far; a last line that is still being written is left out."""
        if not self.events.exists():
            return
        with self.events.open("rb") as file:
            for line in file:
                if not line.endswith(b"\n"):
                    return
                try:
                    event = events.from_json(line.decode("ascii"))
                except ValueError:
                    continue
                if event is not None:
                    yield event


def runs_root() -> Path:
    """The folder in which runs are kept unless `--output-dir` says otherwise."""
    import platformdirs

    return platformdirs.user_data_path("tui-trainer", appauthor=False) / "runs"


def new_folder_path(output_dir: str, name: str, model: str) -> Path:
    """Where a new run will lie; nothing is made yet.

    Raises:
        ConfigError: there is a run in it already, it is not a folder, or cannot be made.
    """
    if name in (".", "..") or "/" in name or len(os.fsencode(name)) > MAX_NAME_BYTES:
        raise ConfigError(f"name = {display(name)}: a name of a run is one short folder name, without '/'.")
    if output_dir:
        path = user_path(output_dir)
        path = path / name if name else path
    elif name:
        path = runs_root() / name
    else:
        first = "run" if model == "auto" else model.replace("/", "_")  # what auto becomes is known after the scan
        path = _unused(runs_root() / f"{first}-{datetime.now().astimezone():%Y%m%d-%H%M%S}")
    try:
        if path.exists() and not path.is_dir():
            raise ConfigError(f"{display(path)} is a file: choose another --output-dir.")
    except OSError as error:
        raise ConfigError(f"{display(path)} cannot be a run folder: {error.strerror}.") from None
    if RunFolder(path).holds_a_run():
        raise ConfigError(
            f"{display(path)} already holds a run: choose another --output-dir or --name, "
            f"or go on with it by --resume {display(path)}."
        )
    _require_writable(path)
    return path


def _require_writable(path: Path) -> None:
    """Look at the folder, or the nearest above it that is there."""
    there = next((folder for folder in (path, *path.parents) if os.access(folder, os.F_OK)), path)
    what = "cannot be written" if there.is_dir() else "is no folder"
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        raise ConfigError(
            f"Cannot write the run folder {display(path)}: {display(there)} {what}; choose another --output-dir."
        )


def _unused(path: Path) -> Path:
    number, free = 2, path
    while free.exists():
        free, number = path.with_name(f"{path.name}-{number}"), number + 1
    return free


def make_folder(path: Path) -> RunFolder:
    """The folder of a new run, readable by its owner only.

    Raises:
        ConfigError: it cannot be made or written.
    """
    folder = RunFolder(path)
    try:
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
        folder.checkpoints.mkdir(exist_ok=True, mode=0o700)
        folder.commands.touch(mode=0o600)
    except OSError as error:
        raise ConfigError(
            f"Cannot write the run folder {display(path)}: {error.strerror}; choose another --output-dir."
        ) from None
    return folder


def find_run(name_or_path: str) -> RunFolder:
    """The existing run that a person means by a folder or a name.

    Raises:
        ConfigError: there is none.
    """
    for path in (user_path(name_or_path), runs_root() / name_or_path):
        with contextlib.suppress(OSError):  # no path at all: too long, or through folders that are closed
            if RunFolder(path).holds_a_run():
                return RunFolder(path)
    raise ConfigError(
        f"There is no run {display(name_or_path)}: it is neither a run folder nor a name in {display(runs_root())}."
    )


def find_checkpoint(reference: str) -> tuple[RunFolder, int | None]:
    """The run and the step that `RUN` or `RUN@STEP` means; None: its newest checkpoint.

    Raises:
        ConfigError: there is no such run.
    """
    name, at, step = reference.rpartition("@")
    if at and step.isdecimal():
        return find_run(name), int(step)
    return find_run(reference), None


def path_or_run(text: str) -> Path:
    """The path that is typed, or the folder of the run of that name where there is no such path."""
    path = user_path(text)
    if not os.path.lexists(path):
        with contextlib.suppress(ConfigError):
            return find_run(text).path
    return path


class Mailbox:
    """Commands on their way to the loop: from this process by `put`, from others through the file.

    A signal handler may call `put`: SimpleQueue is made for that, a lock or an Event would deadlock.
    `look`: seconds between two looks at the file.
    """

    def __init__(self, look: float = LOOK) -> None:
        self._inbox: queue.SimpleQueue[Command] = queue.SimpleQueue()
        self._waited_for: list[Command] = []
        self._file: BinaryIO | None = None
        self._look, self._next_look = look, 0.0

    def put(self, command: Command) -> None:
        """Hand over a command."""
        self._inbox.put(command)

    def follow(self, path: Path) -> None:
        """Also read what is appended to `path` from now on: a leftover command must not end a new run."""
        if self._file is not None:
            return  # a run that goes on in this process: nothing that came meanwhile is passed over
        path.touch(mode=0o600)
        self._file = path.open("rb", buffering=0)
        self._file.seek(0, os.SEEK_END)

    def take(self) -> list[Command]:
        """What has arrived since the last look; the file is looked at from time to time."""
        taken, self._waited_for = self._waited_for, []
        while not self._inbox.empty():
            taken.append(self._inbox.get_nowait())
        if self._file and (now := time.monotonic()) >= self._next_look:
            self._next_look = now + self._look
            taken += self._from_file()
        return taken

    def _from_file(self) -> list[Command]:
        assert self._file is not None
        chunk = self._file.read()
        if not chunk:
            return []
        whole, newline, rest = chunk.rpartition(b"\n")
        self._file.seek(-len(rest), os.SEEK_CUR)
        lines = (whole + newline).decode("utf-8", "replace").splitlines()
        return [command for line in lines if (command := commands.from_json(line)) is not None]

    def wait(self, seconds: float) -> None:
        """Sleep until a command is put, at most `seconds`: those in the file are seen then."""
        with contextlib.suppress(queue.Empty):
            self._waited_for.append(self._inbox.get(timeout=seconds))

    def close(self) -> None:
        """Let go of the file."""
        if self._file:
            self._file.close()
            self._file = None
