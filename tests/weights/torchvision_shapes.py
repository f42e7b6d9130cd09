"""Names and shapes of torchvision's classifiers, built without the memory or the time for their numbers."""

from __future__ import annotations

import functools
from unittest import mock

import torch

from tui_trainer import vision
from tui_trainer.weights.match import facts_of
from tui_trainer.weights.report import Facts

_NO_INIT = {"googlenet", "inception_v3"}  # their initialisation asks scipy-like questions of each weight


def names() -> list[str]:
    models = vision.models()
    return models.list_models(module=models)


@functools.cache
def shapes(name: str, classes: int = 1000) -> dict[str, Facts]:
    """The state_dict of a classifier as names to facts, in its order."""
    empty = torch.empty

    def nowhere(*args, **keywords):
        return empty(*args, **keywords | {"device": "meta"})

    extra = {"init_weights": False} if name in _NO_INIT else {}
    with mock.patch("torch.empty", nowhere):
        model = vision.models().get_model(name, weights=None, num_classes=classes, **extra)
    return facts_of(model.state_dict())
