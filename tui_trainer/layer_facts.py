"""What a screen shows of a layer: plain values, no torch."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class LayerFacts:
    """A layer: its path, shape of its weight, how many numbers it holds, and what a file has for it."""

    name: str
    shape: tuple[int, ...] = ()
    parameters: int = 0
    status: str = ""
    taken: bool = False
    frozen: bool = False
    detail: str = ""
    file_name: str = ""
    file_shape: tuple[int, ...] = ()
    tensors: tuple[str, ...] = ()  # names in the file
    fits: bool = False  # whether it can be loaded


@dataclass(frozen=True, kw_only=True)
class LayerChoice:
    """The layers under some settings, and what follows from them in words."""

    layers: tuple[LayerFacts, ...]
    summary: str = ""
    notes: tuple[str, ...] = ()
    problem: str = ""  # why it could not be trained so
