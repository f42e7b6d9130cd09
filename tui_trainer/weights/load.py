"""Loading what a report says into a model: all of it, or nothing.

Everything is read, adapted and checked before the first number of the model changes; then all is
copied, and each tensor compared with its source. If anything fails, the model is as it was.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from tui_trainer.errors import WeightsError
from tui_trainer.text import display
from tui_trainer.weights.adapt import adapted
from tui_trainer.weights.contents import WeightFile
from tui_trainer.weights.limits import Cancelled, never
from tui_trainer.weights.reader import read_state_dict
from tui_trainer.weights.report import MatchReport, TensorPair
from tui_trainer.weights.selected import loaded_pairs

_NAMED = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class LoadedReport:
    """What a load did."""

    tensors: tuple[str, ...]  # names in the model
    layers: tuple[str, ...]  # for "freeze what was loaded"
    random: tuple[str, ...]  # layers that stay as initialised
    numbers: int
    casts: tuple[str, ...] = ()  # as "float16 to float32"
    notes: tuple[str, ...] = ()  # sentences, safe to show


def load_into(
    model: torch.nn.Module, file: WeightFile, report: MatchReport, cancelled: Cancelled = never
) -> LoadedReport:
    """Copies the layers that `report` takes into `model`.

    Raises:
        WeightsError: nothing is taken, a tensor cannot be read, does not fit, or does not arrive as
            it was read. The model is unchanged then.
    """
    pairs = [pair for layer in report.taken for pair in loaded_pairs(layer)]
    if not pairs:
        raise WeightsError(
            f"nothing of this file would be loaded: {display(file.path)}: tick layers, or rename them with OLD=NEW."
        )
    targets = model.state_dict(keep_vars=False)
    _same_model(pairs, targets)
    sources = read_state_dict(file, [pair.file_name for pair in pairs], cancelled)
    ready = {pair.model_name: _ready(pair, sources[pair.file_name], targets[pair.model_name], file) for pair in pairs}
    not_finite = [name for name, tensor in ready.items() if tensor.is_floating_point() and not _finite(tensor)]
    _copy_all(ready, targets, file)
    return LoadedReport(
        tensors=tuple(ready),
        layers=tuple(layer.layer for layer in report.taken),
        random=report.random,
        numbers=report.totals.numbers,
        casts=tuple(sorted({f"{p.file.dtype} to {p.model.dtype}" for p in pairs if p.file.dtype != p.model.dtype})),
        notes=_notes(not_finite),
    )


def _same_model(pairs: list[TensorPair], targets: Mapping[str, torch.Tensor]) -> None:
    for pair in pairs:
        target = targets.get(pair.model_name)
        if target is None or tuple(target.shape) != pair.model.shape:
            raise WeightsError(
                f"the model has changed since it was matched: layer {display(pair.model_name, 80)}: match it again."
            )
        if target.is_meta:
            raise WeightsError(
                f"the model has no memory yet (meta device): layer {display(pair.model_name, 80)}: build it first."
            )


def _ready(pair: TensorPair, tensor: torch.Tensor, target: torch.Tensor, file: WeightFile) -> torch.Tensor:
    """The tensor of the file as it goes into `target`: adapted, in its dtype, on its device."""
    if pair.adaptation is not None:
        tensor = adapted(pair.adaptation, tensor, target)
    if tensor.shape != target.shape:
        raise WeightsError(
            f"the tensor {display(pair.file_name, 80)} does not fit the model: {display(file.path)}: leave it out."
        )
    cast = tensor.to(target.dtype)
    if tensor.is_floating_point() and cast.dtype != tensor.dtype and _finite(tensor) and not _finite(cast):
        raise WeightsError(
            f"numbers of {display(pair.file_name, 80)} are too large for {str(cast.dtype)[6:]}: {display(file.path)}: "
            "load it into a float32 model."
        )
    return cast.to(target.device)


def _finite(tensor: torch.Tensor) -> bool:
    """Whether no number is NaN or infinite; 8-bit floats are looked at as float32."""
    wide = tensor.float() if tensor.element_size() == 1 else tensor
    return bool(torch.isfinite(wide).all())


def _copy_all(ready: Mapping[str, torch.Tensor], targets: Mapping[str, torch.Tensor], file: WeightFile) -> None:
    """Copies all tensors, or puts the old numbers back."""
    with torch.no_grad():
        before = {name: targets[name].detach().clone() for name in ready}
        try:
            for name, tensor in ready.items():
                targets[name].copy_(tensor)
            for name, tensor in ready.items():
                _arrived(name, tensor, targets[name], file)
        except BaseException:
            for name, old in before.items():
                targets[name].copy_(old)
            raise


def _arrived(name: str, tensor: torch.Tensor, target: torch.Tensor, file: WeightFile) -> None:
    """Raises when `target` is not bit for bit `tensor`: another name of the same memory got other numbers."""
    if not torch.equal(_bits(tensor), _bits(target)):
        raise WeightsError(
            f"two layers of the model share memory, and the file has different numbers for them: "
            f"{display(name, 80)}, {display(file.path)}: leave one of them out."
        )


def _bits(tensor: torch.Tensor) -> torch.Tensor:
    """The bytes of `tensor`, so that NaN equals NaN."""
    return tensor.detach().contiguous().reshape(-1).view(torch.uint8)


def _notes(not_finite: list[str]) -> tuple[str, ...]:
    if not not_finite:
        return ()
    shown = ", ".join(display(name, 60) for name in not_finite[:_NAMED])
    more = f" and {len(not_finite) - _NAMED} more" if len(not_finite) > _NAMED else ""
    return (f"The file holds NaN or infinite numbers in {shown}{more}: training from them will not work.",)
