"""Tensors of another shape made to fit: which adapter could, in words, and the doing of it.

    first_conv    first convolution for another number of channels: to 1 sum, to N tile and scale by M/N
    class_rows    classifier rows put in the order of the dataset's class names; others stay random
    positions     position tables resized (bicubic) to another number of places

Shapes: O filters out, I channels in, C classes, D features, T tokens of a position table, of which the
first P stand for no place.
"""

from __future__ import annotations

import bisect
import math
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING

from tui_trainer.weights.layer_names import leaf_of
from tui_trainer.weights.report import Adaptation, Facts

if TYPE_CHECKING:
    import torch

ADAPTERS = ("first_conv", "class_rows", "positions")
_PICTURE_CHANNELS = (1, 3)
_POSITION_WORDS = ("pos_embed", "pos_emb", "position_embed", "positional_embedding", "relative_position_bias_table")
_PREFIX_TOKENS = (1, 0, 2)  # class token; none; class and distillation token


def for_first_conv(model: Facts, file: Facts, enabled: Collection[str]) -> Adaptation | None:
    """Whether (O, I, h, w) of the file fits (O, I', h, w) of the model's first convolution."""
    if "first_conv" not in enabled or len(model.shape) != 4 or len(file.shape) != 4:
        return None
    wanted, given = model.shape[1], file.shape[1]
    if model.shape[0] != file.shape[0] or model.shape[2:] != file.shape[2:] or not wanted or not given:
        return None
    if wanted not in _PICTURE_CHANNELS and given not in _PICTURE_CHANNELS:
        return None
    how = "summed" if wanted == 1 else f"repeated and scaled by {given}/{wanted}"
    return Adaptation(adapter="first_conv", sentence=f"{given} input channels to {wanted}, {how}")


def for_class_rows(
    model: Facts, file: Facts, model_classes: Sequence[str], file_classes: Sequence[str], enabled: Collection[str]
) -> Adaptation | None:
    """Whether (C, ...) of the file fits (C', ...) of the model row by row, by the names of the classes."""
    if "class_rows" not in enabled or not model.shape or not file.shape or model.shape[1:] != file.shape[1:]:
        return None
    if model.shape[0] != len(model_classes) or file.shape[0] != len(file_classes):
        return None
    counts = Counter(map(_folded, file_classes))
    row_of = {_folded(name): row for row, name in enumerate(file_classes) if counts[_folded(name)] == 1}
    rows = tuple((row, row_of[key]) for row, name in enumerate(model_classes) if (key := _folded(name)) in row_of)
    if not rows:
        return None
    text = f"{len(rows)} of {len(model_classes)} rows by class name"
    return Adaptation(adapter="class_rows", sentence=text, rows=rows)


def _folded(name: str) -> str:
    """Class names are the same when they differ in case, underscores or hyphens only."""
    return " ".join(name.casefold().replace("_", " ").replace("-", " ").split())


def for_positions(name: str, model: Facts, file: Facts, enabled: Collection[str]) -> Adaptation | None:
    """Whether the position table (1, T, D) or (T, D) `name` can be resized; places must form a square."""
    if "positions" not in enabled or not any(word in leaf_of(name) for word in _POSITION_WORDS):
        return None
    if len(model.shape) not in (2, 3) or len(model.shape) != len(file.shape):
        return None
    if model.shape[-1] != file.shape[-1] or model.shape[:-2] != file.shape[:-2]:
        return None
    for prefix in _PREFIX_TOKENS:
        sides = [_side(shape[-2] - prefix) for shape in (file.shape, model.shape)]
        if all(sides):
            text = f"position table resized from {sides[0]}x{sides[0]} to {sides[1]}x{sides[1]}"
            return Adaptation(adapter="positions", sentence=text, prefix_tokens=prefix)
    return None


def _side(places: int) -> int:
    """The side of a square of `places`; 0 when they form none."""
    side = math.isqrt(max(places, 0))
    return side if side * side == places else 0


def cells_sentence(model: Facts, file: Facts, channels: int, fitting_size: int | None) -> str:
    """Why the first fully connected layer does not fit: the pictures had another size.

    Args:
        model: (O, channels * cells) here
        file: (O, channels * cells) in the file
        channels: what the last convolution gives
        fitting_size: side of the picture in pixels that gives the file's cells, where it is known
    """
    if len(model.shape) != 2 or len(file.shape) != 2 or model.shape[0] != file.shape[0] or not channels:
        return ""
    here, there = model.shape[1], file.shape[1]
    if here == there or here % channels or there % channels:
        return ""
    text = f"{_cells(there // channels)} there, {_cells(here // channels)} here: trained on pictures of another size"
    return f"{text}; would fit at --image-size {fitting_size}" if fitting_size else text


def _cells(count: int) -> str:
    side = _side(count)
    return f"{side}x{side} cells" if side else f"{count} cells"


def fitting_image_size(features_at: Callable[[int], int | None], features: int, most: int = 1024) -> int | None:
    """The picture side, in pixels, at which the first fully connected layer sees `features` numbers.

    Args:
        features_at: how many it sees at a side, never fewer at a larger one; None where the network does not work
        features: how many the file's layer wants
        most: the largest side to try

    Returns:
        of several sides that fit the one that is divided by two most often: 28 of 26 to 29, 32 of 30 to 33
    """
    sides = range(1, most + 1)
    first = bisect.bisect_left(sides, features, key=lambda side: features_at(side) or 0)
    after = bisect.bisect_right(sides, features, lo=first, key=lambda side: features_at(side) or 0)
    return max(sides[first:after], key=lambda side: side & -side, default=None)


def adapted(adaptation: Adaptation, tensor: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """`tensor` of the file in the shape of `target`, the model's tensor as initialised."""
    actions = {"first_conv": _first_conv, "class_rows": _class_rows, "positions": _positions}
    return actions[adaptation.adapter](adaptation, tensor, target)


def _first_conv(_: Adaptation, tensor: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """(O, I, h, w) to (O, I', h, w), such that equal channels give the same sum as before."""
    given, wanted = tensor.shape[1], target.shape[1]
    numbers = tensor.float()
    if wanted == 1:
        return numbers.sum(1, keepdim=True)
    repeated = numbers.repeat(1, math.ceil(wanted / given), 1, 1)[:, :wanted]
    return repeated * (given / wanted)


def _class_rows(adaptation: Adaptation, tensor: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """(C, ...) to (C', ...): rows of known classes copied, the others left as they were."""
    result = target.detach().clone()
    to_rows, from_rows = zip(*adaptation.rows, strict=True)
    result[list(to_rows)] = tensor[list(from_rows)].to(result.dtype).to(result.device)
    return result


def _positions(adaptation: Adaptation, tensor: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """(..., T, D) to (..., T', D): the places resized as a picture with D channels."""
    from torch.nn.functional import interpolate

    prefix = adaptation.prefix_tokens
    table = tensor.reshape(tensor.shape[-2], tensor.shape[-1]).float()
    head, places = table[:prefix], table[prefix:]
    old, new = math.isqrt(len(places)), math.isqrt(target.shape[-2] - prefix)
    picture = places.reshape(1, old, old, -1).permute(0, 3, 1, 2)  # (1, D, old, old)
    resized = interpolate(picture, size=(new, new), mode="bicubic", align_corners=False)
    rows = resized.permute(0, 2, 3, 1).reshape(new * new, -1)
    joined = [*head, *rows]
    import torch

    return torch.stack(joined).reshape(target.shape)
