"""Runs that are processes of their own: steered from outside, stopped by signals, gone on with."""

import os
import pty
import resource
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tui_trainer import several
from tui_trainer.commands import Pause, Resume, Stop
from tui_trainer.config import Config
from tui_trainer.errors import ConfigError, DataError
from tui_trainer.events import Event, Progress
from tui_trainer.run_folder import RunFolder
from tui_trainer.session import LocalSession, set_from_text

from .conftest import Process, Told, kinds

Start = Callable[..., Process]
Cli = Callable[..., Told]
ENDLESS = ("--no-tui", "--json", "--epochs", "1000000", "-b", "8", "--threads", "1")


def latest(folder: RunFolder, kind: str) -> Any:
    """The newest event of a kind, or None."""
    return next((event for event in reversed(list(folder.read_events())) if event.kind == kind), None)


def final(folder: RunFolder) -> bytes:
    return (folder.checkpoints / "final.safetensors").read_bytes()


def goes_on_exactly(run_cli: Cli, cut: RunFolder, whole: Path) -> None:
    """Resume the run up to the epoch after the next, and train as far without a break."""
    epochs = latest(cut, "run_ended").epochs + 2
    assert run_cli("--no-tui", "--resume", cut.path, "--epochs", epochs).code == 0
    assert run_cli("--no-tui", "-c", cut.config, "--epochs", epochs, "--output-dir", whole).code == 0
    assert final(cut) == final(RunFolder(whole))


def test_a_run_is_steered_from_another_process_and_stopped_by_a_signal(
    start: Start, run_cli: Cli, digits60: Path, tmp_path: Path
) -> None:
    folder = RunFolder(tmp_path / "run")
    process = start(*ENDLESS, digits60, "--output-dir", folder.path)
    process.until(lambda: latest(folder, "progress"))

    assert run_cli("send", folder.path, "pause").code == 0
    step = process.until(lambda: latest(folder, "paused")).step
    assert latest(folder, "progress").step == step

    assert run_cli("send", folder.path, "set", "lr=0.02").code == 0
    changed = process.until(lambda: (e := latest(folder, "setting_changed")) and e.name == "lr" and e)
    assert (changed.value, changed.step) == ("0.02", step)

    before = latest(folder, "checkpoint_saved")
    assert run_cli("send", folder.path, "checkpoint").code == 0
    saved = process.until(lambda: (e := latest(folder, "checkpoint_saved")) != before and e)
    assert (saved.step, saved.file) == (step, f"step-{step}.pt")
    refused = run_cli("--no-tui", "--resume", folder.path)  # it has a checkpoint, but belongs to the other
    assert refused.code == 2
    assert f"Process {process.popen.pid} on " in refused.sentence

    assert run_cli("send", folder.path, "resume").code == 0
    assert process.until(lambda: latest(folder, "resumed")).step == step
    process.until(lambda: latest(folder, "progress").step > step)
    assert latest(folder, "progress").lr == 0.02

    process.popen.send_signal(signal.SIGINT)
    told = process.end()
    assert told.code == 130
    assert told.json["outcome"] == "stopped"
    last = latest(folder, "checkpoint_saved")
    assert last.step == told.json["steps"] == latest(folder, "progress").step
    assert (folder.checkpoints / f"step-{last.step}.json").exists()
    assert kinds(list(folder.read_events()))[-1] == "run_ended"
    assert not folder.owner.exists()


def test_a_stop_from_another_process_is_no_failure_and_the_run_goes_on_exactly(
    start: Start, run_cli: Cli, digits60: Path, tmp_path: Path
) -> None:
    folder = RunFolder(tmp_path / "run")
    process = start(*ENDLESS, digits60, "--augment", "light", "--output-dir", folder.path)
    process.until(lambda: latest(folder, "progress"))
    assert run_cli("send", folder.path, "stop").code == 0
    told = process.end()
    assert (told.code, told.json["outcome"]) == (0, "stopped")
    goes_on_exactly(run_cli, folder, tmp_path / "whole")


def test_a_closed_terminal_saves_and_ends_the_run(start: Start, run_cli: Cli, digits60: Path, tmp_path: Path) -> None:
    """A live display on a terminal that goes away: SIGHUP, then every write fails."""
    folder, (outer, inner) = RunFolder(tmp_path / "run"), pty.openpty()
    words = [word for word in ENDLESS if word != "--json"]
    process = start(
        *words, digits60, "--output-dir", folder.path,
        stdin=inner, stdout=inner, stderr=inner, start_new_session=True, preexec_fn=take_terminal,
    )  # fmt: skip
    os.close(inner)
    shown = b""

    def drawn() -> bool:
        nonlocal shown
        shown += os.read(outer, 65536)
        return b"top-1" in shown

    process.until(drawn)
    os.close(outer)
    assert process.popen.wait(60) == 129
    ended = latest(folder, "run_ended")
    assert (ended.outcome, latest(folder, "checkpoint_saved").step) == ("stopped", ended.step)
    goes_on_exactly(run_cli, folder, tmp_path / "whole")


def take_terminal() -> None:
    """Make the terminal on descriptor 0 the one whose end is this session's end."""
    import fcntl
    import termios

    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def test_a_disk_that_is_full_is_a_failure_in_words(start: Start, digits60: Path, tmp_path: Path) -> None:
    """Files may grow to 100 KB: the configuration fits, a checkpoint does not."""
    folder = RunFolder(tmp_path / "run")
    process = start(
        *ENDLESS, "--epochs", "3", digits60, "--output-dir", folder.path,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000)),
    )  # fmt: skip
    told = process.end()
    assert told.code == 5
    assert "Cannot write" in told.sentence
    assert "File too large" in told.sentence
    assert told.json["error"] == {"kind": "training", "message": told.sentence}
    assert latest(folder, "run_ended").outcome == "failed"
    assert [path.name for path in folder.checkpoints.iterdir()] == []


def test_bad_input_in_a_process_of_its_own(start: Start, tmp_path: Path) -> None:
    told = start("--no-tui", tmp_path / "none\x1b[31m", "--output-dir", tmp_path / "run").end()
    assert told.code == 3
    assert told.err == f"tui-trainer: {tmp_path}/none\\x1b[31m does not exist: " + (
        "give a folder with one sub-folder of images a class.\n"
    )
    assert told.out == ""
    assert not (tmp_path / "run").exists()


# In this process ------------------------------------------------------------------------------------------------------


def config_for(data: Path, folder: Path, **values: Any) -> Config:
    return Config().replace(**{"data": str(data), "output_dir": str(folder), "epochs": 2, "batch_size": 8, **values})


def test_a_session_is_an_iterator_of_events_and_a_way_to_send_commands(digits60: Path, tmp_path: Path) -> None:
    told: list[str] = []
    session = LocalSession(config_for(digits60, tmp_path / "run"), told.append)
    assert session.folder is None
    events: list[Event] = []
    for event in session.events():
        events.append(event)
        if isinstance(event, Progress) and event.step == 3:
            session.send(Pause())
            session.send(Resume())
            session.send(Stop())
    assert session.folder is not None
    assert session.folder.path == tmp_path / "run"
    assert told == [
        "loading PyTorch", "scanning the dataset", "looking for files that cannot be read", "building the model",
        "measuring the images",
    ]  # fmt: skip
    assert kinds(events)[-4:] == ["paused", "resumed", "checkpoint_saved", "run_ended"]
    assert list(session.folder.read_events()) == events


def test_a_command_that_was_there_before_does_not_end_a_new_run(digits60: Path, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    folder.path.mkdir()
    folder.send(Stop())
    events = list(LocalSession(config_for(digits60, folder.path)).events())
    assert vars(events[-1])["outcome"] == "finished"


def test_a_session_that_is_left_early_holds_nothing(digits60: Path, tmp_path: Path) -> None:
    config = config_for(digits60, tmp_path / "run")
    session = LocalSession(config)
    running = session.events()
    for event in running:
        if isinstance(event, Progress):
            break
    running.close()  # type: ignore[attr-defined]
    assert session.folder is not None
    assert not session.folder.owner.exists()
    session.folder.events.unlink()
    session.folder.config.unlink()
    assert list(LocalSession(config).events())[-1].kind == "run_ended"


def test_what_cannot_start_leaves_no_folder(digits60: Path, tmp_path: Path) -> None:
    for config, kind in (
        (Config(), ConfigError),
        (config_for(tmp_path / "none", tmp_path / "run"), DataError),
        (config_for(digits60, tmp_path / "run", val_data=str(tmp_path / "none")), DataError),
        (config_for(digits60, tmp_path / "run", name="../x"), ConfigError),
    ):
        session = LocalSession(config)
        with pytest.raises(kind):
            list(session.events())
        assert session.folder is None
    assert not (tmp_path / "run").exists()


def test_a_run_that_chose_channels_last_goes_on_shared_out(
    run_cli: Cli, digits60: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("--no-tui", "--data", digits60, "--output-dir", tmp_path / "run", "--epochs", 1)
    assert run_cli(*words).code == 0
    assert "channels_last = true" in (tmp_path / "run" / "config.toml").read_text()

    def launched(*_: object, **__: object) -> None:
        raise ConfigError("Two processes are started.")

    monkeypatch.setattr(several, "launched", launched)
    told = run_cli("--no-tui", "--resume", tmp_path / "run", "--nproc", 2, "--strategy", "fsdp", "--epochs", 2)
    assert "Two processes are started." in told.err
    assert "channels_last" not in told.err


@pytest.mark.parametrize(
    ("text", "name", "value"),
    [
        ("lr=0.001", "lr", 0.001),
        (" lr = 1e-3 ", "lr", 0.001),
        ("epochs=5", "epochs", 5.0),
        ("patience=0", "patience", 0.0),
    ],
)
def test_settings_from_text(text: str, name: str, value: float) -> None:
    command = set_from_text(text)
    assert (command.name, command.value) == (name, value)
