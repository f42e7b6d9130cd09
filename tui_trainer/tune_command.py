"""`tui-trainer tune [DIR] [flags]`: workers, threads and precision that pay on this machine for this data and model."""

from __future__ import annotations

import contextlib
import itertools
import json
import shlex
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import FrameType

from tui_trainer import tune_flags, tune_report
from tui_trainer.config import Config, Resolved, resolve
from tui_trainer.errors import ConfigError
from tui_trainer.loader_facts import WORKERS_ONLY, candidates
from tui_trainer.origin import naming_file
from tui_trainer.repeating import repeatable
from tui_trainer.text import display, user_path
from tui_trainer.tui.draft import Draft
from tui_trainer.tune_facts import Advice, Found
from tui_trainer.tune_flags import Grid
from tui_trainer.whole_file import write_whole

WIDEST = 40  # cells of a bar
INTERRUPTED = 130


def main(argv: Sequence[str]) -> int:
    """Measure, and print tables or with --json one object; the exit code.

    With --lr it looks for a learning rate instead. --num-workers and --threads are the most that is tried; without
    them, the number of processors. --batch-sizes are tried beside --batch-size, --prefetch-factors with the best
    workers; all of it ends after --max-seconds. --write makes a file for -c of the settings given and those advised.

    Raises:
        UserError: a flag, the data or the model does not do, or the file cannot be written.
    """
    from tui_trainer import flags

    ranging = "--lr" in argv  # here a question and no value
    grid, words = tune_flags.parse([word for word in argv if word != "--lr"])
    arguments = flags.parse(words)
    resolved = resolve(arguments.values, arguments.config)
    config = resolved.config
    if config.run.resume:
        raise ConfigError("tune measures a dataset, not a run: leave out --resume; -c takes the settings of a run.")
    if not config.data.data:
        raise ConfigError("No dataset: give a folder, as in `tui-trainer tune sample_data/digits`.")
    if grid.write is not None:
        _require_new(grid.write, ranging=ranging)
    if ranging:
        with naming_file(resolved):
            return _range(config, as_json=arguments.json)
    most = config.loader.num_workers if "num_workers" in arguments.values else None
    found, complete = Found(), False
    with contextlib.suppress(KeyboardInterrupt), naming_file(resolved):
        _measure(config, most, grid.around(config, given="batch_size" in arguments.values), found)
        complete = True
    advice = found.advice(config.loader.batch_size) if complete else None
    file = "" if advice is None else _file_of(resolved, advice)
    if arguments.json:
        print(json.dumps(tune_report.record(config, found, advice, complete=complete)), flush=True)
    else:
        tune_report.show(config, found, advice, file)
    if not complete:
        print("tui-trainer: stopped before everything was measured.", file=sys.stderr)
        return INTERRUPTED
    if grid.write is None:
        return 0
    if advice is None:
        raise ConfigError(f"{display(grid.write)} is not written: too little could be measured to advise anything.")
    _write(grid.write, file)
    return 0


def _require_new(path: Path, *, ranging: bool) -> None:
    """Refuse before the measuring what could not be written after it.

    Raises:
        ConfigError: the file exists, or its folder does not.
    """
    if ranging:
        raise ConfigError("--write is for the settings that make training fast, and --lr looks for a rate: take one.")
    if path.exists():
        raise ConfigError(f"{display(path)} exists, and --write overwrites nothing: give another name.")
    if not path.absolute().parent.is_dir():
        raise ConfigError(f"There is no folder {display(path.absolute().parent)} to write to: make it first.")


def _file_of(resolved: Resolved, advice: Advice) -> str:
    """The settings that were given and those that are advised, as a TOML file for -c that works from any folder.

    Raises:
        ConfigError: two of them do not go together.
    """
    run = resolved.config.run
    places = {"output_dir": str(user_path(run.output_dir)) if run.output_dir else "", "name": run.name}
    draft = Draft(replace(resolved, config=repeatable(resolved.config)))
    for name, value in {**places, **advice.settings}.items():
        draft.set(name, value)
    for name in WORKERS_ONLY if not advice.settings.get("num_workers", 1) else ():
        draft.reset(name)
    return draft.changes(always=advice.settings)


def _write(path: Path, text: str) -> None:
    """Keep the file.

    Raises:
        ConfigError: it cannot be written.
    """
    try:
        write_whole(path.absolute(), text.encode() + b"\n")
    except OSError as error:
        raise ConfigError(f"Cannot write {display(path)}: {error.strerror}.") from error
    print(f"Written to {display(path)}: `tui-trainer -c {display(shlex.quote(str(path)))}` trains so.", file=sys.stderr)


def _range(config: Config, *, as_json: bool) -> int:
    """The learning rate range test: its curve and a suggestion."""
    from tui_trainer.headless import choose_progress

    progress = choose_progress()
    try:
        progress.tell("training at growing rates")
        from tui_trainer import failures
        from tui_trainer.engine.lr_range import lr_range, suggest
        from tui_trainer.tune import range_job

        try:
            with _asked_to_stop() as asked:
                points = list(itertools.takewhile(lambda point: not asked.is_set(), lr_range(range_job(config))))
        except Exception as error:
            raise failures.in_words(error, config) or error from error
    finally:
        progress.close()
    best = suggest(points)
    if as_json:
        curve = [{"lr": point.lr, "loss": point.loss} for point in points]
        print(json.dumps({"data": config.data.data, "points": curve, "recommended": best}), flush=True)
        return 0
    top = max((point.loss for point in points), default=1.0)
    for point in points[:: max(1, len(points) // 24)]:
        print(f"lr {point.lr:8.1e}  loss {point.loss:8.4f}  {'#' * round(WIDEST * point.loss / top)}")
    print(f"--lr {best:.1g}  a tenth of the rate with the lowest loss" if best else "No rate made the loss fall.")
    return 0


def _measure(config: Config, most: int | None, grid: Grid, found: Found) -> None:
    """Fill `found`; progress goes to stderr.

    Raises:
        KeyboardInterrupt: it was stopped; what was found until then is there.
    """
    from tui_trainer.headless import choose_progress

    progress = choose_progress()
    try:
        progress.tell("loading PyTorch")
        from tui_trainer import failures, search

        searching = search.search(
            config,
            workers=None if most is None else candidates(most),
            batch_sizes=grid.batch_sizes,
            prefetch=grid.prefetch,
            seconds=grid.seconds,
            tell=progress.tell,
        )
        try:
            with _asked_to_stop() as asked, contextlib.closing(searching):
                for item in searching:
                    found.add(item)
                    if asked.is_set():
                        raise KeyboardInterrupt
        except Exception as error:
            raise failures.in_words(error, config) or error from error
    finally:
        progress.close()


@contextlib.contextmanager
def _asked_to_stop() -> Iterator[threading.Event]:
    """The first ctrl+c is obeyed at the next look, when no worker is half started; a second one at once."""
    asked, before = threading.Event(), signal.getsignal(signal.SIGINT)

    def ask(number: int, frame: FrameType | None) -> None:
        asked.set()
        signal.signal(signal.SIGINT, before)

    if before is not signal.SIG_IGN:  # nohup stays nohup
        signal.signal(signal.SIGINT, ask)
    try:
        yield asked
    finally:
        signal.signal(signal.SIGINT, before)
