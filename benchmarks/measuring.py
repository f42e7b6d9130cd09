"""Two or more ways to do the same work, in turns: seconds of the clock and of the processors, and their ratios.

Each round does every side once, in random order, so that other load on the machine meets all alike;
what is told is the median of the ratios within a round. Processor seconds are those of this process
and of all that it has started, running ones included.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import multiprocessing
import os
import random
import resource
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Times:
    """Seconds of each round, by side."""

    wall: dict[str, list[float]] = field(default_factory=dict)
    cpu: dict[str, list[float]] = field(default_factory=dict)

    def ratio(self, other: str, ours: str, of: str = "cpu") -> float:
        """How many times as long `other` takes as `ours`: the median over the rounds."""
        rounds: dict[str, list[float]] = getattr(self, of)
        return statistics.median(a / b for a, b in zip(rounds[other], rounds[ours], strict=True))


def cpu_seconds() -> float:
    """Of this process, of children that have ended, and of the threads of worker processes that run."""
    return time.process_time() + children_seconds()


def children_seconds() -> float:
    """Of children that have ended, and of the threads of worker processes that run."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    total = ended.ru_utime + ended.ru_stime
    for child in multiprocessing.active_children():
        for thread in Path(f"/proc/{child.pid}/task").glob("*/schedstat"):
            with contextlib.suppress(OSError):
                total += int(thread.read_text().split()[0]) / 1e9
    return total


def in_turns(
    sides: Mapping[str, Callable[[], object]],
    rounds: int,
    warm: int = 1,
    before: Mapping[str, Callable[[], object]] | None = None,
) -> Times:
    """Measure; `warm` rounds before are not counted, nor what a side has to do `before`."""
    found, order = Times({name: [] for name in sides}, {name: [] for name in sides}), list(sides)
    shuffled = random.Random(0)
    for number in range(-warm, rounds):
        shuffled.shuffle(order)
        for name in order:
            if before:
                before[name]()
            gc.collect()
            others = children_seconds()  # read outside of what is measured: it takes as long as a small epoch
            wall, cpu = time.perf_counter(), time.process_time()
            sides[name]()
            cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
            if number >= 0:
                found.wall[name].append(wall)
                found.cpu[name].append(cpu + children_seconds() - others)
    return found


def show(found: Times, each: int = 1, unit: str = "ms/image", scale: float = 1e3) -> None:
    """The median of each side for one of `each` things."""
    for name in found.wall:
        wall, cpu = (statistics.median(rounds[name]) / each * scale for rounds in (found.wall, found.cpu))
        print(f"  {name:<44} {wall:9.4f} {unit} by the clock, {cpu:9.4f} of the processors", flush=True)


def bar(number: str, what: str, value: float, least: float = 0.0, most: float = 0.0) -> bool:
    """One line that says whether a bar is met."""
    met = value <= most if most else value >= least
    asked = f"<= {most:g}" if most else f">= {least:g}"
    print(f"bar {number}: {what}: {value:.3g} ({asked}) {'met' if met else 'NOT MET'}", flush=True)
    return met


def arguments(about: str | None, *, rounds: int = 7) -> argparse.Namespace:
    """--rounds and --short, which a benchmark of this kind takes; the load of the machine is told first."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=rounds)
    parser.add_argument("--short", action="store_true", help="small and few, to see that it runs")
    parser.add_argument("--photos", default="", help="class folders of photos, of which large ones are made")
    parser.add_argument("only", nargs="*", help="parts of the benchmark")
    given = parser.parse_args()
    given.rounds = 2 if given.short else given.rounds
    load = os.getloadavg()
    print(f"{os.cpu_count()} processors, load {load[0]:.1f} {load[1]:.1f} {load[2]:.1f}, {given.rounds} rounds")
    return given
