"""Random changes to training images: which part is kept, mirrored or not, and changes of colour and shape.

All numbers come from a `Random` with the address of the sample; torch's global generator is not
used. What is done to pixels is torchvision's.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

from torch import Tensor

from tui_trainer.data.transforms import Random

TRIES, RATIO = 10, 4 / 3
_LOG_RATIO = math.log(RATIO)
BINS, RAND_OPS, RAND_LEVEL = 31, 2, 9  # of RandAugment and TrivialAugment, as in torchvision

Change = Callable[[Tensor, Random], Tensor]  # (C, S, S) uint8 to the same


class Box(NamedTuple):
    """A part of an image in pixels, and whether it is mirrored."""

    top: int
    left: int
    height: int
    width: int
    flip: bool


def random_box(height: int, width: int, least: float, random: Random) -> Box:
    """A crop of `least` to all of the area with sides of 3:4 to 4:3, as torchvision's RandomResizedCrop; half of them
    mirrored."""  # noqa: D205, D209
    flip = random.uniform() < 0.5
    for _ in range(TRIES):
        area = height * width * random.uniform(least, 1.0)
        aspect = math.exp(random.uniform(-_LOG_RATIO, _LOG_RATIO))
        w, h = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if 0 < w <= width and 0 < h <= height:
            return Box(random.below(height - h + 1), random.below(width - w + 1), h, w, flip)
    w, h = min(width, round(height * RATIO)), min(height, round(width * RATIO))
    return Box((height - h) // 2, (width - w) // 2, max(1, h), max(1, w), flip)


def build_change(preset: str) -> Change | None:
    """What a preset does beside crop and flip; None if nothing.

    standard changes colours and turns a little, trivial is TrivialAugment (Müller & Hutter, 2021), rand
    RandAugment (Cubuk et al., 2020).
    """
    return {"standard": _standard, "trivial": _trivial, "rand": _rand}.get(preset)


def _functional() -> Any:
    from tui_trainer import vision

    return vision.transforms().functional


def _standard(image: Tensor, random: Random) -> Tensor:
    f = _functional()
    steps = [f.adjust_brightness, f.adjust_contrast, f.adjust_saturation]
    while steps:
        image = steps.pop(random.below(len(steps)))(image, random.uniform(0.7, 1.3))
    return f.rotate(image, random.uniform(-10, 10))  # type: ignore[no-any-return]


# Name -> the largest magnitude of TrivialAugment, of RandAugment, and whether its sign is drawn.
_SPACE: dict[str, tuple[float, float, bool]] = {
    "identity": (0, 0, False),
    "shear_x": (0.99, 0.3, True),
    "shear_y": (0.99, 0.3, True),
    "translate_x": (32, 150 / 331, True),
    "translate_y": (32, 150 / 331, True),
    "rotate": (135, 30, True),
    "brightness": (0.99, 0.9, True),
    "colour": (0.99, 0.9, True),
    "contrast": (0.99, 0.9, True),
    "sharpness": (0.99, 0.9, True),
    "posterize": (6, 4, False),
    "solarize": (1, 1, False),
    "autocontrast": (0, 0, False),
    "equalize": (0, 0, False),
}


def _trivial(image: Tensor, random: Random) -> Tensor:
    name = list(_SPACE)[random.below(len(_SPACE))]
    return _applied(name, image, random.below(BINS) / (BINS - 1) * _SPACE[name][0], random)


def _rand(image: Tensor, random: Random) -> Tensor:
    for _ in range(RAND_OPS):
        name = list(_SPACE)[random.below(len(_SPACE))]
        most = _SPACE[name][1] * (image.shape[-1] if name.startswith("translate") else 1)
        image = _applied(name, image, RAND_LEVEL / (BINS - 1) * most, random)
    return image


def _applied(name: str, image: Tensor, magnitude: float, random: Random) -> Tensor:
    f = _functional()
    if _SPACE[name][2] and random.uniform() < 0.5:
        magnitude = -magnitude
    angle = math.degrees(math.atan(magnitude))
    done: dict[str, Callable[[], Any]] = {
        "identity": lambda: image,
        "shear_x": lambda: f.affine(image, 0.0, [0, 0], 1.0, [angle, 0.0], center=[0.0, 0.0]),
        "shear_y": lambda: f.affine(image, 0.0, [0, 0], 1.0, [0.0, angle], center=[0.0, 0.0]),
        "translate_x": lambda: f.affine(image, 0.0, [int(magnitude), 0], 1.0, [0.0, 0.0]),
        "translate_y": lambda: f.affine(image, 0.0, [0, int(magnitude)], 1.0, [0.0, 0.0]),
        "rotate": lambda: f.rotate(image, magnitude),
        "brightness": lambda: f.adjust_brightness(image, 1 + magnitude),
        "colour": lambda: f.adjust_saturation(image, 1 + magnitude),
        "contrast": lambda: f.adjust_contrast(image, 1 + magnitude),
        "sharpness": lambda: f.adjust_sharpness(image, 1 + magnitude),
        "posterize": lambda: f.posterize(image, 8 - round(magnitude)),
        "solarize": lambda: f.solarize(image, 255 * (1 - magnitude)),
        "autocontrast": lambda: f.autocontrast(image),
        "equalize": lambda: f.equalize(image),
    }
    return done[name]()  # type: ignore[no-any-return]
