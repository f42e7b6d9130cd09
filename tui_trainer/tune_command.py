"""`tui-trainer tune [DIR] [flags]`: how many workers pay on this machine for this dataset and model."""

from __future__ import annotations

import contextlib
import itertools
import json
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from types import FrameType
from typing import Any

from tui_trainer.config import Config, resolve
from tui_trainer.errors import ConfigError
from tui_trainer.loader_facts import (
    Measurement,
    Recommendation,
    candidates,
    faster_batches,
    faster_prefetch,
    recommend,
)
from tui_trainer.results.command_line import Parser
from tui_trainer.text import display

WIDEST = 40  # cells of a bar
SECONDS = 60.0  # that all of it takes at most
INTERRUPTED = 130


def main(argv: Sequence[str]) -> int:
    """Measure, and print a table or with --json one object; the exit code.

    With --lr it looks for a learning rate instead. --num-workers is the most that is tried; without it, the number
    of processors. --batch-sizes are tried beside --batch-size, --prefetch-factors with the best workers; all of it ends
    after --max-seconds.

    Raises:
        UserError: a flag, the data or the model does not do.
    """
    from tui_trainer import flags

    ranging = "--lr" in argv  # here a question and no value
    grid, words = _grid([word for word in argv if word != "--lr"])
    arguments = flags.parse(words)
    config = resolve(arguments.values, arguments.config).config
    if config.run.resume:
        raise ConfigError("tune measures a dataset, not a run: leave out --resume; -c takes the settings of a run.")
    if not config.data.data:
        raise ConfigError("No dataset: give a folder, as in `tui-trainer tune sample_data/digits`.")
    if ranging:
        return _range(config, as_json=arguments.json)
    most = config.loader.num_workers if "num_workers" in arguments.values else None
    try:
        found = _measure(config, most, grid.around(config, given="batch_size" in arguments.values))
    except KeyboardInterrupt:
        print("tui-trainer: stopped before everything was measured.", file=sys.stderr)
        return INTERRUPTED
    size = config.loader.batch_size
    best = recommend([m for m in found if m.batch_size == size and m.prefetch_factor is None])
    if arguments.json:
        print(json.dumps(_record(config, found, best)), flush=True)
    else:
        _print(config, found, best)
    return 0


@dataclass(frozen=True, kw_only=True)
class _Grid:
    """What is tried beside the worker counts, and for how long."""

    batch_sizes: tuple[int, ...]
    prefetch: tuple[int, ...]
    seconds: float

    def around(self, config: Config, *, given: bool) -> _Grid:
        """With the configured batch size first; where nothing was asked for, larger ones after it."""
        size = config.loader.batch_size
        if self.batch_sizes or given or config.loader.batch_sampler or config.loader.steps_per_epoch:
            return replace(self, batch_sizes=tuple(dict.fromkeys((size, *self.batch_sizes))))
        return replace(self, batch_sizes=(size, 2 * size, 4 * size))


def _grid(argv: Sequence[str]) -> tuple[_Grid, list[str]]:
    """The flags of this command alone, and the other words.

    Raises:
        ConfigError: they are not understood.
    """
    parser = Parser(prog="tui-trainer tune", add_help=False, allow_abbrev=False)
    parser.add_argument("--batch-sizes", type=_counts, default=())
    parser.add_argument("--prefetch-factors", type=_counts, default=())
    parser.add_argument("--max-seconds", type=float, default=SECONDS)
    asked, words = parser.parse_known_args(list(argv))
    if not asked.max_seconds > 0:
        raise ConfigError("--max-seconds must be greater than 0.")
    return _Grid(batch_sizes=asked.batch_sizes, prefetch=asked.prefetch_factors, seconds=asked.max_seconds), words


def _counts(text: str) -> tuple[int, ...]:
    """`32,64` as numbers; a ValueError is told as a usage error."""
    counts = tuple(int(part) for part in text.split(","))
    if min(counts) < 1:
        raise ValueError
    return counts


_counts.__name__ = "list of whole numbers"  # what argparse calls it


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


def _measure(config: Config, most: int | None, grid: _Grid) -> list[Measurement]:
    """What is final. Progress goes to stderr."""
    from tui_trainer.headless import choose_progress

    progress = choose_progress()
    try:
        progress.tell("loading PyTorch")
        from tui_trainer import failures, tune

        workers = None if most is None else candidates(most)
        found = list[Measurement]()
        measuring = tune.measure(
            config,
            workers=workers,
            batch_sizes=grid.batch_sizes,
            prefetch=grid.prefetch,
            seconds=grid.seconds,
            tell=progress.tell,
        )
        try:
            with _asked_to_stop() as asked, contextlib.closing(measuring):
                for measurement in measuring:
                    found += [measurement] * measurement.final
                    if asked.is_set():
                        raise KeyboardInterrupt
            return found
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


def _record(config: Config, found: list[Measurement], best: Recommendation | None) -> dict[str, Any]:
    return {
        "data": config.data.data,
        "model": config.model.model,
        "batch_size": config.loader.batch_size,
        "step_seconds": found[0].step_seconds,
        "measurements": [
            {
                "num_workers": m.num_workers,
                "batch_size": m.batch_size,
                "prefetch_factor": m.prefetch_factor,
                "images_per_second": round(m.images_per_second, 3),
                "trained_per_second": round(m.trained_per_second, 3),
                "wait_share": round(m.wait_share, 4),
                "first_batch_seconds": m.first_batch_seconds,
                "skipped": m.skipped or None,
            }
            for m in found
        ],
        "recommended": None if best is None else {"num_workers": best.num_workers, "reason": best.reason},
    }


def _print(config: Config, found: list[Measurement], best: Recommendation | None) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    table = Table(box=None if console.options.ascii_only else box.SIMPLE_HEAD, pad_edge=False)
    for head in ("workers", "batch", "loader/s", "", "train/s", "waits", "first batch"):
        table.add_column(Text(head), justify="left" if not head else "right", no_wrap=True)
    fastest = max(m.images_per_second for m in found) or 1.0
    full = "#" if console.options.ascii_only else "█"
    room = max(1, min(WIDEST, console.width - 74))
    for m in found:
        usual = m.batch_size == config.loader.batch_size and m.prefetch_factor is None
        chosen = best is not None and usual and m.num_workers == best.num_workers
        ahead = f", {m.prefetch_factor} ahead" if m.prefetch_factor else ""
        what = (str(m.num_workers), f"{m.batch_size:,}{ahead}")
        bar = Text(full * round(m.images_per_second / fastest * room), style="green" if chosen else "cyan")
        texts = (f"{m.images_per_second:,.0f}", bar, f"{m.trained_per_second:,.0f}", f"{m.wait_share:.0%}")
        cells = (*what, *texts, f"{m.first_batch_seconds or 0:.2f} s")
        skipped = (*what, "skipped", "", "", "", "")
        table.add_row(*(skipped if m.skipped else cells), style="bold" if chosen else "")
    step = f"{1000 * found[0].step_seconds:.3g} ms a training step of {config.loader.batch_size:,}"
    model = "" if config.model.model == "auto" else f"{config.model.model}, "
    title = f"{display(config.data.data)}: {model}{step}"
    console.print(Text(f"{title}. Images/s of the loader alone, and of training:"), soft_wrap=True)
    console.print(table)
    for text in dict.fromkeys(m.skipped for m in found if m.skipped):
        console.print(Text(text, style="yellow"), soft_wrap=True)
    for text in (faster_batches(found, config.loader.batch_size), faster_prefetch(found)):
        if text:
            console.print(Text(text), soft_wrap=True)
    if best is not None:
        console.print(Text(f"--num-workers {best.num_workers}  {best.reason}", style="green"), soft_wrap=True)
