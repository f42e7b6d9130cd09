"""What goes wrong around a run: clocks, folders and process numbers; and the list of all faults in docs/faults.md."""

import os
import re
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tui_trainer.config import Config
from tui_trainer.engine.job import NoCommands
from tui_trainer.errors import ConfigError
from tui_trainer.events import CheckpointSaved, Event, Progress, RunEnded, Warned
from tui_trainer.run import prepare
from tui_trainer.run_folder import RunFolder, make_folder
from tui_trainer.run_lock import SILENT, RunLock, is_running

from .conftest import ROOT

LINK = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")


def test_every_fault_of_the_list_names_tests_that_exist() -> None:
    rows = [
        line for line in (ROOT / "docs" / "faults.md").read_text("utf-8").splitlines() if re.match(r"\| \d+ \|", line)
    ]
    assert [int(row.split("|")[1]) for row in rows] == list(range(1, 41))
    for row in rows:
        named = LINK.findall(row)
        assert named, row
        for path, name in named:
            assert re.search(rf"^ *(async )?def {name}\(", (ROOT / path).read_text("utf-8"), re.M), f"{path}::{name}"


def config_for(data: Path, folder: Path, **values: Any) -> Config:
    given: dict[str, Any] = {"data": str(data), "output_dir": str(folder), "epochs": 2, "batch_size": 8}
    return Config().replace(**given | values)


def trained(config: Config) -> tuple[RunFolder, list[Event]]:
    made = prepare(config)
    return made.folder, list(made.events(NoCommands()))


def final(folder: RunFolder) -> bytes:
    return (folder.checkpoints / "final.safetensors").read_bytes()


def test_a_clock_that_jumps_changes_nothing_but_the_times_of_events(
    digits60: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Set back and forth by years, as by a time server: durations are of another clock."""
    reference, _ = trained(config_for(digits60, tmp_path / "a"))

    def jumps() -> Iterator[float]:
        while True:
            yield from (0.0, 4e9, 1e9, 1e9 - 86400)

    now = jumps()
    monkeypatch.setattr(time, "time", lambda: next(now))
    folder, events = trained(config_for(digits60, tmp_path / "b", max_minutes=1.0))
    ended, moved = events[-1], [event for event in events if isinstance(event, Progress)]
    assert isinstance(ended, RunEnded)
    assert (ended.outcome, final(folder)) == ("finished", final(reference))
    assert 0 <= ended.seconds < 60
    assert all(0 <= one.seconds < 60 and 0 <= one.eta_seconds < 600 for one in moved)


def test_a_folder_that_is_away_for_a_while_costs_no_run(digits60: Path, tmp_path: Path) -> None:
    """As a network disk that is not there, or one that became read-only: told, tried again, and nothing else."""
    made = prepare(config_for(digits60, tmp_path / "run", checkpoint_every="2steps"))
    checkpoints, away, events = made.folder.checkpoints, tmp_path / "away", list[Event]()
    made.job.keeping._clock = lambda: 100.0 * len(events)  # the next try comes soon
    for event in made.events(NoCommands()):
        events.append(event)
        if isinstance(event, Progress) and event.part == "train":
            if event.step == 3:
                checkpoints.rename(away)
            elif event.step == 7:
                away.rename(checkpoints)
    told = [event.message for event in events if isinstance(event, Warned)]
    assert told
    assert all(
        "The last checkpoint is of step 2; training goes on, and saving is tried again." in text for text in told
    )
    assert [event.step for event in events if isinstance(event, CheckpointSaved)][-1] == 12
    assert vars(events[-1])["outcome"] == "finished"


def test_a_process_number_that_came_again_is_no_running_run(digits60: Path, tmp_path: Path) -> None:
    folder, _ = trained(config_for(digits60, tmp_path / "run"))
    folder.owner.write_text(f"Process {os.getpid()} on {socket.gethostname()}", "utf-8")
    assert not is_running(folder)
    lock = RunLock(folder).acquire()
    assert is_running(folder)
    lock.release()
    assert not is_running(folder)


def test_a_run_of_another_machine_is_running_while_it_shows_that_it_is_there(tmp_path: Path) -> None:
    """A disk that several machines share may keep their locks from each other."""
    folder = make_folder(tmp_path / "run")
    folder.lock.touch()
    folder.events.write_text("{}\n")
    os.utime(folder.events, (0, time.time() - 99 * SILENT))  # it is paused
    folder.owner.write_text("Process 7 on elsewhere")
    assert is_running(folder)
    with pytest.raises(ConfigError, match=r"Process 7 on elsewhere is training in .*: wait for it, or stop it"):
        RunLock(folder).acquire()
    assert is_running(folder), "whoever was refused leaves everything as it was"
    os.utime(folder.owner, (0, time.time() - 2 * SILENT))
    assert not is_running(folder)
    RunLock(folder).acquire().release()
    folder.owner.write_text(f"Process 7 on {socket.gethostname()}")
    assert not is_running(folder)


def test_the_owner_of_a_run_shows_that_it_is_there_until_it_lets_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tui_trainer.run_lock.BEAT", 0.01)
    folder, before = make_folder(tmp_path / "run"), set(threading.enumerate())
    lock = RunLock(folder).acquire()
    (beating,) = set(threading.enumerate()) - before
    for _ in range(2):
        os.utime(folder.owner, (0, 0))
        while not folder.owner.stat().st_mtime:
            assert beating.is_alive()
            time.sleep(0.005)
        assert time.time() - folder.owner.stat().st_mtime < SILENT
    lock.release()
    beating.join(5)
    assert not beating.is_alive()
    assert not folder.owner.exists()
