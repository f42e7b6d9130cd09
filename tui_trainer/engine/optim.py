"""Optimizer from plain values."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from torch import nn
from torch.optim import SGD, Adam, AdamW, Optimizer, RMSprop


def build_optimizer(
    name: str, parameters: Iterable[nn.Parameter], *, lr: float, momentum: float, weight_decay: float
) -> Optimizer:
    """The optimizer of torch.optim by its lower-case name."""
    builders: dict[str, Callable[[], Optimizer]] = {
        "sgd": lambda: SGD(parameters, lr=lr, momentum=momentum, weight_decay=weight_decay),
        "adam": lambda: Adam(parameters, lr=lr, weight_decay=weight_decay),
        "adamw": lambda: AdamW(parameters, lr=lr, weight_decay=weight_decay),
        "rmsprop": lambda: RMSprop(parameters, lr=lr, momentum=momentum, weight_decay=weight_decay),
    }
    return builders[name]()


def set_lr(optimizer: Optimizer, lr: float) -> None:
    """Give every parameter group this learning rate."""
    for group in optimizer.param_groups:
        group["lr"] = lr
