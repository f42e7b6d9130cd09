"""torch.compile, which says what it cost and gives way to the plain network where it does not work."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

from tui_trainer.text import display


class Compiled:
    """The network in compiled form; it shares its weights with `model`. `told` collects what to say."""

    def __init__(self, model: nn.Module) -> None:
        self.told: list[str] = []
        self._model = model
        self._call: Callable[[Tensor], Tensor] = torch.compile(model)
        self._tried = False

    def __call__(self, inputs: Tensor) -> Tensor:
        """Outputs (N, ...); the first call compiles, which takes seconds to minutes."""
        if self._tried:
            return self._call(inputs)
        began, self._tried = time.perf_counter(), True
        try:
            outputs = self._call(inputs)
            self.told.append(f"torch.compile took {time.perf_counter() - began:.1f} s for the first forward pass.")
        except (torch.OutOfMemoryError, MemoryError):
            raise
        except Exception as error:  # of the compiler, of a backend, of the C++ compiler that it calls
            self._call = self._model
            first = str(error).strip().splitlines()
            why = display(f"{type(error).__name__}: {first[0] if first else ''}", 200)
            self.told.append(f"torch.compile does not work here ({why}): training goes on without it.")
            outputs = self._model(inputs)
        return outputs
