"""What decoding at a part of the size, the cache and threads cost in accuracy: bar 14.

    python -m benchmarks.accuracy --photos DIR [--seeds 3] [--epochs 6]

resnet18 from scratch at 64 pixels on class folders of photos, several seeds. Prints the last val top-1 of each arm and
seed; an arm costs nothing if its mean lies within the spread of the seeds.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from tui_trainer.config import Config
from tui_trainer.data import pipeline
from tui_trainer.events import Evaluated
from tui_trainer.run import prepare
from tui_trainer.run_folder import Mailbox

ARMS: dict[str, dict[str, Any]] = {
    "decoded whole, no cache, no workers": {"cache": "off"},
    "decoded at a part of the size, 2 threads": {"cache": "off", "num_workers": 2},
    "kept smaller in memory": {"cache": "memory", "cache_shrink": True},
}


def top1(photos: str, place: str, seed: int, epochs: int, arm: str) -> float:
    """The last val top-1 of a run."""
    setattr(pipeline, "SCALES", () if "whole" in arm else (8, 4, 2))  # noqa: B010
    config = Config().replace(
        data=photos, output_dir=place, seed=seed, epochs=epochs, model="resnet18", image_size=64, augment="light",
        lr=0.05, lr_scheduler="onecycle", channels_last=True, **ARMS[arm],
    )  # fmt: skip
    last = 0.0
    for event in prepare(config).events(Mailbox()):
        if isinstance(event, Evaluated):
            last = event.metrics["val_top1"]
    return last


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=6)
    given = parser.parse_args()
    found: dict[str, list[float]] = {arm: [] for arm in ARMS}
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(given.seeds):
            for arm, values in found.items():
                began = time.perf_counter()
                values.append(top1(given.photos, f"{folder}/{seed}-{len(values)}-{len(arm)}", seed, given.epochs, arm))
                print(f"seed {seed}, {arm}: {values[-1]:.4f}, {time.perf_counter() - began:.0f} s", flush=True)
    for arm, values in found.items():
        spread = f" +- {statistics.stdev(values):.4f}" if len(values) > 1 else ""
        print(f"{arm}: mean {statistics.mean(values):.4f}{spread} over {len(values)} seeds")


if __name__ == "__main__":
    main()
