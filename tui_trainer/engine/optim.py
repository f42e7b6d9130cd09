"""Optimizer and learning-rate schedule from plain values."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

from torch import nn
from torch.optim import SGD, Adam, AdamW, Optimizer, RMSprop

WARMUP_START = 0.01  # torchvision's references start at 1 % of lr


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


def lr_factor(shape: str, epoch: float, epochs: float, warmup: float) -> float:
    """What lr is multiplied with at `epoch` (a fraction) of `epochs`.

    A function of the position alone, so that nothing has to be stored to resume it, and a
    change of lr or epochs while running takes effect at once. Cosine: Loshchilov & Hutter,
    SGDR, 2017. The warmup is linear (Goyal et al., 2017).
    """
    if epoch < warmup:
        return WARMUP_START + (1 - WARMUP_START) * epoch / warmup
    done = min(1.0, (epoch - warmup) / max(epochs - warmup, 1e-9))
    shapes = {
        "none": lambda: 1.0,
        "step": lambda: 0.1 ** min(2, math.floor(3 * done + 1e-9)),
        "cosine": lambda: (1 + math.cos(math.pi * done)) / 2,
        "linear": lambda: 1 - done,
    }
    return float(shapes[shape]())


def set_lr(optimizer: Optimizer, lr: float) -> None:
    """Give every parameter group this learning rate."""
    for group in optimizer.param_groups:
        group["lr"] = lr
