"""The states of every generator that a model or a user's code may draw from, for a checkpoint."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch


def random_states(device: torch.device) -> dict[str, Any]:
    """Of torch, Python and numpy, in types that torch.load(weights_only=True) takes."""
    kind, words, *rest = np.random.get_state(legacy=True)
    version, numbers, gauss = random.getstate()
    states: dict[str, Any] = {
        "cpu": torch.get_rng_state(),
        "python": (version, torch.tensor(numbers), gauss),
        "numpy": (kind, torch.tensor(np.asarray(words).astype(np.int64)), *rest),
    }
    if device.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(device)
    return states


def set_random_states(states: Mapping[str, Any], device: torch.device) -> None:
    """Draw from here on what was drawn after `random_states`."""
    torch.set_rng_state(states["cpu"])
    if device.type == "cuda" and "cuda" in states:
        torch.cuda.set_rng_state(states["cuda"], device)
    if "python" in states:
        version, numbers, gauss = states["python"]
        random.setstate((version, tuple(map(int, numbers)), gauss))
        kind, words, *rest = states["numpy"]
        np.random.set_state((kind, np.asarray(words, np.uint32), *rest))
