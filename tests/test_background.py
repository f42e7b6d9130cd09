"""Runs in processes of their own: started, watched, left alone when the terminal goes."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import PATIENCE, Told
from tui_trainer.background import last_words, start_in
from tui_trainer.commands import Stop
from tui_trainer.data.loader import start_forkserver
from tui_trainer.events import Progress, RunEnded, to_json
from tui_trainer.past_runs import last_event, read_run
from tui_trainer.run_folder import RunFolder, make_folder
from tui_trainer.run_lock import is_running
from tui_trainer.session import EXACT_BYTES, PAST_POINTS, FollowedSession, thinned
from tui_trainer.tui.trainer import Trainer

Cli = Callable[..., Told]
ENDLESS = ("--epochs", "1000000", "-b", "8", "--threads", "1")


def eventually(what: Callable[[], object]) -> None:
    end = time.monotonic() + PATIENCE
    while not what():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[RunFolder]:
    """Where a run will be; what still trains there at the end is stopped."""
    run = RunFolder(tmp_path / "run")
    yield run
    if is_running(run):
        run.send(Stop())
        eventually(lambda: not is_running(run))


def progress(step: int) -> Progress:
    """An event of a step."""
    numbers = {"epoch": 0, "step": step, "batch": step, "batches": 10**6, "samples": step, "lr": 0.1}
    times = {"seconds": 1.0, "images_per_second": 1.0, "eta_seconds": 1.0}
    return Progress(part="train", metrics={"batch_loss": 1 / step}, **numbers, **times)  # type: ignore[arg-type]


def test_it_trains_on_in_a_session_of_its_own_when_the_one_that_started_it_is_hung_up(
    run_cli: Cli, digits60: Path, folder: RunFolder
) -> None:
    told = run_cli("--background", "--json", digits60, *ENDLESS, "--output-dir", folder.path)
    pid = told.json["pid"]
    assert told.code == 0
    assert told.json["run"] == str(folder.path)
    assert os.getsid(pid) == pid != os.getsid(0)
    assert Path(f"/proc/{pid}/fd/0").readlink() == Path(os.devnull)

    os.kill(pid, signal.SIGHUP)
    before = last_event(folder)
    eventually(lambda: last_event(folder) != before)
    assert read_run(folder).state == "running"

    assert run_cli("send", folder.path, "stop").code == 0
    eventually(lambda: isinstance(last_event(folder), RunEnded))
    ended = last_event(folder)
    assert isinstance(ended, RunEnded)
    assert ended.outcome == "stopped"

    again = run_cli("--background", "--json", "--resume", folder.path, "--epochs", ended.epochs + 1)
    assert again.code == 0
    eventually(lambda: (e := last_event(folder)) and isinstance(e, RunEnded) and e.outcome == "finished")


def test_what_refuses_to_start_says_so_and_leaves_nothing_behind(run_cli: Cli, tmp_path: Path) -> None:
    told = run_cli("--background", tmp_path / "nowhere", "--output-dir", tmp_path / "run")
    assert told.code == 3
    assert told.sentence.startswith(f"{tmp_path / 'nowhere'} does not exist")
    assert list(tmp_path.iterdir()) == []


def test_a_follower_gets_every_event_in_order_while_it_grows(run_cli: Cli, digits60: Path, folder: RunFolder) -> None:
    run_cli("--background", digits60, "--epochs", "3", "--threads", "1", "--output-dir", folder.path)
    seen = list(FollowedSession(folder).events())
    assert seen == list(folder.read_events())
    assert isinstance(seen[-1], RunEnded)


def test_a_silent_run_without_a_process_is_called_what_it_is(tmp_path: Path) -> None:
    run = make_folder(tmp_path / "run")
    run.events.write_text(to_json(progress(1)) + "\n")
    run.log.write_text("one\nKilled by something\n")
    assert read_run(run).state == "ended without a word"
    assert last_words(run) == "Killed by something"


def test_a_long_record_opens_thinned_but_whole_at_its_end(tmp_path: Path) -> None:
    run = make_folder(tmp_path / "run")
    line = len(to_json(progress(10**5))) + 1
    steps = 3 * EXACT_BYTES // line
    with run.events.open("w") as file:
        for step in range(1, steps + 1):
            file.write(to_json(progress(step)) + "\n")
            if step == steps // 3:
                file.write(to_json(RunEnded(outcome="stopped", message="m", epochs=1, step=step, seconds=1.0)) + "\n")
        file.write(to_json(progress(steps + 1))[:40])
    with run.events.open("rb") as file:
        kept = list(thinned(file))
        rest = file.read()
    assert sum(b'"run_ended"' in one for one in kept) == 1
    numbers = [json.loads(one)["step"] for one in kept]
    assert numbers == sorted(numbers)
    exact = EXACT_BYTES // max(map(len, kept))  # a time of few digits makes a short line
    assert numbers[-exact:] == list(range(numbers[-exact], steps + 1))
    assert len(kept) < PAST_POINTS + 2 * exact
    assert rest == to_json(progress(steps + 1))[:40].encode()


def test_watching_needs_no_torch(tmp_path: Path) -> None:
    run = make_folder(tmp_path / "run")
    run.events.write_text("".join(to_json(progress(step)) + "\n" for step in range(1, 10_001)))
    code = (
        "import sys; from pathlib import Path; from tui_trainer.run_folder import RunFolder;"
        "from tui_trainer.session import FollowedSession;"
        "n = sum(1 for _ in FollowedSession(RunFolder(Path(sys.argv[1]))).events());"
        "peak = next(line for line in open('/proc/self/status') if line.startswith('VmHWM'));"
        "print(n, 'torch' in sys.modules, peak.split()[1])"
    )
    words = subprocess.run(
        [sys.executable, "-c", code, str(run.path)], capture_output=True, text=True, check=True, timeout=PATIENCE
    ).stdout.split()
    assert words[:2] == ["10000", "False"]
    assert int(words[2]) < 60 * 1024


@pytest.mark.skipif(sys.version_info < (3, 11), reason="Python has it from 3.11 on")
def test_what_lies_in_the_current_folder_is_not_imported(
    folder: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "numpy.py").write_text("print('imported')")
    monkeypatch.chdir(tmp_path)
    folder.checkpoints.mkdir(parents=True)
    started = start_in(folder, [sys.executable, "-m", "numpy"], os.environ)
    eventually(lambda: not started.starting)
    assert "imported" not in last_words(folder)


def test_neither_does_the_server_of_workers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str | None] = []
    monkeypatch.setattr("multiprocessing.forkserver.ensure_running", lambda: seen.append(os.getenv("PYTHONSAFEPATH")))
    monkeypatch.delenv("PYTHONSAFEPATH", raising=False)
    monkeypatch.chdir(tmp_path)
    start_forkserver()
    assert seen == ["1"]
    assert "PYTHONSAFEPATH" not in os.environ


def test_whoever_watches_a_run_that_is_gone_without_a_word_reads_the_end_of_its_log(tmp_path: Path) -> None:
    run = make_folder(tmp_path / "run")
    run.events.write_text(to_json(progress(1)) + "\n")
    run.log.write_text("one\nKilled by something\n")
    trainer = Trainer(FollowedSession(run))
    trainer.start()
    trainer.wait(PATIENCE)
    assert trainer.error == "It ended without a word; its log ends: Killed by something"
    ended = RunEnded(outcome="stopped", message="m", epochs=1, step=1, seconds=1.0)
    run.events.write_text(to_json(progress(1)) + "\n" + to_json(ended) + "\n")
    trainer = Trainer(FollowedSession(run))
    trainer.start()
    trainer.wait(PATIENCE)
    assert not trainer.error
