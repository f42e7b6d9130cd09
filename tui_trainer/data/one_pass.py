"""Bytes to scaled and shifted floats in one pass over a batch, where torch's own operations need two.

oneDNN has it as a convolution of bytes with one weight for each channel, whose sums it scales and shifts while they are
in registers. Values that lie side by side are taken for its channels, whatever pixels they belong to.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

MOST_CHANNELS = 4
LEAST, MOST = 1 << 18, 12 << 20  # values: fewer are not worth the call; memory for more may be fresh, page by page
_OPS: Any = torch.ops.onednn


class OnePass:
    """`scale` and `shift` (C,) float32; what it gives is bytes * scale + shift, bit for bit."""

    def __init__(self, scale: Tensor, shift: Tensor) -> None:
        self._lanes = _lanes(len(scale))
        times = self._lanes // len(scale)
        self._scale, self._shift = scale.repeat(times), shift.repeat(times)
        self._zero = torch.zeros(self._lanes, dtype=torch.int64)
        ones = torch.ones(self._lanes, 1, 1, 1, dtype=torch.int8)
        self._weight = _OPS.qconv_prepack(ones, self._scale, 1.0, 0, [1, 1], [0, 0], [1, 1], self._lanes, None)

    def __call__(self, images: Tensor) -> Tensor:
        """(N, S, S, C) uint8, of a size that `fits`, to float32."""
        pixels = images.view(len(images), 1, -1, self._lanes).permute(0, 3, 1, 2)
        strides, padding, dilation = [1, 1], [0, 0], [1, 1]
        floats: Tensor = _OPS.qconv2d_pointwise(
            pixels, 1.0, 0, self._weight, self._scale, self._zero, self._shift, strides, padding, dilation, self._lanes,
            1.0, 0, torch.float32, "none", [], "",
        )  # fmt: skip
        return floats.permute(0, 2, 3, 1).view(images.shape)

    @staticmethod
    def fits(images: Tensor) -> bool:
        """Whether a batch is of such a shape, and of a size for which it is quicker."""
        _, height, width, channels = images.shape
        whole = height * width * channels % _lanes(channels) == 0
        return whole and LEAST <= images.numel() <= MOST and images.is_contiguous()


def _lanes(channels: int) -> int:
    """Whole pixels, and whole vectors of a processor."""
    return 48 if channels == 3 else 64


def build_one_pass(scale: Tensor, shift: Tensor) -> OnePass | None:
    """None where torch does not have it or it does not give what it should; other processors lack instructions for it.

    These operations are not among those that torch promises to keep, so that each byte is looked at once.
    """
    channels = len(scale)
    if channels > MOST_CHANNELS or "AVX512" not in torch.backends.cpu.get_cpu_capability():
        return None
    values = torch.arange(256, dtype=torch.uint8).repeat_interleave(3 * channels).view(1, 256, 3, channels)
    try:
        made = OnePass(scale, shift)
        right = torch.equal(made(values), values * scale + shift)
    except (AttributeError, RuntimeError):
        return None
    return made if right else None
