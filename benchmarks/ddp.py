"""Our run of two processes beside a plain DDP script, each under torchrun as whole programs: bar 9.

    python -m benchmarks.ddp [--rounds 7] [--short] [MODEL ...]         lenet, resnet18

Both train the same network on the same 32x32 PNGs with the same batch (64 of both processes), optimizer and one
compute thread a process, and count loss and hits in training and in validation. The script is what PyTorch's guides add
up to: ImageFolder, DistributedSampler, a DataLoader with a worker that stays, DistributedDataParallel, sums by
all_reduce. It writes nothing; ours has its checkpoints, metrics, events and commands. Told are the seconds of an epoch
with its validation, the first one left out; `alone` is ours with one process and one thread.
"""

from __future__ import annotations

import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
from itertools import pairwise
from pathlib import Path
from typing import Any

from benchmarks import made
from benchmarks.measuring import arguments, bar

EPOCHS, BATCH, LR, MEAN = 5, 64, 0.01, (0.5, 0.5, 0.5)


def seconds(side: str, model: str, data: Path, place: Path) -> float:
    """Of an epoch, the first left out."""
    torchrun = ["torch.distributed.run", "--nproc-per-node", "2"]
    modules = {"ours": [*torchrun, "-m", "tui_trainer"], "alone": ["tui_trainer"]}
    words = [sys.executable, "-W", "ignore", "-m", *modules.get(side, [*torchrun, "-m", "benchmarks.ddp"])]
    if side == "script":
        words += ["--script", model, str(data)]
    else:
        words += ["--no-tui", str(data), "--output-dir", str(place), "--model", model, "--image-size", "32"]
        words += ["--channels", "3", "-b", str(BATCH), "--epochs", str(EPOCHS), "--threads", "1", "--lr", str(LR)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
    told = subprocess.run(words, env=environment, capture_output=True, text=True, check=True)
    if side == "script":
        took: list[float] = json.loads(told.stdout.splitlines()[-1])
    else:
        events = [json.loads(line) for line in (place / "events.jsonl").read_text().splitlines()]
        ends = [event["seconds"] for event in events if event["kind"] == "evaluated"]
        took = [0.0, *(two - one for one, two in pairwise(ends))]
    return statistics.median(took[1:])


def script(name: str, folder: str) -> None:
    """One process of the plain script; the first prints the seconds of each epoch."""
    import time

    import torch
    import torch.distributed as dist
    from torch import nn
    from torch.nn.parallel import DistributedDataParallel
    from torch.utils.data import DataLoader, DistributedSampler

    from tui_trainer import vision
    from tui_trainer.models import catalog

    torch.set_num_threads(1)
    dist.init_process_group("gloo")
    rank, ranks = dist.get_rank(), dist.get_world_size()
    datasets = vision.datasets()
    from torchvision import transforms

    change = transforms.Compose([transforms.Resize((32, 32)), transforms.ToTensor(), transforms.Normalize(MEAN, MEAN)])
    loaders: list[DataLoader[Any]] = []
    for part in ("train", "val"):
        dataset: Any = datasets.ImageFolder(f"{folder}/{part}", change)
        sampler: Any = DistributedSampler(dataset, shuffle=part == "train")
        loaders.append(DataLoader(dataset, BATCH // ranks, sampler=sampler, num_workers=1, persistent_workers=True))
    train, val = loaders
    torch.manual_seed(0)
    more: dict[str, Any] = {"num_classes": made.CLASSES, "channels": 3, "image_size": 32, "args": ()}
    model = DistributedDataParallel(catalog.build(name, **more), gradient_as_bucket_view=True)
    optimizer, loss_func = torch.optim.SGD(model.parameters(), lr=LR, momentum=0.9), nn.CrossEntropyLoss()
    took: list[float] = []
    for epoch in range(EPOCHS):
        began = time.perf_counter()
        train.sampler.set_epoch(epoch)  # type: ignore[attr-defined]
        for loader in (train, val):
            model.train(loader is train)
            sums = torch.zeros(3)
            with contextlib.nullcontext() if loader is train else torch.no_grad():
                for inputs, targets in loader:
                    if loader is train:
                        optimizer.zero_grad()
                    outputs = model(inputs)
                    loss = loss_func(outputs, targets)
                    if loader is train:
                        loss.backward()
                        optimizer.step()
                    hits = (outputs.argmax(1) == targets).sum().item()
                    sums += torch.tensor([loss.item() * len(targets), hits, len(targets)])
            dist.all_reduce(sums)
        took.append(time.perf_counter() - began)
    if rank == 0:
        print(json.dumps(took), flush=True)
    dist.destroy_process_group()


def main() -> None:
    if sys.argv[1:2] == ["--script"]:
        script(*sys.argv[2:4])
        return
    given = arguments(__doc__)
    with tempfile.TemporaryDirectory() as root:
        data = made.small(Path(root) / "png", 480 if given.short else 3600)
        for model in given.only or ["lenet", "resnet18"]:
            sides = ("ours", "script", "alone")
            found: dict[str, list[float]] = {side: [] for side in sides}
            for number in range(given.rounds):
                for side in sides[number % 3 :] + sides[: number % 3]:
                    found[side].append(seconds(side, model, data, Path(root) / f"{model}-{side}-{number}"))
            for side in sides:
                print(f"  {model:<10} {side:<8} {statistics.median(found[side]):6.2f} s an epoch", flush=True)
            ratios = [statistics.median(b / a for a, b in zip(found["ours"], found[o], strict=True)) for o in sides[1:]]
            bar("9", f"{model}: plain DDP script / ours", ratios[0], 0.97)
            print(f"  {model}: 2 processes of one thread are {ratios[1]:.2f} times as fast as one", flush=True)


if __name__ == "__main__":
    main()
