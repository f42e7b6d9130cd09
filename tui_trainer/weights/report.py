"""What would be loaded from a file into a model, layer by layer: values only, no torch."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

from tui_trainer.text import display

Status = Literal[
    "load", "renamed", "adapted", "shape differs", "half a layer",
    "left out", "not in file", "not in model", "damaged", "guess",
]  # fmt: skip
FITTING: frozenset[Status] = frozenset({"load", "renamed", "adapted"})
Shape = tuple[int, ...]
_RANDOM_NAMED = 6  # layers that the footer lists before it counts


@dataclass(frozen=True, kw_only=True, slots=True)
class Facts:
    """What matching knows of one tensor."""

    shape: Shape
    dtype: str  # torch's name without "torch."
    problem: str = ""  # why it cannot be read; empty when it can

    @property
    def numel(self) -> int:
        """How many numbers it holds."""
        return math.prod(self.shape)


@dataclass(frozen=True, kw_only=True, slots=True)
class Adaptation:
    """How a tensor of another shape, or with other rows, is made to fit. One of `adapt.ADAPTERS`."""

    adapter: str
    sentence: str
    rows: tuple[tuple[int, int], ...] = ()  # (row of the model, row of the file), for class_rows
    prefix_tokens: int = 0  # rows of a position table that are no places, for positions


@dataclass(frozen=True, kw_only=True, slots=True)
class TensorPair:
    """One tensor of the model and the one of the file that goes into it."""

    model_name: str
    file_name: str  # raw, as in the file
    model: Facts
    file: Facts
    adaptation: Adaptation | None = None

    @property
    def fits(self) -> bool:
        """Whether it can be loaded as it is, or as adapted."""
        return not self.file.problem and (self.adaptation is not None or self.model.shape == self.file.shape)


@dataclass(frozen=True, kw_only=True, slots=True)
class LayerMatch:
    """One layer: a module's own tensors, which are loaded together or not at all."""

    layer: str  # path in the model; for "not in model" the path in the file
    status: Status
    file_layer: str = ""  # path in the file, raw; empty when the file has none
    pairs: tuple[TensorPair, ...] = ()
    taken: bool = False  # whether loading takes it
    was: Status | Literal[""] = ""  # of a layer that is left out: its status otherwise
    detail: str = ""  # why, in words that are safe to show
    model_shape: Shape | None = None  # of its first tensor, usually the weight
    file_shape: Shape | None = None
    model_numel: int = 0  # numbers of the layer in the model
    file_numel: int = 0
    model_tensors: int = 0
    file_tensors: int = 0

    @property
    def loadable(self) -> bool:
        """Whether it can be loaded, if the user wants it: whole, and in its shape or adapted."""
        whole = self.status in (*FITTING, "guess") or (self.status == "left out" and self.was in (*FITTING, "guess"))
        return whole and any(pair.fits for pair in self.pairs)


@dataclass(frozen=True, kw_only=True, slots=True)
class PrefixRule:
    """`strip` at the start of a file's name becomes `add`; whole segments, empty for nothing."""

    strip: str
    add: str

    def apply(self, name: str) -> str | None:
        """`name` in the model's terms; None when it does not start with `strip`."""
        rest = name
        if self.strip:
            if name != self.strip and not name.startswith(self.strip + "."):
                return None
            rest = name[len(self.strip) + 1 :]
        return f"{self.add}.{rest}" if self.add and rest else self.add or rest

    def __str__(self) -> str:
        return f"{display(self.strip, 60) or '(start)'} -> {display(self.add, 60) or '(start)'}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Totals:
    """How much of both sides a load takes."""

    tensors: int
    model_tensors: int
    layers: int
    model_layers: int
    numbers: int
    model_numbers: int
    file_numbers_used: int
    file_numbers: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """Whether this is the right file: green, amber or red, and why."""

    colour: Literal["green", "amber", "red"]
    sentence: str
    looks_like: str = ""  # the architecture that the file's names and shapes are known from


@dataclass(frozen=True, kw_only=True, slots=True)
class MatchReport:
    """The plan of a load. `layers` are in the model's order; what only the file has comes last."""

    layers: tuple[LayerMatch, ...]
    totals: Totals
    verdict: Verdict
    rules: tuple[PrefixRule, ...] = ()
    rivals: tuple[PrefixRule, ...] = ()  # other rules that land as much: a question for the user
    question: str = ""  # that question, in words
    notes: tuple[str, ...] = ()
    settings: dict[str, object] = field(default_factory=dict)  # what `match` was told, to replay it

    @property
    def taken(self) -> tuple[LayerMatch, ...]:
        """The layers that loading takes."""
        return tuple(layer for layer in self.layers if layer.taken)

    @property
    def random(self) -> tuple[str, ...]:
        """Layers of the model that stay as initialised."""
        return tuple(layer.layer for layer in self.layers if not layer.taken and layer.status != "not in model")

    @property
    def summary(self) -> str:
        """The footer: tensors, numbers, use of the file, and what stays random."""
        totals = self.totals
        text = (
            f"{totals.tensors:,} of {totals.model_tensors:,} tensors, "
            f"{percent(totals.numbers, totals.model_numbers)} of the numbers, "
            f"{percent(totals.file_numbers_used, totals.file_numbers)} of the file used"
        )
        names = [display(name, 40) for name in self.random]
        if len(names) > _RANDOM_NAMED:
            names = [*names[: _RANDOM_NAMED - 1], f"{len(names) - _RANDOM_NAMED + 1} more"]
        return f"{text}; stays random: {', '.join(names) if names else 'nothing'}"


def percent(part: int, whole: int) -> str:
    """`part` of `whole` with one decimal, never rounded up to a full 100 %."""
    if not whole:
        return "0 %"
    tenths = part * 1000 // whole
    return "100 %" if tenths == 1000 else f"{tenths / 10:.1f} %"
