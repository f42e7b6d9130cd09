"""A network of the kind that resumes wrongly if anything is forgotten: running statistics, and dropout's generator."""

import torch
from torch import Tensor, nn


class Net(nn.Module):
    """(N, C, S, S) -> (N, num_classes)."""

    def __init__(self, channels: int, num_classes: int) -> None:
        super().__init__()
        self.conv1, self.norm = nn.Conv2d(channels, 8, 3, stride=2), nn.BatchNorm2d(8)
        self.drop, self.fc = nn.Dropout(0.3), nn.Linear(8, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Scores."""
        features: Tensor = self.norm(self.conv1(images)).relu().mean((2, 3))
        scores: Tensor = self.fc(self.drop(features))
        return scores


class Hungry(nn.Module):
    """Out of memory where more than `most` images are trained on, but for the first `calls` times."""

    def __init__(self, channels: int, image_size: int, num_classes: int, most: int = 4, calls: int = 0) -> None:
        super().__init__()
        self.fc = nn.Linear(channels * image_size**2, num_classes)
        self.most, self.calls = most, calls

    def forward(self, images: Tensor) -> Tensor:
        """Scores."""
        if self.training and len(images) > self.most:
            self.calls -= 1
            if self.calls < 0:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        scores: Tensor = self.fc(images.flatten(1))
        return scores
