"""`model.toml`: what an exported file takes and gives, for whoever loads it without this program."""

from __future__ import annotations

import json
from typing import Any

from tui_trainer.results.graph import Inside
from tui_trainer.results.trained import Trained
from tui_trainer.results.verify import Verified

RESAMPLER = "bilinear with antialiasing on uint8, as Pillow's Image.BILINEAR"


def text(trained: Trained, form: str, inside: Inside, opset: int | None, verified: Verified) -> str:
    """The file."""
    import tomli_w

    return tomli_w.dumps(values(trained, form, inside, opset, verified), multiline_strings=False)


def values(trained: Trained, form: str, inside: Inside, opset: int | None, verified: Verified) -> dict[str, Any]:
    """The same as plain values."""
    spec, side = trained.preprocessing.spec, trained.preprocessing.spec.image_size
    shape: list[str | int] = ["batch", spec.channels, side, side]
    if inside.preprocessing:
        shape = ["batch", *(("height", "width") if inside.resize else (side, side)), spec.channels]
    kind = "probabilities" if inside.probabilities else "numbers" if trained.task == "regression" else "logits"
    model: dict[str, Any] = {
        "file": f"model.{form}",
        "format": form,
        "architecture": trained.name,
        "task": trained.task,
        "inside": inside.in_words(trained.task),
        "epoch": int(trained.epoch or 0),
    }
    found: dict[str, Any] = {
        "model": {**model, **({"opset": opset} if opset else {})},
        "input": {
            "name": "images",
            "shape": shape,
            "dtype": "uint8" if inside.preprocessing else "float32",
            "colours": "grey" if spec.channels == 1 else "RGB",
        },
        "preprocessing": {
            "still_to_do": _to_do(trained, inside),
            "image_size": side,
            "resize": spec.resize,
            "resampler": RESAMPLER,
            "mean": list(trained.preprocessing.mean),
            "std": list(trained.preprocessing.std),
        },
        "output": {"name": "outputs", "shape": ["batch", len(trained.names)], "dtype": "float32", "kind": kind},
        "verified": {
            "images": verified.images,
            "real_images": verified.real,
            "largest_difference": verified.difference,
            "same_answer": verified.same,
        },
    }
    if trained.targets.names:
        found["output"] |= {"names": list(trained.targets.names), "unit": trained.targets.unit}
    else:
        found["output"]["classes"] = list(trained.classes)
    return found


def _to_do(trained: Trained, inside: Inside) -> list[str]:
    """What whoever calls the graph does before, in order."""
    spec = trained.preprocessing.spec
    steps = [f"decode to {'grey' if spec.channels == 1 else 'RGB'}, EXIF orientation applied"]
    if not inside.resize:
        steps.append(f"{spec.resize} to {spec.image_size}x{spec.image_size}")
    if not inside.preprocessing:
        steps.append("(x / 255 - mean) / std for each channel, as float32, channels first")
    return steps


def metadata_json(trained: Trained) -> str:
    """The metadata of the weights, for formats that keep a text of ours."""
    return json.dumps(dict(trained.metadata))
