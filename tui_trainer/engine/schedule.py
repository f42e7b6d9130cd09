"""The learning rate as a function of the position in the run. No torch: screens draw it too."""

from __future__ import annotations

import math

WARMUP_START = 0.01  # torchvision's references start at 1 % of lr


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
