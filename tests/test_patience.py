"""How long threads wait awake follows who else wants the processors."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest

from tui_trainer import patience as module
from tui_trainer import waiting
from tui_trainer.patience import CALM, Patience


def teams() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "team"]


@pytest.fixture
def two(monkeypatch: pytest.MonkeyPatch) -> Iterator[Patience]:
    monkeypatch.setenv("OMP_WAIT_POLICY", waiting.POLICY)
    monkeypatch.setenv("GOMP_SPINCOUNT", waiting.SPINS)
    monkeypatch.setattr(module, "usable_cpus", lambda: 2)
    monkeypatch.setattr(module, "LOOK", 3600.0)
    with Patience(2) as patience:
        yield patience
    assert not patience.sleeps


def test_beside_others_threads_sleep_until_it_was_calm_for_a_while(two: Patience) -> None:
    two.hear(1.9)
    assert not two.sleeps
    two.hear(1.0)
    (team,) = teams()
    for _ in range(CALM - 1):
        two.hear(2.0)
        assert two.sleeps
    two.hear(1.0)  # begins to count anew, and has its team already
    assert teams() == [team]
    for _ in range(CALM):
        two.hear(2.0)
    assert not two.sleeps
    team.join(10)
    assert not team.is_alive()


def test_what_cannot_be_told_is_calm(two: Patience) -> None:
    two.hear(0.5)
    for _ in range(CALM):
        two.hear(None)
    assert not two.sleeps


def test_a_system_that_lets_no_thread_begin(two: Patience, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refused)
        two.hear(0.0)
    assert not two.sleeps


def test_the_end_of_the_context_is_the_end_of_all_its_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "is_ours", lambda: True)
    monkeypatch.setattr(module, "usable_cpus", lambda: 2)
    with Patience(2) as patience:
        patience.hear(0.0)
        (team,) = teams()
    team.join(10)
    assert {thread.name for thread in threading.enumerate()}.isdisjoint({"patience", "team"})


def test_a_program_that_leaves_it_open_ends_its_threads_too(two: Patience) -> None:
    two.hear(0.0)
    assert two.sleeps
    module._close_all()
    assert {thread.name for thread in threading.enumerate()}.isdisjoint({"patience", "team"})


@pytest.mark.parametrize(("threads", "cpus", "ours"), [(1, 2, True), (2, 2, False), (2, 8, True), (4, 2, True)])
def test_where_it_would_change_nothing_nobody_looks(
    threads: int, cpus: int, ours: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "is_ours", lambda: ours)
    monkeypatch.setattr(module, "usable_cpus", lambda: cpus)
    with Patience(threads):
        assert "patience" not in {thread.name for thread in threading.enumerate()}


def test_other_threads_of_python_are_others(two: Patience) -> None:
    done, end = threading.Event(), threading.Event()

    def work() -> None:
        while time.thread_time() < 0.1:
            pass
        done.set()
        end.wait()

    before = two._moment().own
    thread = threading.Thread(target=work)
    thread.start()
    done.wait()
    here = time.thread_time()
    spent = time.process_time()
    own = two._moment().own
    end.set()
    thread.join()
    assert own <= spent - 0.09
    assert own - before < 0.1 + here


def test_libgomp_has_more_threads_then_than_there_are_processors_and_a_process_may_end_at_any_time() -> None:
    code = """
import os, time
import torch
from tui_trainer.patience import Patience
torch.ones(1 << 20).neg_()
patience, before = Patience(2), len(os.listdir("/proc/self/task"))

def more():
    return len(os.listdir("/proc/self/task")) - before

def settled(wanted):
    until = time.monotonic() + 30
    while more() != wanted and time.monotonic() < until:
        time.sleep(0.01)
    return more()

patience.hear(0.0)
print(settled(2))
for _ in range(4):
    patience.hear(2.0)
print(settled(0))
patience.hear(0.0)
"""
    environment = {**os.environ, "OMP_NUM_THREADS": "2"}
    told = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert told.stdout.split() == ["2", "0"]
