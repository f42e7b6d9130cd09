"""tune's advice against an exhaustive search over workers, their type, threads and precision: bar 13.

    python -m benchmarks.tune [--rounds 7] [--short] [digits] [photos] [resnet18]

For each kind of data: what tune advises and how long it took; then real training with every combination in turns; then
the three best of them against tune's advice, in turns again, for `--rounds`. Without a cache, or after the first epoch
no number of workers would differ from another.
"""

from __future__ import annotations

import itertools
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from tui_trainer.waiting import SPINS

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as the command line does
os.environ.setdefault("GOMP_SPINCOUNT", SPINS)

import torch

from benchmarks import made
from benchmarks.measuring import arguments, bar
from tui_trainer.bench import Bench, Step, endless
from tui_trainer.config import Config, build
from tui_trainer.data.batches import Data
from tui_trainer.loader_facts import candidates
from tui_trainer.search import search
from tui_trainer.settings import Value
from tui_trainer.tune_facts import Found

SECONDS = 0.3  # of training, each combination in each round
ROUNDS, BEST = 3, 3  # of the exhaustive search, and how many of it meet the advice


class Way(NamedTuple):
    """One combination."""

    workers: int
    kind: str
    threads: int
    amp: bool

    def __str__(self) -> str:
        kind = f" ({self.kind})" if self.workers else ""
        return f"workers {self.workers}{kind}, threads {self.threads}, {'bf16' if self.amp else 'float32'}"


class Course:
    """Training with any combination; loaders stay, as they do from epoch to epoch."""

    def __init__(self, config: Config, seconds: float) -> None:
        self._benches = {amp: Bench(config.replace(amp=amp)) for amp in (False, True)}
        self._seconds, self._turn = seconds, 0
        self._steps: dict[bool, Step] = {}
        self._data: dict[tuple[int, str], Data] = {}

    def rate(self, way: Way) -> float:
        """Images/s of a block of training."""
        bench = self._benches[way.amp]
        if way.amp not in self._steps:
            self._steps[way.amp] = bench.training_step(bench.data(0))
        if way[:2] not in self._data:
            bench.set(worker_type=way.kind)
            self._data[way[:2]] = bench.data(way.workers)
        step, self._turn = self._steps[way.amp], self._turn + 1
        torch.set_num_threads(way.threads)
        with closing(endless(self._data[way[:2]].train, self._turn % 97 / 97)) as stream:
            for batch in islice(stream, way.workers + 2):
                step(batch).item()
            began, seen = time.perf_counter(), 0
            while time.perf_counter() - began < self._seconds or not seen:
                batch = next(stream)
                step(batch).item()
                seen += len(batch.targets)
            return seen / (time.perf_counter() - began)


def all_ways() -> list[Way]:
    """Every combination that this machine allows."""
    counts = candidates()
    workers = [(0, "thread"), *itertools.product(counts[1:], ("thread", "process"))]
    return [Way(*who, threads, amp) for who in workers for threads in counts[1:] for amp in (False, True)]


def in_turns(ways: Iterable[Way], rate: Callable[[Way], float], rounds: int) -> dict[Way, list[float]]:
    """Rates of all, forth and back."""
    found: dict[Way, list[float]] = {way: [] for way in ways}
    for turn in range(rounds):
        for way in list(found)[:: -1 if turn % 2 else 1]:
            found[way].append(rate(way))
    return found


def advised(config: Config) -> Way:
    """What tune says, in the words of this benchmark."""
    found = Found()
    for item in search(config):
        found.add(item)
    advice = found.advice(config.loader.batch_size)
    assert advice is not None
    given = {"worker_type": "thread", "threads": 1, **advice.settings}
    workers, threads = (int(str(given[name])) for name in ("num_workers", "threads"))
    return Way(workers, str(given["worker_type"]), threads, bool(given["amp"]))


def compare(title: str, config: Config, rounds: int, seconds: float) -> None:
    began = time.perf_counter()
    pick = advised(config)
    took = time.perf_counter() - began
    course = Course(config, seconds)
    everything = in_turns(all_ways(), course.rate, min(ROUNDS, rounds))
    medians = {way: statistics.median(rates) for way, rates in everything.items()}
    ranked = sorted(medians, key=lambda way: -medians[way])
    print(f"{title}: {len(ranked)} combinations; tune says {pick}", flush=True)
    for way in dict.fromkeys([*ranked[:BEST], pick, ranked[-1]]):
        print(f"  {medians[way]:8,.0f} images/s  {way}{' (tune)' if way == pick else ''}")
    duel = in_turns(dict.fromkeys([*ranked[:BEST], pick]), course.rate, rounds)
    ratios = {
        way: statistics.median(b / a for a, b in zip(duel[pick], rates, strict=True)) for way, rates in duel.items()
    }
    best = max(ratios, key=lambda way: ratios[way])
    print(f"  the best, in turns with tune's advice: {best}")
    bar("13", f"{title}, best of {len(ranked)} combinations / tune's advice", ratios[best], most=1.05)
    bar("13", f"{title}, seconds that tune took", took, most=60)


def main() -> None:
    given = arguments(__doc__)
    seconds = 0.1 if given.short else SECONDS
    digits = Path(__file__).resolve().parent.parent / "sample_data" / "digits"
    with tempfile.TemporaryDirectory() as folder:
        large, small = Path(folder) / "large", Path(folder) / "small"
        heavy: dict[str, Value] = {"model": "resnet18", "image_size": 64, "augment": "light"}
        kinds: dict[str, tuple[str, dict[str, Value]]] = {
            "digits": ("digits, lenet", {"data": str(digits)}),
            "photos": ("photos of 1.2 megapixels, lenet", {"data": str(large)}),
            "resnet18": ("photos of 320x240, resnet18 at 64", {"data": str(small), **heavy}),
        }
        for name in given.only or kinds:
            if name == "photos":
                made.photos(large, 40 if given.short else 200, 1280, 960)
            if name == "resnet18":
                made.photos(small, 80 if given.short else 400, 320, 240)
            title, values = kinds[name]
            compare(title, build({"cache": "off", **values}), given.rounds, seconds)


if __name__ == "__main__":
    main()
