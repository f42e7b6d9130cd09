"""Loss functions by name. Letters: N samples in a batch, C classes, K numbers to predict.

Every loss is a mean over samples of something that depends on one sample alone, so that a batch taken in
parts (gradient accumulation) gives the gradient of the whole. That is why class weights multiply a
sample's loss and are not divided by their sum over the batch, as nn.CrossEntropyLoss has it.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from tui_trainer.errors import ConfigError
from tui_trainer.text import display

AUTO = {"classification": "cross_entropy", "multilabel": "bce", "regression": "mse"}
BALANCED = "balanced"
TASKS = {  # loss -> the tasks it is for
    "cross_entropy": ("classification",),
    "bce": ("classification", "multilabel"),
    "mse": ("regression",),
    "l1": ("regression",),
    "huber": ("regression",),
}


class CrossEntropy(nn.Module):
    """Cross entropy; targets are class numbers (N,), or shares of the classes (N, C) as mixup makes them."""

    weight: Tensor | None

    def __init__(self, label_smoothing: float, weight: Tensor | None) -> None:
        super().__init__()
        self.label_smoothing = label_smoothing
        self.register_buffer("weight", weight, persistent=False)

    def forward(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Mean loss () of `outputs` (N, C)."""
        if self.weight is None:
            return functional.cross_entropy(outputs, targets, label_smoothing=self.label_smoothing)
        each = functional.cross_entropy(
            outputs, targets, weight=self.weight, label_smoothing=self.label_smoothing, reduction="none"
        )
        return each.mean()


class BinaryCrossEntropy(nn.Module):
    """Each class as a yes or no of its own; targets (N,) class numbers or (N, C) in [0, 1].

    Smoothing moves a target towards the share it has by chance: 1/C where one class is right, 1/2 where
    any number of them may be.
    """

    weight: Tensor | None

    def __init__(self, label_smoothing: float, weight: Tensor | None, *, single: bool) -> None:
        super().__init__()
        self.label_smoothing, self.single = label_smoothing, single
        self.register_buffer("weight", weight, persistent=False)

    def forward(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Mean loss () of `outputs` (N, C)."""
        if targets.ndim == 1:
            targets = functional.one_hot(targets, outputs.shape[1])
        chance = 1 / outputs.shape[1] if self.single else 0.5
        targets = targets.to(outputs.dtype) * (1 - self.label_smoothing) + self.label_smoothing * chance
        return functional.binary_cross_entropy_with_logits(outputs, targets, pos_weight=self.weight)


class Numeric(nn.Module):
    """mse, l1 or huber (delta 1) between numbers; targets (N,) are those of `outputs` (N, 1)."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.loss: nn.Module = {"mse": nn.MSELoss, "l1": nn.L1Loss, "huber": nn.HuberLoss}[name]()

    def forward(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Mean loss () of `outputs` (N, K)."""
        loss: Tensor = self.loss(outputs, targets.to(outputs.dtype).reshape(outputs.shape))
        return loss


def build_loss(name: str, *, task: str, label_smoothing: float = 0.0, class_weights: Tensor | None = None) -> nn.Module:
    """The loss `name`, "auto" by `task`: called with outputs and targets it gives their mean loss ().

    `class_weights` (C,) multiply the loss of each class.

    Raises:
        ConfigError: the loss is not known, not for this task, or does not take the other settings.
    """
    name = AUTO[task] if name == "auto" else name
    if name not in TASKS:
        raise ConfigError(f"loss = {display(name)}: there are auto, {', '.join(TASKS)}.")
    if task not in TASKS[name]:
        fit = ", ".join(known for known, tasks in TASKS.items() if task in tasks)
        raise ConfigError(f"loss = {name} is not for {task}: use auto, {fit}.")
    if task == "regression" and label_smoothing:
        raise ConfigError("label_smoothing is for classes, and these targets are numbers: leave it at 0.")
    if task == "regression" and class_weights is not None:
        raise ConfigError("class_weights are for classes, and these targets are numbers: leave them empty.")
    match name:
        case "cross_entropy":
            return CrossEntropy(label_smoothing, class_weights)
        case "bce":
            return BinaryCrossEntropy(label_smoothing, class_weights, single=task == "classification")
        case _:
            return Numeric(name)


def class_weights(given: Sequence[str], counts: Sequence[int]) -> Tensor | None:
    """A weight a class (C,): "balanced" by the `counts` of the training part, or the numbers given; None for none.

    Balanced weights are samples / (classes * samples of the class), as in scikit-learn: 1 on average over samples.

    Raises:
        ConfigError: it is another number of weights than of classes.
    """
    if not given:
        return None
    if tuple(given) == (BALANCED,):
        return torch.tensor([sum(counts) / (len(counts) * max(1, count)) for count in counts])
    if len(given) != len(counts):
        raise ConfigError(f"class_weights has {len(given)} numbers, but there are {len(counts)} classes.")
    return torch.tensor([float(weight) for weight in given])
