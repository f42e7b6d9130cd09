"""How soon the first batch comes, and how the number of samples matters: bars 8 and 12.

    python -m benchmarks.start [first] [samples] [program] [--rounds 7] [--short]

first: a new loader with two workers until its first batch of 32, against DataLoader over ImageFolder with two forked
processes. samples: the same photos under 1,000, 100,000 and 1,000,000 names; images a second from the middle of an
epoch, and the time from nothing in memory but the program to the first batch, with the index of an earlier start.
program: the whole program without screens, with nothing cached, from the start of its process to its first step and to
its end there, on few images and on 200,000: PyTorch imported beside the scan, and before it as any script does.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import torch
from torch.utils.data import DataLoader

from benchmarks import made
from benchmarks.loading import BATCH, WORKERS, ours, torchvision_loader
from benchmarks.measuring import arguments, bar, cpu_seconds, in_turns, show
from tui_trainer.data import scan_cache
from tui_trainer.data.batches import Data

PHOTOS, CLASSES, LINKS = 64, 100, 10_000  # a file has 65,000 names at most
BEGIN, STEPS = 3, 24  # batches that are passed over, and measured, of the 31 of the smallest


def first(folder: Path, rounds: int) -> None:
    made.photos(folder, 320, 500, 375)
    theirs = torchvision_loader(folder, training=True).dataset

    def fork() -> DataLoader[Any]:
        return DataLoader(theirs, BATCH, shuffle=True, num_workers=WORKERS, multiprocessing_context="fork")

    ready: dict[str, Any] = {}

    def our_first() -> None:
        batches = ready["ours"].train.epoch(0)
        next(batches)
        ready["batches"] = batches

    def their_first() -> None:
        batches = iter(ready["DataLoader, fork"])
        next(batches)
        ready["batches"] = batches

    def before(name: str, make: Callable[[], Any]) -> Callable[[], None]:
        def one() -> None:
            ready.pop("batches", None)  # the workers of the last one end outside of what is measured
            ready[name] = make()

        return one

    found = in_turns(
        {"ours": our_first, "DataLoader, fork": their_first},
        rounds,
        before={
            "ours": before("ours", lambda: ours(folder)),
            "DataLoader, fork": before("DataLoader, fork", fork),
        },
    )
    ready.clear()
    show(found, unit="ms")
    value = 1 / found.ratio("DataLoader, fork", "ours", "wall")
    bar("8", "first batch by the clock, ours / DataLoader fork", value, most=0.5)


def named(photos: Path, root: Path, samples: int) -> Path:
    """The photos under so many names."""
    files = sorted(photos.rglob("*.jpg"))
    each = samples // CLASSES
    for number in range(CLASSES):
        place = root / f"class-{number:03}"
        place.mkdir(parents=True)
        for i in range(each):
            count = number * each + i
            source = files[count % PHOTOS]
            if count // PHOTOS % LINKS == 0 and count >= PHOTOS:
                (place / f"image-{i:06}.jpg").write_bytes(source.read_bytes())
                files[count % PHOTOS] = place / f"image-{i:06}.jpg"
            else:
                os.link(source, place / f"image-{i:06}.jpg")
    return root


def middle(data: Data, epochs: Iterator[int]) -> tuple[float, float]:
    """Images a second, by the clock and of the processors."""
    batches = data.train.epoch(next(epochs))
    for _ in range(BEGIN):
        next(batches)
    wall, cpu = time.perf_counter(), cpu_seconds()
    for _ in range(STEPS):
        next(batches)
    taken = time.perf_counter() - wall, cpu_seconds() - cpu
    batches.close()  # type: ignore[attr-defined]
    return STEPS * BATCH / taken[0], STEPS * BATCH / taken[1]


def samples(folder: Path, rounds: int, sizes: tuple[int, ...]) -> None:
    made.photos(folder / "photos", PHOTOS, 500, 375)
    roots = {size: named(folder / "photos", folder / str(size), size) for size in sizes}
    time.sleep(2 * scan_cache.RACY / 1e9)  # a folder that changed just now is not kept
    rates: dict[int, list[tuple[float, float]]] = {size: [] for size in sizes}
    starts: dict[int, list[float]] = {size: [] for size in sizes}
    epochs = iter(range(1 << 30))
    for number in range(-1, rounds):
        for size in sizes if number % 2 else reversed(sizes):
            began = time.perf_counter()
            data = ours(roots[size])
            batches = data.train.epoch(0)
            next(batches)
            taken = time.perf_counter() - began
            batches.close()  # type: ignore[attr-defined]
            rate = middle(data, epochs)
            data.close()
            if number >= 0:
                starts[size].append(taken)
                rates[size].append(rate)
    for size in sizes:
        wall, cpu = (statistics.median(values) for values in zip(*rates[size], strict=True))
        print(f"  {size:>9,} samples: {wall:6.0f} images/s by the clock, {cpu:6.0f} a second of the processors, "
              f"first batch after {statistics.median(starts[size]):.2f} s", flush=True)  # fmt: skip
    few = sizes[0]
    for size in sizes[1:]:
        for which, word in ((0, "by the clock"), (1, "processors")):
            pairs = zip(rates[few], rates[size], strict=True)
            value = statistics.median(a[which] / b[which] for a, b in pairs)
            bar("12", f"images/s at {few:,} / at {size:,}, {word}", value, most=1.05)
    later = statistics.median(b - a for a, b in zip(starts[few], starts[sizes[-1]], strict=True))
    bar("12", f"seconds to the first batch, {sizes[-1]:,} more than {few:,}", later, most=2)


PROGRAM = """
import sys
from pathlib import Path
if sys.argv[1] == "before":
    import tui_trainer.run
from tui_trainer.config import Config
from tui_trainer.session import LocalSession
config = Config().replace(data=sys.argv[2], output_dir=sys.argv[3], model="lenet", image_size=32, log_every=1, epochs=1)
for event in LocalSession(config).events():
    if type(event).__name__ == "Progress":
        break
print(flush=True)
"""


def started(way: str, data: Path, place: Path) -> tuple[float, float, float]:
    """Seconds from the start of a process to its first step, to its end after it, and of the processors."""
    settings = {**os.environ, "XDG_CACHE_HOME": str(place / "cache")}
    wall, cpu = time.perf_counter(), cpu_seconds()
    words = [sys.executable, "-c", PROGRAM, way, str(data), str(place / "run")]
    with subprocess.Popen(words, env=settings, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        stepped = time.perf_counter() - wall
    assert process.returncode == 0, way
    return stepped, time.perf_counter() - wall, cpu_seconds() - cpu


def program(folder: Path, rounds: int, sizes: tuple[int, ...]) -> None:
    made.photos(folder / "small", PHOTOS, 32, 32)
    for size in sizes:
        data = named(folder / "small", folder / f"program{size}", size)
        found: dict[str, list[tuple[float, float, float]]] = {"beside": [], "before": []}
        for number in range(rounds):
            for way in list(found)[:: 1 if number % 2 else -1]:
                with tempfile.TemporaryDirectory() as place:
                    found[way].append(started(way, data, Path(place)))
        for way, times in found.items():
            step, end, cpu = (statistics.median(values) for values in zip(*times, strict=True))
            print(f"  {size:>9,} images, PyTorch {way} the scan: first step after {step:.2f} s, end {end:.2f} s, "
                  f"{cpu:.2f} s of the processors", flush=True)  # fmt: skip
        for which, word in enumerate(("to the first step", "to the end", "of the processors")):
            pairs = zip(found["beside"], found["before"], strict=True)
            print(f"    beside / before, {word}: {statistics.median(a[which] / b[which] for a, b in pairs):.3f}")


def main() -> None:
    given = arguments(__doc__)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_CACHE_HOME"] = f"{folder}/cache"
        if not given.only or "first" in given.only:
            first(Path(folder) / "first", given.rounds)
        if not given.only or "samples" in given.only:
            sizes = (1_000, 2_000) if given.short else (1_000, 100_000, 1_000_000)
            samples(Path(folder), given.rounds, sizes)
        if not given.only or "program" in given.only:
            program(Path(folder), given.rounds, (1_000,) if given.short else (2_000, 200_000))


if __name__ == "__main__":
    main()
