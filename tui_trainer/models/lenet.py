"""LeNet as the tutorial has it (after LeCun et al., 1998). N: batch."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class LeNet(nn.Module):
    """Two convolutions and three fully connected layers, for images of 32x32."""

    def __init__(self, num_classes: int = 10, channels: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, 6, 3)
        self.pool1 = nn.MaxPool2d(2, 2)
        self.conv2 = nn.Conv2d(6, 16, 3)
        self.pool2 = nn.MaxPool2d(2, 2)
        self.fc1 = nn.Linear(16 * 6 * 6, 120)
        self.fc2 = nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, 32, 32) to (N, num_classes)."""
        x = self.pool1(torch.relu(self.conv1(x)))  # (N, 6, 15, 15)
        x = self.pool2(torch.relu(self.conv2(x)))  # (N, 16, 6, 6)
        x = x.flatten(1)  # (N, 576)
        x = torch.relu(self.fc1(x))
        x = torch.relu(self.fc2(x))
        out: Tensor = self.fc3(x)
        return out
