"""From the bytes of an image file to its row (S, S, C) uint8 in a batch, with as little work as the result needs.

Header, then the crop is drawn, then a JPEG is decoded at the smallest of its own scales that still
has every pixel of the crop's result, then only the crop is resampled, straight into the row.
Evaluation decodes fully and changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from tui_trainer.data.augment import Box, build_change, random_box
from tui_trainer.data.buffers import Scratch
from tui_trainer.data.decode import Pixels
from tui_trainer.data.header import MEGAPIXELS, Header, header
from tui_trainer.data.jpeg import decoded, decoded_part
from tui_trainer.data.transforms import (
    Random,
    make_square,
    resize_into,
    resize_turned_into,
    shrink_turned_into,
    square_of,
    to_tensor,
    turn_into,
)

_small = Scratch()
SCALES = (8, 4, 2)  # of libjpeg; the odd eighths are slower than a full decode


@dataclass(frozen=True, kw_only=True)
class Spec:
    """How an image file becomes a tensor; the same in training, test and prediction."""

    image_size: int
    channels: int
    resize: str
    max_megapixels: float = MEGAPIXELS  # larger images are bad files


class Pipeline:
    """`preset` "none" changes nothing; `scaled` lets JPEGs be decoded at a part of their size."""

    def __init__(
        self,
        spec: Spec,
        preset: str = "none",
        seed: int = 0,
        *,
        scaled: bool = False,
        least: float = 0.5,
        shrinks: bool = False,
    ) -> None:
        self._spec, self._seed, self._scaled, self._least, self.shrinks = spec, seed, scaled, least, shrinks
        self.random, self.channels = preset != "none", spec.channels
        self._change = build_change(preset)

    def fill(self, data: bytes, row: Pixels, epoch: int, index: int, *, is_whole: bool = False) -> None:
        """Write the image of a file into `row` (S, S, C) uint8.

        `is_whole`: it was decoded whole before, so that a part of it may do.

        Raises:
            BadImageError: it cannot be decoded.
        """
        head = header(data)
        if not self.random:
            self._square(head, data, row)
            return
        random = Random(self._seed, epoch, index)
        box = random_box(head.height, head.width, self._least, random)
        reduce = self._scale(head, box.height, box.width, self._spec.image_size, self._spec.image_size)
        self._cut(*self._part(head, data, box, reduce, is_whole), row)
        self._finish(row, random)

    def fill_from(self, pixels: Pixels, row: Pixels, epoch: int, index: int) -> None:
        """The same from what `stored` gave; `pixels` is left as it is."""
        if not self.random:
            np.copyto(row, pixels)
            return
        random = Random(self._seed, epoch, index)
        height, width = pixels.shape[1::-1] if self.shrinks else pixels.shape[:2]
        self._cut(pixels, random_box(height, width, self._least, random), row, turned=self.shrinks)
        self._finish(row, random)

    @property
    def most_stored(self) -> int:
        """Values (H * W * C) of an image that was made smaller."""
        size, channels = self._spec.image_size, self._spec.channels
        return (size * 8 // 7) ** 2 * 4 // 3 * channels  # 4:3, the shorter side a seventh longer: 256 of 224

    @property
    def keeps(self) -> tuple[str | int | float | bool, ...]:
        """What decides the pixels that `stored` gives."""
        spec = self._spec
        common = spec.channels, self._scaled, spec.image_size, spec.max_megapixels
        return (
            (*common, self.shrinks, self.most_stored if self.shrinks else 0) if self.random else (*common, spec.resize)
        )

    def kept_size(self, head: Header) -> tuple[int, int] | None:
        """Height and width of what is worth keeping of an image for later epochs.

        None: a crop of it may be decoded at a part of its size, so that there is nothing from which all come out
        the same. `shrinks` keeps it smaller instead, and so changes them a little.
        """
        size = self._spec.image_size
        if not self.random:
            return size, size
        shrink = (self.most_stored / self.channels / head.pixels) ** 0.5
        if shrink >= 1 or (not self.shrinks and self._scale(head, head.height, head.width, size, size) == 1):
            return head.height, head.width
        if not self.shrinks:
            return None
        most = self.most_stored // self.channels
        return min(most, max(1, int(head.height * shrink))), min(most, max(1, int(head.width * shrink)))

    def stored(self, data: bytes, room: Pixels | None = None) -> Pixels | None:
        """What is kept of an image, (H, W, C) uint8, valid until this thread decodes the next one.

        `shrinks` has its rows and columns exchanged, (W, H, C). It lies in `room`, which is flat, where it fits and no
        copy would have to be made.

        Raises:
            BadImageError: it cannot be decoded.
        """
        head, channels = header(data), self._spec.channels
        kept = self.kept_size(head)
        if kept is None:
            return None
        if not self.random:
            square = _room((*kept, channels), room)
            self._square(head, data, square)
            return square
        whole = kept == (head.height, head.width)
        if not self.shrinks:
            return self._decoded(head, data, room=room)
        pixels = self._decoded(head, data, 1 if whole else self._scale(head, head.height, head.width, *kept))
        turned = _room((kept[1], kept[0], channels), room)
        (turn_into if whole else shrink_turned_into)(pixels, turned)
        return turned

    def _decoded(self, head: Header, data: bytes, reduce: int = 1, room: Pixels | None = None) -> Pixels:
        return decoded(head, data, self._spec.channels, reduce, room, self._spec.max_megapixels)

    def _part(self, head: Header, data: bytes, box: Box, reduce: int, is_whole: bool) -> tuple[Pixels, Box]:
        """The image at `reduce`, if it `is_whole` only as far down as the box reaches, and the box in it."""
        if is_whole:
            moved = _moved(box, head, -(-head.height // reduce), -(-head.width // reduce))
            part = decoded_part(head, data, self._spec.channels, moved, reduce, self._spec.max_megapixels)
            if part is not None:
                return part
        pixels = self._decoded(head, data, reduce)
        return pixels, _moved(box, head, pixels.shape[0], pixels.shape[1])

    def _scale(self, head: Header, height: int, width: int, to_height: int, to_width: int) -> int:
        """The largest divisor at which (height, width) still has all that (to_height, to_width) shows."""
        if not self._scaled or head.format != "jpeg":
            return 1
        fits = (scale for scale in SCALES if height >= scale * to_height and width >= scale * to_width)
        return next(fits, 1)

    def _square(self, head: Header, data: bytes, row: Pixels) -> None:
        size, mode = self._spec.image_size, self._spec.resize
        target = square_of(head.height, head.width, size, mode)
        pixels = self._decoded(head, data, self._scale(head, head.height, head.width, *target))
        if target == (size, size):
            resize_into(pixels, row)
        else:
            np.copyto(row, make_square(to_tensor(pixels), size, mode).permute(1, 2, 0).numpy())

    def _cut(self, pixels: Pixels, box: Box, row: Pixels, *, turned: bool = False) -> None:
        """Crop and resample straight from where the image lies, then flip, which gives the mirrored image's result."""
        down, right = slice(box.top, box.top + box.height), slice(box.left, box.left + box.width)
        if turned:
            resize_turned_into(pixels[right, down], row)
        else:
            resize_into(pixels[down, right], row)
        if box.flip:
            cv2.flip(row, 1, dst=row)

    def _finish(self, row: Pixels, random: Random) -> None:
        if self._change is not None:
            np.copyto(row, self._change(to_tensor(row), random).permute(1, 2, 0).numpy())


def _room(shape: tuple[int, int, int], room: Pixels | None) -> Pixels:
    size = shape[0] * shape[1] * shape[2]
    return _small.of(shape) if room is None or room.size < size else room[:size].reshape(shape)


def _moved(box: Box, head: Header, height: int, width: int) -> Box:
    """The box in an image that was decoded at a part of its size."""
    if (height, width) == (head.height, head.width):
        return box
    down, right = height / head.height, width / head.width
    top, left = round(box.top * down), round(box.left * right)
    h = max(1, min(height - top, round(box.height * down)))
    w = max(1, min(width - left, round(box.width * right)))
    return Box(top, left, h, w, box.flip)
