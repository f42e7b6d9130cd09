"""The one composition root: a configuration becomes parts, and the loop is joined to its recorders."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from tui_trainer import config as configuration
from tui_trainer import run_folder, tensorboard, user_code
from tui_trainer.auto import (
    Choices,
    choose_inputs,
    choose_recipe,
    choose_rest,
    choose_task,
    choose_threads,
    device_of,
    model_arguments,
    set_up_torch,
)
from tui_trainer.branching import Branch
from tui_trainer.config import Config, RunConfig
from tui_trainer.data import batches, sources, streams
from tui_trainer.data.batches import Data
from tui_trainer.data.index import Index, write_split
from tui_trainer.data.loader import worker_context
from tui_trainer.data.preflight import look_before
from tui_trainer.data.report import Report
from tui_trainer.description import describe
from tui_trainer.engine.frozen import Frozen
from tui_trainer.engine.job import Commands, Job
from tui_trainer.engine.keeping import Keeping, leave_a_good_end
from tui_trainer.engine.loop import train
from tui_trainer.engine.metrics import build_measure
from tui_trainer.engine.ranks import Alone, LostRankError, Ranks
from tui_trainer.engine.relay import relayed
from tui_trainer.events import Event, RunEnded, Warned
from tui_trainer.every import parse_every
from tui_trainer.failures import in_words, record_all
from tui_trainer.models import catalog
from tui_trainer.rank_parts import begin_apart, require_same, seed_all, synchronised
from tui_trainer.recipe import in_memory_format, parts_of
from tui_trainer.record import Recorder
from tui_trainer.recorders import recorders_of
from tui_trainer.resuming import Saved, circumstances
from tui_trainer.run_folder import RunFolder, find_run
from tui_trainer.run_lock import RunLock
from tui_trainer.settings import AUTO
from tui_trainer.start_weights import IMAGENET, Started, start_from
from tui_trainer.text import display, user_path
from tui_trainer.whole_file import sweep, write_whole


@dataclass(kw_only=True)
class Run:
    """A run that is ready to start: its folder, its parts, and what to say first."""

    folder: RunFolder
    config: Config
    job: Job
    news: list[Event]
    lock: RunLock | None  # None: another rank records and saves
    hear: Callable[[str], None] = lambda told: None  # what other ranks tell

    def events(self, commands: Commands) -> Iterator[Event]:
        """Train; each event is recorded before it is handed on.

        Raises:
            UserError: the run failed, in words; RunEnded was recorded.
        """
        recorders: list[Recorder] = []
        failing: set[Recorder] = set()
        try:
            recorders += recorders_of(self.folder, self.config, self.job) if self.lock else []
            for event in self._told(commands):
                yield from record_all(event, recorders, failing)
                yield event
        except OSError as error:
            raise in_words(error, self.config) or error from error
        finally:
            for recorder in recorders:
                with contextlib.suppress(OSError):
                    recorder.close()
            if self.lock:
                self.lock.release()

    def _told(self, commands: Commands) -> Iterator[Event]:
        yield from self.news
        try:
            yield from relayed(train(self.job, commands), self.job.ranks, self.hear)
        except Exception as error:
            failure = self.job.ranks.explain(error) or in_words(error, self.config)
            if isinstance(failure, LostRankError):
                raise failure from error
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


def prepare(
    config: Config,
    tell: Callable[[str], None] = lambda text: None,
    given: Collection[str] = (),
    made: Callable[[RunFolder], None] = lambda folder: None,
    cancelled: Callable[[], bool] = lambda: False,
    ranks: Ranks | None = None,
) -> Run:
    """Build every part of a run; its folder is made last, when nothing can be refused any more.

    `tell` hears what is being done, in a few words, for whoever waits; `made` gets the folder as soon as it is
    there. `given` names the settings that a resumed run shall not take from where it stood. `cancelled` ends a
    download.

    Raises:
        UserError: a setting, the data, the model or the folder does not do.
    """
    if config.run.tensorboard:
        tensorboard.require()
    ranks = ranks or Alone()
    if not config.run.resume:
        return _prepare(config, None, None, tell, given, made, cancelled, ranks)
    lock = RunLock(find_run(config.run.resume)) if ranks.rank == 0 else None
    ranks.by_first(lambda: lock.acquire() and None if lock else None)
    try:
        return _prepare(config, Saved(config), lock, tell, given, made, cancelled, ranks)
    except BaseException:
        if lock:
            lock.release()
        raise


def _prepare(
    config: Config,
    saved: Saved | None,
    lock: RunLock | None,
    tell: Callable[[str], None],
    given: Collection[str],
    made: Callable[[RunFolder], None],
    cancelled: Callable[[], bool],
    ranks: Ranks,
) -> Run:
    device = device_of(config.recipe.device)
    more: dict[str, Any] = {"context": worker_context(config), "rank": ranks.rank, "ranks": ranks.size}
    set_up_torch(config)
    choices = Choices(config)
    tell("scanning the dataset")
    index = streams.agreed(ranks.in_turn(lambda: batches.scan(config)), ranks.agreed)
    if saved:
        saved.require_same_data(index, allow=config.run.allow_changed_data)
    looked = None if saved else ranks.by_first(lambda: look_before(index, config.data.max_bad, tell, cancelled))
    choose_task(choices, index)
    tell("building the model")
    needs_two = choose_inputs(choices, index)
    tell("measuring the images")
    spec = batches.spec_of(choices.config.data, index)
    data = batches.build_batches(choices.config, index, spec, needs_two=needs_two, **more)
    choose_rest(choices, data)
    choose_recipe(choices, device)
    seed_all(config.recipe.seed)
    model = _model(choices.config, data)
    choose_threads(choices, model)
    branch = Branch(config.run.branch) if config.run.branch and not saved else None
    if branch:
        choices.config = choices.config.replace(branch=branch.parent, pretrained="")
    start = (
        Started(frozen=tuple(saved.state["frozen"]))
        if saved
        else ranks.in_turn(lambda: start_from(model, choices.config, index.classes, tell, index.outputs, cancelled))
    )
    if start.fingerprint:
        choices.config = choices.config.replace(pretrained_fingerprint=start.fingerprint)
    model = synchronised(model, choices.config, device, ranks)
    job = _job(choices.config, data, in_memory_format(model, choices.config).to(device), start, ranks)
    begin_apart(ranks, config.recipe.seed)
    news = [
        *choices.events(),
        *start.news,
        *(Warned(topic="data", message=text) for text in _of_the_data(index, data, looked)),
    ]
    if saved:
        saved.restore(job, given)
        news = saved.news
    if branch:
        branch.begin(job, choices.config, index)
        news += branch.news
    require_same(ranks, index.fingerprint(), job.state.step)
    folder = saved.folder if saved else ranks.by_first(lambda: run_folder.make_folder(_new_path(choices.config)))
    made(folder)
    hear = data.train.bad_files.hear
    if ranks.rank:
        data.train.bad_files.keep_in(folder.bad_files)
        return Run(folder=folder, config=choices.config, job=job, news=[], lock=None, hear=hear)
    lock, job.checkpoints = lock or RunLock(folder).acquire(), folder.checkpoints
    try:
        _write(folder, choices.config, index, start.plan)
        data.train.bad_files.keep_in(folder.bad_files, looked.bad if looked else ())
    except OSError as error:
        lock.release()
        raise in_words(error, config) or error from error
    return Run(folder=folder, config=choices.config, job=job, news=news, lock=lock, hear=hear)


def _of_the_data(index: Index, data: Data, looked: Report | None) -> tuple[str, ...]:
    """What to tell of the dataset before the first epoch."""
    return (*index.warnings, *(looked.faults() if looked else ()), *data.kept.told)


def _write(folder: RunFolder, config: Config, index: Index, plan: str) -> None:
    """What a run began with."""
    sweep(folder.checkpoints)
    write_whole(folder.config, configuration.to_toml(repeatable(config)).encode())
    write_split(index, folder.split)
    if plan:
        folder.weights.write_text(plan, "utf-8")


def _new_path(config: Config) -> Path:
    return run_folder.new_folder_path(config.run.output_dir, config.run.name, config.model.model)


def repeatable(config: Config) -> Config:
    """What `tui-trainer -c config.toml` needs to repeat the run from anywhere, in a folder of its own."""
    data = config.data
    paths = {"data_root": data.data_root, "targets": data.targets}
    absolute = {name: str(user_path(path)) if path else "" for name, path in paths.items()}
    if config.model.pretrained not in ("", IMAGENET):
        absolute["pretrained"] = str(run_folder.path_or_run(config.model.pretrained))
    absolute |= {"data": sources.absolute(data.data), "val_data": sources.absolute(data.val_data)}
    code = {"model": user_code.absolute(config.model.model), "loss": user_code.absolute(config.recipe.loss)}
    hooks = ("sampler", "batch_sampler", "collate_fn", "worker_init_fn")
    code |= {name: user_code.absolute(getattr(config.loader, name)) for name in hooks}
    return config.replace(**absolute, **code, output_dir="", name="", resume="", trust_code=False)


def _model(config: Config, data: Data) -> nn.Module:
    return catalog.build(config.model.model, **model_arguments(config, data.index))


def _job(config: Config, data: Data, model: nn.Module, start: Started, ranks: Ranks) -> Job:
    index = data.index
    device = next(model.parameters()).device
    frozen = Frozen([model.get_submodule(name) for name in start.frozen], config.model.freeze_epochs)
    assert config.run.log_every is not None
    assert config.recipe.monitor is not None
    return Job(
        model=model,
        **parts_of(config, index, model, frozen.ever_trained(list(model.parameters())), ranks.rank),
        ranks=ranks,
        train_loader=data.train,
        val_loader=data.val,
        prepare=data.prepare(device, channels_last=config.recipe.channels_last),
        classes=index.classes,
        device=device,
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
            **circumstances(device),
        },
    )


def _keeping(run: RunConfig) -> Keeping:
    auto = run.checkpoint_every.lower() == AUTO
    return Keeping(
        keep=run.keep_checkpoints,
        every=None if auto else parse_every(run.checkpoint_every, "checkpoint_every"),
        keep_every=parse_every(run.keep_every, "keep_every") if run.keep_every else None,
    )
