"""What a search for speed has tried, what it advises and why: plain values and sentences, no torch."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from tui_trainer.loader_facts import Measurement, Recommendation, recommend, workers_in_words
from tui_trainer.settings import Value

OUT_OF_TIME = "There was no time left for the rest: --max-seconds gives more."
FLOAT32 = "float32"
CLEAR = 1.1  # times as fast before 16 bits are advised: they change the numbers
CLOSE = 0.05  # part of float32's loss by which that in 16 bits may differ from it
LITTLE = 0.03  # a part by which training must be faster to be worth one more thread or worker
FINALISTS, COUNTS = 6, 3  # settings that are tried together, and the worker counts among them
ACCURACY = "bf16 changes the numbers: compare the accuracy of a run with it and of one without."


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One way to train, and how fast it was: samples/s of each round, so that trials of one search make pairs."""

    threads: int
    precision: str = FLOAT32
    num_workers: int | None = None  # None: steps alone, on batches that are there
    worker_type: str = "auto"
    rates: tuple[float, ...] = ()
    losses: tuple[float, ...] = ()  # of the first steps in this precision, from the same weights in each
    skipped: str = ""  # why it was not tried

    @property
    def key(self) -> tuple[int | None, str, int, str]:
        """Which way it is."""
        return self.num_workers, self.worker_type, self.threads, self.precision

    @property
    def per_second(self) -> float:
        """The median rate; 0 before the first."""
        return statistics.median(self.rates) if self.rates else 0.0

    @property
    def spread(self) -> float:
        """Half the distance of the quartiles, as a part of the median."""
        if len(self.rates) < 2:
            return 0.0
        low, _, high = statistics.quantiles(self.rates, n=4, method="inclusive")
        return (high - low) / 2 / self.per_second

    def times(self, other: Trial) -> float:
        """How many times as fast it is: the median over the rounds that both were in."""
        return statistics.median(a / b for a, b in zip(self.rates, other.rates, strict=False))


@dataclass(frozen=True, kw_only=True)
class Advice:
    """Settings as they should be, each with its reason; `remarks` are of what is not advised."""

    settings: Mapping[str, Value]
    reasons: Mapping[str, str]
    remarks: tuple[str, ...] = ()

    def is_of(self, trial: Trial) -> bool:
        """Whether a trial is the way that is advised."""
        known: dict[str, Value] = {"threads": trial.threads, "amp": trial.precision != FLOAT32}
        if trial.num_workers is not None:
            known |= {"num_workers": trial.num_workers, "worker_type": trial.worker_type}
        return all(self.settings.get(name, "auto" if name == "worker_type" else value) == value
                   for name, value in known.items())  # fmt: skip


@dataclass
class Found:
    """What a search has found so far: the last word on everything that it tried."""

    loading: list[Measurement] = field(default_factory=list)  # final ones
    trials: dict[object, Trial] = field(default_factory=dict)

    def add(self, item: Measurement | Trial) -> None:
        """Take in what the search has yielded."""
        if isinstance(item, Trial):
            self.trials[item.key] = item
        elif item.final:
            self.loading.append(item)

    @property
    def steps(self) -> list[Trial]:
        """Steps alone."""
        return [trial for trial in self.trials.values() if trial.num_workers is None]

    @property
    def together(self) -> list[Trial]:
        """Whole training, loader and steps."""
        return [trial for trial in self.trials.values() if trial.num_workers is not None]

    @property
    def lacked_time(self) -> bool:
        """Whether something was left out for want of time."""
        skipped = {m.skipped for m in self.loading} | {trial.skipped for trial in self.trials.values()}
        return OUT_OF_TIME in skipped

    def usual(self, batch_size: int) -> list[Measurement]:
        """The loader with each number of workers, all else as configured."""
        return [m for m in self.loading if m.batch_size in (0, batch_size) and m.prefetch_factor is None]

    def advice(self, batch_size: int) -> Advice | None:
        """What to set; None if nothing was compared."""
        return advise(recommend(self.usual(batch_size)), self.steps, self.together)


def simplest(trials: Iterable[Trial]) -> Trial | None:
    """The first that none of the others beats by more than a little; those that cost less come first."""
    tried = [trial for trial in trials if trial.rates]
    if not tried:
        return None
    best = max(tried, key=lambda trial: trial.per_second)
    return next(trial for trial in tried if best.times(trial) < 1 + LITTLE or trial is best)


def choose_step(steps: Sequence[Trial]) -> Trial | None:
    """Threads and precision for the steps alone: 16 bits only where they are clearly faster and as good."""
    plain = simplest(trial for trial in steps if trial.precision == FLOAT32)
    half = simplest(trial for trial in steps if trial.precision != FLOAT32)
    if plain is None or half is None or half.times(plain) < CLEAR or loss_problem(plain, half):
        return plain
    return half


def loss_problem(plain: Trial, half: Trial) -> str:
    """What speaks against 16 bits in the losses of the first steps; empty if nothing does."""
    if not all(map(math.isfinite, (*plain.losses, *half.losses))):
        return "its loss is not finite" if all(map(math.isfinite, plain.losses)) else "float32's loss is not finite"
    far = max((abs(a - b) for a, b in zip(plain.losses, half.losses, strict=False)), default=math.inf)
    if far > CLOSE * max(map(abs, plain.losses), default=0.0):
        return f"its loss differs from float32's by {far:.3g} within {len(half.losses)} steps"
    return ""


def finalists(found: Found, step: Trial, *, batch_size: int, cores: int, processes: bool) -> list[Trial]:
    """What is worth trying together: workers and the threads of a step take the processors from each other.

    The worker counts that trained fastest, each with one thread, with those that were best for steps alone and with
    those that it leaves; `processes` as workers are another way.
    """
    usual = [m for m in found.usual(batch_size) if not m.skipped]
    best = recommend(usual)
    if best is None:
        return []
    ranked = sorted(usual, key=lambda m: -m.trained_per_second)
    counts = sorted({best.num_workers, *[m.num_workers for m in ranked][: COUNTS - 1]})
    made = [
        Trial(num_workers=count, threads=threads, precision=step.precision)
        for count in counts
        for threads in sorted({1, step.threads, min(step.threads, max(1, cores - count))})
    ][:FINALISTS]
    if processes and best.num_workers:
        made.append(
            Trial(num_workers=best.num_workers, threads=step.threads, precision=step.precision, worker_type="process")
        )
    return made if len(made) > 1 else []


def advise(best: Recommendation | None, steps: Sequence[Trial], together: Sequence[Trial]) -> Advice | None:
    """What to set, from the loader's best number of workers, the steps alone and both together."""
    step = choose_step(steps)
    whole = simplest(together)
    if step is None and best is None:
        return None
    settings, reasons = dict[str, Value](), dict[str, str]()
    if whole is not None and whole.num_workers is not None:
        settings["num_workers"] = whole.num_workers
        reasons["num_workers"] = _why_together(whole, together, best)
        if whole.worker_type != "auto":
            settings["worker_type"] = whole.worker_type
            reasons["worker_type"] = "Worker processes train faster than threads here."
    elif best is not None:
        settings["num_workers"], reasons["num_workers"] = best.num_workers, best.reason
    remarks: tuple[str, ...] = ()
    if step is not None:
        threads = step.threads if whole is None else whole.threads
        if why := _why_threads(threads, step, steps):
            settings["threads"], reasons["threads"] = threads, why
        settings["amp"] = step.precision != FLOAT32
        if settings["amp"]:
            settings["amp_dtype"] = step.precision
        reasons["amp"], remarks = _why_precision(step, steps)
    return Advice(settings=settings, reasons=reasons, remarks=remarks)


def _why_together(whole: Trial, together: Sequence[Trial], best: Recommendation | None) -> str:
    if best is not None and best.num_workers == whole.num_workers:
        return best.reason
    others = [trial for trial in together if trial.rates and trial.num_workers != whole.num_workers]
    count = workers_in_words(whole.num_workers or 0)
    if not others:
        return f"{count} trained as fast as any."
    other = max(others, key=lambda trial: trial.per_second)
    beside = f"{workers_in_words(other.num_workers or 0)}, {threads_in_words(other.threads)}"
    return (
        f"With {count} and {threads_in_words(whole.threads)} training is {whole.times(other):.2f} times as fast as "
        f"with the next best ({beside})."
    )


def _why_threads(threads: int, step: Trial, steps: Sequence[Trial]) -> str:
    same = {t.threads: t for t in steps if t.precision == step.precision and t.rates}
    if len(same) < 2:
        return ""  # no other number was tried
    if threads != step.threads:
        return f"A step alone is fastest with {step.threads}, but the workers need the processors too."
    if threads == 1:
        other = max((t for t in same.values() if t.threads > 1), key=lambda t: t.per_second)
        return f"With {threads_in_words(other.threads)} a step is only {other.times(same[1]):.2f} times as fast."
    return f"A step is {same[threads].times(same[min(same)]):.2f} times as fast as with {threads_in_words(min(same))}."


def _why_precision(step: Trial, steps: Sequence[Trial]) -> tuple[str, tuple[str, ...]]:
    """The reason for 16 bits, or remarks on why they are not advised."""
    plain = simplest(trial for trial in steps if trial.precision == FLOAT32)
    half = simplest(trial for trial in steps if trial.precision != FLOAT32)
    if half is None or plain is None:
        return "", tuple(dict.fromkeys(trial.skipped for trial in steps if trial.precision != FLOAT32))
    gain, name = half.times(plain), half.precision
    how = f"{name} autocast trains {gain:.2f} times as fast as float32"
    if step.precision != FLOAT32:
        return f"{how}. {ACCURACY.replace('bf16', name)}", ()
    if gain < CLEAR:
        return "", (f"{how}: {'slower' if gain < 1 else 'too little for other numbers'}, so leave amp off.",)
    return "", (f"{how}, but {loss_problem(plain, half)}: leave amp off.",)


def threads_in_words(count: int) -> str:
    """A thread count as a person says it."""
    return f"{count} thread{'' if count == 1 else 's'}"


def spread_of(trial: Trial) -> str:
    """How far its rounds lie apart, as a person reads it; nothing of one round."""
    return f"±{trial.spread:.0%}" if len(trial.rates) > 1 else ""


def rows(trials: Sequence[Trial]) -> list[tuple[str, ...]]:
    """A table of trials, heads first."""
    whole = any(trial.num_workers is not None for trial in trials)
    rate = "train/s" if whole else "samples/s"
    made: list[tuple[str, ...]] = [("workers",) * whole + ("threads", "precision", rate, "")]
    for trial in trials:
        kind = f" {trial.worker_type}" if trial.worker_type != "auto" else ""
        rate = "skipped" if trial.skipped else f"{trial.per_second:,.0f}" if trial.rates else "..."
        made.append(
            (f"{trial.num_workers}{kind}",) * whole + (str(trial.threads), trial.precision, rate, spread_of(trial))
        )
    return made
