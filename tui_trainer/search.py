"""The fastest way to train on this machine: threads and precision of the steps, workers for them, both together."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Sequence

import torch

from tui_trainer import trials
from tui_trainer.auto import set_up_torch
from tui_trainer.bench import Bench
from tui_trainer.config import Config
from tui_trainer.data.loader import needs_processes
from tui_trainer.loader_facts import Measurement, usable_cpus
from tui_trainer.trials import Tell
from tui_trainer.tune import further_ahead, of_size
from tui_trainer.tune_facts import FLOAT32, Found, Trial, choose_step, finalists, simplest

SECONDS = 60.0  # that all of it takes at most
STEPS, TOGETHER = 0.25, 0.25  # parts of the time for steps alone, and for whole training in turns
EACH = 3.0  # seconds for each number of workers


def search(
    config: Config,
    *,
    workers: Sequence[int] | None = None,
    batch_sizes: Sequence[int] = (),
    prefetch: Sequence[int] = (),
    seconds: float = SECONDS,
    tell: Tell = lambda text: None,
) -> Generator[Measurement | Trial, None, None]:
    """What is tried, as it is tried; `Found` takes it in and says what to make of it.

    `workers` are as in `tune.measure`; `threads` of the configuration are the most that is tried. Other batch sizes
    and `prefetch` come last. What time does not allow is skipped; closing the generator ends all workers.

    Raises:
        UserError: the data or the model does not do.
    """
    threads, ends = torch.get_num_threads(), time.monotonic() + seconds
    try:
        set_up_torch(config)
        bench, found, size = Bench(config, tell), Found(), config.loader.batch_size
        for item in _of_all(bench, found, workers, seconds, ends, tell):
            found.add(item)
            yield item
        last = ends - EACH  # a measurement that begins later would end after the time
        for other in (other for other in batch_sizes if other != size):
            yield from of_size(bench, other, workers, EACH, last, tell)
        bench.set(batch_size=size)
        yield from further_ahead(bench, found.usual(size), prefetch, EACH, last, tell)
    finally:
        torch.set_num_threads(threads)


def _of_all(
    bench: Bench, found: Found, workers: Sequence[int] | None, seconds: float, ends: float, tell: Tell
) -> Iterator[Measurement | Trial]:
    """Steps, workers, and both together; `found` holds what was yielded before."""
    size, compiled = bench.config.loader.batch_size, bench.config.recipe.compile
    if not compiled:  # which takes up to minutes, anew for each precision
        yield from trials.steps(bench, STEPS * seconds, tell)
    step = choose_step(found.steps)
    if step is not None:
        _take(bench, step)
    yield from of_size(bench, size, workers, EACH, ends - EACH, tell)
    if step is None:
        return
    processes = bench.config.loader.worker_type == "auto" and not needs_processes(bench.config)
    last = finalists(found, step, batch_size=size, cores=usable_cpus(), processes=processes)
    room = min(TOGETHER * seconds, ends - time.monotonic())
    if last and _fits(last, found, room):
        tell("training with the best of them in turns")
        yield from trials.together(bench, last, room)
        _take(bench, simplest(found.together) or step)


def _take(bench: Bench, trial: Trial) -> None:
    """Compute so from now on."""
    half = trial.precision != FLOAT32
    bench.set(threads=trial.threads, amp=half, **({"amp_dtype": trial.precision} if half else {}))


def _fits(last: Sequence[Trial], found: Found, seconds: float) -> bool:
    """Whether two rounds can be done in the time that is left."""
    step = found.loading[0].step_seconds
    each = (max(step, trials.WHOLE_BLOCK) + step * (2 + (trial.num_workers or 0)) for trial in last)
    return 2 * sum(each) <= seconds
