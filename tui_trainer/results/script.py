"""The pieces of a plain PyTorch script that repeats a run. Each is the code that one screen stands for.

Names in braces are filled in by `eject`; what is left reads like the script that one would write by hand.
"""

from __future__ import annotations

HEAD = '''\
"""Run {name} of tui-trainer as plain PyTorch: the same samples, order, augmentation, weights and curve.

Needs torch, torchvision, opencv-python and numpy. Beside this file lies split.csv: which sample is in which part.
"""

import csv
import math
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset
{imports}
HERE = Path(__file__).resolve().parent
DATA = Path({data!r})
CLASSES = {classes!r}
SEED, EPOCHS, BATCH_SIZE, LR = {seed}, {epochs}, {batch_size}, {lr!r}
SIZE, CHANNELS = {size}, {channels}
MEAN, STD = {mean!r}, {std!r}
DEVICE = torch.device({device!r})
'''

ADDRESS = '''MASK = (1 << 64) - 1


def mixed(state):
    """The scrambling of SplitMix64 (Steele et al., 2014)."""
    state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & MASK
    return state ^ (state >> 31)


def address(*parts):
    """63 bits for (seed, epoch, sample): randomness with an address is the same for any number of workers."""
    state = 0
    for part in parts:
        state = mixed((state + part + 0x9E3779B97F4A7C15) & MASK)
    return state & (MASK >> 1)


def epoch_order(members, epoch):
    """The samples in the order of an epoch."""
    {order}
'''

RANDOM = '''

class Random:
    """Numbers in [0, 1) that follow from an address."""

    def __init__(self, *parts):
        self.state = address(*parts)

    def uniform(self, low=0.0, high=1.0):
        self.state = (self.state + 0x9E3779B97F4A7C15) & MASK
        return low + (high - low) * (mixed(self.state) >> 11) * 2.0**-53


def random_box(height, width, random):
    """A crop with at least {least!r} of the area and sides of 3:4 to 4:3; half of them mirrored."""
    flip, ratio = random.uniform() < 0.5, math.log(4 / 3)
    for _ in range(10):
        area = height * width * random.uniform({least!r}, 1.0)
        aspect = math.exp(random.uniform(-ratio, ratio))
        w, h = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if 0 < w <= width and 0 < h <= height:
            return int(random.uniform() * (height - h + 1)), int(random.uniform() * (width - w + 1)), h, w, flip
    w, h = min(width, round(height * 4 / 3)), min(height, round(width * 4 / 3))
    return (height - h) // 2, (width - w) // 2, max(1, h), max(1, w), flip
'''

COLOURS = '''

def change(image, random):
    """Brightness, contrast and saturation in any order, and a small turn: (C, S, S) uint8."""
    steps = [v2.functional.adjust_brightness, v2.functional.adjust_contrast, v2.functional.adjust_saturation]
    while steps:
        image = steps.pop(int(random.uniform() * len(steps)))(image, random.uniform(0.7, 1.3))
    return v2.functional.rotate(image, random.uniform(-10, 10))
'''

DATASET = '''

def decode(path, height=0, width=0, to_height=1, to_width=1):
    """(H, W, C) uint8; a JPEG in which height x width has far more pixels than needed comes at a half or less."""
    data, flags = np.fromfile(path, np.uint8), cv2.IMREAD_COLOR_RGB if CHANNELS == 3 else cv2.IMREAD_GRAYSCALE
    if data[:2].tobytes() == b"\\xff\\xd8":
        fits = (flag for n, flag in ((8, 64), (4, 32), (2, 16)) if height >= n * to_height and width >= n * to_width)
        flags |= next(fits, 0)
    image = cv2.imdecode(data, flags)
    return image.reshape(*image.shape[:2], CHANNELS)


def resize(image, height, width):
    """(h, w, C) uint8 to (C, height, width) uint8 with antialiasing, as Pillow does it."""
    image = torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)
    if tuple(image.shape[1:]) == (height, width):
        return image
    return functional.interpolate(image[None], (height, width), mode="bilinear", antialias=True)[0]


{square}

class Images(Dataset):
    """Samples (path, target); `epoch` is set before each pass, for the augmentation."""

    def __init__(self, samples, training):
        self.samples, self.training, self.epoch = samples, training, 0

    def __len__(self):
        return len(self.samples)

    def __getitem__(self, index):
        path, target = self.samples[index]
{item}

'''

ITEM = """\
        return square(path, self.training), target
"""

RANDOM_ITEM = """\
        if not self.training:
            return square(path, False), target
        random = Random(SEED, self.epoch, index)
        height, width = decode(path).shape[:2]
        top, left, h, w, flip = random_box(height, width, random)
        image = decode(path, h, w, SIZE, SIZE)
        down, right = image.shape[0] / height, image.shape[1] / width
        top, left = round(top * down), round(left * right)  # the box in the image, which may be smaller
        h, w = max(1, min(image.shape[0] - top, round(h * down))), max(1, min(image.shape[1] - left, round(w * right)))
        image = image[top : top + h, left : left + w]
        image = resize(cv2.flip(image, 1).reshape(h, w, CHANNELS) if flip else image, SIZE, SIZE)
        return {changed}, target
"""

SQUASH = '''def square(path, training):
    """(C, S, S) uint8; both sides are squashed to S."""
    return resize(decode(path, *decode(path).shape[:2], SIZE, SIZE) if training else decode(path), SIZE, SIZE)

'''

CROP = '''def square(path, training):
    """(C, S, S) uint8: the shorter side becomes S, the centre is kept."""
    height, width = decode(path).shape[:2]
    shorter = min(height, width)
    h, w = SIZE * height // shorter, SIZE * width // shorter
    image = resize(decode(path, height, width, h, w) if training else decode(path), h, w)
    h, w = image.shape[1:]
    top, left = round((h - SIZE) / 2), round((w - SIZE) / 2)
    return image[:, top : top + SIZE, left : left + SIZE]

'''

PAD = '''def square(path, training):
    """(C, S, S) uint8: the longer side becomes S, the rest is black."""
    height, width = decode(path).shape[:2]
    scale = SIZE / max(height, width)
    h, w = max(1, round(height * scale)), max(1, round(width * scale))
    image = resize(decode(path, height, width, h, w) if training else decode(path), h, w)
    top, left = abs(SIZE - h) // 2, abs(SIZE - w) // 2
    return functional.pad(image, (left, SIZE - w - left, top, SIZE - h - top))

'''
