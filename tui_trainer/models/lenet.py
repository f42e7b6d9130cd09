"""LeNet as the tutorial has it (after LeCun et al., 1998). N: batch."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class LeNet(nn.Module):
    """Two convolutions and three fully connected layers; fc1 takes what images of this side leave it."""

    def __init__(self, num_classes: int = 10, channels: int = 1, image_size: int = 32) -> None:
        super().__init__()
        cells = ((image_size - 2) // 2 - 2) // 2  # along a side, after two convolutions and two poolings
        if cells < 1:
            raise ValueError(f"LeNet needs images of 10x10 or larger, not {image_size}x{image_size}.")
        self.conv1 = nn.Conv2d(channels, 6, 3)
        self.pool1 = nn.MaxPool2d(2, 2)
        self.conv2 = nn.Conv2d(6, 16, 3)
        self.pool2 = nn.MaxPool2d(2, 2)
        self.fc1 = nn.Linear(16 * cells * cells, 120)
        self.fc2 = nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, S, S) to (N, num_classes); shapes at S = 32."""
        x = self.pool1(torch.relu(self.conv1(x)))  # (N, 6, 15, 15)
        x = self.pool2(torch.relu(self.conv2(x)))  # (N, 16, 6, 6)
        x = x.flatten(1)  # (N, 576)
        x = torch.relu(self.fc1(x))
        x = torch.relu(self.fc2(x))
        out: Tensor = self.fc3(x)
        return out
