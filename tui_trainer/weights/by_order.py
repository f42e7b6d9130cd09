"""Layers paired by order and shape, for files whose names have nothing in common with the model's.

It is offered as a guess and taken only when the user says so: equal shapes in equal order usually are
the same network under other names, and sometimes are not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tui_trainer.weights.layer_names import COUNTER, layer_of, layers_of, leaf_of
from tui_trainer.weights.report import Facts, Shape

_MAX_CELLS = 2_000_000  # of the alignment table; beyond it only layers in step are paired

Signature = tuple[tuple[str, Shape], ...]


def paired_by_order(file: Mapping[str, Facts], model: Mapping[str, Facts]) -> dict[str, str]:
    """{name in the model: name in the file} for the longest run of equal layers in equal order."""
    file_layers, model_layers = _signed(file), _signed(model)
    pairs: dict[str, str] = {}
    for at_file, at_model in _aligned([sign for _, sign in file_layers], [sign for _, sign in model_layers]):
        by_leaf = {_leaf(name): name for name in file_layers[at_file][0]}
        pairs |= {name: by_leaf[_leaf(name)] for name in model_layers[at_model][0] if _leaf(name) in by_leaf}
    return pairs


def _signed(tensors: Mapping[str, Facts]) -> list[tuple[list[str], Signature]]:
    """Each layer's names, with what makes it comparable: the endings and shapes of its tensors."""
    return [
        (names, tuple(sorted((_leaf(name), tensors[name].shape) for name in names if leaf_of(name) != COUNTER)))
        for names in layers_of(tensors).values()
    ]


def _leaf(name: str) -> str:
    """The name of a tensor within its layer; a tensor on its own is compared by shape alone."""
    layer = layer_of(name)
    return name[len(layer) + 1 :] if layer != name else ""


def _aligned(file: Sequence[Signature], model: Sequence[Signature]) -> list[tuple[int, int]]:
    """Pairs of positions with equal signatures, both rising, as many as possible."""
    start = 0
    while start < min(len(file), len(model)) and file[start] == model[start]:
        start += 1
    pairs = [(index, index) for index in range(start)]
    if (len(file) - start) * (len(model) - start) > _MAX_CELLS:
        return pairs
    return pairs + [(start + one, start + other) for one, other in _longest_common(file[start:], model[start:])]


def _longest_common(file: Sequence[Signature], model: Sequence[Signature]) -> list[tuple[int, int]]:
    """The longest common subsequence, by the usual table filled from the end."""
    table = [[0] * (len(model) + 1) for _ in range(len(file) + 1)]
    for one in range(len(file) - 1, -1, -1):
        row, below = table[one], table[one + 1]
        for other in range(len(model) - 1, -1, -1):
            row[other] = below[other + 1] + 1 if file[one] == model[other] else max(below[other], row[other + 1])
    pairs = []
    one = other = 0
    while one < len(file) and other < len(model):
        if file[one] == model[other]:
            pairs.append((one, other))
            one, other = one + 1, other + 1
        elif table[one + 1][other] >= table[one][other + 1]:
            one += 1
        else:
            other += 1
    return pairs
