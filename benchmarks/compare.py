"""Twenty runs of 100,000 points on one axis: time to the first picture, and of an answer to the crosshair's key.

python -m benchmarks.compare [runs] [points]
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import tempfile
import time
from pathlib import Path

from textual.pilot import Pilot

from tui_trainer.config import Config, resolve, to_toml
from tui_trainer.events import Evaluated, Progress, to_json
from tui_trainer.past_runs import read_run
from tui_trainer.record import MetricsCsv
from tui_trainer.run_folder import RunFolder, make_folder
from tui_trainer.tui.app import TrainerApp
from tui_trainer.tui.screens.compare import CompareScreen

EPOCHS = 50
KEYS = 30


def write_run(path: Path, points: int) -> RunFolder:
    """A run whose loss falls."""
    folder = make_folder(path)
    folder.config.write_text(to_toml(Config()))
    per_epoch, keep = points // EPOCHS, MetricsCsv(folder.metrics)
    with folder.events.open("w") as file:
        for step in range(points):
            epoch, batch = divmod(step, per_epoch)
            numbers = {"batch": batch + 1, "batches": per_epoch, "samples": batch * 32, "lr": 0.01, "seconds": 1.0}
            rates = {"images_per_second": 1000.0, "eta_seconds": 1.0}
            metrics = {"batch_loss": 2.0 / (1 + step / 1000), "batch_top1": 0.5, "train_loss": 1.0, "train_top1": 0.5}
            event = Progress(part="train", epoch=epoch, step=step + 1, metrics=metrics, **numbers, **rates)  # type: ignore[arg-type]
            file.write(to_json(event) + "\n")
            if batch == per_epoch - 1:
                told = {"val_loss": 1.0 / (epoch + 1), "val_top1": epoch / EPOCHS}
                keep(Evaluated(epoch=epoch, step=step + 1, lr=0.01, metrics=told, best=True, seconds=1.0))
    return folder


async def measure(folders: list[RunFolder]) -> tuple[float, float, list[float]]:
    """Seconds to the picture of val top-1, to that of the loss of the steps, and of each crosshair key."""
    app = TrainerApp(resolve({}))
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.pause()
        begin = time.perf_counter()
        await app.push_screen(CompareScreen([read_run(folder) for folder in folders]))
        await pilot.pause()
        first = time.perf_counter() - begin
        await pilot.press("m")
        begin = time.perf_counter()
        await pilot.press("m")
        await pilot.pause()
        steps = time.perf_counter() - begin
        await pilot.pause(2.0)  # the rest of the points comes behind it
        idle = min([await answer(pilot, "f12") for _ in range(KEYS)])  # what the pilot itself waits
        return first, steps, [await answer(pilot, "full_stop") - idle for _ in range(KEYS)]


async def answer(pilot: Pilot[int], key: str) -> float:
    """Seconds until a key is answered and drawn."""
    begin = time.perf_counter()
    await pilot.press(key)
    await pilot.pause()
    return time.perf_counter() - begin


def main() -> None:
    runs, points = (int(word) for word in (sys.argv[1:] + ["20", "100000"][len(sys.argv) - 1 :]))
    with tempfile.TemporaryDirectory() as place:
        folders = [write_run(Path(place) / f"run{number}", points) for number in range(runs)]
        first, steps, answers = asyncio.run(measure(folders))
    print(f"{runs} runs of {points:,} points: first picture {first:.2f} s, of the steps' loss {steps:.2f} s")
    print(f"crosshair: median {statistics.median(answers) * 1e3:.0f} ms, slowest {max(answers) * 1e3:.0f} ms")


if __name__ == "__main__":
    main()
