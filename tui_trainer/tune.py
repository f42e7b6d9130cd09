"""How fast this machine makes batches of this dataset, and whether the model would wait for them."""

from __future__ import annotations

import math
import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from tui_trainer.auto import set_up_torch
from tui_trainer.bench import Bench, Step, endless, first
from tui_trainer.config import Config
from tui_trainer.data.loader import Batch
from tui_trainer.engine.job import Job
from tui_trainer.loader_facts import (
    ENOUGH,
    Facts,
    FirstBatch,
    Measurement,
    candidates,
    check_memory,
    check_shared_memory,
    recommend,
    workers_in_words,
)
from tui_trainer.trials import Tell
from tui_trainer.tune_facts import OUT_OF_TIME

LOOK = 0.25  # seconds between two looks at a rate that is being measured
STEP_SECONDS, MOST_STEPS = 0.5, 50  # how long and how often a training step is timed


def facts(config: Config) -> Facts:
    """What the words about the loader options need to know of the data and the model.

    Raises:
        UserError: the data or the model does not do.
    """
    return Bench(config).facts


def range_job(config: Config) -> Job:
    """A job for the learning rate range test, with the whole recipe but its schedule.

    Raises:
        UserError: the data, the model or a setting does not do.
    """
    set_up_torch(config)
    torch.manual_seed(config.recipe.seed)
    bench = Bench(config)
    return bench.job(bench.data(config.loader.num_workers))


def measure(
    config: Config,
    *,
    workers: Sequence[int] | None = None,
    batch_sizes: Sequence[int] = (),
    prefetch: Sequence[int] = (),
    seconds_each: float = 3.0,
    seconds: float = math.inf,
    tell: Tell = lambda text: None,
) -> Generator[Measurement, None, None]:
    """The speed of the configured loader with each of the worker counts, for each batch size.

    Several times a second it yields how far the present one is; closing the generator ends its
    processes. Without `workers` it takes `candidates()` and ends where two in a row brought
    nothing. `prefetch` is tried with the workers that were best. After `seconds` in all the rest is skipped. `tell`
    hears what is being done.

    Raises:
        UserError: the data or the model does not do.
    """
    threads, ends = torch.get_num_threads(), time.monotonic() + seconds
    try:
        set_up_torch(config)
        bench, done, size = Bench(config, tell), list[Measurement](), config.loader.batch_size
        for other in batch_sizes or (size,):
            for measurement in of_size(bench, other, workers, seconds_each, ends, tell):
                yield measurement
                done += [measurement] * measurement.final
        yield from further_ahead(bench, [m for m in done if m.batch_size == size], prefetch, seconds_each, ends, tell)
    finally:
        torch.set_num_threads(threads)


def of_size(
    bench: Bench,
    size: int,
    workers: Sequence[int] | None,
    seconds_each: float,
    ends: float,
    tell: Tell,
) -> Iterator[Measurement]:
    """One batch size with each worker count."""
    bench.set(batch_size=size)
    tell("measuring the images, then a training step")
    step, step_seconds = timed_step(bench)
    counts = candidates() if workers is None else tuple(workers)
    done = list[Measurement]()
    for turn, count in enumerate(counts):
        tell(f"measuring {workers_in_words(count)}, {turn + 1} of {len(counts)}")
        blank = _blank(bench, count, step_seconds)
        for measurement in _measure_one(bench, step, count, turn / len(counts), blank, seconds_each, ends):
            yield measurement
            done += [measurement] * measurement.final
        if workers is None and _levelled_off(done):
            return


def _blank(bench: Bench, count: int, step_seconds: float, prefetch: int | None = None) -> Measurement:
    size = bench.config.loader.batch_size
    return Measurement(num_workers=count, step_seconds=step_seconds, batch_size=size, prefetch_factor=prefetch)


def further_ahead(
    bench: Bench, done: Sequence[Measurement], factors: Sequence[int], seconds_each: float, ends: float, tell: Tell
) -> Iterator[Measurement]:
    """More batches ahead, with the best workers of those of one size that are `done`."""
    best = recommend(done)
    for factor in factors if best is not None and best.num_workers else ():
        assert best is not None
        bench.set(batch_size=done[0].batch_size, prefetch_factor=factor)
        tell(f"measuring {factor} batches ahead")
        step, step_seconds = timed_step(bench)
        blank = _blank(bench, best.num_workers, step_seconds, factor)
        yield from _measure_one(bench, step, best.num_workers, 0.5, blank, seconds_each, ends)


def _levelled_off(done: list[Measurement]) -> bool:
    """Whether the last two were no better than the best before them."""
    rates = [measurement.trained_per_second for measurement in done]
    return len(rates) > 3 and max(rates[-2:]) < (1 + ENOUGH) * max(rates[:-2])


def timed_step(bench: Bench) -> tuple[Step, float]:
    """A training step and the seconds it takes on a batch that is there; slower ones went before."""
    data = bench.data(0)
    step, batch = bench.training_step(data), first(data.train)
    began = time.perf_counter()
    step(batch).item()
    for _ in range(2 if time.perf_counter() - began < STEP_SECONDS else 0):
        step(batch).item()
    began = time.perf_counter()
    for count in range(1, MOST_STEPS + 1):
        loss, steps = step(batch), count
        if time.perf_counter() - began > STEP_SECONDS:
            break
    loss.item()  # waits until a GPU is done
    return step, (time.perf_counter() - began) / steps


def _measure_one(
    bench: Bench, step: Step, count: int, part: float, blank: Measurement, seconds: float, ends: float
) -> Iterator[Measurement]:
    """Half of the time batches alone, half of it training on them.

    Training is measured and not reckoned from the other two figures: where the model computes on
    the processors too, it and the workers take them from each other.
    """
    loader = bench.with_workers(count).loader
    problem = check_shared_memory(loader, bench.facts) or check_memory(loader, bench.facts)
    if problem := problem or OUT_OF_TIME * (time.monotonic() > ends):
        yield replace(blank, skipped=problem, final=True)
        return
    yield blank
    began = time.perf_counter()
    stream = endless(bench.data(count).train, part)
    try:
        next(stream)
        now = replace(blank, first_batch_seconds=time.perf_counter() - began)
        for _ in range(count - 1):  # the others were made meanwhile: they say nothing about the rate
            next(stream)
        for rate, _ in _rates(stream, None, seconds / 2):
            now = replace(now, images_per_second=rate)
            yield now
        for rate, wait_share in _rates(stream, step, seconds / 2):
            now = replace(now, trained_per_second=rate, wait_share=wait_share)
            yield now
        yield replace(now, final=True)
    finally:
        stream.close()


def _rates(stream: Iterator[Batch], step: Step | None, seconds: float) -> Iterator[tuple[float, float]]:
    """Images per second and share of the time spent waiting, several times and at the end."""
    began = time.perf_counter()
    told, passed, waited, seen = LOOK / 2, 0.0, 0.0, 0
    while passed < seconds:
        before = time.perf_counter()
        batch = next(stream)
        waited += time.perf_counter() - before
        if step is not None:
            step(batch).item()
        seen += len(batch.targets)
        passed = time.perf_counter() - began
        if told <= passed < seconds:
            told = passed + LOOK
            yield seen / passed, waited / passed
    yield seen / passed, waited / passed


def first_batch(config: Config) -> FirstBatch:
    """The first batch of the first epoch.

    Raises:
        UserError: the data or the model does not do.
    """
    bench = Bench(config)
    data = bench.data(config.loader.num_workers)
    began = time.perf_counter()
    batch = first(data.train)
    seconds = time.perf_counter() - began
    images, targets = batch.inputs, batch.targets
    inputs, _ = bench.prepare(data)(batch)
    counts = enumerate(targets.bincount().tolist() if targets.ndim == 1 else targets.sum(0).int().tolist())
    return FirstBatch(
        images=tuple(images.shape),
        images_dtype=_name(images),
        images_range=_range(images),
        inputs=tuple(inputs.shape),
        inputs_dtype=_name(inputs),
        inputs_range=_range(inputs),
        targets=tuple(targets.shape),
        targets_dtype=_name(targets),
        classes=tuple(
            (bench.index.classes[number], count) for number, count in counts if count and bench.index.classes
        ),
        bytes=images.nbytes + targets.nbytes,
        seconds=seconds,
        warnings=batch.warnings,
    )


def _name(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def _range(tensor: Tensor) -> tuple[float, float]:
    return float(tensor.min()), float(tensor.max())
