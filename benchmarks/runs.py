"""Whole programs, from the start of the process to the saved model: bar 10.

    python -m benchmarks.runs [--rounds 7] [--short] [SIDE ...]

LeNet on 32x32 PNGs in class folders: the same network, images, normalisation, batch size, optimizer and number of
epochs, offline; each round has its seed. Each side is a process of its own with one compute thread (peers.py); the
others load with two worker processes, AIForge Studio's Trainer with none. Ours starts with an empty cache each time.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

EPOCHS, IMAGES = 4, 1800  # seven rounds in under four minutes, and all sides learn
SIDES = ("ours", "script", "lightning", "fastai", "timm", "aiforge")
RECIPE = "--model lenet --image-size 32 --channels 3 --mean 0.5,0.5,0.5 --std 0.5,0.5,0.5 --batch-size 32 --lr 0.01"


def ours(data: Path, place: Path, epochs: int, seed: int = 0) -> list[str]:
    """The command line; the optimizer is the default, as is everything else."""
    words = [sys.executable, "-m", "tui_trainer", "--no-tui", "--json", str(data), "--output-dir", str(place / "run")]
    return [*words, "--epochs", str(epochs), "--seed", str(seed), *RECIPE.split()]


def other(name: str, data: Path, place: Path, epochs: int, seed: int = 0) -> list[str]:
    words = [sys.executable, "-W", "ignore", "-m", "benchmarks.runs", "--side", name, "--data", str(data)]
    return [*words, "--place", str(place), "--epochs", str(epochs), "--seed", str(seed)]


def timed(name: str, data: Path, place: Path, epochs: int, seed: int) -> tuple[float, float, float]:
    """Seconds by the clock and of the processors, and the last val top-1."""
    settings = {**os.environ, "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
    words = other(name, data, place, epochs, seed)
    if name == "ours":
        settings["XDG_CACHE_HOME"], words = str(place / "cache"), ours(data, place, epochs, seed)
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(words, env=settings, capture_output=True, text=True, check=False)
    wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise SystemExit(f"{name} ended with {done.returncode}:\n{done.stderr}")
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return wall, cpu, float(json.loads(done.stdout.splitlines()[-1])["metrics"]["val_top1"])


def compare() -> None:
    """All sides in turns, each round in another order."""
    from benchmarks import made
    from benchmarks.measuring import arguments, bar

    given = arguments(__doc__)
    epochs = 2 if given.short else EPOCHS
    sides = ("ours", *given.only) if given.only else SIDES
    found: dict[str, list[tuple[float, float, float]]] = {name: [] for name in sides}
    with tempfile.TemporaryDirectory() as folder:
        data = made.small(Path(folder) / "png", 600 if given.short else IMAGES)
        for number in range(given.rounds):
            turn = number % len(sides)
            for name in sides[turn:] + sides[:turn]:
                place = Path(folder) / f"{name}{number}"
                place.mkdir()
                found[name].append(timed(name, data, place, epochs, number))
    for name, rounds in found.items():
        wall, cpu, top1 = (statistics.median(values) for values in zip(*rounds, strict=True))
        least, most = (pick(run[2] for run in rounds) for pick in (min, max))
        print(f"  {name:<12} {wall:6.1f} s by the clock, {cpu:6.1f} s of the processors, "
              f"val top-1 {top1:.2%} ({least:.2%} to {most:.2%})")  # fmt: skip
    for name in sides[1:]:
        for which, word in ((0, "by the clock"), (1, "processors")):
            pairs = zip(found[name], found["ours"], strict=True)
            bar("10", f"{name} / ours, {word}", statistics.median(a[which] / b[which] for a, b in pairs), 1.0)


def main() -> None:
    if "--side" not in sys.argv:
        compare()
        return
    parser = argparse.ArgumentParser()
    parser.add_argument("--side")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--place", type=Path)
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--seed", type=int)
    given = parser.parse_args()
    import torch

    from benchmarks import peers

    torch.set_num_threads(1)
    top1 = peers.ALL[given.side](given.data, given.place, given.epochs, given.seed)
    print(json.dumps({"metrics": {"val_top1": top1}}), flush=True)


if __name__ == "__main__":
    main()
