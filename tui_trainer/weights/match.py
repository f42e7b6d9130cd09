"""Tensors of a file against those of a model: what would be loaded, layer by layer, and whether it is right.

    names       wrappers removed, the user's renames, aliases, one prefix rule for the whole file
    layers      a module's own tensors are one unit: a bias never without its weight
    selection   include and exclude by whole name segments, single picks over both
    verdict     whether this is the right file at all

Needs no torch: it sees names, shapes and dtypes.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from tui_trainer.text import display
from tui_trainer.weights import adapt, prefix
from tui_trainer.weights.architectures import recognised
from tui_trainer.weights.by_order import paired_by_order
from tui_trainer.weights.contents import Group, WeightFile
from tui_trainer.weights.dtypes import plain
from tui_trainer.weights.layer_names import (
    Selection,
    layers_of,
    parse_rename,
    with_aliases,
    without_wrappers,
)
from tui_trainer.weights.layers import Sides, matched_layers
from tui_trainer.weights.report import Facts, LayerMatch, MatchReport, PrefixRule, TensorPair, Totals
from tui_trainer.weights.verdict import judged

if TYPE_CHECKING:
    import torch

_SUGGESTED = 3
_MAX_GROUPS = 20  # that are tried against the model


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
    file, model = facts_of(file_tensors), facts_of(model_tensors)
    unwrapped = without_wrappers(file, model)
    now = _user_renamed(unwrapped, [parse_rename(text) for text in renames])
    now = with_aliases(now, model)
    rules, rivals = ((rule,), ()) if rule else prefix.find_rules(_by_name(now, file), model)
    names = with_aliases(prefix.renamed(now, rules), model)
    guesses = paired_by_order(_by_name(now, file), model) if not rules else {}
    if guesses:
        names = {name: now[other] for name, other in guesses.items()}
    selection = _Chosen(Selection(include), Selection(exclude), picks or {}, by_order)
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
    layers = tuple(map(selection.applied, matched_layers(sides)))
    known = (_recognised(unwrapped, now, rules, file), recognised(model))
    settings: dict[str, object] = {
        "include": list(include),
        "exclude": list(exclude),
        "renames": list(renames),
        "picks": dict(picks or {}),
        "adapters": [name for name in adapt.ADAPTERS if name in adapters],
        "rule": [rule.strip, rule.add] if rule else None,
        "by_order": by_order,
    }
    return MatchReport(
        layers=layers,
        totals=_totals(layers, model, file),
        verdict=judged(layers, model, _by_name(unwrapped, file), known),
        rules=tuple(used for used in rules if used != prefix.IDENTITY),
        rivals=rivals,
        question=_question(rules, rivals),
        notes=_notes(selection, layers, model, bool(guesses), by_order),
        settings=settings,
    )


def fitting_group(file: WeightFile, model_tensors: Mapping[str, Described]) -> WeightFile:
    """The same file with the group chosen that lands most numbers in the model; of equals the moving average."""
    candidates = [group for group in file.groups if group.tensors and group.role in ("weights", "ema")]
    if len(candidates) < 2:
        return file

    def landed(group: Group) -> tuple[int, bool, bool]:
        report = match({tensor.name: tensor for tensor in group.tensors}, model_tensors)
        return report.totals.numbers, group.role == "ema", group is file.chosen

    return replace(file, chosen=max(candidates[:_MAX_GROUPS], key=landed))


def match_file(file: WeightFile, model: torch.nn.Module, **settings: object) -> MatchReport:
    """`match` of a listed file with a model; the file's own class names are used where it has them."""
    tensors = {tensor.name: tensor for tensor in file.tensors}
    settings.setdefault("file_classes", file.class_names)
    return match(tensors, model.state_dict(), **settings)  # type: ignore[arg-type]


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


class _Chosen:
    """Which of the layers that fit the user wants."""

    def __init__(self, include: Selection, exclude: Selection, picks: Mapping[str, bool], by_order: bool) -> None:
        self.include = include
        self.exclude = exclude
        self._picks = picks
        self._by_order = by_order

    def applied(self, layer: LayerMatch) -> LayerMatch:
        """`layer` with `taken`, and the status "left out" where the user leaves it out."""
        if layer.status == "not in model":
            self.exclude.matches(layer.layer)
            return layer
        names = (layer.layer, *((layer.file_layer,) if layer.file_layer else ()))
        included = self.include.matches(*names) or not self.include
        excluded = self.exclude.matches(*names)
        wanted = self._picks.get(layer.layer, included and not excluded)
        if not wanted:
            return replace(layer, status="left out", taken=False) if layer.pairs else layer
        loadable = any(pair.fits for pair in layer.pairs) and layer.status != "damaged"
        sure = layer.status in ("load", "renamed", "adapted") or (layer.status == "guess" and self._by_order)
        return replace(layer, taken=loadable and (sure or self._picks.get(layer.layer, False)))


def loaded_pairs(layer: LayerMatch) -> tuple[TensorPair, ...]:
    """The tensors that loading takes of `layer`."""
    return tuple(pair for pair in layer.pairs if pair.fits) if layer.taken else ()


def _totals(layers: Sequence[LayerMatch], model: Mapping[str, Facts], file: Mapping[str, Facts]) -> Totals:
    pairs = [pair for layer in layers for pair in loaded_pairs(layer)]
    used = {pair.file_name for pair in pairs}
    return Totals(
        tensors=len(pairs),
        model_tensors=len(model),
        layers=sum(layer.taken for layer in layers),
        model_layers=len(layers_of(model)),
        numbers=sum(_loaded_numbers(pair) for pair in pairs),
        model_numbers=sum(facts.numel for facts in model.values()),
        file_numbers_used=sum(file[name].numel for name in used),
        file_numbers=sum(facts.numel for facts in file.values()),
    )


def _loaded_numbers(pair: TensorPair) -> int:
    """Numbers of the model that come from the file; of classifier rows only those of known classes."""
    if pair.adaptation and pair.adaptation.rows:
        return pair.model.numel // pair.model.shape[0] * len(pair.adaptation.rows)
    return pair.model.numel


def _question(rules: Sequence[PrefixRule], rivals: Sequence[PrefixRule]) -> str:
    if not rivals:
        return ""
    others = ", ".join(map(str, rivals[:3]))
    return f"The names are mapped {rules[0]}; as much would land with {others}. Which one is meant?"


def _notes(
    chosen: _Chosen, layers: Sequence[LayerMatch], model: Mapping[str, Facts], guessed: bool, by_order: bool
) -> tuple[str, ...]:
    notes = []
    known = list(layers_of(model)) + [layer.layer for layer in layers if layer.status == "not in model"]
    for option, selection in (("include", chosen.include), ("exclude", chosen.exclude)):
        for pattern in selection.unused:
            close = difflib.get_close_matches(pattern, known[:5000], _SUGGESTED)
            hint = f"; similar: {', '.join(display(name, 60) for name in close)}" if close else ""
            notes.append(f"No layer is named by {option} {display(pattern, 60)}{hint}.")
    if guessed and not by_order:
        notes.append("No name of the file is one of the model's; layers were paired by order and shape: a guess.")
    return tuple(notes)
