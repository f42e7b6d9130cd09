"""The one composition root: a configuration becomes parts, and the loop is joined to its recorders."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import torch
from torch import nn

from tui_trainer import config as configuration
from tui_trainer import run_folder, tensorboard
from tui_trainer.auto import (
    Choices,
    choose_computing,
    choose_inputs,
    choose_recipe,
    choose_rest,
    choose_task,
    device_of,
    model_arguments,
    require_shared_memory,
    set_up_torch,
)
from tui_trainer.branching import Branch
from tui_trainer.config import Config, RunConfig
from tui_trainer.data import batches, streams
from tui_trainer.data.batches import Data
from tui_trainer.data.first_look import FirstLook
from tui_trainer.data.index import Index, write_split
from tui_trainer.data.loader import not_pinned, worker_context
from tui_trainer.data.preflight import look_before
from tui_trainer.data.report import Report
from tui_trainer.data_config import LoaderConfig
from tui_trainer.description import describe
from tui_trainer.engine.frozen import Frozen
from tui_trainer.engine.job import Job
from tui_trainer.engine.keeping import Keeping
from tui_trainer.engine.metrics import build_measure
from tui_trainer.engine.ranks import Alone, Ranks
from tui_trainer.errors import TrainingError
from tui_trainer.events import Warned
from tui_trainer.every import parse_every
from tui_trainer.failures import in_words, is_out_of_memory
from tui_trainer.idle import Moment
from tui_trainer.models import catalog
from tui_trainer.rank_parts import begin_apart, require_same, seed_all, shard_out, sharded, synchronised
from tui_trainer.recipe import in_memory_format, parts_of
from tui_trainer.repeating import repeatable
from tui_trainer.resuming import Saved, circumstances
from tui_trainer.run_folder import RunFolder, find_run
from tui_trainer.run_lock import RunLock
from tui_trainer.running import Run
from tui_trainer.settings import AUTO
from tui_trainer.start_weights import Started, start_from
from tui_trainer.strategy import FSDP
from tui_trainer.whole_file import sweep, write_whole


def prepare(
    config: Config,
    tell: Callable[[str], None] = lambda text: None,
    given: Collection[str] = (),
    made: Callable[[RunFolder], None] = lambda folder: None,
    cancelled: Callable[[], bool] = lambda: False,
    ranks: Ranks | None = None,
    seen: FirstLook | None = None,
    since: Moment | None = None,
) -> Run:
    """Build every part of a run; its folder is made last, when nothing can be refused any more.

    `tell` hears what is being done, in a few words, for whoever waits; `made` gets the folder as soon as it is
    there. `given` names the settings that a resumed run shall not take from where it stood. `cancelled` ends a
    download. `seen` is the dataset, if it was scanned already. `since`: how busy the machine is is judged from then on;
    without it a small network takes one thread.

    Raises:
        UserError: a setting, the data, the model or the folder does not do.
    """
    if config.run.tensorboard:
        tensorboard.require()
    ranks = ranks or Alone()
    if not config.run.resume:
        return _prepare(config, None, None, tell, given, made, cancelled, ranks, seen, since)
    lock = RunLock(find_run(config.run.resume)) if ranks.rank == 0 else None
    ranks.by_first(lambda: _hold(lock))
    try:
        saved = Saved(config)
        return _prepare(saved.with_threads(config), saved, lock, tell, given, made, cancelled, ranks, None, since)
    except BaseException:
        if lock:
            lock.release()
        raise


def _hold(lock: RunLock | None) -> None:
    if lock:
        lock.acquire()


def _prepare(
    config: Config,
    saved: Saved | None,
    lock: RunLock | None,
    tell: Callable[[str], None],
    given: Collection[str],
    made: Callable[[RunFolder], None],
    cancelled: Callable[[], bool],
    ranks: Ranks,
    seen: FirstLook | None,
    since: Moment | None,
) -> Run:
    device = device_of(config.recipe.device)
    more: dict[str, Any] = {
        "context": worker_context(config), "rank": ranks.rank, "ranks": ranks.size, "gathered": ranks.gathered,
    }  # fmt: skip
    set_up_torch(config)
    choices = Choices(config)
    index, looked = (seen.index, seen.looked) if seen else _seen(config, saved, tell, cancelled, ranks)
    choose_task(choices, index)
    tell("building the model")
    needs_two = choose_inputs(choices, index)
    tell("measuring the images")
    spec = batches.spec_of(choices.config.data, index)
    data = batches.build_batches(choices.config, index, spec, needs_two=needs_two, **more)
    require_shared_memory(choices.config.loader, index, spec, more["context"])
    choose_rest(choices, data)
    choose_recipe(choices, device)
    seed_all(config.recipe.seed)
    model = _model(choices.config, data)
    choose_computing(choices, model, index, device, data.train.batches, since if ranks.size == 1 else None)
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
    job = _job(choices.config, data, _placed(model, choices.config, device), start, ranks)
    job.bad = looked.bad_in_part[:2] if looked else (0, 0)
    begin_apart(ranks, config.recipe.seed)
    news = [
        *choices.events(),
        *start.news,
        *(
            Warned(topic="data", message=text)
            for text in (*_of_the_data(index, data, looked, config.loader), *not_pinned(config.loader))
        ),
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
        return Run(folder=folder, config=choices.config, job=job, news=[], lock=None, hear=hear, data=data)
    lock, job.checkpoints = lock or RunLock(folder).acquire(), folder.checkpoints
    try:
        _write(folder, choices.config, index, start.plan)
        data.train.bad_files.keep_in(folder.bad_files, looked.bad if looked else ())
    except OSError as error:
        lock.release()
        raise in_words(error, config) or error from error
    return Run(
        folder=folder,
        config=choices.config,
        job=job,
        news=news,
        lock=lock,
        hear=hear,
        data=data,
        least_batch=1 + needs_two,
    )


def _seen(
    config: Config, saved: Saved | None, tell: Callable[[str], None], cancelled: Callable[[], bool], ranks: Ranks
) -> tuple[Index, Report | None]:
    """The dataset, the same in all ranks, and what is known of its files."""
    tell("scanning the dataset")
    index = streams.agreed(ranks.in_turn(lambda: batches.scan(config)), ranks.agreed)
    if saved:
        saved.require_same_data(index, allow=config.run.allow_changed_data)
        return index, None
    return index, ranks.by_first(lambda: look_before(index, config.data.max_bad, tell, cancelled))


def _of_the_data(index: Index, data: Data, looked: Report | None, loader: LoaderConfig) -> tuple[str, ...]:
    """What to tell of the dataset before the first epoch."""
    few: tuple[str, ...] = ()
    if 0 < data.train.samples < loader.batch_size and not loader.batch_sampler:
        whole = f"more than the {data.train.samples:,} training {index.unit}"
        few = (f"batch_size = {loader.batch_size:,} is {whole}: an epoch is one step; lower --batch-size.",)
    return (*index.warnings, *(looked.faults() if looked else ()), *data.kept.told, *few)


def _write(folder: RunFolder, config: Config, index: Index, plan: str) -> None:
    """What a run began with."""
    sweep(folder.checkpoints)
    write_whole(folder.config, configuration.to_toml(repeatable(config)).encode())
    write_split(index, folder.split)
    if plan:
        folder.weights.write_text(plan, "utf-8")


def _placed(model: nn.Module, config: Config, device: torch.device) -> nn.Module:
    """The model where it trains.

    Raises:
        TrainingError: it does not fit there.
    """
    try:
        if config.run.strategy == FSDP:
            shard_out(model, config, device)
        return in_memory_format(model, config).to(device)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        fits = "try a smaller model, or another --device; other programs may hold memory too"
        raise TrainingError(f"Out of memory: {config.model.model} does not fit on {device}: {fits}.") from error


def _new_path(config: Config) -> Path:
    return run_folder.new_folder_path(config.run.output_dir, config.run.name, config.model.model)


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
        prepare=data.prepare(device, channels_last=bool(config.recipe.channels_last)),
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
        sharded=sharded(model, config, model_arguments(config, index)),
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
