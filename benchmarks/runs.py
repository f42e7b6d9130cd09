"""Whole programs, from the start of the process to the saved model: bar 10.

    python -m benchmarks.runs [--rounds 5] [--short]

LeNet on 32x32 PNGs in class folders: the same network, images, batch size, optimizer and number of epochs. Each side is
a process of its own with one compute thread; the others load by torchvision's ImageFolder with two worker processes
(AIForge Studio's Trainer takes none). timm's train.py is no part of its package, and is not measured.
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
from collections.abc import Callable
from pathlib import Path
from typing import Any

EPOCHS, BATCH, LR, MOMENTUM, DECAY = 8, 32, 0.01, 0.9, 5e-4
SIDES = ("ours", "script", "lightning", "fastai", "aiforge")


def ours(data: Path, place: Path, epochs: int) -> list[str]:
    """The command line; everything else is the default."""
    words = [sys.executable, "-m", "tui_trainer", "--no-tui", "--json", str(data), "--output-dir", str(place / "run")]
    return [*words, "--epochs", str(epochs), "--channels", "3"]


def other(name: str, data: Path, place: Path, epochs: int) -> list[str]:
    words = [sys.executable, "-W", "ignore", "-m", "benchmarks.runs", "--side", name, "--data", str(data)]
    return [*words, "--place", str(place), "--epochs", str(epochs)]


def timed(words: list[str]) -> tuple[float, float, float]:
    """Seconds by the clock and of the processors, and the last val top-1."""
    settings = {**os.environ, "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(words, env=settings, capture_output=True, text=True, check=True)
    wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return wall, cpu, float(json.loads(done.stdout.splitlines()[-1])["metrics"]["val_top1"])


# What the other processes do ------------------------------------------------------------------------------------------


def script(data: Path, place: Path, epochs: int) -> float:
    """The tutorial's loop; ends with torch.save."""
    import torch

    from benchmarks import epochs as same

    train, val = same.loaders(data, 2)
    model, loss_func = same.network(), torch.nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=LR, momentum=MOMENTUM, weight_decay=DECAY)
    top1 = 0.0
    for _ in range(epochs):
        model.train()
        for inputs, targets in train:
            optimizer.zero_grad()
            loss = loss_func(model(inputs), targets)
            loss.backward()
            optimizer.step()
            loss.item()
        model.eval()
        right = seen = 0
        with torch.no_grad():
            for inputs, targets in val:
                right += int((model(inputs).argmax(1) == targets).sum())
                seen += len(targets)
        top1 = right / seen
    torch.save(model.state_dict(), place / "model.pth")
    return top1


def lightning(data: Path, place: Path, epochs: int) -> float:
    """Trainer.fit with its checkpoints."""
    import torch

    from benchmarks import epochs as same

    train, val = same.loaders(data, 2)
    import lightning as lit

    class Module(lit.LightningModule):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.net, self.loss_func = same.network(), torch.nn.CrossEntropyLoss()

        def training_step(self, batch: Any, index: int) -> Any:
            outputs = self.net(batch[0])
            loss = self.loss_func(outputs, batch[1])
            self.log("train_loss", loss)
            self.log("train_acc", (outputs.argmax(1) == batch[1]).float().mean())
            return loss

        def validation_step(self, batch: Any, index: int) -> None:
            self.log("val_acc", (self.net(batch[0]).argmax(1) == batch[1]).float().mean())

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), lr=LR, momentum=MOMENTUM, weight_decay=DECAY)

    trainer = lit.Trainer(
        max_epochs=epochs, accelerator="cpu", enable_progress_bar=False, enable_model_summary=False,
        default_root_dir=place,
    )  # fmt: skip
    trainer.fit(Module(), train, val)
    return float(trainer.callback_metrics["val_acc"])


def fastai(data: Path, place: Path, epochs: int) -> float:
    """Learner.fit and Learner.save."""
    import torch

    from benchmarks import epochs as same

    train, val = same.loaders(data, 2)
    import fastai.callback.progress  # noqa: F401 - adds no_bar to Learner
    from fastai.data.core import DataLoaders
    from fastai.learner import Learner
    from fastai.metrics import accuracy
    from fastai.optimizer import SGD

    learner = Learner(
        DataLoaders(train, val), same.network(), loss_func=torch.nn.CrossEntropyLoss(), metrics=accuracy, path=place,
        opt_func=lambda params, lr, **_: SGD(params, lr=lr, mom=MOMENTUM, wd=DECAY),
    )  # fmt: skip
    with learner.no_bar(), learner.no_logging():
        learner.fit(epochs, LR)
    learner.save("model")
    return float(learner.recorder.values[-1][-1])


def aiforge(data: Path, place: Path, epochs: int) -> float:
    """AIForge Studio's Trainer over ImageFolder."""
    import importlib

    import torch

    from benchmarks import epochs as same

    train, val = same.loaders(data, 0)
    trainer: Any = importlib.import_module("aiforge.trainer")
    spec: Any = importlib.import_module("aiforge.spec").ModelSpec(name="lenet", input_shape=[3, 32, 32])
    config = trainer.TrainConfig(
        epochs=epochs, batch_size=BATCH, lr=LR, optimizer="SGD", weight_decay=DECAY, device="cpu"
    )
    model = torch.nn.Sequential(same.network())
    told = trainer.Trainer(spec, model, train.dataset, val.dataset, config, on_log=lambda text: None).run()
    torch.save(model.state_dict(), place / "model.pth")
    return float(told["epochs"][-1]["val_acc"])


OTHERS: dict[str, Callable[[Path, Path, int], float]] = {
    "script": script, "lightning": lightning, "fastai": fastai, "aiforge": aiforge,
}  # fmt: skip


def compare() -> None:
    """All sides in turns."""
    from benchmarks import made
    from benchmarks.measuring import arguments, bar

    given = arguments(__doc__, rounds=5)
    epochs = 2 if given.short else EPOCHS
    found: dict[str, list[tuple[float, float, float]]] = {name: [] for name in SIDES}
    with tempfile.TemporaryDirectory() as folder:
        data = made.small(Path(folder) / "png", 600 if given.short else 4800)
        for number in range(given.rounds):
            for name in SIDES[number % 2 :] + SIDES[: number % 2]:
                place = Path(folder) / f"{name}{number}"
                place.mkdir()
                words = ours(data, place, epochs) if name == "ours" else other(name, data, place, epochs)
                found[name].append(timed(words))
    for name, rounds in found.items():
        wall, cpu, top1 = (statistics.median(values) for values in zip(*rounds, strict=True))
        print(f"  {name:<12} {wall:6.1f} s by the clock, {cpu:6.1f} s of the processors, val top-1 {top1:.2%}")
    for name in SIDES[1:]:
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
    given = parser.parse_args()
    import torch

    torch.set_num_threads(1)
    top1 = OTHERS[given.side](given.data, given.place, given.epochs)
    print(json.dumps({"metrics": {"val_top1": top1}}), flush=True)


if __name__ == "__main__":
    main()
