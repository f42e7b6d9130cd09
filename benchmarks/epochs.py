"""Whole epochs of LeNet on small PNGs, against torchvision, a tutorial's script, Lightning and fastai: bar 6.

    python -m benchmarks.epochs [--rounds 7] [--short]

The same network, images, batch size, optimizer and thread count everywhere; the others load with two worker processes
that stay. Ours is a whole run: checkpoints, metrics, events. What each side does before its first epoch is left out.

The share of compute is that of several processes, each with both sides: by where its memory happens to lie one job
computes 3 % faster than another one of the same program. It is of the clock, as nothing but compute uses a second
processor there.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import statistics
import tempfile
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import torch
from torch import Tensor, nn

from benchmarks import made
from benchmarks.measuring import arguments, bar, in_turns, show
from benchmarks.peers import LR, MEAN, SIDE, STD, loaders, network
from tui_trainer.config import Config
from tui_trainer.engine.job import Job
from tui_trainer.events import Evaluated
from tui_trainer.run import prepare
from tui_trainer.run_folder import Mailbox

PROCESSES = 9


def ours(folder: Path, place: Path, *, channels_last: bool | None = None) -> Iterator[Any]:
    """A run of as many epochs as are asked for; each `next` trains one and validates."""
    config = Config().replace(
        data=str(folder), output_dir=str(place / f"run{channels_last}"), epochs=100_000, mean=MEAN, std=STD,
        model="lenet", image_size=SIDE, channels=3, threads=1, channels_last=channels_last,
    )  # fmt: skip
    for event in prepare(config).events(Mailbox()):
        if isinstance(event, Evaluated):
            yield


def job_alone(folder: Path, place: Path) -> Callable[[], None]:
    """Compute only: the same steps and validation over batches that are there."""
    config = Config().replace(
        data=str(folder), output_dir=str(place / "alone"), mean=MEAN, std=STD, model="lenet", image_size=SIDE,
        channels=3, threads=1,
    )  # fmt: skip
    made_run = prepare(config)
    assert made_run.lock is not None
    made_run.lock.release()
    job: Job = made_run.job
    batches = [[job.prepare(b) for b in loader.epoch(0)] for loader in (job.train_loader, job.val_loader)]
    model, optimizer, loss_func = job.model, job.optimizer, nn.CrossEntropyLoss()

    def one() -> None:
        model.train()
        for inputs, targets in batches[0]:
            optimizer.zero_grad()
            loss_func(model(inputs), targets).backward()
            optimizer.step()
        model.eval()
        with torch.no_grad():
            for inputs, _ in batches[1]:
                model(inputs)

    return one


def script(folder: Path, workers: int) -> Callable[[], None]:
    """The loop that tutorials show: sums by `item` each step, validation after each epoch."""
    train, val = loaders(folder, workers)
    model, loss_func = network(), nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=LR, momentum=0.9, weight_decay=5e-4)

    def one() -> None:
        model.train()
        total = 0.0
        for inputs, targets in train:
            optimizer.zero_grad()
            loss = loss_func(model(inputs), targets)
            loss.backward()
            optimizer.step()
            total += loss.item() * len(targets)
        model.eval()
        right = 0
        with torch.no_grad():
            for inputs, targets in val:
                right += int((model(inputs).argmax(1) == targets).sum().item())

    return one


def lightning(folder: Path, place: Path) -> Iterator[Any]:
    """Its Trainer over the same loaders, with two logged values; each `next` is an epoch."""
    import threading

    import lightning as lit

    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    turn, done = threading.Semaphore(0), threading.Semaphore(0)

    class Module(lit.LightningModule):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.net, self.loss_func = network(), nn.CrossEntropyLoss()

        def on_train_epoch_start(self) -> None:
            turn.acquire()

        def on_train_epoch_end(self) -> None:  # after validation
            done.release()

        def training_step(self, batch: tuple[Tensor, Tensor], index: int) -> Tensor:
            outputs = self.net(batch[0])
            loss: Tensor = self.loss_func(outputs, batch[1])
            self.log("train_loss", loss, prog_bar=True)
            self.log("train_acc", (outputs.argmax(1) == batch[1]).float().mean(), prog_bar=True)
            return loss

        def validation_step(self, batch: tuple[Tensor, Tensor], index: int) -> None:
            outputs = self.net(batch[0])
            self.log("val_acc", (outputs.argmax(1) == batch[1]).float().mean())

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), lr=LR, momentum=0.9, weight_decay=5e-4)

    trainer = lit.Trainer(
        max_epochs=100_000, accelerator="cpu", enable_progress_bar=False, enable_model_summary=False,
        default_root_dir=place, num_sanity_val_steps=0,
    )  # fmt: skip
    train, val = loaders(folder, 2)
    threading.Thread(target=trainer.fit, args=(Module(), train, val), daemon=True).start()
    while True:
        turn.release()
        done.acquire()
        yield


def fastai(folder: Path) -> Iterator[Any]:
    """Its Learner with its own loaders and one_batch loop; each `next` is an epoch."""
    import fastai.callback.progress  # noqa: F401 - adds no_bar to Learner
    from fastai.data.core import DataLoaders
    from fastai.learner import Learner
    from fastai.metrics import accuracy

    train, val = loaders(folder, 2)
    learner = Learner(
        DataLoaders(train, val), network(), loss_func=nn.CrossEntropyLoss(), metrics=accuracy,
        opt_func=lambda params, lr, **_: _fastai_sgd(params, lr), train_bn=True,
    )  # fmt: skip
    while True:
        with learner.no_bar(), learner.no_logging():
            learner.fit(1, LR)
        yield


def _fastai_sgd(params: Any, lr: float) -> Any:
    from fastai.optimizer import SGD

    return SGD(params, lr=lr, mom=0.9, wd=5e-4)


def share(rounds: int, data: Path, number: int) -> tuple[float, float]:
    """How long compute alone takes beside ours, by the clock and by the processors, in this process, as `number`."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as place:
        run = ours(data, Path(place))
        sides: dict[str, Callable[[], object]] = {"ours": lambda: next(run), "alone": job_alone(data, Path(place))}
        found = in_turns(sides, rounds)
    both = found.ratio("alone", "ours", "wall"), found.ratio("alone", "ours")
    print(f"  process {number + 1}: {both[0]:.3f} of the clock, {both[1]:.3f} of the processors", flush=True)
    return both


def shares(rounds: int, data: Path, processes: int) -> None:
    """Compute only beside ours, one process after another."""
    print("compute only / ours:")
    found: list[tuple[float, float]] = []
    for number in range(processes):
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
            found.append(pool.submit(share, rounds, data, number).result())
    clock, cpu = zip(*found, strict=True)
    bar("6", f"compute only / ours, of the clock, {processes} processes", statistics.median(clock), 0.95)
    print(f"  {statistics.median(cpu):.3f} of the processors")


def main() -> None:
    given = arguments(__doc__)
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    count = 600 if given.short else 4800
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        data = made.small(place / "png", count, SIDE)
        run, plain = ours(data, place), ours(data, place, channels_last=False)
        lit, fast = lightning(data, place), fastai(data)
        sides: dict[str, Callable[[], object]] = {
            "ours": lambda: next(run),
            "ours, --no-channels-last": lambda: next(plain),
            "torchvision and DataLoader, 2 workers": script(data, 2),
            "the tutorial's script, no workers": script(data, 0),
            "Lightning": lambda: next(lit),
            "fastai": lambda: next(fast),
        }
        found = in_turns(sides, given.rounds)
        show(found, count)
        bar("6", "torchvision and DataLoader / ours", found.ratio("torchvision and DataLoader, 2 workers", "ours"), 2.5)
        bar("6", "the tutorial's script / ours", found.ratio("the tutorial's script, no workers", "ours"), 2.5)
        bar("6", "Lightning / ours", found.ratio("Lightning", "ours"), 3)
        bar("6", "fastai / ours", found.ratio("fastai", "ours"), 3)
        print(
            "by the clock: " + ", ".join(f"{name} {found.ratio(name, 'ours', 'wall'):.2f}" for name in list(sides)[1:])
        )
        shares(given.rounds, data, 2 if given.short else PROCESSES)
        os._exit(0)  # Lightning's thread waits for an epoch that does not come


if __name__ == "__main__":
    main()
