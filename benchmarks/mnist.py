"""The tutorial's MNIST recipe in one command, on IDX files: test top-1 after one and after three epochs.

    python benchmarks/mnist.py FOLDER

FOLDER holds the four files of MNIST, gzipped or not. LeNet, 32x32, batches of 32, SGD with the tutorial's lr, momentum
and weight decay, which are the defaults; once as in the tutorial, without normalisation, and with the measured mean.
"""

from __future__ import annotations

import csv
import subprocess
import sys
import tempfile
from pathlib import Path

SEEDS = (0, 1, 2)


def top1(data: str, seed: int, normalize: str, folder: Path) -> list[float]:
    """Test top-1 after each of three epochs."""
    words = [sys.executable, "-m", "tui_trainer", "--no-tui", "--data", data, "--epochs", "3"]
    words += ["--normalize", normalize, "--seed", str(seed), "--output-dir", str(folder)]
    subprocess.run(words, check=True, capture_output=True)
    with (folder / "metrics.csv").open(newline="", encoding="ascii") as file:
        return [float(row["val_top1"]) for row in csv.DictReader(file)]


def main() -> None:
    for normalize in ("none", "measured"):
        for seed in SEEDS:
            with tempfile.TemporaryDirectory() as name:
                first, _, third = top1(sys.argv[1], seed, normalize, Path(name) / "run")
            words = f"normalize {normalize:8} seed {seed}: {first:.2%} after one epoch, {third:.2%} after three"
            print(words, flush=True)


if __name__ == "__main__":
    main()
