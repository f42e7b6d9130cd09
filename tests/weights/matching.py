"""A listed file against a whole model, as most tests need it."""

from __future__ import annotations

import torch

from tui_trainer.weights.contents import WeightFile
from tui_trainer.weights.match import match
from tui_trainer.weights.report import MatchReport


def match_file(file: WeightFile, model: torch.nn.Module, **settings: object) -> MatchReport:
    """`match`, with the file's own class names where it has them."""
    tensors = {tensor.name: tensor for tensor in file.tensors}
    settings.setdefault("file_classes", file.class_names)
    return match(tensors, model.state_dict(), **settings)  # type: ignore[arg-type]
