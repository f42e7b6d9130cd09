"""`model.toml`: what an exported file takes and gives, for whoever loads it without this program."""

from __future__ import annotations

import json
from typing import Any

from tui_trainer.results.graph import Inside
from tui_trainer.results.trained import Trained
from tui_trainer.results.verify import Verified
from tui_trainer.text import in_utf8

RESAMPLER = "bilinear with antialiasing on uint8, as Pillow's Image.BILINEAR"


def text(trained: Trained, form: str, inside: Inside, opset: int | None, verified: Verified) -> str:
    """The file."""
    import tomli_w

    return tomli_w.dumps(values(trained, form, inside, opset, verified), multiline_strings=False)


def input_name(trained: Trained) -> str:
    """What the graph calls its input."""
    return "images" if trained.preprocessing.kind == "images" else "inputs"


def values(trained: Trained, form: str, inside: Inside, opset: int | None, verified: Verified) -> dict[str, Any]:
    """The same as plain values."""
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
        "input": _input(trained, inside),
        "preprocessing": {"still_to_do": _to_do(trained, inside), **_preprocessing(trained)},
        "output": {"name": "outputs", "shape": ["batch", len(trained.names)], "dtype": "float32", "kind": kind},
        "verified": {
            "samples": verified.samples,
            "of": verified.unit,
            "real": verified.real,
            "largest_difference": verified.difference,
            "same_answer": verified.same,
        },
    }
    if trained.targets.names:
        found["output"] |= {"names": [in_utf8(name) for name in trained.targets.names], "unit": trained.targets.unit}
    else:
        found["output"]["classes"] = [in_utf8(name) for name in trained.classes]
    return found


def _input(trained: Trained, inside: Inside) -> dict[str, Any]:
    learned, side, channels = (
        trained.preprocessing,
        trained.preprocessing.spec.image_size,
        trained.preprocessing.spec.channels,
    )
    found: dict[str, Any] = {"name": input_name(trained), "dtype": "float32"}
    if learned.kind == "rows":
        return {**found, "shape": ["batch", len(learned.inputs)], "inputs": list(learned.inputs)}
    if learned.kind == "items":
        return {**found, "shape": ["batch", *learned.shape]}
    shape: list[str | int] = ["batch", channels, side, side]
    if inside.preprocessing:
        shape = ["batch", *(("height", "width") if inside.resize else (side, side)), channels]
        found["dtype"] = "uint8"
    return {**found, "shape": shape, "colours": "grey" if channels == 1 else "RGB"}


def _preprocessing(trained: Trained) -> dict[str, Any]:
    learned, spec = trained.preprocessing, trained.preprocessing.spec
    if learned.kind == "items":
        return {}
    numbers = {"mean": list(learned.mean), "std": list(learned.std)}
    if learned.kind == "rows":
        columns = [{key: value for key, value in one.items() if value is not None} for one in learned.encoding]
        return {"columns": columns, **numbers}
    return {"image_size": spec.image_size, "resize": spec.resize, "resampler": RESAMPLER, **numbers}


def _to_do(trained: Trained, inside: Inside) -> list[str]:
    """What whoever calls the graph does before, in order."""
    spec, kind = trained.preprocessing.spec, trained.preprocessing.kind
    if kind == "items":
        return ["what the dataset of your own does; whole numbers of 8 bits / 255"]
    if kind == "rows":
        steps = ["columns as numbers: a text is 1 in the input of its category and 0 in the others, a gap is the fill"]
        return [*steps, *([] if inside.preprocessing else ["(x - mean) / std for each input"])]
    steps = [f"decode to {'grey' if spec.channels == 1 else 'RGB'}, EXIF orientation applied"]
    if not inside.resize:
        steps.append(f"{spec.resize} to {spec.image_size}x{spec.image_size}")
    if not inside.preprocessing:
        steps.append("(x / 255 - mean) / std for each channel, as float32, channels first")
    return steps


def metadata_json(trained: Trained) -> str:
    """The metadata of the weights, for formats that keep a text of ours."""
    return json.dumps(dict(trained.metadata))
