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

from benchmarks.measuring import arguments, bar

STEPS = """
import sys, time
ours, name, seconds = sys.argv[1] == "ours", sys.argv[2], float(sys.argv[3])
import os
if ours:
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as the command line does
import torch
from tui_trainer.auto import Choices, choose_threads
from tui_trainer.config import Config
from tui_trainer.models import catalog
side = 32 if name == "lenet" else 64
model = catalog.build(name, num_classes=10, channels=3, image_size=side, args=())
if ours:
    choose_threads(Choices(Config()), model)
optimizer, loss_func = torch.optim.SGD(model.parameters(), lr=0.01), torch.nn.CrossEntropyLoss()
count = 32 if name == "lenet" else 16
inputs, targets = torch.randn(count, 3, side, side), torch.randint(10, (count,))
steps, began = -2, time.perf_counter()
while time.perf_counter() - began < seconds:
    optimizer.zero_grad()
    loss_func(model(inputs), targets).backward()
    optimizer.step()
    steps += 1
    if steps == 0:
        began = time.perf_counter()
print(max(steps, 0.5) / (time.perf_counter() - began))
"""
BUSY = "while True: pass"


def rate(who: str, model: str, seconds: float) -> float:
    """Steps a second."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith("OMP_")}
    words = [sys.executable, "-c", STEPS, who, model, str(seconds)]
    return float(subprocess.run(words, env=plain, capture_output=True, text=True, check=True).stdout)


def compare(model: str, rounds: int, seconds: float) -> float:
    """Ours / torch's own, the median of the rounds."""
    ratios = []
    for number in range(rounds):
        sides = ("ours", "torch") if number % 2 else ("torch", "ours")
        rates = {who: rate(who, model, seconds) for who in sides}
        ratios.append(rates["ours"] / rates["torch"])
    print(f"  {model}: ours {rates['ours']:.1f} steps/s, torch {rates['torch']:.1f} in the last round")
    return statistics.median(ratios)


def main() -> None:
    given = arguments(__doc__)
    seconds = 1.0 if given.short else 1.5  # seven rounds in under four minutes
    models = ("lenet",) if given.short else ("lenet", "resnet18")
    for model in models:
        bar("9", f"{model}, idle, ours / torch's own", compare(model, given.rounds, seconds), 0.95)
    busy = [subprocess.Popen([sys.executable, "-c", BUSY]) for _ in range(2)]
    try:
        time.sleep(0.5)
        for model in models:
            bar("9", f"{model}, beside two busy loops", compare(model, given.rounds, seconds), 1.5)
    finally:
        for process in busy:
            process.kill()
            process.wait()


if __name__ == "__main__":
    main()
