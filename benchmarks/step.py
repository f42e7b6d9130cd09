"""What a loop adds to each step, beside a bare PyTorch loop over the same batches: bar 7.

    python -m benchmarks.step [--rounds 7] [--short]

A network so small that the loop shows, batches in memory. Ours has metrics, events, the recorders of a run and its
commands; Lightning logs loss and accuracy of each step as its guide does.
"""

from __future__ import annotations

import logging
import statistics
import tempfile
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.measuring import arguments, bar, in_turns, show
from tui_trainer.engine.job import Job
from tui_trainer.engine.loop import train
from tui_trainer.failures import record_all
from tui_trainer.record import JsonLines, MetricsCsv, Recorder
from tui_trainer.run_folder import Mailbox, make_folder

FEATURES, CLASSES, BATCH = 64, 10, 32
LOG_EVERY = 20  # steps: what auto takes for long epochs


@dataclass(frozen=True)
class Batch:
    """A batch in memory."""

    inputs: Tensor
    targets: Tensor
    number: int
    warnings: tuple[str, ...] = ()


class Batches:
    """The same few batches again and again."""

    def __init__(self, count: int) -> None:
        self.batches, self.batch_size, self.samples = count, BATCH, count * BATCH
        draw = torch.Generator().manual_seed(0)
        self._some = [
            (torch.randn(BATCH, FEATURES, generator=draw), torch.randint(CLASSES, (BATCH,), generator=draw))
            for _ in range(16)
        ]

    def epoch(self, number: int, start: int = 0) -> Iterator[Batch]:
        """The batches of an epoch."""
        for count in range(start + 1, self.batches + 1):
            yield Batch(*self._some[count % 16], count)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        for count in range(self.batches):
            yield self._some[count % 16]

    def __len__(self) -> int:
        return self.batches


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(FEATURES, 64), nn.ReLU(), nn.Linear(64, CLASSES))


def sgd(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9, fused=True)


def bare(batches: Batches) -> Callable[[], None]:
    model, loss_func = network(), nn.CrossEntropyLoss()
    optimizer = sgd(model)

    def one() -> None:
        model.train()
        for inputs, targets in batches:
            optimizer.zero_grad()
            loss = loss_func(model(inputs), targets)
            loss.backward()
            optimizer.step()

    return one


def ours(batches: Batches, folder: Path) -> Callable[[], None]:
    """An epoch of a run, with its files."""
    model, number = network(), iter(range(1 << 30))
    optimizer, nothing = sgd(model), Batches(1)

    def one() -> None:
        made = make_folder(folder / str(next(number)))
        job = Job(
            model=model, optimizer=optimizer, loss_func=nn.CrossEntropyLoss(), train_loader=batches,
            val_loader=nothing, prepare=lambda batch: (batch.inputs, batch.targets),
            classes=tuple(map(str, range(CLASSES))), device=torch.device("cpu"), epochs=1, lr=1e-3,
            log_every=LOG_EVERY,
        )  # fmt: skip
        recorders: list[Recorder] = [JsonLines(made.events), MetricsCsv(made.metrics)]
        mailbox = Mailbox()
        mailbox.follow(made.commands)
        for event in train(job, mailbox):
            list(record_all(event, recorders, set()))

    return one


def lightning(batches: Batches, folder: Path) -> Callable[[], None]:
    from tui_trainer import vision

    vision.datasets()  # so that torchvision can be imported beside a torch for the CPU
    import lightning as lit

    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore")

    class Module(lit.LightningModule):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.net, self.loss_func = network(), nn.CrossEntropyLoss()

        def training_step(self, batch: tuple[Tensor, Tensor], index: int) -> Tensor:
            inputs, targets = batch
            outputs = self.net(inputs)
            loss: Tensor = self.loss_func(outputs, targets)
            self.log("train_loss", loss, prog_bar=True)
            self.log("train_acc", (outputs.argmax(1) == targets).float().mean(), prog_bar=True)
            return loss

        def configure_optimizers(self) -> Any:
            return sgd(self)

    module = Module()

    def one() -> None:
        trainer = lit.Trainer(
            max_epochs=1, accelerator="cpu", enable_checkpointing=False, enable_progress_bar=False,
            enable_model_summary=False, default_root_dir=folder, log_every_n_steps=50,
        )  # fmt: skip
        trainer.fit(module, batches)

    return one


def main() -> None:
    given = arguments(__doc__)
    torch.set_num_threads(1)
    steps = 500 if given.short else 4000
    batches = Batches(steps)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        sides = {"bare loop": bare(batches), "ours": ours(batches, folder), "lightning": lightning(batches, folder)}
        found = in_turns(sides, given.rounds)
    show(found, steps, "ms/step")
    added = {
        name: statistics.median(
            1e3 * (a - b) / steps for a, b in zip(found.cpu[name], found.cpu["bare loop"], strict=True)
        )
        for name in ("ours", "lightning")
    }
    bar("7", "ms that ours adds to a step", added["ours"], most=0.03)
    bar("7", "what Lightning adds / what ours adds", added["lightning"] / max(added["ours"], 0.001), 10)


if __name__ == "__main__":
    main()
