"""How long it takes to find 200,000 images in 1,000 folders, and to find them again.

    python -m benchmarks.scan [--rounds 7] [--short] [FILES FOLDERS]

The tutorial's way is `pathlib.glob('*/*')` with a lookup of each file's class; `os.walk` with an empty body is what the
operating system needs alone. All of them in turns in this process, the best of some rounds: empty files, warm cache.
Bar 8 asks for 0.15 of what a script does with pathlib.glob (paths as str and their labels), and 0.02 from the index.
No way of listing is faster than os.listdir of each folder, nine tenths of which the kernel takes: its share of either
glob is shown beside the bars.
"""

from __future__ import annotations

import os
import pathlib
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.measuring import arguments, bar
from tui_trainer.data import folders, scan_cache

AGE = 3600  # seconds by which the folders are made older, so that the index is kept


def make(root: Path, files: int, count: int) -> None:
    for number in range(count):
        folder = root / f"class-{number:04}"
        folder.mkdir(parents=True)
        for i in range(files // count):
            (folder / f"{number:04}-{i:06}.jpg").touch()
        then = time.time() - AGE
        os.utime(folder, (then, then))
    os.utime(root, (then, then))


def tutorial(root: Path) -> int:
    """As the tutorial lists images, names of classes and labels."""
    paths = list(root.glob("*/*"))
    names = [str(path) for path in paths]
    labels = sorted(item.name for item in root.glob("*/") if item.is_dir())
    number = {label: index for index, label in enumerate(labels)}
    targets = [number[pathlib.Path(path).parent.name] for path in names]
    return len(targets)


def walked(root: Path) -> int:
    return sum(len(files) for _, _, files in os.walk(root))


def seconds(work: Callable[[Path], int], root: Path, files: int) -> float:
    began = time.perf_counter()
    found = work(root)
    taken = time.perf_counter() - began
    assert found == files, (found, files)
    return taken


def main() -> None:
    given = arguments(__doc__)
    files, count = map(int, given.only) if given.only else (20_000, 100) if given.short else (200_000, 1_000)
    with tempfile.TemporaryDirectory() as name:
        root = Path(name) / "data"
        make(root, files, count)
        scan_cache.cache_folder = lambda: Path(name) / "cache"
        scan_cache.RACY = -(10**18)  # the folders were made just now, and nobody else writes here
        ways: dict[str, Callable[[Path], int]] = {
            "pathlib.glob, as in the tutorial": tutorial,
            "pathlib.glob alone": lambda root: len(list(root.glob("*/*"))),
            "os.walk, empty body": walked,
            "os.listdir of each folder": lambda root: sum(len(os.listdir(entry)) for entry in os.scandir(root)),
            "first scan, with the split": lambda root: len(folders.scan(root, None, 0.2, 0)),
            "second start, from the index": lambda root: len(scan_cache.scan(root, None, 0.2, 0)),
        }
        scan_cache.scan(root, None, 0.2, 0)
        best = dict.fromkeys(ways, float("inf"))
        for _ in range(given.rounds):
            for way, work in ways.items():
                best[way] = min(best[way], seconds(work, root, files))
        slowest = best["pathlib.glob, as in the tutorial"]
        print(f"{files:,} files in {count:,} folders, best of {given.rounds}")
        for way, taken in best.items():
            print(f"{way:34} {1000 * taken:8.1f} ms   {slowest / taken:6.1f} times as fast")
        first, again = best["first scan, with the split"], best["second start, from the index"]
        alone, floor = best["pathlib.glob alone"], best["os.listdir of each folder"]
        print(f"first scan / os.walk {first / best['os.walk, empty body']:.2f}, / os.listdir {first / floor:.2f} "
              f"({1000 * (first - floor):.1f} ms more)")  # fmt: skip
        print(f"of pathlib.glob as in the tutorial: os.listdir {floor / slowest:.3f}, first scan {first / slowest:.3f}")
        print(f"of pathlib.glob alone:              os.listdir {floor / alone:.3f}, first scan {first / alone:.3f}")
        bar("8", "first scan / the tutorial's pathlib.glob", first / slowest, most=0.15)
        bar("8", "second start / the tutorial's pathlib.glob", again / slowest, most=0.02)
        (root / "class-0000" / "one-more.jpg").touch()
        print(f"one image more is noticed: {len(scan_cache.scan(root, None, 0.2, 0)) == files + 1}")


if __name__ == "__main__":
    main()
