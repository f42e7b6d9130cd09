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
        if (down, right) != (1, 1):  # the box in the smaller image
            top, left = round(top * down), round(left * right)
            h = max(1, min(image.shape[0] - top, round(h * down)))
            w = max(1, min(image.shape[1] - left, round(w * right)))
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
    scale = SIZE / min(height, width)
    h, w = max(1, round(height * scale)), max(1, round(width * scale))
    image = resize(decode(path, height, width, h, w) if training else decode(path), h, w)
    top, left = (h - SIZE) // 2, (w - SIZE) // 2
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

LENET = '''

class LeNet(nn.Module):
    """Two convolutions and three fully connected layers."""

    def __init__(self):
        super().__init__()
        cells = ((SIZE - 2) // 2 - 2) // 2
        self.conv1 = nn.Conv2d(CHANNELS, 6, 3)
        self.conv2 = nn.Conv2d(6, 16, 3)
        self.pool = nn.MaxPool2d(2, 2)
        self.fc1 = nn.Linear(16 * cells * cells, 120)
        self.fc2 = nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, len(CLASSES))

    def forward(self, x):
        x = self.pool(torch.relu(self.conv1(x)))
        x = self.pool(torch.relu(self.conv2(x))).flatten(1)
        return self.fc3(torch.relu(self.fc2(torch.relu(self.fc1(x)))))

'''

LOOP = '''
def normalize(images):
    """(N, C, S, S) uint8 to float32: x / (255 std) - mean / std."""
    shift, scale = -np.divide(MEAN, STD), 1 / (255 * np.array(STD))
    shift, scale = (torch.tensor(x, dtype=torch.float32, device=DEVICE)[:, None, None] for x in (shift, scale))
    return torch.addcmul(shift, images.to(DEVICE).float().contiguous(), scale)


def learning_rate(epoch):
    """lr at a fractional epoch."""
{schedule}


@torch.no_grad()
def evaluate(model, loss_func, loader):
    """Mean loss and top-1 over all samples."""
    model.eval()
    total = hits = count = 0
    for images, targets in loader:
        outputs, targets = model(normalize(images)), targets.to(DEVICE)
        total += loss_func(outputs, targets).double() * len(targets)
        hits, count = hits + (outputs.argmax(1) == targets).sum().item(), count + len(targets)
    return total.item() / count, hits / count


def main():
    torch.set_num_threads({threads})
    with open(HERE / "split.csv", encoding="utf-8", errors="surrogateescape", newline="") as file:
        rows = list(csv.DictReader(file))
    samples = [(DATA / row["path"], CLASSES.index(row["target"])) for row in rows]
    train, val = ([i for i, row in enumerate(rows) if row["part"] == part] for part in ("train", "val"))
    train_set, val_set = Images(samples, training=True), Images(samples, training=False)

    torch.manual_seed(SEED)
    model = {model}
{load}    model.to(DEVICE)
{frozen}    loss_func = nn.CrossEntropyLoss({loss}).to(DEVICE)
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = {optimizer}
    own = {{"num_workers": {workers}, "generator": torch.Generator()}}  # dropout alone draws from the global one
    val_loader = DataLoader(val_set, BATCH_SIZE, sampler=val, **own)

    for epoch in range(EPOCHS):
        train_set.epoch = epoch
        order = epoch_order(train, epoch)[:{samples}]
        loader = DataLoader(train_set, BATCH_SIZE, sampler=order, drop_last={drop_last}, **own)
        total = hits = count = 0
        model.train()
{still}        for batch, (images, targets) in enumerate(loader):
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(epoch + batch / len(loader))
            targets = targets.to(DEVICE)
            optimizer.zero_grad()
            outputs = model(normalize(images))
            loss = loss_func(outputs, targets)
            loss.backward()
{clip}            optimizer.step()
            total += loss.detach().double() * len(targets)
            hits, count = hits + (outputs.argmax(1) == targets).sum().item(), count + len(targets)
        val_loss, val_top1 = evaluate(model, loss_func, val_loader)
        print(f"epoch {{epoch + 1}}: train_loss {{total.item() / count:.8f}} train_top1 {{hits / count:.8f}}", end=" ")
        print(f"val_loss {{val_loss:.8f}} val_top1 {{val_top1:.8f}}", flush=True)
    torch.save(model.state_dict(), HERE / "model.pth")


if __name__ == "__main__":
    main()
'''

SCHEDULES = {
    "none": "    return LR",
    "cosine": "    return LR * (1 + math.cos(math.pi * min(1, max(0, epoch - {warmup}) / (EPOCHS - {warmup})))) / 2",
    "linear": "    return LR * (1 - min(1, max(0, epoch - {warmup}) / (EPOCHS - {warmup})))",
    "step": "    return LR * {gamma} ** min({last_step}, math.floor((epoch - {warmup}) / {step_size} + 1e-9))",
    "multistep": "    return LR * {gamma} ** sum(epoch >= at - 1e-9 for at in {milestones})",
    "exponential": "    return LR * {gamma} ** math.floor(epoch - {warmup} + 1e-9)",
}
WARMUP = """\
    if epoch < {warmup}:
        return LR * (0.01 + 0.99 * epoch / {warmup})
"""
OPTIMIZERS = {
    "sgd": "torch.optim.SGD(parameters, lr=LR, momentum={momentum}, weight_decay={weight_decay}{more})",
    "adam": "torch.optim.Adam(parameters, lr=LR, weight_decay={weight_decay}{more})",
    "adamw": "torch.optim.AdamW(parameters, lr=LR, weight_decay={weight_decay}{more})",
    "rmsprop": "torch.optim.RMSprop(parameters, lr=LR, momentum={momentum}, weight_decay={weight_decay}{more})",
}
