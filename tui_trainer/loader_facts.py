"""What is known of a DataLoader and how to say it: plain values and sentences, no torch."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tui_trainer.data_config import LoaderConfig
from tui_trainer.text import display

ENOUGH = 0.05  # less than this part more is not worth another worker
PREFETCH = 2  # torch's choice of prefetch_factor
CANDIDATES = (0, 1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128)
SHARED_MEMORY = "/dev/shm"
SHARED_SHARE, SHARED_REST = 0.9, 2 << 20  # of what is free of it, without bytes for queues, locks and targets
WORKER_BYTES = 100 << 20  # that a worker process takes for itself, and for a large image
WORKERS_ONLY = ("prefetch_factor", "timeout")  # settings that mean nothing without workers
MOST_CLASSES = 10  # classes of a batch that are named


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """One setting of the loader. Until `final` the rates are those of the time so far, 0 before the first batch."""

    num_workers: int
    step_seconds: float  # of one training step on a batch that is there, nobody loading
    first_batch_seconds: float | None = None  # start of the workers included
    images_per_second: float = 0.0  # delivered, nobody training
    trained_per_second: float = 0.0  # images, while training on them
    wait_share: float = 1.0  # of the time of this training, spent waiting for data, in [0, 1]
    final: bool = False
    batch_size: int = 0
    prefetch_factor: int | None = None  # where it was tried
    skipped: str = ""  # why it was not measured


@dataclass(frozen=True, kw_only=True)
class Recommendation:
    """How many workers, and why in one sentence."""

    num_workers: int
    reason: str


@dataclass(frozen=True, kw_only=True)
class FirstBatch:
    """The first batch of training: as the loader hands it over, and as the model sees it."""

    images: tuple[int, ...]  # (N, S, S, C)
    images_dtype: str
    images_range: tuple[float, float]
    inputs: tuple[int, ...]  # (N, C, S, S), normalised
    inputs_dtype: str
    inputs_range: tuple[float, float]
    targets: tuple[int, ...]  # (N,)
    targets_dtype: str
    classes: tuple[tuple[str, int], ...]  # those in it, with their counts
    bytes: int  # handed over
    seconds: float  # start of the workers included
    warnings: tuple[str, ...]  # files left out


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What the options act on. `needs_two`: the model cannot train on a batch of one image."""

    images: int  # of the training part
    image_size: int
    channels: int
    needs_two: bool
    unit: str = "images"


def workers_in_words(count: int) -> str:
    """A worker count as a person says it."""
    return f"{count} worker{'' if count == 1 else 's'}"


def size_in_words(count: float) -> str:
    """A number of bytes as a person says it: 98 kB, 12 MB."""
    for unit in ("bytes", "kB", "MB"):
        if count < 999.5:
            return f"{count:.{1 if count < 9.95 and unit != 'bytes' else 0}f} {unit}"
        count /= 1000
    return f"{count:,.1f} GB"


def usable_cpus() -> int:
    """Processors that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def candidates(most: int | None = None) -> tuple[int, ...]:
    """Worker counts worth a measurement: all up to 4, then ever fewer, up to `most` (the processors)."""
    most = usable_cpus() if most is None else most
    return (*(count for count in CANDIDATES if count < most), most)


def recommend(measurements: Sequence[Measurement]) -> Recommendation | None:
    """The fewest workers within 5 % of the best speed of training; None unless two were measured."""
    done = sorted((m for m in measurements if m.final and not m.skipped), key=lambda m: m.num_workers)
    if len(done) < 2:
        return None
    best = max(m.trained_per_second for m in done)
    chosen = next(m for m in done if m.trained_per_second >= (1 - ENOUGH) * best)
    waits = f"the model waits for data {chosen.wait_share:.0%} of the time"
    if chosen.wait_share <= ENOUGH:
        why = f"{waits}: more would bring nothing."
    elif chosen is done[0]:
        why = f"training is within 5 % of the fastest; {waits}."
    else:
        times = chosen.trained_per_second / done[0].trained_per_second
        why = f"training is {times:.1f} times as fast as with {done[0].num_workers}; {waits}."
    why = f"With {workers_in_words(chosen.num_workers)} {why}"
    return Recommendation(num_workers=chosen.num_workers, reason=why)


def batch_bytes(loader: LoaderConfig, facts: Facts) -> int:
    """What one batch takes on its way from a worker: images (N, S, S, C) uint8 or rows of float32, targets."""
    return loader.batch_size * ((facts.image_size**2 or 4) * facts.channels + 8)


def prefetched(loader: LoaderConfig) -> int:
    """Batches that lie ready at any time."""
    return loader.num_workers * (loader.prefetch_factor or PREFETCH)


def check_shared_memory(loader: LoaderConfig, facts: Facts, folder: str = SHARED_MEMORY) -> str:
    """A sentence if the batches that workers keep ready do not fit, else nothing."""
    if loader.worker_type != "process":
        return ""  # threads need none
    return lack_of_shared_memory(loader, batch_bytes(loader, facts), folder)


def lack_of_shared_memory(loader: LoaderConfig, batch: int, folder: str = SHARED_MEMORY) -> str:
    """The same of processes that hand over batches of so many bytes."""
    needed, free = (prefetched(loader) + 1) * batch, free_shared_memory(folder)
    if free is None or loader.num_workers == 0 or needed <= free:
        return ""
    return (
        f"{workers_in_words(loader.num_workers)} need {size_in_words(needed)} of shared memory, {folder} has "
        f"{size_in_words(free)} free, and a worker would end with a bus error: lower num_workers, "
        "prefetch_factor or batch_size, or start the container with a larger --shm-size."
    )


def free_shared_memory(folder: str = SHARED_MEMORY) -> int | None:
    """Bytes that processes may still share; None where the system does not say."""
    try:
        status = os.statvfs(folder)
    except (OSError, AttributeError):
        return None
    return status.f_bavail * status.f_frsize


def room_to_share(loader: LoaderConfig, processes: int, each: int) -> int:
    """Bytes of shared memory for each of so many `processes`, beside their batches of images of `each` bytes."""
    free = free_shared_memory()
    if free is None:
        return sys.maxsize
    others = (prefetched(loader) + 1) * loader.batch_size * each + SHARED_REST
    return max(0, int(SHARED_SHARE * free / processes) - others)


def check_memory(loader: LoaderConfig, facts: Facts, free: int | None = None) -> str:
    """A sentence if workers and the batches that they keep ready take more than half of the memory that is free."""
    free = free_memory() if free is None else free
    each = WORKER_BYTES if loader.worker_type == "process" else 0
    needed = (prefetched(loader) + 1) * batch_bytes(loader, facts) + loader.num_workers * each
    if not free or needed <= free / 2:
        return ""
    return (
        f"{workers_in_words(loader.num_workers)} with batches of {loader.batch_size:,} need {size_in_words(needed)} of "
        f"memory, {size_in_words(free)} are free: lower num_workers, prefetch_factor or batch_size."
    )


def free_memory() -> int:
    """Bytes that programs may still take; 0 where the system does not say."""
    try:
        lines = Path("/proc/meminfo").read_text("ascii").splitlines()
        return next(int(line.split()[1]) << 10 for line in lines if line.startswith("MemAvailable"))
    except (OSError, StopIteration, ValueError):
        return 0


def faster_batches(measurements: Sequence[Measurement], batch_size: int) -> str:
    """A sentence if another batch size trains much faster than `batch_size`, each with its best workers."""
    best: dict[int, float] = {}
    for m in measurements:
        if m.final and not m.skipped and m.prefetch_factor is None:
            best[m.batch_size] = max(best.get(m.batch_size, 0.0), m.trained_per_second)
    here = best.get(batch_size, 0.0)
    fastest = max(best, key=lambda size: best[size], default=batch_size)
    if not here or best[fastest] < 1.1 * here:
        return ""
    return (
        f"Batches of {fastest:,} train {best[fastest] / here:.1f} times as fast as batches of {batch_size:,}; what is "
        "learned differs too, and lr wants to grow with them."
    )


def faster_prefetch(measurements: Sequence[Measurement]) -> str:
    """What reading further ahead brought, if it was tried."""
    tried = [m for m in measurements if m.prefetch_factor is not None and m.final and not m.skipped]
    if not tried:
        return ""
    best = max(tried, key=lambda m: m.trained_per_second)
    usual = [m.trained_per_second for m in measurements if _same_but_prefetch(m, best)]
    if not usual or best.trained_per_second < (1 + ENOUGH) * max(usual):
        return f"Reading further ahead than {PREFETCH} batches a worker brings nothing."
    times = best.trained_per_second / max(usual)
    return f"--prefetch-factor {best.prefetch_factor}  With it training is {times:.2f} times as fast."


def _same_but_prefetch(one: Measurement, other: Measurement) -> bool:
    same = (one.num_workers, one.batch_size) == (other.num_workers, other.batch_size)
    return same and one.prefetch_factor is None and one.final and not one.skipped


def meaning(loader: LoaderConfig, facts: Facts) -> list[str]:
    """What the options mean for this data, sentence by sentence."""
    return [_batches(loader, facts), _workers(loader, facts)]


def _batches(loader: LoaderConfig, facts: Facts) -> str:
    whole, rest = divmod(facts.images, loader.batch_size)
    if not facts.images:
        steps = f"{loader.steps_per_epoch:,}" if loader.steps_per_epoch else "as many as come until it ends"
        return f"An epoch of this stream has batches of {loader.batch_size:,}: {steps}."
    words = f"{facts.images:,} training {facts.unit} make "
    if loader.drop_last and not whole:
        return words + f"no batch of {loader.batch_size:,}: with drop_last there is nothing to train on."
    left_out = rest and (loader.drop_last or (facts.needs_two and rest == 1))
    count = whole + (1 if rest and not left_out else 0)
    words += f"{count:,} batch{'' if count == 1 else 'es'} of {loader.batch_size:,}"
    if left_out:
        return f"{words}; {rest:,} left over {'is' if rest == 1 else 'are'} not used in that epoch."
    return f"{words}; the last one has {rest:,}." if rest and whole else f"{words}."


def _workers(loader: LoaderConfig, facts: Facts) -> str:
    size = batch_bytes(loader, facts)
    if loader.num_workers == 0:
        return f"Each of {size_in_words(size)} is read between two steps, while the model waits."
    each, all_of_them = loader.prefetch_factor or PREFETCH, prefetched(loader)
    keeps = "keeps" if loader.num_workers == 1 else "each keep"
    batches = f"{each} batch{'' if each == 1 else 'es'}"
    words = f"{workers_in_words(loader.num_workers)} {keeps} {batches} ready: "
    words += f"{all_of_them:,} batches, " if all_of_them != each else ""
    words += f"{size_in_words(size * all_of_them)} of {'shared ' * (loader.worker_type == 'process')}memory."
    return words if loader.persistent_workers else f"{words} They are started anew each epoch."


def _time(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds >= 0.1 else f"{1000 * seconds:.1f} ms"


def batch_in_words(batch: FirstBatch) -> list[tuple[str, str]]:
    """A first batch line by line: what a line is about, and what there is to say; the first is the title."""
    shown = ", ".join(f"{display(name, 20)}: {count}" for name, count in batch.classes[:MOST_CLASSES])
    more = len(batch.classes) - MOST_CLASSES
    return [
        ("", f"First batch: {size_in_words(batch.bytes)} in {_time(batch.seconds)}"),
        ("read", f"{_shape(batch.images)} {batch.images_dtype}, {_range(batch.images_range)}"),
        ("model", f"{_shape(batch.inputs)} {batch.inputs_dtype}, {_range(batch.inputs_range)}"),
        ("target", f"{_shape(batch.targets)} {batch.targets_dtype}"),
        ("in it", f"{shown} and {more} more classes" if more > 0 else shown),
        *(("warning", display(text)) for text in batch.warnings[:3]),
    ]


def _shape(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))


def _range(values: tuple[float, float]) -> str:
    low, high = (f"{value:.2f}".removesuffix(".00") for value in values)
    return f"{low} to {high}"
