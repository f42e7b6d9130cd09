"""`tui-trainer weights FILE|RUN [--model NAME]`: what is in a weight file, and what of it fits a model."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from tui_trainer.config import SETTINGS, Config, build
from tui_trainer.errors import ConfigError
from tui_trainer.run_folder import path_or_run
from tui_trainer.text import display
from tui_trainer.weights.fingerprint import fingerprint_of
from tui_trainer.weights.reader import list_weights

if TYPE_CHECKING:
    from tui_trainer.start_weights import Fit
    from tui_trainer.weights.contents import WeightFile
    from tui_trainer.weights.report import MatchReport

# Settings of a run that have the same meaning here.
SHARED = (
    "model_args", "pretrained_group", "include_layers", "exclude_layers", "rename_layers", "adapters", "by_order",
    "trust_code",
)  # fmt: skip


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
    asked = _parser().parse_args(list(argv))
    file = list_weights(path_or_run(asked.file))
    if not asked.model:
        _print(file, as_json=asked.json)
        return 0
    from tui_trainer.start_weights import chosen_layers

    config = _config(asked)
    fit = _fit(file, config, asked)
    report = chosen_layers(fit.matched, config.model)
    if asked.json:
        print(json.dumps(_record(fit.file) | _match_record(fit, report)))
    else:
        _print_match(fit, report)
    return 0


def _parser() -> _Parser:
    parser = _Parser(prog="tui-trainer weights", description=(__doc__ or "").partition(": ")[2])
    parser.add_argument("file", metavar="FILE", help="a weight file, a run folder or the name of a run")
    parser.add_argument("--model", help="compare it with this model")
    parser.add_argument("--num-classes", type=int, default=1000, help="outputs of the model [1000]")
    parser.add_argument("--channels", type=int, default=0, help="inputs of the model [1 for lenet, else 3]")
    parser.add_argument("--image-size", type=int, default=0, help="what the model is made for [its own]")
    for name in SHARED:
        item = SETTINGS[name]
        if item.kind is bool:
            parser.add_argument(item.flag, action="store_true", help=item.help)
        else:
            parser.add_argument(item.flag, default=None, metavar=item.metavar, help=item.help)
    parser.add_argument("--json", action="store_true", help="one JSON object")
    return parser


def _config(asked: argparse.Namespace) -> Config:
    given = {name: getattr(asked, name) for name in SHARED if getattr(asked, name) is not None}
    values = {
        name: value if isinstance(value, bool) else SETTINGS[name].from_text(value, SETTINGS[name].flag)
        for name, value in given.items()
    }
    return build({**values, "model": asked.model})


def _fit(file: WeightFile, config: Config, asked: argparse.Namespace) -> Fit:
    from tui_trainer.models import catalog
    from tui_trainer.start_weights import fit, size_finder

    trusted = config.run.trust_code
    config = config.replace(
        channels=asked.channels or (1 if asked.model == catalog.LENET else 3),
        image_size=asked.image_size or catalog.default_size(asked.model, trusted=trusted),
    )
    assert config.data.channels is not None
    assert config.data.image_size is not None
    model = catalog.skeleton(
        asked.model,
        num_classes=asked.num_classes,
        channels=config.data.channels,
        image_size=config.data.image_size,
        args=config.model.model_args,
        trusted=trusted,
    )
    return fit(file, model.state_dict(), config.model, (), size_finder(config, asked.num_classes))


def _record(file: WeightFile) -> dict[str, Any]:
    tensors = [{"name": t.name, "dtype": t.dtype, "shape": t.shape, "numel": t.numel} for t in file.tensors]
    groups = [{"name": group.path, "role": group.role, "tensors": len(group.tensors)} for group in file.groups]
    return {
        "file": str(file.path),
        "format": file.format,
        "fingerprint": fingerprint_of(file.path),
        "groups": groups,
        "classes": file.class_names,
        "notes": file.notes,
        "tensors": tensors,
    }


def _match_record(fit: Fit, report: MatchReport) -> dict[str, Any]:
    layers = [
        {
            "layer": layer.layer,
            "status": layer.status,
            "loaded": layer.taken,
            "from": layer.file_layer,
            "why": layer.detail,
        }
        for layer in report.layers
    ]
    return {
        "group": fit.branch.name,
        "question": fit.question,
        "summary": report.summary,
        "verdict": asdict(report.verdict),
        "notes": [*fit.file.notes, *report.notes],
        "layers": layers,
    }


def _print(file: WeightFile, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(_record(file)))
        return
    from rich.table import Table
    from rich.text import Text

    from tui_trainer.console import Console

    numbers = sum(tensor.numel for tensor in file.tensors)
    table = Table("tensor", "shape", "dtype", "numbers", box=None, pad_edge=False)
    for tensor in file.tensors:
        shape = "x".join(map(str, tensor.shape)) or "()"
        table.add_row(Text(display(tensor.name)), shape, tensor.dtype, f"{tensor.numel:,}")
    console = Console(soft_wrap=True)
    console.print(Text(f"{display(file.path)}: {file.format}, {len(file.tensors)} tensors, {numbers:,} numbers"))
    console.print(table)
    others = [group for group in file.groups if group is not file.chosen]
    for group in others:
        console.print(Text(f"also {display(group.path, 60)}: {group.role}, {len(group.tensors)} tensors"))
    for note in file.notes:
        console.print(Text(note))


def _print_match(fit: Fit, report: MatchReport) -> None:
    from rich.table import Table
    from rich.text import Text

    from tui_trainer.console import Console

    table = Table("", "layer", "status", "from", "", box=None, pad_edge=False)
    for layer in report.layers:
        cells = (layer.layer, layer.status, layer.file_layer, layer.detail)
        table.add_row("✓" if layer.taken else "·", *(Text(display(cell, 80)) for cell in cells))
    console = Console(soft_wrap=True)
    console.print(table)
    answer = f"{fit.question} Shown is {display(fit.branch.name, 60)}; --pretrained-group chooses."
    for line in (report.verdict.sentence, report.summary, answer if fit.question else "", *report.notes):
        if line:
            console.print(Text(line))
