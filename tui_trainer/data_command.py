"""`tui-trainer data DIR`: what is in a dataset folder, and what is wrong with it."""

from __future__ import annotations

import argparse
import json
import signal
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, NoReturn

from tui_trainer.config import SETTINGS
from tui_trainer.data.examine import EVERYTHING, Limits, examine
from tui_trainer.data.index import CLASSIFICATION
from tui_trainer.data.preflight import remember
from tui_trainer.data.report import Report
from tui_trainer.data.sources import open_source
from tui_trainer.data.table_report import TableReport
from tui_trainer.data_config import WHICH_SAMPLES, DataConfig
from tui_trainer.errors import ConfigError, DataError
from tui_trainer.text import display

if TYPE_CHECKING:
    from rich.table import Table

    from tui_trainer.console import Console

NAMES = (*(name for name in WHICH_SAMPLES if name != "data"), "seed")
NAMED = 20  # bad files that are named; --json names all
USAGE = "tui-trainer data DIR [--val-data DIR] [--val-fraction F] [--seed N] [...] [--all] [--json]"


AnyReport = Report | TableReport


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"{display(message, 300)}. Usage: {USAGE}.")


def main(argv: Sequence[str]) -> int:
    """Print the report on stdout; the exit code.

    Raises:
        ConfigError: the words are not understood.
        DataError: there is nothing to train on.
    """
    asked = _parse(argv)
    values = {name: SETTINGS[name].from_text(getattr(asked, name), SETTINGS[name].flag) for name in NAMES}
    seed = values.pop("seed")
    assert isinstance(seed, int)
    data = DataConfig(data=asked.folder, **values)  # type: ignore[arg-type]
    try:
        index = open_source(data, seed, trusted=asked.trust_code)
    except OSError as error:
        raise DataError(f"Cannot read {display(error.filename or asked.folder)}: {error.strerror}.") from None
    try:
        report = _last(_told(examine(index, EVERYTHING if asked.all else Limits())))
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    if isinstance(report, Report):
        remember(index, report)
    if asked.json:
        print(json.dumps(report.record()))
    else:
        show(report)
    return 0


def _parse(argv: Sequence[str]) -> argparse.Namespace:
    parser = _Parser(prog="tui-trainer data", usage=USAGE, description="What is in a dataset folder.")
    parser.add_argument("folder", metavar="DIR", help=SETTINGS["data"].help)
    for name in NAMES:
        setting = SETTINGS[name]
        parser.add_argument(
            setting.flag,
            dest=name,
            metavar=setting.metavar or None,
            default=setting.to_text(setting.default),
            help=setting.help.replace("%", "%%"),
        )
    parser.add_argument("--all", action="store_true", help="Decode every image, not only a sample.")
    parser.add_argument("--trust-code", action="store_true", help="Run the dataset's Python from anywhere.")
    parser.add_argument("--json", action="store_true", help="One JSON object on stdout.")
    return parser.parse_args(list(argv))


def _told(reports: Iterable[AnyReport]) -> Iterator[AnyReport]:
    """The same, with progress on a terminal."""
    from tui_trainer.console import Console

    console = Console(stderr=True)
    if not console.is_terminal:
        yield from reports
        return
    with console.status("reading the folder") as status:
        for report in reports:
            status.update(report.coverage().replace("[", "\\["))
            yield report


def _last(reports: Iterable[AnyReport]) -> AnyReport:
    *_, last = reports
    return last


def show(report: AnyReport) -> None:
    """Facts, a bar for each class, warnings and bad files."""
    from rich.text import Text

    from tui_trainer.console import Console

    console = Console(highlight=False, soft_wrap=not sys.stdout.isatty())
    console.print(Text(display(report.root), "bold"))
    for label, text in report.facts():
        console.print(Text.assemble((f"{label:<11}", "dim"), text))
    console.print()
    if report.classes:
        console.print(_bars(report, console))
    for warning in report.warnings():
        console.print(Text.assemble(("! ", "yellow"), warning))
    for name, reason in report.bad[:NAMED]:
        console.print(Text.assemble("  ", display(name), (f"  {reason}", "dim")))
    if len(report.bad) > NAMED:
        console.print(Text(f"  and {len(report.bad) - NAMED:,} more; --json names all.", "dim"))


def _bars(report: AnyReport, console: Console) -> Table:
    """A row for each class: training images, then those held out."""
    from rich.table import Table
    from rich.text import Text

    full, light = ("█", "░") if (console.encoding or "").lower().startswith("utf") else ("#", "-")
    most, width = max(report.in_class), max(10, min(40, console.width - 50))
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column(
        "class" if report.task == CLASSIFICATION else "target", no_wrap=True, overflow="ellipsis", max_width=32
    )
    table.add_column("train", justify="right")
    table.add_column("held out", justify="right")
    table.add_column(f"{full} train {light} held out")
    for name, train, total in zip(report.classes, report.in_train, report.in_class, strict=True):
        cells = max(1, round(width * total / most))
        first = round(cells * train / max(1, total))
        bar = Text.assemble((full * first, "cyan"), (light * (cells - first), "dim"))
        table.add_row(Text(display(name, 32)), f"{train:,}", f"{total - train:,}", bar)
    return table
