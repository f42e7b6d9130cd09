"""A model whole on each of two ranks (ddp) beside one that is shared out (fsdp): memory of a rank, and time of a step.

python -m benchmarks.sharding [MODEL] [BATCH] [SIZE] [ROUNDS]

Both train the digits by the composition root, as two processes on this machine, in turns. `holds`: weights, gradients
and states of the optimizer on a rank, counted; `live`: the most that tensors take within a step by torch's profiler,
activations and units that are together included; `resident`: the process's memory over some steps beyond what it had
before it built the model (Linux: VmHWM, reset after the first steps); the C library keeps much of what is freed.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import statistics
import sys
import tempfile
import time
from multiprocessing.queues import Queue
from pathlib import Path
from typing import Any

DIGITS = Path(__file__).resolve().parent.parent / "sample_data" / "digits"
WARM, STEPS, RANKS = 3, 8, 2
MB = 1e6
MEMORY = ("holds", "live", "resident")
LOADED = (
    "torchvision",
    "tui_trainer.run",
    "tui_trainer.engine.sharding",
    "torch._dynamo",
)  # before memory is looked at


def memory(name: str) -> float:
    """A line of /proc/self/status in MB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:")) * 1024 / MB


def rank(number: int, folder: Path, values: dict[str, Any], found: Queue[dict[str, float]]) -> None:
    """Be one of the ranks, and tell what it took."""
    import torch
    import torch.distributed as dist
    from torch._C._distributed_c10d import FileStore

    from tui_trainer import vision
    from tui_trainer.commands import Stop
    from tui_trainer.config import build
    from tui_trainer.engine.job import NoCommands
    from tui_trainer.engine.together import Together
    from tui_trainer.events import Progress
    from tui_trainer.run import prepare

    torch.set_num_threads(1)
    vision.models()  # what is imported is no matter of the model
    dist.init_process_group("gloo", store=FileStore(str(folder / "store"), RANKS), rank=number, world_size=RANKS)

    class Inbox(NoCommands):
        told = False

        def take(self) -> list[Any]:
            return [Stop()] if self.told else []

    inbox, before, times = Inbox(), memory("VmRSS"), list[float]()
    profiler = torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True)
    made = prepare(build({**values, "output_dir": str(folder / "run")}), ranks=Together())
    for event in made.events(inbox):
        if isinstance(event, Progress) and event.part == "train":
            times.append(time.perf_counter())
            if len(times) == WARM:
                Path("/proc/self/clear_refs").write_text("5")
            elif len(times) == WARM + STEPS:
                resident = memory("VmHWM") - before
                profiler.start()
            elif len(times) == WARM + STEPS + 1:
                profiler.stop()
                inbox.told = True
    job = made.job
    states = [v for state in job.optimizer.state.values() for v in state.values() if isinstance(v, torch.Tensor)]
    gradients = size_of([p.grad for p in job.model.parameters() if p.grad is not None])
    holds = size_of([*job.model.parameters(), *states]) + gradients
    profiler.export_chrome_trace(str(folder / f"trace-{number}.json"))
    # DDP's gradients stay in its buckets from step to step; FSDP's are made in each.
    live = holds - gradients * (values["strategy"] == "fsdp") + most(folder / f"trace-{number}.json")
    steps = [b - a for a, b in zip(times[WARM - 1 :], times[WARM : WARM + STEPS], strict=False)]
    found.put({"holds": holds, "live": live, "resident": resident, "step": statistics.median(steps) * 1e3})
    dist.barrier()
    dist.destroy_process_group()


def size_of(tensors: list[Any]) -> float:
    """MB of what this rank has of them."""
    return float(sum(getattr(t, "_local_tensor", t).numel() * t.element_size() for t in tensors)) / MB


def most(trace: Path) -> float:
    """MB that a step had allocated at most."""
    events = json.loads(trace.read_text())["traceEvents"]
    return float(max(event["args"]["Total Allocated"] for event in events if event.get("name") == "[memory]")) / MB


def measure(values: dict[str, Any]) -> dict[str, float]:
    """The greater of both ranks."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tui_trainer.run", "tui_trainer.engine.sharding", "torch._dynamo"])
    found: Queue[dict[str, float]] = context.Queue()
    with tempfile.TemporaryDirectory() as folder:
        processes = [context.Process(target=rank, args=(n, Path(folder), values, found)) for n in range(RANKS)]
        for process in processes:
            process.start()
        both = [found.get(timeout=300) for _ in processes]
        for process in processes:
            process.join()
    return {name: max(one[name] for one in both) for name in both[0]}


def main() -> None:
    given = [*sys.argv[1:], *("resnet18", "16", "64", "3")[len(sys.argv) - 1 :]]
    model, batch, size, rounds = given[0], int(given[1]), int(given[2]), int(given[3])
    values = {"data": str(DIGITS), "model": model, "batch_size": batch, "image_size": size, "optimizer": "adamw"}
    values |= {"num_workers": 0, "threads": 1, "log_every": 1, "lr": 1e-4, "checkpoint_every": "100"}
    taken: dict[str, list[dict[str, float]]] = {"ddp": [], "fsdp": []}
    for turn in range(rounds):
        for strategy in ("ddp", "fsdp") if turn % 2 else ("fsdp", "ddp"):
            taken[strategy].append(measure({**values, "strategy": strategy}))
    print(f"{model}, {batch} images at {size}x{size} a step, adamw, {RANKS} ranks of one thread, {rounds} rounds")
    for strategy, found in taken.items():
        sizes = ", ".join(f"{name} {statistics.median(one[name] for one in found):.0f} MB" for name in MEMORY)
        print(f"  {strategy:<5} {sizes} a rank, step {min(one['step'] for one in found):.1f} ms (least median)")
    ratios = {
        name: statistics.median(a[name] / b[name] for a, b in zip(taken["fsdp"], taken["ddp"], strict=True))
        for name in (*MEMORY, "step")
    }
    print("  fsdp / ddp:", ", ".join(f"{name} {ratio:.2f}" for name, ratio in ratios.items()))
    print("load", os.getloadavg())


if __name__ == "__main__":
    main()
