"""`tui-trainer weights FILE [--model NAME]`: what is in a weight file, and what of it fits a model."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from tui_trainer.errors import ConfigError
from tui_trainer.text import display, user_path
from tui_trainer.weights.reader import list_weights

if TYPE_CHECKING:
    from tui_trainer.weights.contents import WeightFile
    from tui_trainer.weights.report import MatchReport


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> Any:
        """Say it as every other error is said.

        Raises:
            ConfigError: always.
        """
        raise ConfigError(f"{display(message[:1].upper() + message[1:], 300)}; see tui-trainer weights --help.")


def main(argv: Sequence[str]) -> int:
    """Print it; the exit code.

    Raises:
        UserError: the file is no weight file, or there is no such model.
    """
    parser = _Parser(prog="tui-trainer weights", description=(__doc__ or "").partition(": ")[2])
    parser.add_argument("file", metavar="FILE", help="a weight file or a run folder")
    parser.add_argument("--model", help="compare it with this model")
    parser.add_argument("--num-classes", type=int, default=1000, help="outputs of the model [1000]")
    parser.add_argument("--channels", type=int, default=0, help="inputs of the model [1 for lenet, else 3]")
    parser.add_argument("--image-size", type=int, default=0, help="what the model is made for [its own]")
    parser.add_argument("--include-layers", default="", help="layers to load, separated by commas")
    parser.add_argument("--exclude-layers", default="", help="layers to leave out")
    parser.add_argument("--rename-layers", default="", help="OLD=NEW, separated by commas")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    asked = parser.parse_args(list(argv))
    file = list_weights(user_path(asked.file))
    report = _matched(file, asked) if asked.model else None
    if asked.json:
        print(json.dumps(_record(file, report)))
    elif report is not None:
        _print_match(report)
    else:
        _print_file(file)
    return 0


def _matched(file: WeightFile, asked: argparse.Namespace) -> MatchReport:
    from tui_trainer.models import catalog
    from tui_trainer.weights.match import fitting_group, match_file

    model = catalog.skeleton(
        asked.model,
        num_classes=asked.num_classes,
        channels=asked.channels or (1 if asked.model == catalog.LENET else 3),
        image_size=asked.image_size or catalog.default_size(asked.model),
    )
    chosen = {name: _words(getattr(asked, f"{name}_layers")) for name in ("include", "exclude")}
    return match_file(fitting_group(file, model.state_dict()), model, renames=_words(asked.rename_layers), **chosen)


def _words(text: str) -> tuple[str, ...]:
    return tuple(word for word in text.split(",") if word)


def _record(file: WeightFile, report: MatchReport | None) -> dict[str, Any]:
    tensors = [{"name": t.name, "dtype": t.dtype, "shape": t.shape, "numel": t.numel} for t in file.tensors]
    record: dict[str, Any] = {"file": str(file.path), "format": file.format, "tensors": tensors}
    if report is not None:
        layers = [
            {"layer": layer.layer, "status": layer.status, "loaded": layer.taken, "from": layer.file_layer}
            for layer in report.layers
        ]
        record |= {"summary": report.summary, "verdict": asdict(report.verdict), "layers": layers}
    return record


def _print_file(file: WeightFile) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    numbers = sum(tensor.numel for tensor in file.tensors)
    table = Table("tensor", "shape", "dtype", "numbers", box=None, pad_edge=False)
    for tensor in file.tensors:
        shape = "x".join(map(str, tensor.shape)) or "()"
        table.add_row(Text(display(tensor.name)), shape, tensor.dtype, f"{tensor.numel:,}")
    console = Console(soft_wrap=True)
    console.print(Text(f"{display(file.path)}: {file.format}, {len(file.tensors)} tensors, {numbers:,} numbers"))
    console.print(table)
    for note in file.notes:
        console.print(Text(note))


def _print_match(report: MatchReport) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table("", "layer", "status", "from", "", box=None, pad_edge=False)
    for layer in report.layers:
        cells = (layer.layer, layer.status, layer.file_layer, layer.detail)
        table.add_row("✓" if layer.taken else "·", *(Text(display(cell, 80)) for cell in cells))
    console = Console(soft_wrap=True)
    console.print(table)
    for line in (report.verdict.sentence, report.summary, report.question, *report.notes):
        if line:
            console.print(Text(line))
