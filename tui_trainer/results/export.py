"""A trained model in a form that other programs load, checked on real images before it gets its name.

safetensors: the weights, with class names and preprocessing in the metadata
onnx:        a graph for ONNX Runtime and others, any batch size
pt2:         a torch.export program, any batch size; needs PyTorch and nothing of this program
"""

from __future__ import annotations

import importlib.util
import logging
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tui_trainer.engine.checkpoint import save_weights
from tui_trainer.errors import ConfigError, UserError, WeightsError
from tui_trainer.results import model_card
from tui_trainer.results.graph import Graph, Inside
from tui_trainer.results.trained import Trained
from tui_trainer.results.verify import Inputs, Verified, agree, inputs
from tui_trainer.text import display
from tui_trainer.whole_file import write_whole

FORMATS = ("safetensors", "onnx", "pt2")
LARGEST_BATCH, LARGEST_SIDE = 65536, 16384
Tell = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Exported:
    """What was written, and how well it agrees with the trained model."""

    path: Path
    card: Path
    size: int  # bytes
    inside: Inside
    opset: int | None
    verified: Verified


def export(
    trained: Trained,
    form: str,
    folder: Path,
    *,
    preprocessing: bool = False,
    probabilities: bool = False,
    opset: int | None = None,
    data: str = "",
    tell: Tell = lambda text: None,
) -> Exported:
    """Write `model.<form>` and `model.toml` into `folder`; neither gets its name before it is verified.

    Raises:
        ConfigError: the format needs packages that are not there, or the folder cannot be written.
        WeightsError: the model cannot be exported, or what was exported does not agree with it.
    """
    inside = what_goes_inside(trained, form, preprocessing=preprocessing, probabilities=probabilities)
    require(form)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".export-") as scratch:
            made = Path(scratch) / f"model.{form}"
            tell(f"writing {form}")
            exported = _quietly(lambda: _write(trained, form, made, inside, opset))
            tell("comparing it with the trained model")
            verified = check(trained, form, exported or _reader(trained, form, made), inside, inputs(trained, data))
            target = folder / made.name
            kept = _opset(made) if form == "onnx" else None
            card = model_card.text(trained, form, inside, kept, verified)
            made.replace(target)
    except OSError as error:
        raise ConfigError(f"Cannot write {display(folder)}: {error.strerror}; choose another --output.") from None
    write_whole(folder / "model.toml", card.encode())
    return Exported(
        path=target,
        card=folder / "model.toml",
        size=target.stat().st_size,
        inside=inside,
        opset=kept,
        verified=verified,
    )


def what_goes_inside(trained: Trained, form: str, *, preprocessing: bool, probabilities: bool) -> Inside:
    """Resizing is inside where the graph computes exactly what validation did: in pt2, for "squash".

    Raises:
        ConfigError: the format has no graph, or the task no probabilities.
    """
    if trained.preprocessing.kind == "items" and preprocessing:
        raise ConfigError("What your own dataset yields has no preprocessing that a graph could hold: leave it out.")
    if form == "safetensors" and (preprocessing or probabilities):
        raise ConfigError("safetensors holds weights, no graph: its metadata says the preprocessing; use onnx or pt2.")
    if probabilities and trained.task == "regression":
        raise ConfigError("A model that predicts numbers has no probabilities: leave out --softmax.")
    images = trained.preprocessing.kind == "images"
    resize = images and preprocessing and form == "pt2" and trained.preprocessing.spec.resize == "squash"
    return Inside(preprocessing=preprocessing, resize=resize, probabilities=probabilities)


def require(form: str) -> None:
    """Refuse a format whose packages are not installed.

    Raises:
        ConfigError: they are not.
    """
    missing = [name for name in ("onnx", "onnxscript", "onnxruntime") if importlib.util.find_spec(name) is None]
    if form == "onnx" and missing:
        raise ConfigError(f"ONNX needs {', '.join(missing)}: pip install 'tui-trainer[onnx]'.")


def check(trained: Trained, form: str, exported: Callable[[Tensor], Tensor], inside: Inside, shown: Inputs) -> Verified:
    """Compare what was exported with the trained model.

    Raises:
        WeightsError: they differ.
    """
    verified: Verified = _quietly(lambda: agree(trained, inside, exported, shown))
    if not verified.good:
        raise WeightsError(
            f"The exported {form} differs from the trained model by {verified.difference:.2g} "
            f"(same answer on {verified.same} of {verified.samples} {verified.unit}): nothing was kept."
        )
    return verified


def _write(
    trained: Trained, form: str, path: Path, inside: Inside, opset: int | None
) -> Callable[[Tensor], Tensor] | None:
    """Write the file; what it computes, where only unpickling could read it back."""
    if form == "safetensors":
        save_weights(path, trained.model.state_dict(), trained.metadata)
        return None
    graph, example, free = Graph(trained, inside).eval(), _example(trained, inside), _free_sizes(inside)
    try:
        if form == "onnx":
            torch.onnx.export(
                graph, (example,), path, dynamo=True, dynamic_shapes=(free,), opset_version=opset, verbose=False,
                input_names=[model_card.input_name(trained)], output_names=["outputs"], external_data=False,
            )  # fmt: skip
            _describe_onnx(path, trained)
            return None
        program = torch.export.export(graph, (example,), dynamic_shapes=(free,))
        torch.export.save(program, path, extra_files={"metadata": model_card.metadata_json(trained)})
        computes: Callable[[Tensor], Tensor] = program.module()
        return computes
    except (OSError, UserError):
        raise
    except Exception as error:  # the exporters raise whatever a model's own code makes them raise
        why = display(str(error).strip().partition("\n")[0], 200)
        raise WeightsError(
            f"{display(trained.name)} cannot be exported as {form} ({why}): try another format."
        ) from None


def _example(trained: Trained, inside: Inside) -> Tensor:
    learned, spec = trained.preprocessing, trained.preprocessing.spec
    side = spec.image_size
    if learned.kind != "images":
        return torch.zeros(2, *(learned.shape or (len(learned.inputs),)))
    if not inside.preprocessing:
        return torch.zeros(2, spec.channels, side, side)
    height, width = (side + 3, side + 5) if inside.resize else (side, side)
    return torch.zeros(2, height, width, spec.channels, dtype=torch.uint8)


def _free_sizes(inside: Inside) -> dict[int, Any]:
    free: dict[int, Any] = {0: torch.export.Dim("batch", min=1, max=LARGEST_BATCH)}
    if inside.resize:
        free |= {i: torch.export.Dim(name, min=1, max=LARGEST_SIDE) for i, name in ((1, "height"), (2, "width"))}
    return free


def _describe_onnx(path: Path, trained: Trained) -> None:
    import onnx

    graph = onnx.load(path)
    onnx.checker.check_model(graph)
    onnx.helper.set_model_props(graph, {key: str(value) for key, value in trained.metadata.items()})
    onnx.save(graph, path)


def _opset(path: Path) -> int:
    import onnx

    return int(onnx.load(path, load_external_data=False).opset_import[0].version)


def _reader(trained: Trained, form: str, path: Path) -> Callable[[Tensor], Tensor]:
    """What the file computes, by the program that will run it."""
    if form == "safetensors":
        from tui_trainer.results.trained import load_trained

        return Graph(load_trained(str(path), trusted=True), Inside())  # its code ran already, when it was loaded
    import onnxruntime

    session = onnxruntime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
    name = model_card.input_name(trained)
    return lambda images: torch.from_numpy(session.run(["outputs"], {name: images.numpy()})[0])


def _quietly(work: Callable[[], Any]) -> Any:
    """Without the exporters' own chatter: what matters of it is checked afterwards."""
    chatty = [logging.getLogger(name) for name in ("torch.onnx", "torch.export", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in chatty]
    try:
        for logger in chatty:
            logger.setLevel(logging.CRITICAL)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return work()
    finally:
        for logger, level in zip(chatty, levels, strict=True):
            logger.setLevel(level)
