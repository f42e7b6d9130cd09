"""`tui-trainer runs`: what was trained on this machine, side by side, named, noted and cleared away."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any

from tui_trainer.comparison import differences
from tui_trainer.config import did_you_mean
from tui_trainer.errors import ConfigError
from tui_trainer.past_runs import (
    ORDERS,
    PastRun,
    delete,
    matches,
    ordered,
    past_runs,
    read_run,
    rename,
    twig,
    write_note,
)
from tui_trainer.run_folder import find_run
from tui_trainer.text import display, duration

USAGE = """\
Usage: tui-trainer runs [list] [--filter TEXT] [--sort changed|best|name|epochs|time|tree] [--json]
       tui-trainer runs show RUN [--json]
       tui-trainer runs compare RUN RUN ... [--json]
       tui-trainer runs rename RUN NAME | note RUN TEXT | rm RUN ... [--yes]"""
MOST = 1000  # runs that are listed
WIDE = 1000  # columns of a file or a pipe: a table takes what it needs of them


def main(argv: Sequence[str]) -> int:
    """Do what the words ask for; the exit code.

    Raises:
        ConfigError: the words are not understood, there is no such run, or it is training.
    """
    if argv in (["-h"], ["--help"]):
        print(f"{USAGE}\n\n{__doc__}")
        return 0
    options, words = _options(argv)
    kind, names = (words[0], words[1:]) if words else ("list", [])
    match kind, names:
        case "list", []:
            _list(options)
        case "show", [name]:
            print(json.dumps(_record(read_run(find_run(name))), indent=None if "json" in options else 1))
        case "compare", [_, _, *_]:
            _compare([read_run(find_run(name)) for name in names], as_json="json" in options)
        case "rename", [name, new]:
            rename(find_run(name), new)
        case "note", [name, *text]:
            write_note(find_run(name), " ".join(text))
        case "rm", [_, *_]:
            return _remove(names, sure="yes" in options)
        case _:
            known = ("list", "show", "compare", "rename", "note", "rm")
            hint = did_you_mean(kind, known) if kind not in known else "."
            raise ConfigError(
                f"runs {display(' '.join(words), 60)} is not understood{hint} See tui-trainer runs --help."
            )
    return 0


def _options(argv: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    options, words, rest = dict[str, str](), list[str](), list(argv)
    while rest:
        word = rest.pop(0)
        name, equals, value = word.removeprefix("--").partition("=")
        if word in ("--json", "--yes"):
            options[name] = ""
        elif word.startswith("--") and name in ("filter", "sort"):
            if not equals and not rest:
                raise ConfigError(f"{word} needs a value; see tui-trainer runs --help.")
            options[name] = value if equals else rest.pop(0)
        elif word.startswith("--"):
            raise ConfigError(f"Unknown flag {display(word)}{did_you_mean(name, ('json', 'yes', 'filter', 'sort'))}")
        else:
            words.append(word)
    return options, words


def _list(options: dict[str, str]) -> None:
    order = options.get("sort", "changed")
    if order not in ORDERS:
        raise ConfigError(f"--sort takes one of {', '.join(ORDERS)}{did_you_mean(order, ORDERS)}")
    runs = ordered([run for run in past_runs(most=MOST) if matches(run, options.get("filter", ""))], order)
    if "json" in options:
        print(json.dumps([_record(run) for run, _ in runs]))
        return
    rows = [
        (
            twig(depth) + run.name,
            run.state,
            run.best_in_words,
            str(run.epochs),
            duration(run.seconds) if run.seconds else "",
            str(run.settings.get("model", "")),
            str(run.settings.get("data", "")).rstrip("/").rpartition("/")[2],
            run.note.partition("\n")[0] or parent_in_words(run),
        )
        for run, depth in runs
    ]
    _print(("run", "state", "best", "epochs", "time", "model", "data", "note"), rows)


def parent_in_words(run: PastRun) -> str:
    """Which run it was branched from, and where."""
    parent = str(run.settings.get("branch") or "")
    return f"from {parent.rpartition('/')[2]}" if parent else ""


def _record(run: PastRun) -> dict[str, Any]:
    return {
        "run": str(run.folder.path),
        "state": run.state,
        "epochs": run.epochs,
        "best": run.best,
        "metric": run.metric,
        "seconds": run.seconds,
        "changed": run.changed,
        "note": run.note,
        "parent": run.settings.get("branch") or None,
        "settings": {name: list(v) if isinstance(v, tuple) else v for name, v in run.settings.items()},
    }


def _compare(runs: Sequence[PastRun], *, as_json: bool) -> None:
    """Only where they differ, results first."""
    changed = [difference for difference in differences(runs) if difference.differs]
    if as_json:
        settings = {difference.name: difference.values for difference in changed}
        print(json.dumps({"runs": [_record(run) for run in runs], "differences": settings}))
        return
    rows = [
        ("state", *(run.state for run in runs)),
        ("best", *(run.best_in_words for run in runs)),
        ("epochs", *(str(run.epochs) for run in runs)),
        ("time", *(duration(run.seconds) for run in runs)),
        *((difference.name, *difference.values) for difference in changed),
    ]
    _print(("", *(run.name for run in runs)), rows)


def _remove(names: Sequence[str], *, sure: bool) -> int:
    folders = [find_run(name) for name in names]
    for folder in folders:
        if not sure:
            if not sys.stdin.isatty():
                raise ConfigError("runs rm asks before it removes a run: without a terminal, add --yes.")
            print(f"Remove {display(folder.path)} with its checkpoints? [y/N] ", end="", file=sys.stderr, flush=True)
            if sys.stdin.readline().strip().lower() not in ("y", "yes"):
                continue
        delete(folder)
    return 0


def _print(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich.table import Column, Table
    from rich.text import Text

    from tui_trainer.console import Console

    # the first column is what people copy: it stays whole
    columns = (Column(Text(display(header, 40)), no_wrap=not place) for place, header in enumerate(headers))
    table = Table(*columns, box=None, pad_edge=False)
    for row in rows:
        table.add_row(*(Text(display(cell, 80)) for cell in row))
    width = None if sys.stdout.isatty() else WIDE
    Console(soft_wrap=True, width=width).print(table)
