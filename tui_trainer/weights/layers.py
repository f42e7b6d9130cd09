"""Each layer of the model with what the file has for it, and the status that follows."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from tui_trainer.weights import adapt
from tui_trainer.weights.architectures import class_heads
from tui_trainer.weights.dtypes import is_floating
from tui_trainer.weights.layer_names import COUNTER, layer_of, layers_of, leaf_of
from tui_trainer.weights.report import Adaptation, Facts, LayerMatch, Shape, Status, TensorPair

_PARTS = frozenset({"weight", "bias", "running_mean", "running_var"})  # without which a layer computes otherwise


@dataclass(frozen=True, kw_only=True, slots=True)
class Sides:
    """Both sides of a match, names already mapped."""

    file: Mapping[str, Facts]  # raw names of the file
    model: Mapping[str, Facts]
    names: Mapping[str, str]  # name in the model's terms to raw name in the file
    adapters: Collection[str]
    file_classes: Sequence[str]
    model_classes: Sequence[str]
    fitting_size: Callable[[str, int], int | None] | None
    guessed: bool  # whether `names` comes from order alone


def matched_layers(sides: Sides) -> list[LayerMatch]:
    """All layers of the model in its order, then what only the file has."""
    maker = _Layers(sides)
    result = [maker.of_model(layer, names) for layer, names in layers_of(sides.model).items()]
    used = {pair.file_name for layer in result for pair in layer.pairs}
    used |= {raw for name, raw in sides.names.items() if layer_of(name) in maker.with_extras}
    unused = [name for name in sides.file if name not in used and leaf_of(name) != COUNTER]
    return result + [_of_file_only(layer, names, sides) for layer, names in layers_of(unused).items()]


def _of_file_only(layer: str, names: list[str], sides: Sides) -> LayerMatch:
    return LayerMatch(
        layer=layer,
        status="not in model",
        file_layer=layer,
        file_shape=sides.file[names[0]].shape,
        file_numel=sum(sides.file[name].numel for name in names),
        file_tensors=len(names),
        detail="the model has no such layer",
    )


class _Layers:
    """What one layer's status depends on beyond the layer: first convolution, heads, extra tensors."""

    def __init__(self, sides: Sides) -> None:
        self._sides = sides
        self._heads = class_heads(sides.model)
        self._first_conv = next(
            (name for name, facts in sides.model.items() if len(facts.shape) == 4 and leaf_of(name) == "weight"), ""
        )
        self._extras = self._extra_tensors()
        self.with_extras = frozenset(self._extras)
        self._convolved = self._channels_before_first_linear()

    def _extra_tensors(self) -> dict[str, list[str]]:
        """For each layer of the model that finds weights, the weights of the file it has no place for."""
        model_layers = {layer_of(name) for name in self._sides.model if name in self._sides.names}
        extras: dict[str, list[str]] = {}
        for name in self._sides.names:
            if name not in self._sides.model and leaf_of(name) in _PARTS and layer_of(name) in model_layers:
                extras.setdefault(layer_of(name), []).append(name)
        return extras

    def _channels_before_first_linear(self) -> tuple[str, int]:
        """(name of the first fully connected weight, filters of the last convolution before it)."""
        channels = 0
        for name, facts in self._sides.model.items():
            if leaf_of(name) != "weight":
                continue
            if len(facts.shape) == 4:
                channels = facts.shape[0]
            elif len(facts.shape) == 2:
                return name, channels
        return "", 0

    def of_model(self, layer: str, names: list[str]) -> LayerMatch:
        pairs = tuple(self._pair(layer, name) for name in names if name in self._sides.names)
        status, detail = self._status(layer, names, pairs)
        file_numel = sum(pair.file.numel for pair in pairs)
        return LayerMatch(
            layer=layer,
            status=status,
            file_layer=layer_of(pairs[0].file_name) if pairs else "",
            pairs=pairs,
            detail=detail,
            model_shape=self._sides.model[names[0]].shape,
            file_shape=_main_shape(pairs),
            model_numel=sum(self._sides.model[name].numel for name in names),
            file_numel=file_numel,
            model_tensors=len(names),
            file_tensors=len(pairs),
        )

    def _pair(self, layer: str, name: str) -> TensorPair:
        model = self._sides.model[name]
        raw = self._sides.names[name]
        file = self._sides.file[raw]
        adaptation = None if file.problem else self._adaptation(layer, name, model, file)
        return TensorPair(model_name=name, file_name=raw, model=model, file=file, adaptation=adaptation)

    def _adaptation(self, layer: str, name: str, model: Facts, file: Facts) -> Adaptation | None:
        sides = self._sides
        if layer in self._heads and _listed_otherwise(sides.model_classes, sides.file_classes):
            rows = adapt.for_class_rows(model, file, sides.model_classes, sides.file_classes, sides.adapters)
            if rows is not None:
                return rows
        if model.shape == file.shape or not (is_floating(model.dtype) and is_floating(file.dtype)):
            return None
        if name == self._first_conv:
            return adapt.for_first_conv(model, file, sides.adapters)
        return adapt.for_positions(name, model, file, sides.adapters)

    def _status(self, layer: str, names: list[str], pairs: tuple[TensorPair, ...]) -> tuple[Status, str]:
        """The status of a layer and the words for it, before the user's selection."""
        if not [pair for pair in pairs if leaf_of(pair.model_name) != COUNTER]:
            return "not in file", "the file has no such layer"
        damaged = next((pair for pair in pairs if pair.file.problem), None)
        if damaged:
            return "damaged", f"{leaf_of(damaged.model_name)} cannot be read: {damaged.file.problem}"
        found = {pair.model_name for pair in pairs}
        missing = [leaf_of(name) for name in names if name not in found and leaf_of(name) != COUNTER]
        if missing:
            return "half a layer", f"the file has no {', '.join(missing)} for it"
        if layer in self._extras:
            extra = ", ".join(leaf_of(name) for name in self._extras[layer])
            return "half a layer", f"the file's {extra} has no place in the model"
        return self._by_shapes(layer, pairs)

    def _by_shapes(self, layer: str, pairs: tuple[TensorPair, ...]) -> tuple[Status, str]:
        adapted = [pair.adaptation for pair in pairs if pair.adaptation]
        differing = [pair for pair in pairs if not pair.fits and not (adapted and _is_index(pair))]
        if differing:
            return "shape differs", self._why_shapes(layer, differing[0])
        kinds = next((pair for pair in pairs if _other_kind(pair.model.dtype, pair.file.dtype)), None)
        if kinds:
            return "shape differs", f"{kinds.file.dtype} numbers there, {kinds.model.dtype} here"
        if adapted:
            return "adapted", adapted[0].sentence
        if self._sides.guessed:
            return "guess", "paired by order and shape: the names say nothing"
        renamed = any(pair.model_name != pair.file_name for pair in pairs)
        return ("renamed" if renamed else "load"), _cast(pairs)

    def _why_shapes(self, layer: str, pair: TensorPair) -> str:
        first_linear, channels = self._convolved
        if pair.model_name == first_linear and layer not in self._heads:
            size = None
            if self._sides.fitting_size and len(pair.file.shape) == 2:
                size = self._sides.fitting_size(layer, pair.file.shape[1])
            text = adapt.cells_sentence(pair.model, pair.file, channels, size)
            if text:
                return text
        return f"{_shown(pair.file.shape)} there, {_shown(pair.model.shape)} here"


def _main_shape(pairs: tuple[TensorPair, ...]) -> Shape | None:
    return pairs[0].file.shape if pairs else None


def _listed_otherwise(model_classes: Sequence[str], file_classes: Sequence[str]) -> bool:
    """Whether both sides list their classes, and not the same ones in the same order."""
    return bool(model_classes) and bool(file_classes) and list(model_classes) != list(file_classes)


def _is_index(pair: TensorPair) -> bool:
    """A buffer of positions, which the model computes itself and which changes with the table's size."""
    return leaf_of(pair.model_name).endswith("_index") and not is_floating(pair.model.dtype)


def _other_kind(one: str, other: str) -> bool:
    """Whether numbers cannot be turned into each other without loss of meaning."""
    if one == other:
        return False
    return not (is_floating(one) and is_floating(other) and one.startswith("complex") == other.startswith("complex"))


def _cast(pairs: tuple[TensorPair, ...]) -> str:
    casts = {f"{pair.file.dtype} to {pair.model.dtype}" for pair in pairs if pair.file.dtype != pair.model.dtype}
    return f"numbers turned from {', '.join(sorted(casts))}" if casts else ""


def _shown(shape: Shape) -> str:
    return "x".join(map(str, shape)) if shape else "one number"
