"""The one composition root: a configuration becomes parts, and the loop is joined to its recorders."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

import filelock
import torch
from torch import nn

from tui_trainer import config as configuration
from tui_trainer import run_folder, user_code
from tui_trainer.auto import (
    Choices,
    choose_inputs,
    choose_rest,
    choose_task,
    choose_threads,
    device_of,
    model_arguments,
    set_up_torch,
)
from tui_trainer.config import Config, RunConfig
from tui_trainer.data import batches
from tui_trainer.data.batches import Data, worker_context
from tui_trainer.data.index import TRAIN, Index, write_split
from tui_trainer.description import describe
from tui_trainer.engine.frozen import Frozen
from tui_trainer.engine.job import Commands, Job
from tui_trainer.engine.keeping import Keeping, leave_a_good_end
from tui_trainer.engine.loop import train
from tui_trainer.engine.losses import build_loss, class_weights
from tui_trainer.engine.metrics import build_measure
from tui_trainer.engine.optim import build_optimizer
from tui_trainer.engine.schedule import Schedule
from tui_trainer.errors import ConfigError, TrainingError, UserError
from tui_trainer.events import Event, RunEnded, Warned
from tui_trainer.every import parse_every
from tui_trainer.models import catalog
from tui_trainer.record import JsonLines, MetricsCsv, Recorder
from tui_trainer.resuming import Saved
from tui_trainer.run_folder import RunFolder
from tui_trainer.settings import AUTO
from tui_trainer.start_weights import IMAGENET, Started, start_from
from tui_trainer.text import display, user_path
from tui_trainer.whole_file import sweep, write_whole

NO_MEMORY = re.compile("not enough memory|can't allocate memory")  # what torch says of the CPU's


@dataclass(kw_only=True)
class Run:
    """A run that is ready to start: its folder, its parts, and what to say first."""

    folder: RunFolder
    config: Config
    job: Job
    news: list[Event]
    lock: filelock.BaseFileLock

    def events(self, commands: Commands) -> Iterator[Event]:
        """Train; each event is recorded before it is handed on.

        Raises:
            UserError: the run failed, in words; RunEnded was recorded.
        """
        recorders: list[Recorder] = []
        try:
            recorders += JsonLines(self.folder.events), MetricsCsv(self.folder.metrics)
            for event in self._told(commands):
                for record in recorders:
                    record(event)
                yield event
        except OSError as error:
            raise in_words(error, self.config) or error from error
        finally:
            for recorder in recorders:
                recorder.close()
            self.folder.owner.unlink(missing_ok=True)
            self.lock.release()

    def _told(self, commands: Commands) -> Iterator[Event]:
        yield from self.news
        try:
            yield from train(self.job, commands)
        except Exception as error:
            failure = in_words(error, self.config)
            leave_a_good_end(self.job)
            yield RunEnded(
                outcome="failed",
                message=display(failure or f"{type(error).__name__}: {error}", 500),
                error=failure.kind if failure else "bug",
                epochs=self.job.state.epoch,
                step=self.job.state.step,
                seconds=self.job.pace.seconds,
            )
            if failure is None or failure is error:
                raise
            raise failure from error


def in_words(error: Exception, config: Config) -> UserError | None:
    """What the user can do about an exception of the loop; None if it is a bug."""
    if isinstance(error, UserError):
        return error
    if isinstance(error, torch.OutOfMemoryError | MemoryError) or NO_MEMORY.search(str(error)):
        smaller = max(1, config.loader.batch_size // 2)
        return TrainingError(f"Out of memory: try --batch-size {smaller}, or a smaller --image-size.")
    if isinstance(error, OSError):
        where = f" {display(error.filename)}" if error.filename else ""
        return TrainingError(f"Cannot write{where}: {error.strerror or error}. --resume goes on once that is mended.")
    if isinstance(error, RuntimeError) and "deterministic" in str(error):
        return TrainingError(
            f"An operation of this model varies from run to run: use --no-deterministic. {display(error, 200)}"
        )
    if isinstance(error, RuntimeError) and ("DataLoader worker" in str(error) or "DataLoader timed out" in str(error)):
        return TrainingError(
            f"A DataLoader worker ended or was too slow: {display(error)}. "
            "Try fewer --num-workers, or a longer --timeout; --resume goes on."
        )
    return None


def prepare(
    config: Config,
    tell: Callable[[str], None] = lambda text: None,
    given: Collection[str] = (),
    made: Callable[[RunFolder], None] = lambda folder: None,
) -> Run:
    """Build every part of a run; its folder is made last, when nothing can be refused any more.

    `tell` hears what is being done, in a few words, for whoever waits; `made` gets the folder as soon as it is
    there. `given` names the settings that a resumed run shall not take from where it stood.

    Raises:
        UserError: a setting, the data, the model or the folder does not do.
    """
    saved = Saved(config) if config.run.resume else None
    device = device_of(config.recipe.device)
    context = worker_context(config.loader)
    set_up_torch(config)
    choices = Choices(config)
    tell("scanning the dataset")
    index = batches.scan(config)
    if saved:
        saved.require_same_data(index.fingerprint())
    choose_task(choices, index)
    tell("building the model")
    needs_two = choose_inputs(choices, index)
    tell("measuring the images")
    spec = batches.spec_of(choices.config.data, index)
    data = batches.build_batches(choices.config, index, spec, needs_two=needs_two, context=context)
    choose_rest(choices, data)
    torch.manual_seed(config.recipe.seed)
    model = _model(choices.config, data)
    choose_threads(choices, model)
    start = (
        Started(frozen=tuple(saved.state["frozen"]))
        if saved
        else start_from(model, choices.config, index.classes, tell)
    )
    job = _job(choices.config, data, model.to(device), start)
    news = [*choices.events(), *start.news, *(Warned(topic="data", message=text) for text in index.warnings)]
    if saved:
        saved.restore(job, given)
        news = saved.news
    folder = saved.folder if saved else run_folder.make_folder(_new_path(choices.config))
    made(folder)
    lock = _lock(folder)
    job.checkpoints = folder.checkpoints
    sweep(folder.checkpoints)
    try:
        write_whole(folder.config, configuration.to_toml(repeatable(choices.config)).encode())
        write_split(index, folder.split)
        if start.plan:
            folder.weights.write_text(start.plan, "utf-8")
    except OSError as error:
        lock.release()
        raise in_words(error, config) or error from error
    return Run(folder=folder, config=choices.config, job=job, news=news, lock=lock)


def _new_path(config: Config) -> Path:
    return run_folder.new_folder_path(config.run.output_dir, config.run.name, config.model.model)


def repeatable(config: Config) -> Config:
    """What `tui-trainer -c config.toml` needs to repeat the run from anywhere, in a folder of its own."""
    paths = {"data": config.data.data, "val_data": config.data.val_data}
    if config.model.pretrained != IMAGENET:
        paths["pretrained"] = config.model.pretrained
    absolute = {name: str(user_path(path)) if path else "" for name, path in paths.items()}
    model = user_code.absolute(config.model.model)
    return config.replace(**absolute, model=model, output_dir="", name="", resume="", trust_code=False)


def _model(config: Config, data: Data) -> nn.Module:
    return catalog.build(config.model.model, **model_arguments(config, data.index))


def _job(config: Config, data: Data, model: nn.Module, start: Started) -> Job:
    recipe, index = config.recipe, data.index
    device = next(model.parameters()).device
    frozen = Frozen([model.get_submodule(name) for name in start.frozen], config.model.freeze_epochs)
    optimizer = build_optimizer(
        recipe.optimizer,
        frozen.ever_trained(list(model.parameters())),
        lr=recipe.lr,
        momentum=recipe.momentum,
        weight_decay=recipe.weight_decay,
    )
    assert config.run.log_every is not None
    assert recipe.monitor is not None
    return Job(
        model=model,
        optimizer=optimizer,
        loss_func=_loss(config, index).to(device),
        train_loader=data.train,
        val_loader=data.val,
        prepare=data.prepare(device),
        classes=index.classes,
        device=device,
        epochs=recipe.epochs,
        lr=recipe.lr,
        lr_schedule=Schedule(shape=recipe.lr_scheduler, warmup=recipe.warmup_epochs),
        patience=recipe.patience,
        min_delta=recipe.min_delta,
        monitor=recipe.monitor,
        task=index.task,
        target_names=index.target_names,
        unit=index.unit,
        measure=build_measure(index.task, len(index.classes), data.target_std),
        log_every=config.run.log_every,
        keeping=_keeping(config.run),
        model_name=config.model.model,
        frozen=frozen,
        weights_metadata=describe(config, data),
        checkpoint_extra={
            "fingerprint": index.fingerprint(),
            "preprocessing": describe(config, data)["preprocessing"],
            "config": {name: list(v) if isinstance(v, tuple) else v for name, v in repeatable(config).values().items()},
            "frozen": list(start.frozen),
            "torch": str(torch.__version__),
            "threads": torch.get_num_threads(),
        },
    )


def _keeping(run: RunConfig) -> Keeping:
    auto = run.checkpoint_every.lower() == AUTO
    return Keeping(
        keep=run.keep_checkpoints,
        every=None if auto else parse_every(run.checkpoint_every, "checkpoint_every"),
        keep_every=parse_every(run.keep_every, "keep_every") if run.keep_every else None,
    )


def _loss(config: Config, index: Index) -> nn.Module:
    recipe = config.recipe
    counts = index.counts(TRAIN)
    weights = class_weights(recipe.class_weights, counts) if counts else None
    return build_loss(recipe.loss, task=index.task, label_smoothing=recipe.label_smoothing, class_weights=weights)


def _lock(folder: RunFolder) -> filelock.BaseFileLock:
    """Hold the run folder: two processes must not train in one."""
    lock = filelock.FileLock(folder.lock, timeout=0)
    try:
        lock.acquire()
    except filelock.Timeout:
        owner = display(folder.owner.read_text("utf-8") if folder.owner.exists() else "another process", 100)
        raise ConfigError(f"{owner} is training in {display(folder.path)}: wait for it, or stop it.") from None
    folder.owner.write_text(f"Process {os.getpid()} on {socket.gethostname()}", "utf-8")
    return lock
