import json
import os
import stat
from pathlib import Path

import pytest

from tui_trainer import run_folder
from tui_trainer.commands import Command, Pause, Resume, Set, Stop, to_json
from tui_trainer.errors import ConfigError
from tui_trainer.events import Paused, Warned
from tui_trainer.events import to_json as event_to_json
from tui_trainer.run_folder import Mailbox, RunFolder, find_run, make_folder, new_folder_path, runs_root


@pytest.fixture
def box(tmp_path: Path) -> tuple[Mailbox, RunFolder]:
    folder = make_folder(tmp_path / "run")
    folder.send(Stop())  # of a run before this one
    mailbox = Mailbox(look=0)
    mailbox.follow(folder.commands)
    return mailbox, folder


def append(folder: RunFolder, text: str | bytes) -> None:
    with folder.commands.open("ab") as file:
        file.write(text if isinstance(text, bytes) else text.encode())


def test_only_what_is_appended_after_follow_is_read(box: tuple[Mailbox, RunFolder]) -> None:
    mailbox, folder = box
    assert mailbox.take() == []
    folder.send(Pause())
    folder.send(Set(name="lr", value=0.5))
    assert mailbox.take() == [Pause(), Set(name="lr", value=0.5)]
    assert mailbox.take() == []
    mailbox.close()


def test_a_line_that_is_still_being_written_waits(box: tuple[Mailbox, RunFolder]) -> None:
    mailbox, folder = box
    line = to_json(Pause()) + "\n"
    append(folder, to_json(Resume()) + "\n" + line[:7])
    assert mailbox.take() == [Resume()]
    append(folder, line[7:-1])
    assert mailbox.take() == []
    append(folder, line[-1])
    assert mailbox.take() == [Pause()]
    mailbox.close()


def test_lines_that_are_no_commands_are_passed_over(box: tuple[Mailbox, RunFolder]) -> None:
    mailbox, folder = box
    append(
        folder, b"\xff\xfe\n\n[]\n{\n" + b"[" * 50_000 + b'\n{"kind": "dance"}\n' + to_json(Stop()).encode() + b"\n\0\n"
    )
    assert mailbox.take() == [Stop()]
    mailbox.close()


def test_a_file_is_not_looked_at_all_the_time(tmp_path: Path) -> None:
    folder, mailbox = make_folder(tmp_path / "run"), Mailbox(look=3600)
    mailbox.follow(folder.commands)
    assert mailbox.take() == []
    folder.send(Stop())
    mailbox.put(Pause())
    assert mailbox.take() == [Pause()]  # what comes from this process does not wait
    mailbox.close()


def test_commands_of_this_process_come_first_and_without_a_file() -> None:
    mailbox = Mailbox()
    sent: list[Command] = [Pause(), Resume()]
    for command in sent:
        mailbox.put(command)
    assert mailbox.take() == sent
    assert mailbox.take() == []
    mailbox.close()


def test_a_command_that_is_put_ends_the_wait() -> None:
    mailbox = Mailbox()
    mailbox.put(Pause())
    mailbox.wait(3600.0)  # returns at once, or the test does not end
    assert mailbox.take() == [Pause()]


def test_a_folder_is_made_for_its_owner_only(tmp_path: Path) -> None:
    before = os.umask(0o000)
    try:
        folder = make_folder(tmp_path / "deep" / "run")
    finally:
        os.umask(before)
    for path, mode in ((folder.path, 0o700), (folder.checkpoints, 0o700), (folder.commands, 0o600)):
        assert stat.S_IMODE(path.stat().st_mode) == mode, path


@pytest.mark.parametrize("where", ["/proc/none/run", "{file}/run"])
def test_a_folder_that_cannot_be_made(tmp_path: Path, where: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="Cannot write the run folder"):
        make_folder(Path(where.format(file=tmp_path / "file")))


def test_a_new_run_needs_a_folder_without_one(tmp_path: Path) -> None:
    assert new_folder_path(str(tmp_path / "new"), "", "lenet") == tmp_path / "new"
    assert new_folder_path(str(tmp_path), "first", "lenet") == tmp_path / "first"
    assert new_folder_path("", "first", "lenet") == runs_root() / "first"
    assert new_folder_path("", "", "resnet18").name.startswith("resnet18-20")
    assert new_folder_path("", "", "auto").name.startswith("run-20")
    for name in ("config.toml", "events.jsonl"):
        run = tmp_path / name
        run.mkdir()
        (run / name).touch()
        with pytest.raises(ConfigError, match="already holds a run"):
            new_folder_path(str(run), "", "lenet")
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="is a file"):
        new_folder_path(str(tmp_path / "file"), "", "lenet")


@pytest.mark.parametrize("output_dir", ["", "here"])
@pytest.mark.parametrize("name", [".", "..", "a/b", "../../etc", "/etc", "a" * 300])
def test_a_name_is_one_folder_name(tmp_path: Path, output_dir: str, name: str) -> None:
    with pytest.raises(ConfigError, match="a name of a run is one short folder name"):
        new_folder_path(output_dir and str(tmp_path), name, "lenet")


def test_a_path_that_is_too_long(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be a run folder: File name too long"):
        new_folder_path(str(tmp_path / ("a" * 300)), "", "lenet")


def test_runs_without_a_name_get_different_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    class Then(run_folder.datetime):
        @classmethod
        def now(cls, tz: object = None) -> "Then":
            return cls(2026, 1, 2, 3, 4, 5)

    monkeypatch.setattr(run_folder, "datetime", Then)
    first = new_folder_path("", "", "lenet")
    assert first == runs_root() / "lenet-20260102-030405"
    make_folder(first)
    second = new_folder_path("", "", "lenet")
    assert second == runs_root() / "lenet-20260102-030405-2"
    make_folder(second)
    assert new_folder_path("", "", "lenet").name.endswith("-3")


def test_a_run_is_found_by_its_folder_and_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for path in (runs_root() / "first", tmp_path / "second"):
        make_folder(path).config.touch()
    monkeypatch.chdir(tmp_path)
    assert find_run("first").path == runs_root() / "first"
    assert find_run("second").path == tmp_path / "second"
    assert find_run(str(tmp_path / "second")).path == tmp_path / "second"


@pytest.mark.parametrize("name", ["none", ".", "/", "a" * 300, "a\0b", "", "\x1b[31m"])
def test_what_is_no_run_is_not_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="There is no run"):
        find_run(name)


def test_events_are_read_up_to_the_line_being_written(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "run")
    assert list(folder.read_events()) == []
    first, last = Warned(topic="a", message="b"), Paused(step=3)
    lines = [event_to_json(first), "garbage", '{"kind": "unknown"}', "\xff", json.dumps([1]), event_to_json(last)]
    folder.events.write_bytes("\n".join([*lines, event_to_json(last)]).encode("latin-1"))
    assert list(folder.read_events()) == [first, last]
