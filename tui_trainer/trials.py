"""Real training steps in turns: which threads, precision and workers are fastest on this machine."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from itertools import islice

import torch

from tui_trainer.bench import Bench, endless
from tui_trainer.config import Config
from tui_trainer.data.batches import Data
from tui_trainer.data.loader import Batch, Loader
from tui_trainer.engine.job import Job
from tui_trainer.engine.precision import Precision
from tui_trainer.engine.step import train_step
from tui_trainer.loader_facts import candidates, usable_cpus
from tui_trainer.text import display
from tui_trainer.tune_facts import FLOAT32, OUT_OF_TIME, Trial

BLOCK, ROUNDS = 0.15, 7  # seconds of steps at a stretch, and how often each setting has its turn
WHOLE_BLOCK, WHOLE_ROUNDS = 0.5, 5  # the same of training with a loader
FIRST_STEPS, BATCHES = 5, 4  # whose losses are compared; batches that the steps are taken on
FAR = 0.7  # of the best rate: what is slower in each of two rounds does not come back
TOO_SLOW = 3.0  # times as long as a step in float32: not worth another step
Tell = Callable[[str], None]


def steps(bench: Bench, seconds: float, tell: Tell) -> Iterator[Trial]:
    """Steps alone on a few real batches, with each number of threads in float32 and in 16 bits.

    Raises:
        UserError: the data or the model does not do.
    """
    ends, most = time.monotonic() + seconds, bench.config.recipe.threads
    data = bench.data(0)
    side = Sides(bench, data, _some(data.train, seconds / 10), seconds / 8)
    tell("training a few steps")
    side.add(FLOAT32, FLOAT32)
    half, skipped = half_of(bench.config, bench.device)
    if half:
        tell(f"training a few steps in {half}")
        skipped = side.add(half, half)
    if skipped:
        yield Trial(threads=torch.get_num_threads(), precision=half or "16 bits", skipped=skipped)
    counts = thread_counts(bench.device, most)
    trials = [Trial(threads=n, precision=name, losses=side.losses[name]) for name in side.losses for n in counts]
    tell("training steps with each number of threads")
    yield from in_turns(trials, side.rate, ends, ROUNDS)


def thread_counts(device: torch.device, most: int | None) -> tuple[int, ...]:
    """What is worth trying, up to `most` (the processors); a GPU's steps hardly depend on it."""
    if device.type != "cpu":
        return (torch.get_num_threads(),)
    return candidates(most or usable_cpus())[1:]


def half_of(config: Config, device: torch.device) -> tuple[str, str]:
    """The 16-bit type to try, or nothing and why; fp16 only where it was asked for."""
    asked = config.recipe.amp_dtype
    if device.type not in ("cpu", "cuda"):
        return "", f"16 bits are not tried on {device.type}."
    if device.type == "cuda" and asked is None and not torch.cuda.is_bf16_supported(including_emulation=False):
        return "", "This GPU has no bf16; --amp-dtype fp16 tries the other type."
    return asked or "bf16", ""


class Sides:
    """The model once for each precision, from the same weights, and steps of it on the same batches."""

    def __init__(self, bench: Bench, data: Data, batches: Sequence[Batch], seconds: float) -> None:
        self._bench, self._data, self._batches, self._seconds = bench, data, batches, seconds
        self._jobs: dict[str, Job] = {}
        self._each: dict[str, float] = {}  # seconds of a step
        self.losses: dict[str, tuple[float, ...]] = {}

    def add(self, name: str, dtype: str) -> str:
        """Take the first steps in another precision; why it is left out, or nothing.

        Raises:
            Exception: what the model raises in float32; in 16 bits that is a reason.
        """
        if name == FLOAT32:
            self._first_steps(name, "")
            return ""
        try:
            self._first_steps(name, dtype)
        except Exception as error:  # whatever the user's own model may raise
            what = display(f"{type(error).__name__}: {error}".splitlines()[0], 200)
            return f"{name} was left out, the model does not train in it ({what})."
        slower = self._each[name] / self._each[FLOAT32]
        if slower > TOO_SLOW:
            del self.losses[name], self._jobs[name]
            return f"{name} was left out: a step takes {slower:.1f} times as long as in float32."
        return ""

    def _first_steps(self, name: str, dtype: str) -> None:
        torch.manual_seed(self._bench.config.recipe.seed)
        job = self._bench.job(self._data)
        job.precision = Precision(self._bench.device, dtype)
        job.in_training_mode()
        torch.manual_seed(self._bench.config.recipe.seed)
        losses, each, ends = list[float](), list[float](), time.monotonic() + self._seconds
        while len(losses) < FIRST_STEPS and (not losses or time.monotonic() < ends):
            began = time.perf_counter()
            losses.append(_step(job, self._batches[len(losses) % len(self._batches)]).item())
            each.append(time.perf_counter() - began)
        self._jobs[name], self._each[name], self.losses[name] = job, min(each), tuple(losses)

    def rate(self, trial: Trial) -> float:
        """Samples/s of a block of steps."""
        torch.set_num_threads(trial.threads)
        job, each = self._jobs[trial.precision], self._each[trial.precision]
        if each < BLOCK:
            _step(job, self._batches[0]).item()  # the threads of another number start
        count, seen, began = max(1, math.ceil(BLOCK / each)), 0, time.perf_counter()
        for number in range(count):
            batch = self._batches[number % len(self._batches)]
            loss = _step(job, batch)
            seen += len(batch.targets)
        loss.item()  # waits until a GPU is done
        return seen / (time.perf_counter() - began)


def together(bench: Bench, trials: Sequence[Trial], seconds: float) -> Iterator[Trial]:
    """Whole training, loader and steps, with each of `trials` in turns.

    Raises:
        UserError: the data or the model does not do.
    """
    kind, made = bench.config.loader.worker_type, dict[tuple[int | None, str], Data]()
    step = bench.training_step(bench.data(0))
    turns = iter(range(1 << 30))

    def rate(trial: Trial) -> float:
        place = trial.num_workers, trial.worker_type
        if place not in made:
            bench.set(worker_type=trial.worker_type if trial.worker_type != "auto" else kind)
            made[place] = bench.data(trial.num_workers or 0)
        torch.set_num_threads(trial.threads)
        with closing(endless(made[place].train, next(turns) % 97 / 97)) as stream:
            for batch in islice(stream, (trial.num_workers or 0) + 2):  # what was made meanwhile
                step(batch).item()
            began, seen = time.perf_counter(), 0
            while time.perf_counter() - began < WHOLE_BLOCK or not seen:
                batch = next(stream)
                step(batch).item()
                seen += len(batch.targets)
            return seen / (time.perf_counter() - began)

    try:
        yield from in_turns(trials, rate, time.monotonic() + seconds, WHOLE_ROUNDS)
    finally:
        bench.set(worker_type=kind)


def in_turns(trials: Sequence[Trial], rate: Callable[[Trial], float], ends: float, rounds: int) -> Iterator[Trial]:
    """Measure all in turns, forth and back; what is far behind leaves, and what time did not allow is skipped."""
    going = list(trials)
    for number in range(rounds):
        for place in range(len(going))[:: -1 if number % 2 else 1]:
            if time.monotonic() > ends:
                yield from (replace(trial, skipped=OUT_OF_TIME) for trial in going if not trial.rates)
                return
            trial = going[place]
            going[place] = replace(trial, rates=(*trial.rates, rate(trial)))
            yield going[place]
        best = {name: max(t.per_second for t in going if t.precision == name) for name in {t.precision for t in going}}
        if number:  # one slow turn may be the fault of another program
            going = [trial for trial in going if max(trial.rates) > FAR * best[trial.precision]]


def _some(loader: Loader, seconds: float) -> list[Batch]:
    """A few batches, whose memory the loader does not use again; fewer if they take long."""
    found, ends = list[Batch](), time.monotonic() + seconds
    with closing(endless(loader)) as stream:
        while len(found) < BATCHES and (not found or time.monotonic() < ends):
            batch = next(stream)
            found.append(replace(batch, inputs=batch.inputs.clone(), targets=batch.targets.clone(), block=None))
    return found


def _step(job: Job, batch: Batch) -> torch.Tensor:
    return (train_step(job, [batch]) or ())[0].loss
