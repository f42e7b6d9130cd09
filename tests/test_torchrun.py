"""Processes that torchrun starts: what they know, where they begin, how the launcher learns of them."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from benchmarks.ranks import below, lives, ranks_of
from tests.conftest import PATIENCE, Told
from tests.test_background import eventually
from tui_trainer import flags, rank_run, torchrun
from tui_trainer.config import resolve
from tui_trainer.engine import world
from tui_trainer.errors import ConfigError, DataError, TrainingError
from tui_trainer.events import Evaluated, Event, RunEnded, RunStarted
from tui_trainer.run_folder import RunFolder

Cli = Callable[..., Told]


def of(kind: type[Event], run: Path) -> list[Any]:
    return [event for event in RunFolder(run).read_events() if isinstance(event, kind)]


def test_a_process_knows_its_place() -> None:
    assert torchrun.place({"RANK": "1"}) is None
    environment = {"RANK": "5", "WORLD_SIZE": "8", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "4"}
    environment |= {"MASTER_ADDR": "first", "MASTER_PORT": "29500"}
    place = torchrun.place({**environment, "TORCHELASTIC_RUN_ID": "job7", "TORCHELASTIC_RESTART_COUNT": "2"})
    assert place is not None
    assert (place.rank, place.size, place.local_rank, place.local_size) == (5, 8, 1, 4)
    assert (place.launch, place.attempt, place.store) == ("job7", 2, None)
    place = torchrun.place({**environment, torchrun.MEETING: "/somewhere", "TORCHELASTIC_RUN_ID": "none"})
    assert place is not None
    assert (place.launch, place.store) == ("", Path("/somewhere/store-0"))


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({"RANK": "x", "WORLD_SIZE": "2"}, "RANK = x in the environment is no number"),
        ({"RANK": "2", "WORLD_SIZE": "2"}, "ranks count from 0 to 1"),
        ({"RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "host"}, "but not MASTER_PORT"),
    ],
)
def test_an_environment_that_no_launcher_leaves_is_refused(environment: dict[str, str], words: str) -> None:
    with pytest.raises(ConfigError, match=f"{words}.*unset RANK and WORLD_SIZE for a single one"):
        torchrun.place(environment)


def test_processes_that_do_not_come_are_waited_for_only_so_long(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.setattr(world, "MEET", timedelta(seconds=1))
    for name, value in {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}.items():
        monkeypatch.setenv(name, str(value))
    place = {"rank": 0, "size": 2, "local_rank": 0, "local_size": 1, "store": None, "restarts": False}
    with pytest.raises(TrainingError, match=rf"Rank 0 did not meet the other 1 of 2 processes at 127.0.0.1:{port}"):
        world.join(device="cpu", **place)  # type: ignore[arg-type]


def test_a_refusal_reaches_the_launcher(tmp_path: Path) -> None:
    assert torchrun.refusal(tmp_path) is None
    torchrun.leave_refusal(tmp_path, DataError("no data: give some"))
    torchrun.leave_refusal(tmp_path, TrainingError("Rank 0 is gone"))  # for the first one's sake
    found = torchrun.refusal(tmp_path)
    assert isinstance(found, DataError)
    assert str(found) == "no data: give some"


@pytest.fixture
def as_rank(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., None]:
    """Makes this process one that torchrun started, the only one."""
    meeting = tmp_path / "meeting"
    meeting.mkdir()

    def leave(code: int) -> None:
        raise SystemExit(code)

    monkeypatch.setattr(rank_run, "_end_at_once", leave)
    monkeypatch.setattr(rank_run, "end_with_parent", lambda: None)

    def make(attempt: int, launch: str) -> None:
        given = {"RANK": 0, "WORLD_SIZE": 1, "LOCAL_RANK": 0, "LOCAL_WORLD_SIZE": 1, "TORCHELASTIC_MAX_RESTARTS": 3}
        given |= {"TORCHELASTIC_RESTART_COUNT": attempt}
        for name, value in {**given, "TORCHELASTIC_RUN_ID": launch, torchrun.MEETING: meeting}.items():
            monkeypatch.setenv(name, str(value))

    return make


def test_another_attempt_goes_on_with_the_run_and_another_launch_does_not(
    run_cli: Cli, as_rank: Callable[..., None], digits60: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(digits60.parent)
    words = ("--no-tui", digits60.name, "--threads", "1", "--output-dir", tmp_path / "run")
    as_rank(0, "one")
    assert run_cli(*words, "--epochs", "1").code == 0
    as_rank(1, "one")
    assert run_cli(*words, "--epochs", "2").code == 0
    assert [(e.epoch, e.step) for e in of(RunStarted, tmp_path / "run")] == [(0, 0), (1, 2)]
    assert len(of(Evaluated, tmp_path / "run")) == 2
    as_rank(0, "two")
    told = run_cli(*words, "--epochs", "3")
    assert told.code == 2
    assert "already holds a run" in told.err
    as_rank(1, "two")
    assert run_cli(*words, "--epochs", "3").code == 2  # at once: another attempt would end as the one before
    found = torchrun.refusal(tmp_path / "meeting")
    assert found is not None
    assert "already holds a run" in str(found)


def test_a_rank_that_is_done_is_not_there_for_the_end_of_the_interpreter(
    as_rank: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some were aborted there by a thread of torch, after their run had ended well."""
    done: list[str] = []
    as_rank(0, "one")
    monkeypatch.setattr(world, "join", lambda **_: SimpleNamespace(size=2))
    monkeypatch.setattr(world, "leave", lambda ranks: done.append("left"))
    monkeypatch.setattr(rank_run, "_train", lambda *_: None)
    monkeypatch.setattr("atexit._run_exitfuncs", lambda: done.append("exit functions"))
    place, arguments = torchrun.place(), flags.parse([])
    assert place is not None
    with pytest.raises(SystemExit) as ended:
        rank_run.train(arguments, resolve({}), place)
    assert ended.value.code == 0
    assert done == ["left", "exit functions"]


# With real processes: seconds for each of them to load PyTorch --------------------------------------------------------


def several(digits: Path, run: Path, *more: object, nproc: int = 2) -> subprocess.Popen[str]:
    words = ("--no-tui", "--json", "--nproc", nproc, digits, "-b", 16, "--threads", 1, "--output-dir", run, *more)
    return subprocess.Popen(
        [sys.executable, "-m", "tui_trainer", *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.soak
@pytest.mark.parametrize("strategy", ["ddp", "fsdp"])
def test_two_processes_train_what_one_trains(strategy: str, digits60: Path, tmp_path: Path, run_cli: Cli) -> None:
    words = ("--epochs", 3, "--strategy", strategy)
    out, err = several(digits60, tmp_path / "two", *words).communicate(timeout=PATIENCE)
    one = run_cli("--json", digits60, "-b", 16, "--threads", 1, "--epochs", 3, "--output-dir", tmp_path / "one").json
    two = json.loads(out)
    assert two["outcome"] == "finished", err
    assert two["metrics"] == pytest.approx(one["metrics"], abs=1e-6)
    assert of(RunStarted, tmp_path / "two")[0].ranks == 2


@pytest.mark.soak
def test_what_is_refused_in_the_processes_is_refused_by_the_launcher(tmp_path: Path, digits60: Path) -> None:
    process = several(digits60, tmp_path / "run", "--sync-batchnorm")
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 2
    assert "sync_batchnorm: torch has it for GPUs only" in err.splitlines()[-1]
    assert json.loads(out)["error"]["kind"] == "config"
    assert not (tmp_path / "run").exists()


@pytest.mark.soak
@pytest.mark.parametrize("strategy", ["ddp", "fsdp"])
@pytest.mark.parametrize("rank", [0, 1])
def test_a_rank_that_is_killed_comes_back_at_the_last_commit(
    rank: int, strategy: str, digits60: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    words = ("--epochs", 100_000, "--checkpoint-every", "10steps", "--strategy", strategy)
    process = several(digits60, run, *words)
    eventually((run / "checkpoints" / "step-20.json").exists)
    os.kill(ranks_of(process)[rank], signal.SIGKILL)  # type: ignore[arg-type]
    eventually(lambda: len(of(RunStarted, run)) == 2)
    assert of(RunStarted, run)[1].step >= 20
    before = len(of(Evaluated, run))
    eventually(lambda: len(of(Evaluated, run)) > before)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=PATIENCE)
    assert process.returncode == 143
    assert of(RunEnded, run)[-1].outcome == "stopped"


@pytest.mark.soak
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_the_end_of_the_launcher_is_the_end_of_all(number: int, digits60: Path, tmp_path: Path) -> None:
    process = several(digits60, tmp_path / "run", "--epochs", 100_000)
    eventually(lambda: len(of(Evaluated, tmp_path / "run")) > 1)
    everything = [pid for pid, _ in below(process.pid)]
    assert len(everything) >= 3
    process.send_signal(number)
    eventually(lambda: not any(map(lives, everything)))
    process.communicate(timeout=PATIENCE)
    ended = of(RunEnded, tmp_path / "run")[-1]
    assert ended.outcome == "stopped"
    assert (tmp_path / "run" / "checkpoints" / f"step-{ended.step}.json").exists()


@pytest.mark.soak
def test_when_restarts_are_used_up_the_run_says_so(digits60: Path, tmp_path: Path) -> None:
    process = several(digits60, tmp_path / "run", "--epochs", 100_000, "--max-restarts", 0)
    eventually(lambda: len(of(Evaluated, tmp_path / "run")) > 1)
    os.kill(ranks_of(process)[1], signal.SIGKILL)  # type: ignore[arg-type]
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == TrainingError.exit_code
    assert "Another process of this run ended without a word" in err.splitlines()[-1]
    time.sleep(0.1)
    assert of(RunEnded, tmp_path / "run")[-1].outcome == "failed"
