"""Our choice of threads beside torch's own, on an idle machine and beside two busy loops: bar 9.

    python -m benchmarks.threads [--rounds 9] [--short]

Each side is a process of its own, because the way in which threads wait is settled when torch is loaded, and the number
of threads is chosen at the start. It is started anew for each round: one process computes up to a third faster than the
next of the same program, as its memory happens to lie. What becomes of a number that was chosen on an idle machine when
busy loops come later is printed too, without a bar; how long threads wait awake follows them (`Patience`).
"""

from __future__ import annotations

import contextlib
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator

from benchmarks.measuring import arguments, bar

STEPS = """
import sys, time
ours, seconds = sys.argv[1] == "ours", float(sys.argv[2])
if ours:
    from tui_trainer.idle import now
    since = now()  # as a session does
    from tui_trainer.waiting import set_waiting
    set_waiting()  # as the command line does
import torch
from tui_trainer.auto import Choices, choose_threads
from tui_trainer.config import Config
from tui_trainer.heap import keep_freed
from tui_trainer.models import catalog
keep_freed()  # on both sides: it is the threads that are compared
own, made = torch.get_num_threads(), []
for name in sys.argv[3:]:
    side, count = (32, 32) if name == "lenet" else (64, 4)
    model = catalog.build(name, num_classes=10, channels=3, image_size=side, args=())
    if ours:
        choose_threads(Choices(Config()), model, (3, side, side), torch.device("cpu"), since)
    optimizer, loss_func = torch.optim.SGD(model.parameters(), lr=0.01), torch.nn.CrossEntropyLoss()
    inputs, targets = torch.randn(count, 3, side, side), torch.randint(10, (count,))
    made.append((model, optimizer, loss_func, inputs, targets, torch.get_num_threads() if ours else own))
print(*(threads for *_, threads in made), flush=True)
if ours:
    from tui_trainer.patience import Patience
    Patience(max(threads for *_, threads in made)).__enter__()  # as a run does
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


MODELS, WHO = ("lenet", "resnet18"), ("ours", "torch")


class Side:
    """A process that measures when it is asked to; `threads` of each model is what it has chosen."""

    def __init__(self, who: str, seconds: float) -> None:
        plain = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "GOMP_"))}
        words = [sys.executable, "-c", STEPS, who, str(seconds), *MODELS]
        self._process = subprocess.Popen(words, env=plain, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.threads = self._told()

    def rates(self) -> list[float]:
        """Steps a second of each model, one after the other."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return list(map(float, self._told()))

    def _told(self) -> list[str]:
        assert self._process.stdout is not None
        told = self._process.stdout.readline().split()
        if not told:
            raise RuntimeError("the measuring process has ended")
        return told

    def close(self) -> None:
        """End it."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


@contextlib.contextmanager
def busy(count: int) -> Iterator[None]:
    """So many processes that compute all the time."""
    loops = [subprocess.Popen([sys.executable, "-c", BUSY]) for _ in range(count)]
    try:
        time.sleep(0.5)
        yield
    finally:
        for process in loops:
            process.kill()
            process.wait()


def compare(rounds: int, seconds: float, later: int | None = None) -> dict[str, float]:
    """Ours / torch's own for each model, the median of the rounds, with `later` so many busy loops after the start."""
    found: dict[str, list[list[float]]] = {who: [] for who in WHO}
    chosen: dict[str, list[list[str]]] = {who: [] for who in WHO}
    for number in range(rounds):
        for who in WHO[:: 1 if number % 2 else -1]:
            side = Side(who, seconds)
            try:
                side.rates()  # while memory and caches are filled
                with busy(later) if later else contextlib.nullcontext():
                    found[who].append(side.rates())
            finally:
                side.close()
            chosen[who].append(side.threads)
    ratios = {}
    for place, model in enumerate(MODELS):
        rates = {who: [told[place] for told in found[who]] for who in WHO}
        told = [
            f"{who} {statistics.median(rates[who]):.1f} steps/s with {'/'.join(sorted(t[place] for t in chosen[who]))}"
            for who in WHO
        ]
        print(f"  {model}: {', '.join(told)}", flush=True)
        ratios[model] = statistics.median(a / b for a, b in zip(*rates.values(), strict=True))
    return ratios


def main() -> None:
    given = arguments(__doc__, rounds=9)
    seconds = 0.3 if given.short else 0.7
    for model, ratio in compare(given.rounds, seconds).items():
        bar("9", f"{model}, idle, ours / torch's own", ratio, 0.95)
    with busy(2):
        for model, ratio in compare(given.rounds, seconds).items():
            bar("9", f"{model}, beside two busy loops, ours / torch's own", ratio, 1.5)
    for count in (1, 2):
        ratios = compare(max(1, given.rounds // 3), seconds, later=count)
        told = ", ".join(f"{model} {ratio:.2f}" for model, ratio in ratios.items())
        print(f"busy loops that come after the start, {count}, ours / torch's own: {told}", flush=True)


if __name__ == "__main__":
    main()
