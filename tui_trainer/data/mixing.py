"""Mixup and cutmix: samples of a batch are mixed with each other, on the device."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from tui_trainer.data.transforms import address

Mix = Callable[[Tensor, Tensor, int, int], tuple[Tensor, Tensor]]


def build_mix(*, mixup: float, cutmix: float, classes: int, seed: int, erasing: float = 0.0) -> Mix | None:
    """`mix(images (N, C, S, S) or rows (N, C), targets, epoch, number)` to images and shares of the classes (N, L).

    Mixup: Zhang et al., 2018; cutmix: Yun et al., 2019; where both are given, each batch takes one of them by
    chance. Of a share `erasing` of the images a rectangle becomes the mean colour before that (Zhong et al., 2020),
    and targets stay as they are without mixing. What is drawn depends on (seed, epoch, number of the batch) only.
    None if all are 0.
    """
    if not mixup and not cutmix and not erasing:
        return None
    from tui_trainer import vision

    v2 = vision.transforms()
    erase = v2.RandomErasing(p=erasing)
    kinds = [v2.MixUp(alpha=mixup, num_classes=classes)] if mixup else []
    kinds += [v2.CutMix(alpha=cutmix, num_classes=classes)] if cutmix else []

    def mix(images: Tensor, targets: Tensor, epoch: int, number: int) -> tuple[Tensor, Tensor]:
        before = torch.get_rng_state()
        torch.default_generator.manual_seed(address(seed, epoch, -1 - number))  # from 1; samples have 0 and above
        try:
            if erasing and images.ndim == 4:
                images = torch.stack([erase(image) for image in images])
            if not kinds:
                return images, targets
            kind = kinds[int(torch.randint(len(kinds), ()))]
            mixed, shares = kind(images if images.ndim == 4 else images[..., None, None], targets)
        finally:
            torch.set_rng_state(before)
        return mixed.reshape(images.shape), shares

    return mix
