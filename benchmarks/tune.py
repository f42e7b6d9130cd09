"""tune's pick against an exhaustive measurement of real training, for data of three kinds: bar 13.

    python -m benchmarks.tune [--rounds 7] [--short]

For each kind: what tune measured with each number of workers, what training then did in turns, tune's pick and the best
one. Without a cache, or after the first epoch no number of workers would differ from another.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as the command line does

from benchmarks import made
from benchmarks.measuring import arguments, bar
from tui_trainer.bench import Bench, endless
from tui_trainer.config import Config, build
from tui_trainer.loader_facts import Measurement, candidates, recommend
from tui_trainer.settings import Value
from tui_trainer.tune import measure

HEAVY: dict[str, Value] = {"model": "mobilenet_v3_small", "image_size": 160, "augment": "standard"}
SECONDS = 1.5  # of training, each number of workers in each round


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


def compare(title: str, config: Config, rounds: int, seconds: float) -> None:
    began = time.perf_counter()
    told = {m.num_workers: m for m in measure(config, workers=candidates()) if m.final}
    tuned, pick = time.perf_counter() - began, recommend(list(told.values()))
    assert pick is not None
    bench = Bench(config)
    bench.data(0)
    rates: dict[int, list[float]] = {count: [] for count in told}
    for turn in range(rounds):
        for count in sorted(rates, reverse=turn % 2 == 1):
            rates[count].append(trained_per_second(bench, count, seconds, turn / rounds))
    print(f"{title}: a step {1000 * told[0].step_seconds:.1f} ms", flush=True)
    for count, found in rates.items():
        print(f"  {count} workers: {_foretold(told[count])}; in turns {statistics.median(found):,.0f} images/s")
    picked = rates[pick.num_workers]
    slower = {
        count: statistics.median(b / a for a, b in zip(picked, found, strict=True)) for count, found in rates.items()
    }
    best = max(slower, key=lambda count: slower[count])
    bar("13", f"{title}, best ({best} workers) / tune's pick ({pick.num_workers})", slower[best], most=1.05)
    bar("13", f"{title}, seconds that tune took", tuned, most=60)


def _foretold(m: Measurement) -> str:
    return f"tune: delivered {m.images_per_second:,.0f}, trained {m.trained_per_second:,.0f}, waits {m.wait_share:.0%}"


def main() -> None:
    given = arguments(__doc__)
    seconds = 0.5 if given.short else SECONDS
    digits = Path(__file__).resolve().parent.parent / "sample_data" / "digits"
    with tempfile.TemporaryDirectory() as folder:
        photos = made.photos(Path(folder), 80 if given.short else 300, 1280, 960)
        kinds = {
            "digits, lenet": build({"data": str(digits), "cache": "off"}),
            "photos of 1.2 megapixels, lenet": build({"data": str(photos), "cache": "off"}),
            "the same, mobilenet_v3_small, augmented": build({"data": str(photos), "cache": "off", **HEAVY}),
        }
        for title, config in kinds.items():
            compare(title, config, given.rounds, seconds)


if __name__ == "__main__":
    main()
