"""What each extra worker costs in private memory for the index of a million samples.

    python -m benchmarks.index_memory [--short] [SAMPLES]

Worker processes and threads read images of a folder of so many files; the private memory of a worker (Private_Clean and
Private_Dirty of /proc/PID/smaps_rollup) is compared with that of a worker on a dataset of a thousand. Beside it the
tutorial's dataset, a list of paths as str and a list of labels. Bar 8: 20 MB a worker, and a fifth of the list.

Where the index is made, all memory of the process counts (statm), pages of the mapped file included, which the kernel
may take back: after the scan; after every name has been read; where the index may not be kept, and lies in the heap;
and with a loader over it that is in its first epoch.
"""

from __future__ import annotations

import ctypes
import gc
import multiprocessing
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from benchmarks.measuring import arguments, bar
from tui_trainer.config import Config
from tui_trainer.data import scan_cache
from tui_trainer.data.batches import Data, build_batches, scan, spec_of
from tui_trainer.data.index import Index
from tui_trainer.data.loader import start_forkserver, worker_context

ALL = "with an epoch of a loader"  # its order, threads and batches: what a list of str would need as well
CLASSES, FEW, STEPS, MEGABYTE = 1_000, 1_000, 20, 1 << 20


class Listed(Dataset[Any]):
    """As in the tutorial: every path is a str, every label an int."""

    def __init__(self, root: Path) -> None:
        self.paths = [str(path) for path in root.glob("*/*")]
        labels = sorted(item.name for item in root.glob("*/"))
        number = {label: index for index, label in enumerate(labels)}
        self.targets = [number[Path(path).parent.name] for path in self.paths]

    def __getitem__(self, index: int) -> Any:
        return len(self.paths[index]), self.targets[index]

    def __len__(self) -> int:
        return len(self.paths)


def private(pid: int) -> int:
    """Bytes that no other process shares."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text("ascii").splitlines()
    return sum(int(line.split()[1]) << 10 for line in lines if line.startswith("Private_"))


def make(root: Path, samples: int) -> None:
    import cv2

    image = cv2.imencode(".png", np.full((8, 8), 90, np.uint8))[1].tobytes()
    one = root / "image.png"
    root.mkdir(parents=True)
    one.write_bytes(image)
    for number in range(CLASSES if samples > FEW else 2):
        folder = root / "data" / f"class-{number:04}"
        folder.mkdir(parents=True)
        for i in range(samples // (CLASSES if samples > FEW else 2)):
            if i % 10_000 == 0:  # a file has 65,000 names at most
                one = folder / f"image-{number:04}-{i:06}.png"
                one.write_bytes(image)
            else:
                os.link(one, folder / f"image-{number:04}-{i:06}.png")


def built(root: Path, workers: int, kind: str, cache: str = "auto") -> Data:
    config = Config().replace(
        data=str(root / "data"), num_workers=workers, worker_type=kind, image_size=8, channels=1,
        normalize="none", cache=cache,
    )  # fmt: skip
    index = scan(config)
    spec = spec_of(config.data, index)
    return build_batches(config, index, spec, needs_two=False, context=worker_context(config))


def step(batches: Iterator[Any]) -> Iterator[Any]:
    for _ in range(STEPS):
        next(batches)
    return batches


def in_processes(root: Path) -> float:
    """Private memory of a worker process after some batches, the mean of two."""
    batches = step(built(root, 2, "process").train.epoch(0))
    found = [private(child.pid or 0) for child in multiprocessing.active_children()]
    batches.close()  # type: ignore[attr-defined]
    return sum(found) / len(found)


def in_threads(root: Path) -> float:
    """Private memory of this process for each of three more threads."""
    sizes = []
    for workers in (1, 4):
        batches = step(built(root, workers, "thread").train.epoch(0))
        sizes.append(private(os.getpid()))
        batches.close()  # type: ignore[attr-defined]
    return (sizes[1] - sizes[0]) / 3


def listed(root: Path) -> float:
    """Private memory of a worker of the tutorial's dataset."""
    loader = DataLoader(
        Listed(root / "data"), batch_size=32, num_workers=1, shuffle=True, multiprocessing_context=start_forkserver()
    )
    batches = step(iter(loader))
    found = [private(child.pid or 0) for child in multiprocessing.active_children()]
    del batches
    return found[0]


def held(make: Callable[[Path], object], few: Path, many: Path) -> float:
    """MB that a process, forked for it, holds more once it has made something of `many`; mapped files count."""
    ends = multiprocessing.Pipe()
    child = multiprocessing.get_context("fork").Process(target=_held, args=(make, few, many, ends[1]))
    child.start()
    found: int = ends[0].recv()
    child.join()
    return found / MEGABYTE


def _held(make: Callable[[Path], object], few: Path, many: Path, end: Any) -> None:
    first = make(few / "data")  # what the code itself takes
    ctypes.CDLL(None).malloc_trim(0)  # what a scan gives back is to be its own
    before = resident()
    kept = make(many / "data")
    gc.collect()
    end.send(resident() - before)
    del first, kept


def resident() -> int:
    """Bytes of this process in memory."""
    return int(Path("/proc/self/statm").read_text("ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")


def main() -> None:
    given = arguments(__doc__)
    samples = int(given.only[0]) if given.only else 50_000 if given.short else 1_000_000
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        scan_cache.cache_folder = lambda: Path(name) / "cache"
        many, few = Path(name) / "many", Path(name) / "few"
        make(few, FEW)
        make(many, samples)
        time.sleep(2 * scan_cache.RACY / 1e9)  # a folder that changed just now is not kept
        print(f"{samples:,} samples, private memory a worker beyond that of one with {FEW} samples:")
        grown = {}
        for way, measure in (("worker process", in_processes), ("the tutorial's list of str", listed)):
            grown[way] = (measure(many) - measure(few)) / MEGABYTE
            print(f"  {way:28} {grown[way]:8.1f} MB", flush=True)
        print(f"  {'thread':28} {in_threads(many) / MEGABYTE:8.1f} MB", flush=True)
        there = held(Listed, few, many)
        print(f"the process that makes it, a list of str: {there:.1f} MB")
        bar("8", "MB that a worker process has of the index", grown["worker process"], most=20)
        ways: dict[str, Callable[[Path], object]] = {
            "made and kept": scanned, "opened again": scanned, "each name read": read, "not kept": in_the_heap,
            ALL: lambda root: step(built(root.parent, 2, "thread", "off").train.epoch(0)),
        }  # fmt: skip
        for word, make_it in ways.items():
            here = held(make_it, few, many)
            print(f"  index, {word:28} {here:8.1f} MB", flush=True)
            if word != ALL:
                bar("8", f"memory of the index, {word} / of a list of str, where they are made", here / there, most=0.2)


def scanned(root: Path) -> Index:
    return scan_cache.scan(root, None, 0.2, 0)


def read(root: Path) -> Index:
    index = scanned(root)
    for number in range(len(index)):
        index.name(number)
    return index


def in_the_heap(root: Path) -> Index:
    """As where a folder changed just now."""
    scan_cache.RACY = 1 << 62
    for entry in scan_cache.cache_folder().glob("*.index"):
        entry.unlink()
    return read(root)


if __name__ == "__main__":
    main()
