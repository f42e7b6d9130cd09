"""What recording, metrics and checkpoints cost a run, and its memory: bar 11.

    python -m benchmarks.costs [--rounds 7] [--short]

LeNet on 32x32 PNGs. A run with its folder against the same loop and loaders with nothing kept; the most memory that a
run of ours takes with all its processes, against a torchvision script with its two workers (pages that processes share
count once); and the growth of a run over its epochs.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from benchmarks import made, runs
from benchmarks.measuring import arguments, bar, in_turns, show

KB, LOOK = 1024, 0.02


def run(data: Path, folder: Path, epochs: int, *, keeps: bool) -> Callable[[], None]:
    """A run, or the bare loop over its loaders."""
    import torch

    from tui_trainer.config import Config
    from tui_trainer.run import prepare
    from tui_trainer.run_folder import Mailbox

    number = iter(range(1 << 30))

    def one() -> None:
        place = str(folder / f"{keeps}{epochs}-{next(number)}")
        made_run = prepare(Config().replace(data=str(data), output_dir=place, epochs=epochs, channels=3))
        if keeps:
            for _ in made_run.events(Mailbox()):
                pass
            return
        assert made_run.lock is not None
        made_run.lock.release()
        job = made_run.job
        for epoch in range(epochs):
            job.model.train()
            for batch in job.train_loader.epoch(epoch):
                inputs, targets = job.prepare(batch)
                job.optimizer.zero_grad()
                job.loss_func(job.model(inputs), targets).backward()
                job.optimizer.step()
            job.model.eval()
            with torch.no_grad():
                for batch in job.val_loader.epoch(0):
                    inputs, targets = job.prepare(batch)
                    job.loss_func(job.model(inputs), targets)

    return one


def grown(data: Path, folder: Path, epochs: int) -> float:
    """MB that a run adds after its first `epochs`, in five times as many; in a process of its own, as a run has."""
    code = (
        "import resource, sys\n"
        "from tui_trainer.config import Config\n"
        "from tui_trainer.events import Evaluated\n"
        "from tui_trainer.run import prepare\n"
        "from tui_trainer.run_folder import Mailbox\n"
        "data, folder, epochs = sys.argv[1], sys.argv[2], int(sys.argv[3])\n"
        "run = prepare(Config().replace(data=data, output_dir=folder, epochs=6 * epochs, channels=3))\n"
        "most = [resource.getrusage(resource.RUSAGE_SELF).ru_maxrss for event in run.events(Mailbox())"
        " if isinstance(event, Evaluated)]\n"
        "print(most[-1] - most[epochs - 1])"
    )
    words = [sys.executable, "-W", "ignore", "-c", code, str(data), str(folder), str(epochs)]
    return int(subprocess.run(words, check=True, capture_output=True, text=True).stdout) / KB


def most_memory(words: list[str]) -> float:
    """MB that a program and all that it starts held at most, looked at 50 times a second."""
    most = 0
    with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as program:
        while program.poll() is None:
            most = max(most, sum(shared_out(pid) for pid in family(program.pid)))
            time.sleep(LOOK)
    if program.returncode:
        raise SystemExit(f"{words} ended with {program.returncode}")
    return most / KB


def family(pid: int) -> list[int]:
    """A process and all that it started."""
    found = [pid]
    for each in found:
        for tasks in Path(f"/proc/{each}/task").glob("*/children"):
            with contextlib.suppress(OSError):  # it has ended
                found += map(int, tasks.read_text("ascii").split())
    return found


def shared_out(pid: int) -> int:
    """Memory of a process in kB; a page that n processes map counts 1/n in each."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text("ascii").splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1])
    return 0


def main() -> None:
    given = arguments(__doc__)
    epochs, count = (2, 600) if given.short else (4, 4800)
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        data = made.small(place / "png", count)
        sides = {"a run": run(data, place, epochs, keeps=True), "nothing kept": run(data, place, epochs, keeps=False)}
        found = in_turns(sides, given.rounds)
        show(found, count * epochs)
        bar(
            "11",
            "recording, metrics, checkpoints: a run / nothing kept",
            1 / found.ratio("nothing kept", "a run"),
            most=1.03,
        )
        bar("11", f"MB that {epochs * 5} epochs more add", grown(data, place / "long", epochs), most=5)
        for name in ("ours", "script"):
            (place / name).mkdir()
        here, there = (
            most_memory(runs.ours(data, place / "ours", 2)),
            most_memory(runs.other("script", data, place / "script", 2)),
        )
        print(f"  most memory: ours {here:.0f} MB, torchvision script {there:.0f} MB")
        bar("11", "most memory, ours / the script", here / there, most=0.8)


if __name__ == "__main__":
    main()
