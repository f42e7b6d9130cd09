"""Runs on disk in a few words; nothing that lies in a folder may break the list."""

from __future__ import annotations

import os
import socket
from pathlib import Path

from tui_trainer.events import RunEnded, Warned, to_json
from tui_trainer.past_runs import last_event, ordered, past_runs, read_run, sample_data
from tui_trainer.run_folder import RunFolder
from tui_trainer.run_lock import RunLock, is_running


def make_run(root: Path, name: str, *lines: str) -> RunFolder:
    folder = RunFolder(root / name)
    folder.path.mkdir(parents=True)
    folder.events.write_text("".join(f"{line}\n" for line in lines), "ascii")
    folder.config.write_text('[model]\nmodel = "resnet18"\n', "utf-8")
    return folder


END = to_json(RunEnded(outcome="early_stopped", message="m", epochs=2, step=8, seconds=1.0))
MIDDLE = to_json(Warned(topic="data", message="x" * 20_000))


def test_a_run_that_ended_says_how(tmp_path: Path) -> None:
    folder = make_run(tmp_path, "one", MIDDLE, END)
    folder.metrics.write_text("epoch,val_top1\n1,0.5\n2,0.75\n", "ascii")
    run = read_run(folder)
    assert (run.name, run.state, run.epochs, run.best) == ("one", "early stopped", 2, 0.75)
    assert run.settings["model"] == "resnet18"


def test_a_run_without_an_end_is_running_or_is_called_what_it_is(tmp_path: Path) -> None:
    folder = make_run(tmp_path, "one", MIDDLE)
    assert read_run(folder).state == "ended without a word"
    lock = RunLock(folder).acquire()
    assert is_running(folder)
    assert read_run(folder).state == "running"
    lock.release()
    folder.owner.write_text(f"Process {os.getpid()} on {socket.gethostname()}", "utf-8")
    assert not is_running(folder), "a number that is another process's by now says nothing"


def test_the_newest_come_first_and_other_folders_are_passed_over(tmp_path: Path) -> None:
    for number, name in enumerate(("old", "new")):
        folder = make_run(tmp_path, name, END)
        for path in (folder.events, folder.config):
            os.utime(path, (1000 + number, 1000 + number))
    (tmp_path / "no run").mkdir()
    (tmp_path / "a file").touch()
    assert [run.name for run in past_runs(tmp_path)] == ["new", "old"]
    assert [run.name for run in past_runs(tmp_path, most=1)] == ["new"]
    assert past_runs(tmp_path / "missing") == []


def test_a_branch_stands_below_the_run_that_it_began_at(tmp_path: Path) -> None:
    parents = {
        "root": "",
        "alone": "",
        "twig": "root",
        "leaf": "twig",
        "late": "root",
        "gone": "nowhere",
        "loop": "loop",
    }
    for number, (name, parent) in enumerate(parents.items()):
        folder = make_run(tmp_path, name, END)
        branch = f'[run]\nbranch = "{(tmp_path / parent).resolve()}@3"\n' if parent else ""
        folder.config.write_text(branch)
        for path in (folder.events, folder.config):
            os.utime(path, (1000 + number, 1000 + number))
    found = [(run.name, depth) for run, depth in ordered(past_runs(tmp_path), "tree")]
    assert found == [
        ("loop", 0), ("gone", 0), ("alone", 0), ("root", 0), ("late", 1), ("twig", 1), ("leaf", 2),
    ]  # fmt: skip
    assert {depth for _, depth in ordered(past_runs(tmp_path), "name")} == {0}


def test_damaged_files_leave_fields_empty(tmp_path: Path) -> None:
    folder = make_run(tmp_path, "one", "no json", '{"kind": "run_ended"}', "[1, 2]")
    folder.config.write_bytes(b"\xff\xfe [")
    folder.metrics.write_text("epoch,val_top1\n1,x\n", "ascii")
    run = read_run(folder)
    assert (run.settings, run.curve, run.state) == ({}, (), "ended without a word")


def test_a_line_that_is_still_being_written_is_not_the_last_event(tmp_path: Path) -> None:
    folder = make_run(tmp_path, "one", END)
    with folder.events.open("a", encoding="ascii") as file:
        file.write('{"v":1,"kind":"warned","ti')
    assert isinstance(last_event(folder), RunEnded)


def test_the_sample_data_is_found() -> None:
    folder = sample_data()
    assert folder is not None
    assert len(list(folder.glob("*/*.png"))) == 1797
