"""tune's pick against an exhaustive, longer measurement of real training, for data of three kinds.

`python benchmarks/tune.py [seconds for each worker count]`: prints for each kind what tune measured
for each worker count, what training then did, tune's pick, the best pick, and what the pick costs.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np

from tui_trainer.bench import Bench
from tui_trainer.config import Config, build
from tui_trainer.loader_facts import Measurement, candidates, recommend
from tui_trainer.tune import endless, measure

ROUNDS = 3  # alternating, so that other load on the machine meets all worker counts alike


def write_photos(folder: Path, count: int, width: int, height: int) -> None:
    rng = np.random.default_rng(0)
    for number in range(count):
        small = rng.integers(0, 255, (height // 16, width // 16, 3), dtype=np.uint8)
        (folder / str(number % 2)).mkdir(exist_ok=True, parents=True)
        cv2.imwrite(str(folder / str(number % 2) / f"{number:04}.jpg"), cv2.resize(small, (width, height)))


def trained_per_second(bench: Bench, workers: int, seconds: float, part: float) -> float:
    data = bench.data(workers)
    step, stream = bench.training_step(data), endless(data.train, part)
    for _ in range(workers + 2):
        step(next(stream)).item()
    began, seen = time.perf_counter(), 0
    while time.perf_counter() - began < seconds or not seen:
        batch = next(stream)
        step(batch).item()
        seen += len(batch.targets)
    passed = time.perf_counter() - began
    stream.close()
    return seen / passed


def compare(title: str, config: Config, seconds: float) -> None:
    began = time.perf_counter()
    told = {m.num_workers: m for m in measure(config, workers=candidates()) if m.final}
    tuned, pick = time.perf_counter() - began, recommend(list(told.values()))
    assert pick is not None
    bench = Bench(config)
    bench.data(0)
    rates: dict[int, list[float]] = {count: [] for count in told}
    for turn in range(ROUNDS):
        for count, found in rates.items():
            found.append(trained_per_second(bench, count, seconds / ROUNDS, turn / ROUNDS))
    real = {count: statistics.median(found) for count, found in rates.items()}
    best = max(real, key=lambda count: real[count])
    print(f"{title}: tune took {tuned:.0f} s, a step {1000 * told[0].step_seconds:.1f} ms")
    for count, rate in real.items():
        print(f"  {count} workers: {_foretold(told[count])}; longer: trained {rate:,.0f} images/s")
    print(f"  tune's pick {pick.num_workers}, best {best}: {1 - real[pick.num_workers] / real[best]:.1%} slower")


def _foretold(m: Measurement) -> str:
    return f"tune: delivered {m.images_per_second:,.0f}, trained {m.trained_per_second:,.0f}, waits {m.wait_share:.0%}"


def main() -> None:
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as the command line does
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 15.0
    digits = Path(__file__).resolve().parent.parent / "sample_data" / "digits"
    with tempfile.TemporaryDirectory() as folder:
        write_photos(Path(folder), 300, 1280, 960)
        compare("digits, lenet", build({"data": str(digits)}), seconds)
        compare("photos of 1.2 megapixels, lenet", build({"data": folder}), seconds)
        heavy = build({"data": folder, "model": "mobilenet_v3_small", "image_size": 160, "augment": "standard"})
        compare("the same, mobilenet_v3_small, augmented", heavy, seconds)


if __name__ == "__main__":
    main()
