"""Our choice of threads beside torch's own, on an idle machine and beside two busy loops: bar 9.

    python -m benchmarks.threads [--rounds 7] [--short]

Each side is a process of its own, because the way in which threads wait is settled when torch is loaded.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence

from benchmarks.measuring import arguments, bar

STEPS = """
import sys, time
ours, seconds = sys.argv[1] == "ours", float(sys.argv[2])
if ours:
    from tui_trainer.waiting import set_waiting
    set_waiting()  # as the command line does
import torch
from tui_trainer.auto import Choices, choose_threads
from tui_trainer.config import Config
from tui_trainer.models import catalog
own, made = torch.get_num_threads(), []
for name in sys.argv[3:]:
    side, count = (32, 32) if name == "lenet" else (64, 4)
    model = catalog.build(name, num_classes=10, channels=3, image_size=side, args=())
    if ours:
        choose_threads(Choices(Config()), model)
    optimizer, loss_func = torch.optim.SGD(model.parameters(), lr=0.01), torch.nn.CrossEntropyLoss()
    inputs, targets = torch.randn(count, 3, side, side), torch.randint(10, (count,))
    made.append((model, optimizer, loss_func, inputs, targets, torch.get_num_threads() if ours else own))
for _ in sys.stdin:
    for model, optimizer, loss_func, inputs, targets, threads in made:
        if threads != torch.get_num_threads():
            torch.set_num_threads(threads)
        steps, began = -1, time.perf_counter()
        while steps < 1 or time.perf_counter() - began < seconds:
            optimizer.zero_grad()
            loss_func(model(inputs), targets).backward()
            optimizer.step()
            steps += 1
            if steps == 0:
                began = time.perf_counter()
        print(steps / (time.perf_counter() - began), end=" ")
    print(flush=True)
"""
BUSY = "while True: pass"


class Side:
    """A process that measures when it is asked to; it is started once, which takes longer than a round."""

    def __init__(self, who: str, models: Sequence[str], seconds: float) -> None:
        plain = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "GOMP_"))}
        words = [sys.executable, "-c", STEPS, who, str(seconds), *models]
        self._process = subprocess.Popen(words, env=plain, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def rates(self) -> list[float]:
        """Steps a second of each model, one after the other."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        told = self._process.stdout.readline().split()
        if not told:
            raise RuntimeError("the measuring process has ended")
        return list(map(float, told))

    def close(self) -> None:
        """End it."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


def compare(sides: Mapping[str, Side], models: Sequence[str], rounds: int) -> dict[str, float]:
    """Ours / torch's own for each model, the median of the rounds; one round before is not counted."""
    found: dict[str, list[list[float]]] = {"ours": [], "torch": []}
    for number in range(-1, rounds):
        for who in ("ours", "torch") if number % 2 else ("torch", "ours"):
            told = sides[who].rates()
            found[who] += [told] * (number >= 0)
    ratios = {}
    for model, ours, other in zip(
        models, zip(*found["ours"], strict=True), zip(*found["torch"], strict=True), strict=True
    ):
        print(
            f"  {model}: ours {statistics.median(ours):.1f} steps/s, torch {statistics.median(other):.1f}", flush=True
        )
        ratios[model] = statistics.median(a / b for a, b in zip(ours, other, strict=True))
    return ratios


def main() -> None:
    given = arguments(__doc__)
    seconds = 0.5 if given.short else 1.5
    models = ("lenet", "resnet18")
    sides = {who: Side(who, models, seconds) for who in ("ours", "torch")}
    for model, ratio in compare(sides, models, given.rounds).items():
        bar("9", f"{model}, idle, ours / torch's own", ratio, 0.95)
    busy = [subprocess.Popen([sys.executable, "-c", BUSY]) for _ in range(2)]
    try:
        time.sleep(0.5)
        for model, ratio in compare(sides, models, given.rounds).items():
            bar("9", f"{model}, beside two busy loops", ratio, 1.5)
    finally:
        for process in busy:
            process.kill()
            process.wait()
        for side in sides.values():
            side.close()


if __name__ == "__main__":
    main()
