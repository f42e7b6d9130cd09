"""What a key over some layers changes in the settings: patterns, as a person could have typed them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

from tui_trainer.layer_facts import LayerFacts
from tui_trainer.settings import Value
from tui_trainer.weights.picking import cover, patterns_for


def patterns(values: Mapping[str, Value], name: str) -> tuple[str, ...]:
    """A setting that is a list of texts."""
    value = values[name]
    assert isinstance(value, tuple)
    return tuple(str(pattern) for pattern in value)


def loading(
    values: Mapping[str, Value],
    every: Sequence[LayerFacts],
    asked: Collection[LayerFacts],
    wanted: Callable[[LayerFacts], bool],
) -> dict[str, Value]:
    """Load of the layers `asked` for those that are wanted; of `every` other one what is loaded now."""
    fitting = [layer for layer in every if layer.fits]
    names = {layer.name for layer in asked}
    now = {layer.name for layer in fitting if (wanted(layer) if layer.name in names else layer.taken)}
    before = patterns(values, "include_layers"), patterns(values, "exclude_layers")
    include, exclude = patterns_for([layer.name for layer in fitting], now, *before)
    changed: dict[str, Value] = {"include_layers": include, "exclude_layers": exclude}
    guesses = any(layer.status == "guess" for layer in fitting)
    return {**changed, "by_order": True} if guesses and now else changed


def freezing(every: Sequence[LayerFacts], asked: Collection[LayerFacts], trained: Collection[str]) -> dict[str, Value]:
    """Freeze the layers `asked` for, or let them train if all of them stand still; `trained` can be frozen at all."""
    own = [layer for layer in every if layer.name in set(trained)]
    names = {layer.name for layer in asked}
    hold = not all(layer.frozen for layer in own if layer.name in names)
    frozen = {layer.name for layer in own if (hold if layer.name in names else layer.frozen)}
    found: dict[str, Value] = {"freeze": cover([layer.name for layer in own], frozen)}
    return found if frozen else {"freeze_epochs": 0, **found}
