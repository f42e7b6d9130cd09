"""How many processors other programs leave free while a run is prepared. No torch here."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

PROC, GROUPS = Path("/proc"), Path("/sys/fs/cgroup")
LEAST = 0.1  # seconds; the clocks of /proc/stat tick every 10 ms


@dataclass(frozen=True, kw_only=True)
class Moment:
    """What clocks show, in seconds. Child processes count as other programs: theirs are read when they have ended."""

    wall: float
    idle: float | None  # of all usable processors together; None: the system does not tell
    own: float  # processor time of this process


def now() -> Moment:
    """The clocks of this system."""
    return Moment(wall=time.monotonic(), idle=_idle(), own=time.process_time())


def _idle() -> float | None:
    try:
        return idle_seconds((PROC / "stat").read_text("ascii"), os.sched_getaffinity(0), os.sysconf("SC_CLK_TCK"))
    except (OSError, ValueError, AttributeError):  # there is no such file, or nothing like affinity
        return None


def idle_seconds(stat: str, processors: Collection[int], ticks: float) -> float | None:
    """How long these processors have had nothing to do or have waited for a disk, all together; None: not told.

    `ticks`: of the clock in a second (proc(5)).

    Raises:
        ValueError: it is no such text.
    """
    found = {}
    for name, *numbers in (line.split() for line in stat.splitlines() if line.startswith("cpu")):
        if name != "cpu":
            found[int(name.removeprefix("cpu"))] = sum(map(int, numbers[3:5])) / ticks
    return sum(found[number] for number in processors) if found.keys() >= set(processors) else None


def free_between(before: Moment, after: Moment) -> float | None:
    """How many processors, on average, were idle or at work for this process; None: the system does not tell."""
    if before.idle is None or after.idle is None:
        return None
    return (after.idle - before.idle + after.own - before.own) / (after.wall - before.wall)


def free_since(before: Moment) -> float | None:
    """The same until now; it waits until enough time has passed to say so."""
    time.sleep(max(0.0, LEAST - (time.monotonic() - before.wall)))
    return free_between(before, now())


def allowed() -> float:
    """Processors whose time a container may use (cgroups of both versions); infinite where there is no limit."""
    try:
        lines = (PROC / "self" / "cgroup").read_text("utf-8").splitlines()
    except (OSError, ValueError):
        return float("inf")
    least = float("inf")
    for _, names, path in (line.split(":", 2) for line in lines if line.count(":") >= 2):
        if names and "cpu" not in names.split(","):
            continue
        place = (GROUPS / "cpu" if names else GROUPS) / path.lstrip("/")
        for folder in (place, *place.parents):
            if folder.is_relative_to(GROUPS):
                least = min(least, _quota(folder))
    return least


def _quota(folder: Path) -> float:
    """What one group may use."""
    with contextlib.suppress(OSError, ValueError, ZeroDivisionError):
        most, period = (folder / "cpu.max").read_text("ascii").split()
        return float("inf") if most == "max" else int(most) / int(period)
    with contextlib.suppress(OSError, ValueError, ZeroDivisionError):
        most, period = ((folder / f"cpu.cfs_{name}_us").read_text("ascii") for name in ("quota", "period"))
        return int(most) / int(period) if int(most) > 0 else float("inf")
    return float("inf")
