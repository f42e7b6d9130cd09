"""`tui-trainer export RUN --format safetensors|onnx|pt2`: a trained model for other programs, verified on its images.

`--preprocessing` puts the normalisation into the graph, which then takes plain uint8 images (N, S, S, C); in pt2 it
resizes too, and takes images of any size. `model.toml` beside the file says what is inside and what is left to do.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tui_trainer.results.command_line import load, parser
from tui_trainer.text import display, user_path

if TYPE_CHECKING:
    from tui_trainer.results.export import Exported
    from tui_trainer.results.trained import Trained


def main(argv: Sequence[str]) -> int:
    """Write it and print where; the exit code.

    Raises:
        UserError: there is no such run, or it cannot be exported.
    """
    words = parser("export", (__doc__ or "").partition(": ")[2])
    words.set_defaults(device="cpu")
    words.add_argument("--format", default="safetensors", choices=("safetensors", "onnx", "pt2"), help="[safetensors]")
    words.add_argument("--preprocessing", action="store_true", help="normalise inside the graph; pt2: resize too")
    words.add_argument("--softmax", action="store_true", help="probabilities instead of logits")
    words.add_argument("--opset", type=int, metavar="N", help="of ONNX [PyTorch's choice]")
    words.add_argument("--output", default="", metavar="DIR", help="[export/FORMAT in the run folder]")
    words.add_argument("--data", default="", metavar="DIR", help="images to verify on [the run's validation part]")
    words.add_argument("--json", action="store_true", help="one JSON object")
    asked = words.parse_args(list(argv))
    from tui_trainer.results.export import export, require

    require(asked.format)
    trained = load(asked)
    done = export(
        trained,
        asked.format,
        _folder(asked, trained),
        preprocessing=asked.preprocessing,
        probabilities=asked.softmax,
        opset=asked.opset,
        data=asked.data,
        tell=lambda text: print(f"{text} ...", file=sys.stderr),
    )
    if asked.json:
        print(json.dumps(_record(done, trained.task)))
    else:
        print(in_words(done, trained.task))
    return 0


def _folder(asked: argparse.Namespace, trained: Trained) -> Path:
    if asked.output:
        return user_path(asked.output)
    if trained.folder is not None:
        return trained.folder.path / "export" / str(asked.format)
    return Path.cwd() / f"{trained.path.stem}-{asked.format}"


def in_words(done: Exported, task: str) -> str:
    """What was written, what is inside, and whether it agrees."""
    opset = f", opset {done.opset}" if done.opset else ""
    return (
        f"{display(done.path)}  ({done.size / 1e6:.1f} MB{opset})\n"
        f"inside    {done.inside.in_words(task)}\n"
        f"verified  {done.verified.in_words()}\n"
        f"described in {display(done.card)}"
    )


def _record(done: Exported, task: str) -> dict[str, Any]:
    verified = done.verified
    return {
        "file": str(done.path),
        "card": str(done.card),
        "bytes": done.size,
        "inside": done.inside.in_words(task),
        "opset": done.opset,
        "verified": {
            "samples": verified.samples,
            "of": verified.unit,
            "real": verified.real,
            "largest_difference": verified.difference,
            "same_answer": verified.same,
        },
    }
