"""What more devices would bring, on paper: measured here with one and two processes, then predicted.

    python -m benchmarks.scaling paper                          the last table of docs/scaling.md: nothing is measured
    python -m benchmarks.scaling [MODEL] [BATCH] [IMAGE_SIZE]       by default lenet 64 32; STEPS=5 for large ones

1. A step of one process, and of two (each with half of the batch and one CPU thread): this program's loop, a plain
   DistributedDataParallel loop, and half of the batch without sharing, in turns, in the same processes. The same of a
   network of next to nothing: what it costs to be a rank at all.
2. The formula of docs/scaling.md with what was measured, against the two-process step, which is no part of it.
3. The same formula for 8, 64 and 512 devices with the links that are usual there (assumed, not measured).
"""

from __future__ import annotations

import multiprocessing
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch._C._distributed_c10d import FileStore
from torch.nn.parallel import DistributedDataParallel

from benchmarks.scaling_formula import IMAGENET, LINKS, paper, predicted, step_seconds

ROUNDS, STEPS = int(os.environ.get("ROUNDS", "12")), int(os.environ.get("STEPS", "25"))
NOTHING = "nothing"  # a network of next to nothing


@dataclass(frozen=True)
class Batch:
    """A batch in memory."""

    inputs: Tensor
    targets: Tensor
    number: int
    warnings: tuple[str, ...] = ()


class Loader:
    """So many times the same batch."""

    def __init__(self, inputs: Tensor, targets: Tensor, batches: int, samples: int) -> None:
        self.samples, self.batches, self.batch_size = samples * batches, batches, samples
        self._batch = inputs, targets

    def epoch(self, number: int, start: int = 0) -> Iterator[Batch]:
        """The batches of an epoch."""
        for count in range(start + 1, self.batches + 1):
            yield Batch(*self._batch, count)


def network(name: str, size: int) -> nn.Module:
    from tui_trainer.models import catalog

    torch.manual_seed(0)
    if name == NOTHING:
        return nn.Sequential(nn.Flatten(), nn.Linear(3 * size * size, 10))
    more: dict[str, Any] = {"args": (), "trusted": False, "hidden_sizes": (64, 64), "shape": ()}
    return catalog.build(name, num_classes=10, channels=1 if name == "lenet" else 3, image_size=size, **more)


def ours(name: str, size: int, batch: int, ranks: Any) -> Callable[[], float]:
    """Seconds a step of this program's loop, over STEPS steps each time."""
    from tui_trainer.engine.job import Job
    from tui_trainer.engine.loop import train

    model = network(name, size)
    inputs, targets = samples(name, size, batch // ranks.size)
    job = Job(
        model=model,
        optimizer=torch.optim.SGD(model.parameters(), lr=1e-4, momentum=0.9, fused=True),
        loss_func=nn.CrossEntropyLoss(),
        train_loader=Loader(inputs, targets, 1_000_000, batch),
        val_loader=Loader(inputs, targets, 1, batch),
        prepare=lambda one: (one.inputs, one.targets),
        classes=tuple("0123456789"),
        device=torch.device("cpu"),
        epochs=1,
        lr=1e-4,
        log_every=STEPS,
        ranks=ranks,
    )
    events = train(job)

    def steps() -> float:
        began = time.perf_counter()
        while getattr(next(events), "kind", "") != "progress":
            pass
        return (time.perf_counter() - began) / STEPS

    return steps


def plain(
    name: str, size: int, batch: int, ranks: int, *, shared: bool, each: list[float] | None = None
) -> Callable[[], float]:
    """The same of a loop as every tutorial has it, loss and hits of its own samples summed; `each` step's seconds."""
    model: nn.Module = network(name, size)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-4, momentum=0.9, fused=True)
    loss_func, (inputs, targets) = nn.CrossEntropyLoss(), samples(name, size, batch // ranks)
    called = DistributedDataParallel(model, gradient_as_bucket_view=True) if shared else model

    def steps() -> float:
        began, total, hits = time.perf_counter(), torch.zeros(()), torch.zeros(())
        for _ in range(STEPS):
            at = time.perf_counter()
            optimizer.zero_grad()
            outputs = called(inputs)
            loss = loss_func(outputs, targets)
            loss.backward()
            optimizer.step()
            total += loss.detach() * len(targets)
            hits += (outputs.argmax(1) == targets).sum()
            if each is not None:
                each.append(time.perf_counter() - at)
        assert total.item() > 0 <= hits.item()
        return (time.perf_counter() - began) / STEPS

    return steps


def samples(name: str, size: int, count: int) -> tuple[Tensor, Tensor]:
    draw = torch.Generator().manual_seed(1)
    channels = 1 if name == "lenet" else 3
    return torch.randn(count, channels, size, size, generator=draw), torch.randint(10, (count,), generator=draw)


def all_reduce(values: int) -> float:
    """Seconds for the sum of so many float32."""
    tensor, took = torch.zeros(values), list[float]()
    for _ in range(12):
        dist.barrier()
        began = time.perf_counter()
        dist.all_reduce(tensor)
        took.append(time.perf_counter() - began)
    return statistics.median(took[2:])


def copying(values: int) -> float:
    """Seconds to divide so many float32 and put them elsewhere, as DDP does with each gradient."""
    given, made, took = torch.ones(values), torch.empty(values), list[float]()
    for _ in range(12):
        dist.barrier()
        began = time.perf_counter()
        torch.mul(given, 0.5, out=made)
        took.append(time.perf_counter() - began)
    return statistics.median(took[2:])


def exchange(ranks: Any) -> float:
    """Seconds of an exchange, when there is nothing else to wait for."""
    took = list[float]()
    for _ in range(300):
        began = time.perf_counter()
        ranks.flush()
        took.append(time.perf_counter() - began)
    return statistics.median(took)


def in_turns(*several: Callable[[], float]) -> list[list[float]]:
    """What each takes, round by round, without the first."""
    rounds = [[one() for one in several] for _ in range(ROUNDS + 1)][1:]
    return [list(column) for column in zip(*rounds, strict=True)]


def varies(each: list[float]) -> float:
    """How much steps differ, as a share of their middle: a standard deviation that a few slow ones do not decide."""
    low, middle, high = (statistics.quantiles(each, n=100)[place] for place in (15, 49, 83))
    return (high - low) / 2 / middle


@dataclass(frozen=True)
class Measured:
    """Seconds of a step of two processes, by round; of messages of 4 kB and 24 MB, a copy of them, and the exchange."""

    own: list[float]
    tutorial: list[float]
    half: list[float]
    nothing: list[float]
    nothing_alone: list[float]
    small: float
    large: float
    copies: float
    talk: float
    cv: float  # see `varies`

    @property
    def rank(self) -> float:
        """What it costs to be a rank: a message, waking up for it, the exchange."""
        return max(0.0, statistics.median(a - b for a, b in zip(self.nothing, self.nothing_alone, strict=True)))


def two(rank: int, folder: str, name: str, batch: int, size: int, results: Any) -> None:
    """One of two processes."""
    from tui_trainer.engine.together import Together

    torch.set_num_threads(1)
    dist.init_process_group("gloo", store=FileStore(f"{folder}/store", 2), rank=rank, world_size=2)
    each: list[float] = []
    own, tutorial, half, nothing, nothing_alone = in_turns(
        ours(name, size, batch, Together()),
        plain(name, size, batch, 2, shared=True),
        plain(name, size, batch, 2, shared=False, each=each),
        ours(NOTHING, 4, 4, Together()),
        plain(NOTHING, 4, 4, 2, shared=False),
    )
    found = Measured(
        own, tutorial, half, nothing, nothing_alone, small=all_reduce(1024), large=all_reduce(6_000_000),
        copies=copying(6_000_000), talk=exchange(Together()), cv=varies(each),
    )  # fmt: skip
    if rank == 0:
        results.put(found)
    dist.barrier()
    dist.destroy_process_group()


def main() -> None:
    if sys.argv[1:] == ["paper"]:
        paper()
        return
    name, batch, size = (sys.argv[1:] + ["lenet", "64", "32"][len(sys.argv) - 1 :])[:3]
    torch.set_num_threads(1)
    from tui_trainer.engine.ranks import Alone

    (one,) = in_turns(ours(name, int(size), int(batch), Alone()))
    context = multiprocessing.get_context("forkserver")
    results = context.Queue()
    with tempfile.TemporaryDirectory() as folder:
        more = (folder, name, int(batch), int(size), results)
        processes = [context.Process(target=two, args=(rank, *more)) for rank in range(2)]
        for process in processes:
            process.start()
        found = results.get(timeout=600)
        for process in processes:
            process.join()
    tell(name, int(batch), int(size), statistics.median(one), found)


def tell(name: str, batch: int, image: int, one: float, found: Measured) -> None:
    """What was measured, what the formula makes of it."""
    values = sum(parameter.numel() for parameter in network(name, image).parameters())
    own, tutorial, half = (statistics.median(rounds) for rounds in (found.own, found.tutorial, found.half))
    ratio = statistics.median(t / o for o, t in zip(found.own, found.tutorial, strict=True))
    latency, bandwidth = found.small / 2, 24e6 / max(1e-9, found.large - found.small)
    print(f"{name}, {values:,} parameters, batches of {batch} at {image}x{image}; median of {ROUNDS} x {STEPS} steps")
    print(f"1 process {1e3 * one:.2f} ms; 2 processes {1e3 * own:.2f} ms ({one / own:.2f} times as fast)")
    print(f"2 processes, plain DDP loop {1e3 * tutorial:.2f} ms; ours {ratio:.3f} times as fast")
    print(f"half a batch {1e3 * half:.2f} ms, cv {100 * found.cv:.0f} %; to be a rank {1e3 * found.rank:.2f} ms")
    print(f"all-reduce of 2: {1e6 * latency:.0f} us latency, {bandwidth / 1e9:.2f} GB/s", end="; ")
    print(f"exchange {1e6 * found.talk:.0f} us")
    links = {"cv": found.cv, "rank": found.rank}  # the latency of a message is a part of what it costs to be a rank
    formula = step_seconds(
        half, 4.0 * values, 2, lambda amount: amount * (1 / bandwidth + found.copies / 24e6), overlaps=0.0, **links
    )
    print(f"formula for 2: {1e3 * formula:.2f} ms, {100 * (formula / own - 1):+.0f} % of what was measured")
    print("\nPredicted, one device as fast as a process here, its batch as above (assumed links in bytes/s and s):")
    print(f"{'devices':>8} {'link':<34} {'step ms':>8} {'efficiency':>10} {'ImageNet epoch':>15}")
    for devices in (8, 64, 512):
        for link in LINKS:
            step = predicted(one, 4.0 * values, devices, link)
            minutes = IMAGENET / (devices * batch) * step / 60
            print(f"{devices:>8} {link:<34} {1e3 * step:>8.2f} {100 * one / step:>9.0f}% {minutes:>10.1f} min")
    print("load", os.getloadavg())


if __name__ == "__main__":
    main()
