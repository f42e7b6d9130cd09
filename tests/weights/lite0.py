"""What a user would write to load a real EfficientNet-Lite0 file: a class of that structure, names as in the file."""

from __future__ import annotations

import torch
from torch import nn

# repeats, kernel, expansion, channels in, channels out
_STAGES = (
    (1, 3, 1, 32, 16), (2, 3, 6, 16, 24), (2, 5, 6, 24, 40), (3, 3, 6, 40, 80),
    (3, 5, 6, 80, 112), (4, 5, 6, 112, 192), (1, 3, 6, 192, 320),
)  # fmt: skip


class Block(nn.Module):
    """An inverted bottleneck; strides are left out, as they hold no weights."""

    def __init__(self, kernel: int, expansion: int, given: int, wanted: int) -> None:
        super().__init__()
        wide = given * expansion
        self.expands = expansion > 1
        if self.expands:
            self._expand_conv = nn.Conv2d(given, wide, 1, bias=False)
            self._bn0 = nn.BatchNorm2d(wide)
        self._depthwise_conv = nn.Conv2d(wide, wide, kernel, padding=kernel // 2, groups=wide, bias=False)
        self._bn1 = nn.BatchNorm2d(wide)
        self._project_conv = nn.Conv2d(wide, wanted, 1, bias=False)
        self._bn2 = nn.BatchNorm2d(wanted)

    def forward(self, x: torch.Tensor) -> torch.Tensor:  # (N, C, H, W) to (N, C', H, W)
        if self.expands:
            x = self._bn0(self._expand_conv(x)).clamp(0, 6)
        x = self._bn1(self._depthwise_conv(x)).clamp(0, 6)
        return self._bn2(self._project_conv(x))


class EfficientNetLite0(nn.Module):
    """(N, 3, H, W) to (N, num_classes)."""

    def __init__(self, num_classes: int = 1000) -> None:
        super().__init__()
        self._conv_stem = nn.Conv2d(3, 32, 3, stride=2, bias=False)
        self._bn0 = nn.BatchNorm2d(32)
        self._blocks = nn.ModuleList(
            Block(kernel, expansion, wanted if again else given, wanted)
            for repeats, kernel, expansion, given, wanted in _STAGES
            for again in range(repeats)
        )
        self._conv_head = nn.Conv2d(320, 1280, 1, bias=False)
        self._bn1 = nn.BatchNorm2d(1280)
        self._fc = nn.Linear(1280, num_classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self._bn0(self._conv_stem(x)).clamp(0, 6)
        for block in self._blocks:
            x = block(x)
        return self._fc(self._bn1(self._conv_head(x)).clamp(0, 6).mean((2, 3)))
