"""The command line, made from the settings. Imports nothing heavy: `--help` must be instant."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from tui_trainer import __version__
from tui_trainer.config import SETTINGS, TABLES, did_you_mean
from tui_trainer.errors import ConfigError
from tui_trainer.settings import AUTO, TRUTH, Setting, Value
from tui_trainer.text import display

USAGE = """\
tui-trainer [DIR] [flags]
       tui-trainer send RUN pause|resume|stop|abort|checkpoint|evaluate|set NAME=VALUE
       tui-trainer attach RUN | test RUN | predict RUN IMAGES | export RUN
       tui-trainer report RUN | eject RUN
       tui-trainer runs [show RUN] | data DIR | weights FILE | tune DIR"""
EPILOG = """\
examples:
  tui-trainer sample_data/digits                      the screens, on a terminal
  tui-trainer --no-tui --data sample_data/digits      the same run in a script
  tui-trainer -c runs/first/config.toml --epochs 5    a run again, with one change
  tui-trainer --resume first --epochs 40              go on with a run
  tui-trainer send first pause                        steer a run of another process

A flag beats the file given by -c; --print-config shows the result and where each value came from.
exit codes: 0 done, 1 a bug, 2 usage or configuration, 3 data, 4 weights or checkpoint,
5 training failed, 130/143/129 stopped by SIGINT/SIGTERM/SIGHUP with a checkpoint saved
"""


_GUARD = "\0"  # no word of a command line holds it


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """What the command line asks for besides the settings."""

    values: dict[str, Value]
    config: Path | None
    no_tui: bool
    json: bool
    ascii: bool
    background: bool
    print_config: bool
    dry_run: bool


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Say it as every other error is said.

        Raises:
            ConfigError: always.
        """
        raise ConfigError(f"{display(message[:1].upper() + message[1:], 300)}; see tui-trainer --help.")


def parse(argv: Sequence[str]) -> Arguments:
    """The arguments of a training run.

    Raises:
        ConfigError: a flag is unknown, lacks its value, or its value does not do.
    """
    parser = _build()
    words = _with_values([_with_dashes(word) for word in argv])
    found, unknown = parser.parse_known_args([_guarded(word) for word in words])
    if unknown:
        raise _unknown(unknown[0])
    given = {
        name: value.removeprefix(_GUARD) if isinstance(value, str) else value
        for name, value in vars(found).items()
        if name in SETTINGS and value is not None
    }
    if found.folder is not None:
        if "data" in given:
            raise ConfigError(
                f"The dataset is given twice: {display(found.folder)} and --data {display(given['data'])}."
            )
        given["data"] = found.folder
    values = {
        name: text if isinstance(text, bool) else SETTINGS[name].from_text(text, SETTINGS[name].flag)
        for name, text in given.items()
    }
    return Arguments(
        values=values,
        config=Path(found.config) if found.config else None,
        no_tui=found.no_tui,
        json=found.json,
        ascii=found.ascii,
        background=found.background,
        print_config=found.print_config,
        dry_run=found.dry_run,
    )


def _with_dashes(word: str) -> str:
    """`--batch_size` is taken as `--batch-size`."""
    if not word.startswith("--"):
        return word
    name, equals, value = word.partition("=")
    return name.replace("_", "-") + equals + value


def _with_values(words: Sequence[str]) -> list[str]:
    """`--flag` and `--no-flag` of what may be true, false or auto as `--flag=VALUE`, so that no folder is its value."""
    flags = {item.flag: item for item in SETTINGS.values() if item.kind is bool and item.optional}
    switches = dict.fromkeys(flags, "true") | {flag.replace("--", "--no-", 1): "false" for flag in flags}
    found, left = [], iter(zip(words, [*words[1:], ""], strict=False))
    for word, following in left:
        value = switches.get(word, "")
        if word in flags and following.lower() in (*TRUTH, AUTO):
            value = next(left)[0]
        found.append(f"{word.replace('--no-', '--', 1)}={value}" if value else word)
    return found


def _guarded(word: str) -> str:
    """Of `--data=--` argparse would take the value for the end of the flags and give an empty list."""
    name, equals, value = word.partition("=")
    return name + equals + _GUARD + value if name.startswith("--") and value == "--" else word


def _unknown(word: str) -> ConfigError:
    if not word.startswith("-"):
        return ConfigError(f"Unexpected argument {display(word)}: give one dataset folder; see tui-trainer --help.")
    name = word.partition("=")[0]
    flags = [s.flag for s in SETTINGS.values()] + [
        "--no-tui",
        "--json",
        "--background",
        "--config",
        "--print-config",
        "--dry-run",
        "--version",
    ]
    return ConfigError(f"Unknown flag {display(name)}{did_you_mean(name, flags)}")


def _build() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="tui-trainer",
        description="Train an image classifier in PyTorch: in the terminal, watched and steered, or in a script.",
        epilog=EPILOG,
        allow_abbrev=False,
        add_help=False,
        usage=USAGE,
        formatter_class=lambda prog: argparse.RawDescriptionHelpFormatter(prog, max_help_position=30, width=100),
    )
    parser.add_argument("folder", nargs="?", metavar="DIR", help="dataset: one sub-folder of images a class")
    front = parser.add_argument_group("front end")
    front.add_argument("--no-tui", action="store_true", help="train without the screens")
    front.add_argument("--json", action="store_true", help="print the result as one JSON object")
    front.add_argument("--ascii", action="store_true", help="draw the screens without Unicode")
    front.add_argument(
        "--background", action="store_true", help="train in a process of its own that outlives this terminal"
    )
    front.add_argument("-c", "--config", metavar="FILE", help="read settings from a TOML file")
    front.add_argument("--dry-run", action="store_true", help="try a few steps: time and memory; nothing is kept")
    front.add_argument("--print-config", action="store_true", help="show all settings and where they came from")
    front.add_argument("-h", "--help", action="help", help="show this help")
    front.add_argument("--version", action="version", version=f"tui-trainer {__version__}", help="show the version")
    for table, cls in TABLES.items():
        title = (cls.__doc__ or table).rstrip(".")
        group = parser.add_argument_group(f"[{table}] {title[0].lower()}{title[1:]}")
        for item in SETTINGS.values():
            if item.table == table:
                _add(group, item)
    return parser


def _add(group: argparse._ArgumentGroup, item: Setting) -> None:
    names = ([f"-{item.short}"] if item.short else []) + [item.flag]
    names += [f"--{alias}" for alias in item.aliases]
    text = _help(item).replace("%", "%%")
    if item.kind is bool and not item.optional:
        group.add_argument(*names, dest=item.name, action=argparse.BooleanOptionalAction, default=None, help=text)
        return
    optional: dict[str, Any] = {"nargs": "?"} if item.kind is bool else {}
    metavar = item.metavar or {int: "N", float: "X", bool: "BOOL"}.get(item.kind, "TEXT")
    if item.choices:
        metavar = item.name.upper()
    group.add_argument(*names, dest=item.name, default=None, metavar=metavar, help=text, **optional)


def _help(item: Setting) -> str:
    choices = f" {item.expected[0].upper()}{item.expected[1:]}." if item.choices else ""
    default = item.to_text(item.default)
    return f"{item.help}{choices}" + (f" [{default}]" if default else "")
