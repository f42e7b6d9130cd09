"""Images to squares of one size, and random changes to training images. S: side, C: channels.

One resampler serves training, validation, test and prediction: torch's antialiased bilinear on
uint8, which equals Pillow's. Another one at test time costs up to half of the accuracy.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import interpolate, pad

from tui_trainer.data.decode import Pixels

Augment = Callable[[Tensor], Tensor]


def to_tensor(pixels: Pixels) -> Tensor:
    """(H, W, C) uint8 array to a (C, H, W) view of it."""
    return torch.from_numpy(pixels).permute(2, 0, 1)


def resample(image: Tensor, height: int, width: int) -> Tensor:
    """(C, H, W) uint8 to (C, height, width) uint8."""
    if tuple(image.shape[1:]) == (height, width):
        return image
    return interpolate(image[None], (height, width), mode="bilinear", antialias=True, align_corners=False)[0]


def make_square(image: Tensor, size: int, mode: str) -> Tensor:
    """(C, H, W) uint8 to (C, S, S) uint8 by "squash", "crop" (the centre) or "pad" (with black)."""
    _, height, width = image.shape
    if mode == "squash" or height == width:
        return resample(image, size, size)
    scale = size / (min(height, width) if mode == "crop" else max(height, width))
    new_height, new_width = max(1, round(height * scale)), max(1, round(width * scale))
    image = resample(image, new_height, new_width)
    top, left = abs(size - new_height) // 2, abs(size - new_width) // 2
    if mode == "crop":
        return image[:, top : top + size, left : left + size]
    return pad(image, (left, size - new_width - left, top, size - new_height - top))


def build_augment(preset: str, size: int) -> Augment | None:
    """The random changes of a preset as one function of (C, H, W) uint8; None for "none".

    light crops (half of the area or more) and flips, standard also changes colours, trivial is
    TrivialAugment (Müller & Hutter, 2021), rand RandAugment (Cubuk et al., 2020). They draw from
    torch's global generator, so call them under `addressed`.
    """
    if preset == "none":
        return None
    from tui_trainer import vision

    v2 = vision.transforms()
    steps = [v2.RandomResizedCrop(size, scale=(0.5, 1.0), antialias=True), v2.RandomHorizontalFlip()]
    more: dict[str, Callable[[], list[Any]]] = {
        "light": list,
        "standard": lambda: [v2.ColorJitter(0.3, 0.3, 0.3), v2.RandomRotation(10)],
        "trivial": lambda: [v2.TrivialAugmentWide()],
        "rand": lambda: [v2.RandAugment()],
    }
    composed: Augment = v2.Compose(steps + more[preset]())
    return composed


def addressed(augment: Augment, image: Tensor, seed: int, epoch: int, index: int) -> Tensor:
    """`augment` with randomness that depends on (seed, epoch, index) only; the global generator is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(address(seed, epoch, index))
        return augment(image)


def address(seed: int, epoch: int, index: int) -> int:
    """A 64-bit number that is spread evenly over (seed, epoch, index), by three rounds of SplitMix64."""
    state = 0
    for part in (seed, epoch, index):
        state = (state + part + 0x9E3779B97F4A7C15) & 0xFFFFFFFFFFFFFFFF
        state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & 0xFFFFFFFFFFFFFFFF
        state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & 0xFFFFFFFFFFFFFFFF
        state ^= state >> 31
    return state & 0x7FFFFFFFFFFFFFFF


class Normalize:
    """(N, S, S, C) uint8 to (N, C, S, S) float32, (x / 255 - mean) / std, on the device, once a batch."""

    def __init__(self, mean: tuple[float, ...], std: tuple[float, ...], device: torch.device) -> None:
        shape = (1, len(mean), 1, 1)
        self.shift = torch.tensor(mean, dtype=torch.float32, device=device).reshape(shape) * 255
        self.scale = 1 / (torch.tensor(std, dtype=torch.float32, device=device).reshape(shape) * 255)

    def __call__(self, images: Tensor) -> Tensor:
        """Normalise a batch that is on the device already."""
        channels_first = images.permute(0, 3, 1, 2).to(torch.float32, memory_format=torch.contiguous_format)
        return channels_first.sub_(self.shift).mul_(self.scale)


def statistics(images: list[Tensor]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each channel in [0, 1] over (S, S, C) uint8 images."""
    channels = images[0].shape[2]
    total = torch.zeros(channels, dtype=torch.float64)
    squares = torch.zeros(channels, dtype=torch.float64)
    count = 0
    for image in images:
        pixels = image.reshape(-1, channels).to(torch.float64) / 255
        total += pixels.sum(0)
        squares += (pixels * pixels).sum(0)
        count += len(pixels)
    mean = total / count
    variance = (squares / count - mean * mean).clamp_min(0)
    std = [math.sqrt(v) or 1.0 for v in variance.tolist()]  # a constant channel stays as it is
    return tuple(round(m, 6) for m in mean.tolist()), tuple(round(s, 6) for s in std)
