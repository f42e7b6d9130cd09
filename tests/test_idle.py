"""What other programs leave free: from made texts of /proc/stat and made groups."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tui_trainer import idle
from tui_trainer.idle import Moment

STAT = """cpu  600 0 200 3000 400 0 0 0 0 0
cpu0 100 0 50 1000 100 0 0 0 0 0
cpu1 500 0 150 1200 300 7 7 9 0 0
cpu12 0 0 0 800 0
intr 7 0
btime 1700000000
"""


@pytest.mark.parametrize(
    ("processors", "seconds"), [({0}, 11.0), ({1}, 15.0), ({0, 1}, 26.0), ({0, 12}, 19.0), ({0, 2}, None)]
)
def test_of_the_usable_processors_what_was_idle_or_waited_for_a_disk(
    processors: set[int], seconds: float | None
) -> None:
    assert idle.idle_seconds(STAT, processors, 100.0) == seconds


def test_another_tick() -> None:
    assert idle.idle_seconds(STAT, {0}, 1000.0) == 1.1


def moment(wall: float, idle: float | None, own: float) -> Moment:
    return Moment(wall=wall, idle=idle, own=own)


@pytest.mark.parametrize(
    ("after", "free"),
    [
        (moment(12.0, 104.0, 5.0), 2.0),  # nothing runs
        (moment(12.0, 102.0, 7.0), 2.0),  # only this process
        (moment(12.0, 100.0, 7.0), 1.0),  # beside one busy program
        (moment(12.0, 100.0, 6.0), 0.5),  # beside two
        (moment(10.5, 102.0, 7.0), 8.0),  # of many processors
        (moment(12.0, None, 5.0), None),
    ],
)
def test_free_is_what_is_idle_and_what_this_process_takes(after: Moment, free: float | None) -> None:
    assert idle.free_between(moment(10.0, 100.0, 5.0), after) == free


def test_where_the_first_look_was_not_told_nothing_is() -> None:
    assert idle.free_between(moment(10.0, None, 5.0), moment(12.0, 104.0, 5.0)) is None


@pytest.fixture
def proc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(idle, "PROC", tmp_path / "proc")
    monkeypatch.setattr(idle, "GROUPS", tmp_path / "groups")
    (tmp_path / "proc" / "self").mkdir(parents=True)
    return tmp_path / "proc"


@pytest.mark.parametrize("text", [None, "", "cpu0 1 2", "cpu0 a b c d e", "cpux 1 2 3 4 5", "cpu0 1 2 3 \xff 5"])
def test_a_system_that_does_not_tell(proc: Path, text: str | None) -> None:
    if text is not None:
        (proc / "stat").write_text(text, "latin-1")
    found = idle.now()
    assert found.idle is None or text == "cpu0 1 2"
    assert found.wall > 0


def test_a_system_without_affinity(proc: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr("os.sched_getaffinity", raising=False)
    (proc / "stat").write_text(STAT)
    assert idle.now().idle is None


def test_too_short_a_time_is_waited_out(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr(time, "sleep", waits.append)
    before = idle.now()
    idle.free_since(before)
    idle.free_since(moment(before.wall - 5.0, before.idle, before.own))
    assert 0.0 < waits[0] <= idle.LEAST
    assert waits[1] == 0.0


@pytest.mark.parametrize(
    ("groups", "files", "processors"),
    [
        (None, {}, float("inf")),
        ("0::/", {}, float("inf")),
        ("0::/", {"cpu.max": "150000 100000\n"}, 1.5),
        ("0::/", {"cpu.max": "max 100000\n"}, float("inf")),
        ("0::/", {"cpu.max": "much\n"}, float("inf")),
        ("0::/a/b", {"a/cpu.max": "100000 100000\n", "a/b/cpu.max": "max 100000\n"}, 1.0),
        ("0::/a", {"a/cpu.max": "400000 100000\n", "b/cpu.max": "1 100000\n"}, 4.0),
        ("4:cpu,cpuacct:/x", {"cpu/x/cpu.cfs_quota_us": "50000\n", "cpu/x/cpu.cfs_period_us": "100000\n"}, 0.5),
        ("4:cpu:/", {"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, float("inf")),
        ("5:memory:/x", {"cpu/x/cpu.cfs_quota_us": "50000\n", "cpu/x/cpu.cfs_period_us": "100000\n"}, float("inf")),
        ("no group", {"cpu.max": "150000 100000\n"}, float("inf")),
        ("0::/../../..", {"cpu.max": "150000 100000\n"}, 1.5),
    ],
)
def test_what_a_container_may_use(proc: Path, groups: str | None, files: dict[str, str], processors: float) -> None:
    if groups is not None:
        (proc / "self" / "cgroup").write_text(groups + "\n")
    for name, text in files.items():
        path = idle.GROUPS / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert idle.allowed() == processors
