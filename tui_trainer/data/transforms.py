"""Images to squares of one size, and batches of them to floats. N: images, S: side, C: channels.

One resampler serves training, validation, test and prediction: torch's antialiased bilinear on
uint8, which equals Pillow's. Another one at test time costs up to half of the accuracy.
"""

from __future__ import annotations

import math
from functools import cached_property
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate, pad

from tui_trainer.data.block import Block
from tui_trainer.data.buffers import Pool, Scratch
from tui_trainer.data.decode import Pixels
from tui_trainer.data.one_pass import OnePass, build_one_pass

RESAMPLER = "torch-bilinear-antialias"  # told in the metadata of a model
_AA: Any = getattr(torch._C._nn, "_upsample_bilinear2d_aa", None)
_first, _turned = Scratch(), Scratch()


def to_tensor(pixels: Pixels) -> Tensor:
    """(H, W, C) uint8 array to a (C, H, W) view of it."""
    return torch.from_numpy(pixels).permute(2, 0, 1)


def resample(image: Tensor, height: int, width: int) -> Tensor:
    """(C, H, W) uint8 to (C, height, width) uint8."""
    if tuple(image.shape[1:]) == (height, width):
        return image
    return interpolate(image[None], (height, width), mode="bilinear", antialias=True, align_corners=False)[0]


def resize_into(pixels: Pixels, out: Pixels) -> None:
    """(h, w, C) uint8, also a part of a larger image, resampled straight into `out` (H, W, C) uint8."""
    height, width, _ = out.shape
    if pixels.shape[:2] == (height, width):
        np.copyto(out, pixels)
    elif _AA is None:
        torch.from_numpy(out).copy_(resample(to_tensor(pixels), height, width).permute(1, 2, 0))
    else:  # what interpolate calls, without a result of its own
        source, target = (torch.from_numpy(one.transpose(2, 0, 1)[None]) for one in (pixels, out))
        _AA(source, (height, width), False, None, None, out=target)


def resize_turned_into(turned: Pixels, out: Pixels) -> None:
    """The same of an image that is kept with rows and columns exchanged, (w, h, C), bit for bit.

    Along the columns of what it is given the kernel is three times as fast as along the rows, so that both ways are
    made to be columns: a quarter less time with the exchange in between.
    """
    height, width, channels = out.shape
    long, high, _ = turned.shape
    columns = turned
    if long != width:
        columns = _first.of((width, high, channels))
        resize_into(turned, columns)
    if high == height:
        turn_into(columns, out)
    else:
        resize_into(_exchanged(columns), out)


def shrink_turned_into(pixels: Pixels, out: Pixels) -> None:
    """(h, w, C) resampled to (W, H, C), in the same way; the last bits may be other ones than with the rows first."""
    lower = _first.of((out.shape[1], *pixels.shape[1:]))
    resize_into(pixels, lower)
    resize_into(_exchanged(lower), out)


def turn_into(pixels: Pixels, out: Pixels) -> None:
    """(h, w, C) to (w, h, C)."""
    cv2.transpose(pixels, dst=out)


def _exchanged(pixels: Pixels) -> Pixels:
    height, width, channels = pixels.shape
    turned = _turned.of((width, height, channels))
    turn_into(pixels, turned)
    return turned


def make_square(image: Tensor, size: int, mode: str) -> Tensor:
    """(C, H, W) uint8 to (C, S, S) uint8 by "squash", "crop" (the centre) or "pad" (with black)."""
    _, height, width = image.shape
    new_height, new_width = square_of(height, width, size, mode)
    image = resample(image, new_height, new_width)
    if mode == "pad":
        top, left = (size - new_height) // 2, (size - new_width) // 2
        return pad(image, (left, size - new_width - left, top, size - new_height - top))
    top, left = round((new_height - size) / 2), round((new_width - size) / 2)
    return image[:, top : top + size, left : left + size]


def square_of(height: int, width: int, size: int, mode: str) -> tuple[int, int]:
    """To what an image is resampled before it is cut or filled up to a square; "crop" as torchvision's Resize."""
    if mode == "squash" or height == width:
        return size, size
    if mode == "crop":
        shorter = min(height, width)
        return (size * height) // shorter, (size * width) // shorter
    scale = size / max(height, width)
    return max(1, round(height * scale)), max(1, round(width * scale))


class Random:
    """Numbers that depend on (seed, epoch, index) only: SplitMix64 (Steele et al., 2014), from its address on.

    torch's global generator is left alone, which threads share; seeding it for each image costs 100 microseconds.
    """

    def __init__(self, seed: int, epoch: int, index: int) -> None:
        self._state = address(seed, epoch, index)

    def uniform(self, low: float = 0.0, high: float = 1.0) -> float:
        """A number in [low, high)."""
        self._state = (self._state + 0x9E3779B97F4A7C15) & 0xFFFFFFFFFFFFFFFF
        return low + (high - low) * (_mixed(self._state) >> 11) * 2.0**-53

    def below(self, count: int) -> int:
        """A whole number in [0, count)."""
        return int(self.uniform() * count)


def address(seed: int, epoch: int, index: int) -> int:
    """A 63-bit number that is spread evenly over (seed, epoch, index), by three rounds of SplitMix64."""
    state = 0
    for part in (seed, epoch, index):
        state = _mixed((state + part + 0x9E3779B97F4A7C15) & 0xFFFFFFFFFFFFFFFF)
    return state & 0x7FFFFFFFFFFFFFFF


def _mixed(state: int) -> int:
    state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & 0xFFFFFFFFFFFFFFFF
    state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & 0xFFFFFFFFFFFFFFFF
    return state ^ (state >> 31)


class Normalize:
    """(N, S, S, C) uint8 to (N, C, S, S) float32, (x / 255 - mean) / std, on the device, once a batch.

    On the CPU it is one pass where there is an operation for it and the batch has a size for which that is quicker;
    else it is written into memory that is used again as soon as nobody refers to it, because fresh pages cost more than
    the arithmetic. Either way gives the same bits.
    """

    def __init__(
        self, mean: tuple[float, ...], std: tuple[float, ...], device: torch.device, *, channels_last: bool = False
    ) -> None:
        self._scale = torch.tensor([1 / (255 * s) for s in std], dtype=torch.float32, device=device)
        self._shift = torch.tensor([-m / s for m, s in zip(mean, std, strict=True)], dtype=torch.float32, device=device)
        self._channels_last, self._device = channels_last, device
        self._pools: dict[torch.dtype, Pool] = {}
        self._rows: dict[int, tuple[Tensor, Tensor]] = {}  # width -> scale and shift of a row of pixels
        self._lines: dict[int, tuple[Tensor, Tensor]] = {}  # width -> those of a line of each plane

    def __call__(self, images: Tensor) -> Tensor:
        """Normalise a batch that is on the device already."""
        if self._one_pass is not None and OnePass.fits(images):
            return self._one_pass(images).permute(0, 3, 1, 2)
        return self._in_two(images)

    def part(self, block: Block, place: int) -> Tensor:
        """Normalise the batch of a block at `place`, bit for bit as on its own."""
        return block.made(self, place)

    def _in_two(self, images: Tensor) -> Tensor:
        count, height, width, channels = images.shape
        if self._channels_last:
            flat = self._empty((count, height, width * channels), torch.float32)
            scale, shift = self._row(width)
            flat.copy_(images.reshape(flat.shape))
            if self._one_pass is None:
                torch.addcmul(shift, flat, scale, out=flat)
            else:  # which rounds the product, as this does
                flat.mul_(scale).add_(shift)
            return flat.view(count, height, width, channels).permute(0, 3, 1, 2)
        planes = self._empty((count, channels, height, width), torch.float32)
        planes.copy_(self._planes(images))
        scale, shift = self._line(width)
        return torch.addcmul(shift, planes, scale, out=planes)

    @cached_property
    def _one_pass(self) -> OnePass | None:
        here = self._channels_last and self._device.type == "cpu"
        return build_one_pass(self._scale, self._shift) if here else None

    def _planes(self, images: Tensor) -> Tensor:
        """(N, S, S, C) to (N, C, S, S) uint8; OpenCV takes a pixel apart five times as fast as a copy by strides."""
        count, height, width, channels = images.shape
        if channels == 1 or not count or self._device.type != "cpu":
            return images.permute(0, 3, 1, 2)
        planes = self._empty((channels, count * height, width), torch.uint8)
        cv2.split(images.reshape(count * height, width, channels).numpy(), list(planes.numpy()))
        return planes.view(channels, count, height, width).permute(1, 0, 2, 3)

    @property
    def shift(self) -> Tensor:
        """What is taken away from pixels in 0..255 first, (1, C, 1, 1)."""
        return (-self._shift / self._scale).reshape(1, -1, 1, 1)

    @property
    def scale(self) -> Tensor:
        """What they are multiplied with then, (1, C, 1, 1)."""
        return self._scale.reshape(1, -1, 1, 1)

    def _row(self, width: int) -> tuple[Tensor, Tensor]:
        """Scale and shift repeated for each pixel of a row: a broadcast over long rows is vectorised."""
        if width not in self._rows:
            self._rows[width] = self._scale.repeat(width), self._shift.repeat(width)
        return self._rows[width]

    def _line(self, width: int) -> tuple[Tensor, Tensor]:
        """The same for a line of each plane, (C, 1, W): two single numbers in one operation are not vectorised."""
        if width not in self._lines:
            scale, shift = self._scale[:, None, None], self._shift[:, None, None]
            self._lines[width] = scale.repeat(1, 1, width), shift.repeat(1, 1, width)
        return self._lines[width]

    def _empty(self, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        if self._device.type != "cpu":
            return torch.empty(shape, dtype=dtype, device=self._device)
        size, pool = math.prod(shape), self._pools.get(dtype)
        if pool is None or pool.size < size:
            pool = self._pools[dtype] = Pool(size, np.dtype(str(dtype).removeprefix("torch.")))
        return pool.take()[:size].view(shape)


class Standardize:
    """(N, F) to (x - mean) / std, on the device of the batch."""

    def __init__(self, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        self._mean, self._std = torch.tensor(mean), torch.tensor(std)

    def __call__(self, values: Tensor) -> Tensor:
        """Standardise a batch, or a target of each sample."""
        self._mean, self._std = self._mean.to(values.device), self._std.to(values.device)
        return (values - self._mean) / self._std


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
