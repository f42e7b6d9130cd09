"""The flags of `tui-trainer tune` alone, and its page of help."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tui_trainer.config import Config
from tui_trainer.errors import ConfigError
from tui_trainer.results.command_line import Parser
from tui_trainer.text import user_path

SECONDS = 60.0  # that all of it takes at most
USAGE = """\
tui-trainer tune DIR [flags]
       tui-trainer tune --lr DIR [flags]"""
DESCRIPTION = """\
Take real training steps on this machine, and say which threads, precision and workers train fastest;
with --lr (no value) train at growing learning rates instead, and suggest one. Nothing is changed."""
EPILOG = """\
settings of a run that bound what is tried:
  -j, --num-workers N     the most workers [the number of processors]
  --threads N             the most threads of a step [the number of processors]
  -b, --batch-size N      the batch size that is measured first, and alone without --batch-sizes [32]
  --amp-dtype fp16        try fp16 in place of bf16

All other settings are those of the run that it is for, such as --model or --image-size: see
tui-trainer --help. -c FILE reads them from a TOML file; --json prints one JSON object on stdout.

examples:
  tui-trainer tune photos --model resnet18 --write tuned.toml
  tui-trainer tune photos -j 4 --batch-sizes 64,128 --max-seconds 30
  tui-trainer tune --lr photos
"""


@dataclass(frozen=True, kw_only=True)
class Grid:
    """What is tried beside the worker counts, for how long, and where the advice goes."""

    batch_sizes: tuple[int, ...]
    prefetch: tuple[int, ...]
    seconds: float
    write: Path | None = None

    def around(self, config: Config, *, given: bool) -> Grid:
        """With the configured batch size first; where nothing was asked for, larger ones after it."""
        size = config.loader.batch_size
        if self.batch_sizes or given or config.loader.batch_sampler or config.loader.steps_per_epoch:
            return replace(self, batch_sizes=tuple(dict.fromkeys((size, *self.batch_sizes))))
        return replace(self, batch_sizes=(size, 2 * size, 4 * size))


def parse(argv: Sequence[str]) -> tuple[Grid, list[str]]:
    """The flags of this command alone, and the other words.

    Raises:
        ConfigError: they are not understood.
        SystemExit: help was asked for, and printed.
    """
    asked, words = _build().parse_known_args(list(argv))
    if not asked.max_seconds > 0:
        raise ConfigError("--max-seconds must be greater than 0.")
    return Grid(
        batch_sizes=asked.batch_sizes, prefetch=asked.prefetch_factors, seconds=asked.max_seconds, write=asked.write
    ), words


def _build() -> Parser:
    parser = Parser(
        prog="tui-trainer tune",
        usage=USAGE,
        description=DESCRIPTION,
        epilog=EPILOG,
        allow_abbrev=False,
        formatter_class=lambda prog: argparse.RawDescriptionHelpFormatter(prog, max_help_position=26, width=100),
    )
    sizes = "batch sizes to try too [2 and 4 times --batch-size, if that is not given]"
    ahead = "batches that each worker reads ahead, to try with the best number of workers [none]"
    file = "write what is advised, and the settings given, as a new TOML file for -c"
    parser.add_argument("--max-seconds", type=float, default=SECONDS, metavar="S", help=f"seconds in all [{SECONDS:g}]")
    parser.add_argument("--batch-sizes", type=_counts, default=(), metavar="N,N,...", help=sizes)
    parser.add_argument("--prefetch-factors", type=_counts, default=(), metavar="N,N,...", help=ahead)
    parser.add_argument("--write", type=user_path, metavar="FILE", help=file)
    return parser


def _counts(text: str) -> tuple[int, ...]:
    """`32,64` as numbers; a ValueError is told as a usage error."""
    counts = tuple(int(part) for part in text.split(","))
    if min(counts) < 1:
        raise ValueError
    return counts


_counts.__name__ = "list of whole numbers"  # what argparse calls it
