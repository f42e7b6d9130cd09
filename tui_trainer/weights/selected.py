"""The user's choice of layers over a match: quick, so that a screen can answer each key with it."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from tui_trainer.text import display
from tui_trainer.weights.layer_names import Selection, layers_of
from tui_trainer.weights.report import Facts, LayerMatch, MatchReport, PrefixRule, TensorPair, Totals, Verdict

_SUGGESTED = 3


@dataclass(frozen=True, kw_only=True)
class Matched:
    """Both sides of a file and a model brought together, before the user leaves anything out."""

    layers: tuple[LayerMatch, ...]
    file: Mapping[str, Facts]
    model: Mapping[str, Facts]
    verdict: Verdict
    guessed: bool  # whether layers are paired by order alone
    rules: tuple[PrefixRule, ...] = ()
    rivals: tuple[PrefixRule, ...] = ()
    question: str = ""
    settings: Mapping[str, object]  # what `match` was told besides the choice of layers
    _states: dict[tuple[int, str], LayerMatch] = field(default_factory=dict, compare=False, repr=False)

    def report(
        self,
        *,
        include: Sequence[str] = (),
        exclude: Sequence[str] = (),
        picks: Mapping[str, bool] | None = None,
        by_order: bool = False,
    ) -> MatchReport:
        """What would be loaded with this choice of layers; see `match`."""
        chosen = _Chosen(Selection(include), Selection(exclude), picks or {}, by_order)
        layers = tuple(self._in_state(at, chosen.state(layer)) for at, layer in enumerate(self.layers))
        choice = {"include": list(include), "exclude": list(exclude), "picks": dict(picks or {}), "by_order": by_order}
        return MatchReport(
            layers=layers,
            totals=_totals(layers, self.model, self.file),
            verdict=self.verdict,
            rules=self.rules,
            rivals=self.rivals,
            question=self.question,
            notes=_notes(chosen, layers, self.model, self.guessed, by_order),
            settings={**choice, **self.settings},
        )

    def _in_state(self, at: int, state: str) -> LayerMatch:
        """A layer as it is with a choice; made once, as a screen asks for a thousand of them at each key."""
        layer = self.layers[at]
        if state == "as it is":
            return layer
        if (at, state) not in self._states:
            left_out = replace(layer, status="left out", was=layer.status)
            self._states[at, state] = replace(layer, taken=True) if state == "taken" else left_out
        return self._states[at, state]


class _Chosen:
    """Which of the layers that fit the user wants."""

    def __init__(self, include: Selection, exclude: Selection, picks: Mapping[str, bool], by_order: bool) -> None:
        self.include = include
        self.exclude = exclude
        self._picks = picks
        self._by_order = by_order

    def state(self, layer: LayerMatch) -> str:
        """Whether `layer` is "taken" or "left out" by the user, or neither."""
        if layer.status == "not in model":
            self.exclude.matches(layer.layer)
            return "as it is"
        names = {layer.layer, layer.file_layer or layer.layer}
        included = self.include.matches(*names) or not self.include
        excluded = self.exclude.matches(*names)
        picked = self._picks.get(layer.layer)
        if not (included and not excluded if picked is None else picked):
            return "left out" if layer.pairs else "as it is"
        loadable = layer.status != "damaged" and any(pair.fits for pair in layer.pairs)
        sure = layer.status in ("load", "renamed", "adapted") or (layer.status == "guess" and self._by_order)
        return "taken" if loadable and (sure or picked) else "as it is"


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
