"""Which known architecture a set of names and shapes is: a hash of all layers but the classifier."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace

from tui_trainer.weights.known import TORCHVISION
from tui_trainer.weights.layer_names import COUNTER, layer_of, leaf_of, under
from tui_trainer.weights.report import Facts

_RGB = 3  # channels that the known ones take


def class_heads(tensors: Mapping[str, Facts]) -> frozenset[str]:
    """The layers with one row per class: the last with a weight, and others like it (auxiliary heads)."""
    weights = {name: facts for name, facts in tensors.items() if leaf_of(name) == "weight" and len(facts.shape) > 1}
    if not weights:
        return frozenset()
    last = next(reversed(weights))
    rows = weights[last].shape[0]
    alike = {layer_of(name) for name, facts in weights.items() if len(facts.shape) == 2 and facts.shape[0] == rows}
    return frozenset(alike & _dead_ends(weights, rows) | {layer_of(last)})


def _dead_ends(weights: Mapping[str, Facts], rows: int) -> set[str]:
    """Layers that no following layer of their own module takes numbers from."""
    names = list(weights)
    ends = set()
    for name, following in zip(names, [*names[1:], ""], strict=True):
        parent = layer_of(name).rpartition(".")[0]
        feeds = following and under(following, parent) and parent and rows in weights[following].shape[1:]
        if not feeds:
            ends.add(layer_of(name))
    return ends


def fingerprint(tensors: Mapping[str, Facts]) -> str:
    """16 hex digits of the names and shapes of all tensors but the heads and the batch counters."""
    heads = class_heads(tensors)
    rows = sorted(
        (name, facts.shape)
        for name, facts in tensors.items()
        if layer_of(name) not in heads and leaf_of(name) != COUNTER
    )
    return hashlib.sha256(repr(rows).encode("utf-8", "surrogatepass")).hexdigest()[:16]


def recognised(tensors: Mapping[str, Facts]) -> str:
    """The torchvision classifier that `tensors` are of, by its name there, also for pictures with other channels."""
    found = TORCHVISION.get(fingerprint(tensors), "")
    first = next((name for name, facts in tensors.items() if len(facts.shape) == 4), "")
    if found or not first or tensors[first].shape[1] == _RGB:
        return found
    filters, _, *kernel = tensors[first].shape
    in_colour = replace(tensors[first], shape=(filters, _RGB, *kernel))
    return TORCHVISION.get(fingerprint({**tensors, first: in_colour}), "")
