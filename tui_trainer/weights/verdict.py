"""Is this the right file? Names alone do not tell: all of resnet18's are in resnet34's file, with equal shapes."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Literal

from tui_trainer.weights.architectures import class_heads
from tui_trainer.weights.layer_names import COUNTER
from tui_trainer.weights.report import FITTING, Facts, LayerMatch, Verdict, percent

_LEAST_LAYERS = 0.5  # of the model that must find weights
_MOST_UNUSED = 0.1  # of the file's layers that may stay unused, or one layer


def judged(
    layers: Sequence[LayerMatch], model: Mapping[str, Facts], file: Mapping[str, Facts], known: tuple[str, str]
) -> Verdict:
    """The verdict on the fit of a file, whatever of it the user then leaves out.

    Args:
        layers: what became of each layer
        model: names (as in the model) to facts
        file: names (as in the file, wrappers removed) to facts
        known: architectures of file and model by their fingerprints; empty where unknown
    """
    looks_like = known[0]
    own = [layer for layer in layers if layer.status != "not in model"]
    filled = [_fills(layer) for layer in own]
    guesses = sum(layer.status == "guess" for layer in own)
    if guesses:
        text = f"no name fits; {guesses} of {len(own)} layers would fit by their order and shape"
        colour: Literal["amber", "red"] = "amber" if guesses >= _LEAST_LAYERS * len(own) else "red"
        return Verdict(colour=colour, sentence=text, looks_like=looks_like)
    if not any(filled):
        return Verdict(colour="red", sentence="nothing in this file fits the model", looks_like=looks_like)
    if looks_like and known[1] and known[0] != known[1]:
        text = f"this is {known[0]}, and the model is {known[1]}"
        return Verdict(colour=_worse(own, filled), sentence=text, looks_like=looks_like)
    doubts = _doubts(own, filled, layers, class_heads(model), class_heads(file))
    if not doubts:
        text = f"this is {looks_like}: it fits" if looks_like else "the file fits the model"
        return Verdict(colour="green", sentence=text, looks_like=looks_like)
    prefix = f"this looks like {looks_like}; " if looks_like else ""
    return Verdict(colour=_worse(own, filled), sentence=prefix + "; ".join(doubts), looks_like=looks_like)


def _fills(layer: LayerMatch) -> bool:
    """Whether the file has what the layer needs, also when the user leaves it out."""
    return layer.status in FITTING or (layer.status == "left out" and all(pair.fits for pair in layer.pairs))


def _worse(own: Sequence[LayerMatch], filled: Sequence[bool]) -> Literal["amber", "red"]:
    return "amber" if sum(filled) >= _LEAST_LAYERS * len(own) else "red"


def _doubts(
    own: Sequence[LayerMatch],
    filled: Sequence[bool],
    layers: Sequence[LayerMatch],
    model_heads: Collection[str],
    file_heads: Collection[str],
) -> list[str]:
    """What speaks against this file, in words."""
    doubts = []
    last = max(index for index, fills in enumerate(filled) if fills)
    holes = [layer.layer for layer, fills in zip(own[:last], filled, strict=False) if not fills]
    holes = [name for name in holes if name not in model_heads]
    if holes:
        doubts.append(f"{len(holes)} layers before the last one that fits would stay random")
    if sum(filled) < _LEAST_LAYERS * len(own):
        doubts.append(f"only {sum(filled)} of {len(own)} layers find weights")
    unused = [layer for layer in layers if layer.status == "not in model" and layer.file_layer not in file_heads]
    unused = [layer for layer in unused if not layer.file_layer.endswith(COUNTER)]
    in_file = len(unused) + sum(bool(layer.pairs) for layer in own)
    if len(unused) > max(1, _MOST_UNUSED * in_file):
        doubts.append(f"{len(unused)} layers of the file ({percent(len(unused), in_file)}) have no place in the model")
    return doubts
