"""Streams beside the folder source: images per second, and memory while 200,000 samples go by.

`python -m benchmarks.streams [--samples N]` makes a database, tar shards and JSON lines of the digits that come along,
repeated, and reads slices of each in turn with a folder of the same images, in one process. The folder is read without
its cache of decoded images, as streams are.
"""

from __future__ import annotations

import argparse
import base64
import io
import itertools
import json
import sqlite3
import statistics
import tarfile
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tui_trainer.config import Config
from tui_trainer.data.batches import build_batches, scan, spec_of
from tui_trainer.data.loader import Batch, Loader

DIGITS = Path(__file__).parent.parent / "sample_data" / "digits"
SHARDS = 8


def made(samples: int) -> Iterator[tuple[int, str, bytes]]:
    """Number, class and image of each sample."""
    images = [(path.parent.name, path.read_bytes()) for path in sorted(DIGITS.glob("*/*.png"))]
    for number, (label, data) in enumerate(itertools.islice(itertools.cycle(images), samples)):
        yield number, label, data


def make_database(folder: Path, samples: int) -> str:
    with sqlite3.connect(folder / "digits.db") as file:
        file.execute("CREATE TABLE digits (id INTEGER PRIMARY KEY, label TEXT, image BLOB)")
        file.executemany("INSERT INTO digits VALUES (?, ?, ?)", made(samples))
    file.close()
    return f"sqlite:///{folder / 'digits.db'}"


def make_lines(folder: Path, samples: int) -> str:
    with (folder / "digits.jsonl").open("w") as file:
        for _, label, data in made(samples):
            file.write(json.dumps({"image": base64.b64encode(data).decode(), "label": label}) + "\n")
    return str(folder / "digits.jsonl")


def make_shards(folder: Path, samples: int) -> str:
    each = -(-samples // SHARDS)
    archives = [tarfile.open(folder / f"digits-{i}.tar", "w") for i in range(SHARDS)]  # noqa: SIM115 - closed below
    for number, label, data in made(samples):
        for suffix, content in (("png", data), ("cls", label.encode())):
            info = tarfile.TarInfo(f"{number:07}.{suffix}")
            info.size = len(content)
            archives[number // each].addfile(info, io.BytesIO(content))
    for archive in archives:
        archive.close()
    return f"{folder}/digits-{{0..{SHARDS - 1}}}.tar"


def loader_of(source: str, workers: int, **values: object) -> tuple[Loader, float]:
    """The training loader, and how long it took to look at the source."""
    config = Config().replace(
        data=source, image_size=32, channels=1, normalize="none", num_workers=workers, cache="off", **values  # type: ignore[arg-type]
    )  # fmt: skip
    began = time.perf_counter()
    index = scan(config)
    seconds = time.perf_counter() - began
    return build_batches(config, index, spec_of(config.data, index), needs_two=False, context=None).train, seconds


def endless(loader: Loader) -> Iterator[Batch]:
    for epoch in itertools.count():
        yield from loader.epoch(epoch)


def rate(batches: Iterator[Batch], seconds: float) -> float:
    """Images per second over a slice of time."""
    began, seen = time.perf_counter(), 0
    while (passed := time.perf_counter() - began) < seconds:
        seen += len(next(batches).targets)
    return seen / passed


def memory() -> float:
    """Megabytes that this process holds now and shares with nobody."""
    words = Path("/proc/self/statm").read_text().split()
    return (int(words[1]) - int(words[2])) * 4096 / 1e6


def compare(sources: dict[str, str], workers: int, rounds: int, seconds: float) -> None:
    streams = {}
    for name, source in sources.items():
        loader, took = loader_of(source, workers, **({"stream": True} if source.endswith(".jsonl") else {}))
        streams[name] = endless(loader)
        began = time.perf_counter()
        next(streams[name])
        print(f"{name:<12} looked at in {took:5.2f} s, first batch after {time.perf_counter() - began:4.2f} s")
    rates: dict[str, list[float]] = {name: [] for name in streams}
    for _ in range(rounds):
        for name, stream in streams.items():
            rates[name].append(rate(stream, seconds))
    for name, found in rates.items():
        ratio = statistics.median(a / b for a, b in zip(found, rates["folder"], strict=True))
        print(f"{name:<12} {workers} workers: {statistics.median(found):8,.0f} images/s, {ratio:.2f} x folder")
    for stream in streams.values():
        stream.close()  # type: ignore[attr-defined]


def memory_of(source: str, **values: object) -> None:
    """Memory after each fifth of an epoch."""
    loader, _ = loader_of(source, 0, **values)
    fifth = max(1, loader.batches // 5)
    marks = [memory() for batch in loader.epoch(0) if batch.number % fifth == 1]
    print(
        f"{source.rpartition('/')[2][:28]:<28} private MB through an epoch: {' '.join(f'{one:.0f}' for one in marks)}"
    )


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--samples", type=int, default=200_000)
    words.add_argument("--rounds", type=int, default=9)
    words.add_argument("--seconds", type=float, default=1.0)
    words.add_argument("--workers", type=int, nargs="*", default=[0, 2])
    words.add_argument("--memory", action="store_true", help="memory alone")
    asked = words.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sources = {
            "database": make_database(folder, asked.samples),
            "JSON lines": make_lines(folder, asked.samples),
            "tar": make_shards(folder, asked.samples),
        }
        if asked.memory:
            for source in sources.values():
                memory_of(source, **({"stream": True} if source.endswith(".jsonl") else {}))
            return
        for workers in asked.workers:
            compare({"folder": str(DIGITS), **sources}, workers, asked.rounds, asked.seconds)


if __name__ == "__main__":
    main()
