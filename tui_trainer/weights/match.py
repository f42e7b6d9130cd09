"""Tensors of a file against those of a model: what would be loaded, layer by layer, and whether it is right.

    names       wrappers removed, the user's renames, aliases, one prefix rule for the whole file
    layers      a module's own tensors are one unit: a bias never without its weight
    selection   include and exclude by whole name segments, single picks over both
    verdict     whether this is the right file at all

Needs no torch: it sees names, shapes and dtypes.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from tui_trainer.weights import adapt, prefix
from tui_trainer.weights.architectures import recognised
from tui_trainer.weights.by_order import paired_by_order
from tui_trainer.weights.dtypes import plain
from tui_trainer.weights.layer_names import (
    parse_rename,
    under,
    with_aliases,
    without_wrappers,
)
from tui_trainer.weights.layers import Sides, matched_layers
from tui_trainer.weights.report import Facts, LayerMatch, MatchReport, PrefixRule
from tui_trainer.weights.selected import Matched
from tui_trainer.weights.verdict import judged

if TYPE_CHECKING:
    pass


class Described(Protocol):
    """What matching asks of a tensor: a TensorInfo or a torch.Tensor will do."""

    @property
    def shape(self) -> Sequence[int]:
        """Size along each dimension."""

    @property
    def dtype(self) -> object:
        """Its number format."""


def match(
    file_tensors: Mapping[str, Described],
    model_tensors: Mapping[str, Described],
    *,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    renames: Sequence[str] = (),
    picks: Mapping[str, bool] | None = None,
    adapters: Collection[str] = adapt.ADAPTERS,
    file_classes: Sequence[str] = (),
    model_classes: Sequence[str] = (),
    rule: PrefixRule | None = None,
    by_order: bool = False,
    fitting_size: Callable[[str, int], int | None] | None = None,
) -> MatchReport:
    """What of a file fits a model.

    Args:
        file_tensors: raw names in the file to shape and dtype (`problem`, where there is one, is heeded)
        model_tensors: names of the model's state_dict, in its order
        include: patterns of the layers to load; empty means all
        exclude: patterns of the layers to leave out; stronger than `include`
        renames: rules "old=new" for the start of names, applied in order
        picks: single layers of the model switched on or off; stronger than both
        adapters: those of `adapt.ADAPTERS` that may be used
        file_classes: names of the file's classes by row of its classifier
        model_classes: names of the dataset's classes by row of the model's
        rule: the prefix rule to use instead of the best one, as one of a report's `rivals`
        by_order: whether layers paired by order and shape alone are taken
        fitting_size: (layer, its input numbers in the file) to the picture side that gives as many

    Raises:
        WeightsError: a rename rule is not understood.
    """
    together = bring_together(
        file_tensors,
        model_tensors,
        renames=renames,
        adapters=adapters,
        file_classes=file_classes,
        model_classes=model_classes,
        rule=rule,
        fitting_size=fitting_size,
    )
    return together.report(include=include, exclude=exclude, picks=picks, by_order=by_order)


def bring_together(
    file_tensors: Mapping[str, Described],
    model_tensors: Mapping[str, Described],
    *,
    renames: Sequence[str] = (),
    adapters: Collection[str] = adapt.ADAPTERS,
    file_classes: Sequence[str] = (),
    model_classes: Sequence[str] = (),
    rule: PrefixRule | None = None,
    rivals: Sequence[PrefixRule] = (),
    fitting_size: Callable[[str, int], int | None] | None = None,
) -> Matched:
    """The part of `match` that does not depend on which layers the user wants.

    With `rule` the other rules that could be meant are `rivals`: what only they take is not said to be left over.

    Raises:
        WeightsError: a rename rule is not understood.
    """
    file, model = facts_of(file_tensors), facts_of(model_tensors)
    unwrapped = without_wrappers(file, model)
    now = _user_renamed(unwrapped, [parse_rename(text) for text in renames])
    now = with_aliases(now, model)
    rules, found = prefix.find_rules(_by_name(now, file), model, first=rule)
    rivals = [other for other in (*found, *rivals) if other != rule]
    names = with_aliases(prefix.renamed(now, rules), model)
    guesses = paired_by_order(_by_name(now, file), model) if not rules else {}
    if guesses:
        names = {name: now[other] for name, other in guesses.items()}
    sides = Sides(
        file=file,
        model=model,
        names=names,
        adapters=adapters,
        file_classes=file_classes,
        model_classes=model_classes,
        fitting_size=fitting_size,
        guessed=bool(guesses),
    )
    layers = tuple(matched_layers(sides))
    known = (_recognised(unwrapped, now, rules, file), recognised(model))
    return Matched(
        layers=layers,
        file=file,
        model=model,
        verdict=judged(_without(layers, rivals), model, _by_name(unwrapped, file), known),
        guessed=bool(guesses),
        rules=tuple(used for used in rules if used != prefix.IDENTITY),
        rivals=found,
        question=_question(rules, found),
        settings={
            "renames": list(renames),
            "adapters": [name for name in adapt.ADAPTERS if name in adapters],
            "rule": [rule.strip, rule.add] if rule else None,
        },
    )


def _without(layers: Sequence[LayerMatch], rivals: Sequence[PrefixRule]) -> list[LayerMatch]:
    """The layers but those that only the file has and a rival rule would take: another encoder is not left over."""
    stems = [rule.strip for rule in rivals if rule.strip]
    return [
        layer
        for layer in layers
        if layer.status != "not in model" or not any(under(layer.file_layer, stem) for stem in stems)
    ]


def facts_of(tensors: Mapping[str, Described]) -> dict[str, Facts]:
    """Names, shapes and dtypes of a state_dict or of a file's tensors."""
    return {
        name: Facts(
            shape=tuple(int(size) for size in tensor.shape),
            dtype=plain(tensor.dtype),
            problem=str(getattr(tensor, "problem", "")),
        )
        for name, tensor in tensors.items()
    }


def _by_name(names: Mapping[str, str], file: Mapping[str, Facts]) -> dict[str, Facts]:
    """The file's facts under other names ({other: raw})."""
    return {name: file[raw] for name, raw in names.items()}


def _user_renamed(names: Mapping[str, str], rules: Iterable[tuple[str, str]]) -> dict[str, str]:
    result = dict(names)
    for old, new in rules:
        result = prefix.renamed(result, (PrefixRule(strip=old, add=new),))
    return result


def _recognised(
    unwrapped: Mapping[str, str], now: Mapping[str, str], rules: Sequence[PrefixRule], file: Mapping[str, Facts]
) -> str:
    """The known architecture of the file, also where it stands below a prefix."""
    found = recognised(_by_name(unwrapped, file))
    if found or not rules or not rules[0].strip:
        return found
    below = {new: raw for name, raw in now.items() if (new := PrefixRule(strip=rules[0].strip, add="").apply(name))}
    return recognised(_by_name(below, file))


def _question(rules: Sequence[PrefixRule], rivals: Sequence[PrefixRule]) -> str:
    if not rivals:
        return ""
    others = ", ".join(map(str, rivals[:3]))
    return f"The names are mapped {rules[0]}; as much would land with {others}. Which one is meant?"
