"""The training loop: a generator of events that prints, logs and draws nothing.

`list(train(job))` trains a model. Whoever iterates sees each event when it happens; whoever
sends commands steers. No `yield` stands inside a `with` that sets a mode of torch: the mode would
leak into the consumer.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator, Sequence

import torch
from torch import Tensor

from tui_trainer import commands as told
from tui_trainer.engine.ending import ended_in_words
from tui_trainer.engine.job import Commands, Job, NoCommands
from tui_trainer.engine.keeping import diverged, keep, keep_if_due, keep_last, leave_a_good_end, left_out
from tui_trainer.engine.loader import Batch
from tui_trainer.engine.metrics import never_predicted
from tui_trainer.engine.step import train_step
from tui_trainer.engine.sums import Sums, read_together
from tui_trainer.errors import TrainingError
from tui_trainer.events import (
    Evaluated,
    EvaluatedNow,
    Event,
    Paused,
    Progress,
    Resumed,
    RunEnded,
    RunStarted,
    SettingChanged,
    Warned,
)

PAUSED_LOOK = 0.05  # seconds between two looks at the commands of other processes while paused


def train(job: Job, commands: Commands | None = None) -> Iterator[Event]:
    """Train `job` to its end, or until a command ends it."""
    commands = job.ranks.commands(commands or NoCommands())
    yield started(job)
    while job.goes_on:
        yield from thawed(job)
        for group in job.groups():
            yield from worries(job, group)
            lr = job.schedule()
            if not job.begin(group) or (scored := train_step(job, group)) is None:
                yield from obey(job, commands)  # none of its files could be read, or a stream waits for more
                if job.ending:
                    break
                continue
            job.count(group[-1].number, scored)
            is_log_step = job.state.step % job.log_every == 0 or group[-1].number == job.train_loader.batches
            yield from left_out(job, look=is_log_step)
            if is_log_step:
                yield train_progress(job, lr)
            yield from keep_if_due(job)
            yield from obey(job, commands)
            if job.ending:
                break
        else:
            train_metrics = train_means(job)
            val_metrics = yield from evaluate(job, commands)
            if not job.ending:
                yield from end_epoch(job, train_metrics | val_metrics)
    yield from end(job)


def thawed(job: Job) -> Iterator[Event]:
    """Say that frozen layers train from this epoch on."""
    if job.state.batch == 0 and job.frozen.thaws(job.state.epoch):
        reason = f"frozen for {job.state.epoch} epoch(s), now all layers train"
        yield SettingChanged(step=job.state.step, name="freeze", value="none", reason=reason)


def evaluate(job: Job, commands: Commands) -> Generator[Event, None, dict[str, float]]:
    """The metrics of the validation part, each sample counted once; empty if a command ended the run."""
    job.in_evaluation_mode()
    job.evaluating = True
    sums, whole = Sums(job.measure, job.device, job.ranks), job.measure.whole(job.device)
    for batch in job.pace.waiting(job.val_loader.epoch(0)):
        yield from (Warned(topic="data", message=text) for text in batch.warnings)
        if len(batch.targets):
            inputs, targets = job.prepare(batch)
            outputs, loss = forward(job, inputs, targets)
            sums.add(loss, outputs, targets)
            whole.add(outputs, targets)
        else:
            job.take_part()
        if batch.number % job.log_every == 0 or batch.number == job.val_loader.batches:
            yield from val_progress(job, batch.number, sums)
        yield from obey(job, commands)
        if job.ending:
            return {}
    job.evaluating, job.validated = False, whole
    metrics = means("val", sums) | {f"val_{name}": value for name, value in whole.metrics(job.ranks).items()}
    if job.asked:
        job.asked = False
        yield EvaluatedNow(epoch=job.state.epoch, step=job.state.step, metrics=metrics)
    return metrics


@torch.no_grad()
def forward(job: Job, inputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Outputs (N, C) and mean loss () without gradients."""
    with job.precision.autocast():
        outputs = job.ema.model(inputs) if job.ema else job.forward(inputs)
        return outputs.float(), job.loss_func(outputs, targets)


def end_epoch(job: Job, metrics: dict[str, float]) -> Iterator[Event]:
    """Keep the best weights, commit a checkpoint.

    Raises:
        TrainingError: a loss is not a number any more; the checkpoint before stays the last.
    """
    if not all(math.isfinite(value) for name, value in metrics.items() if name.endswith("_loss")):
        raise diverged(job)
    epoch, lr = job.state.epoch, job.optimizer.param_groups[0]["lr"]
    best = job.finish_epoch(metrics)
    step, seconds, never = job.state.step, job.pace.seconds, never_predicted(job.validated)
    yield Evaluated(epoch=epoch, step=step, lr=lr, metrics=metrics, best=best, seconds=seconds, never_predicted=never)
    if best:
        job.keeping.hold_best(*job.weights())
    yield from keep_if_due(job)


def obey(job: Job, commands: Commands) -> Iterator[Event]:
    """Do what was asked since the last look; while paused, wait here. Each command is answered."""
    while True:
        for command in commands.take():
            match command:
                case told.Pause():
                    job.pause()
                    yield Paused(step=job.state.step)
                case told.Resume():
                    job.resume()
                    yield Resumed(step=job.state.step)
                case told.Checkpoint():
                    yield keep(job)
                case told.Evaluate():
                    yield from evaluate_now(job, commands)
                case told.Set():
                    yield changed(job, command)
                case told.Stop():
                    job.ending = job.ending or "stopped"
                case told.Abort():
                    job.ending = "aborted"
        if not job.paused or job.ending or job.in_passing:
            return
        commands.wait(PAUSED_LOOK)


def evaluate_now(job: Job, commands: Commands) -> Iterator[Event]:
    """Measure the validation part because somebody asked; what is asked meanwhile waits for the same answer."""
    job.asked = True
    if job.evaluating:
        return  # `evaluate` answers when it is done
    job.in_passing = True
    yield from evaluate(job, commands)
    job.in_passing = False
    job.in_training_mode()
    job.pace.begin(job.sums.count)


def end(job: Job) -> Iterator[Event]:
    """Save what has to be saved and say how the run ended."""
    outcome = job.ending or "finished"
    if outcome == "aborted":
        leave_a_good_end(job)
    else:
        yield from keep_last(job, again=outcome == "stopped")
    yield RunEnded(
        outcome=outcome,
        message=ended_in_words(job, outcome),
        epochs=job.state.epoch,
        step=job.state.step,
        seconds=job.pace.seconds,
    )


def changed(job: Job, command: told.Set) -> Event:
    """Change a setting of the running loop."""
    value = command.value if command.name == "lr" else int(command.value)
    setattr(job, command.name, value)
    return SettingChanged(step=job.state.step, name=command.name, value=str(value), reason="set while running")


def train_means(job: Job) -> dict[str, float]:
    """Loss and rates over the samples of the epoch.

    Raises:
        TrainingError: no sample was counted.
    """
    if job.guard.read()[1] and not job.sums.count:
        raise diverged(job)
    return means("train", job.sums)


def worries(job: Job, group: Sequence[Batch]) -> Iterator[Event]:
    """What there is to tell of the batches of a step, and of what happened in the one before."""
    for batch in group:
        for text in batch.warnings:
            yield Warned(topic="data", message=text)
    while job.compiled and job.compiled.told:
        yield Warned(topic="compile", message=job.compiled.told.pop(0))


def means(part: str, sums: Sums) -> dict[str, float]:
    """Loss and rates over all samples counted.

    Raises:
        TrainingError: no sample was counted, so there is nothing to average.
    """
    found = sums.means(part)
    if not found:
        raise TrainingError(f"None of the samples of the {part} part could be read: nothing was learned.")
    return found


def started(job: Job) -> Event:
    """The first event of a run."""
    return RunStarted(
        model=job.model_name,
        parameters=sum(p.numel() for p in job.model.parameters()),
        device=str(job.device),
        classes=job.classes,
        task=job.task,
        targets=job.target_names,
        unit=job.unit,
        train_samples=job.train_loader.samples,
        val_samples=job.val_loader.samples,
        steps_per_epoch=job.steps_per_epoch,
        epochs=job.epochs,
        epoch=job.state.epoch,
        step=job.state.step,
        ranks=job.ranks.size,
        train_bad=job.bad[0],
        val_bad=job.bad[1],
    )


def train_progress(job: Job, lr: float) -> Event:
    """Where training is; a sync point."""
    interval, sums = read_together(job.interval, job.sums)
    metrics = job.interval.means("batch", interval) | job.sums.means("train", sums)
    metrics = {f"{part}_loss": math.nan for part in ("batch", "train")} | metrics  # a gap, where no loss was finite
    job.interval.reset()
    return progress(job, "train", job.state.batch, int(sums[-1]), lr, metrics)


def val_progress(job: Job, number: int, sums: Sums) -> Iterator[Event]:
    """Where validation is, once a sample is counted; a sync point."""
    lr = job.optimizer.param_groups[0]["lr"]
    read = sums.read()
    if found := sums.means("val", read):
        yield progress(job, "val", number, int(read[-1]), lr, found)


def progress(job: Job, part: str, number: int, samples: int, lr: float, metrics: dict[str, float]) -> Event:
    """The event of one moment, with the time that is left for the whole run."""
    loader = job.train_loader if part == "train" else job.val_loader
    rate = job.pace.measure(part, samples)
    epochs_after = max(0, job.epochs - job.state.epoch - 1)
    training = part == "train"
    train_left = job.train_loader.samples * (epochs_after + training) - samples * training
    val_left = job.val_loader.samples * (epochs_after + 1) - samples * (not training)
    known = job.train_loader.batches and job.val_loader.batches  # else a stream has not ended yet
    return Progress(
        part=part,
        epoch=job.state.epoch,
        step=job.state.step,
        batch=number,
        batches=loader.batches and max(number, loader.batches),
        samples=samples,
        lr=lr,
        metrics=metrics,
        seconds=job.pace.seconds,
        images_per_second=rate,
        eta_seconds=job.pace.left(max(0, train_left), max(0, val_left)) if known else 0.0,
        data_wait=job.ranks.slowest(job.pace.data_wait()),
    )
