"""The formula of docs/scaling.md: seconds of a step of several devices, with the links that are usual there."""

from __future__ import annotations

import statistics
from collections.abc import Callable

IMAGENET, BUCKET, VARIES = 1_281_167, 25e6, 0.02  # images, bytes of DDP's buckets, cv of a step between devices


def ring(size: float, devices: int, bandwidth: float, latency: float) -> float:
    """Seconds of an all-reduce of `size` bytes around a ring."""
    return 2 * (devices - 1) / devices * size / bandwidth + 2 * (devices - 1) * latency if devices > 1 else 0.0


def greatest(devices: int) -> float:
    """How many standard deviations the slowest of so many lies above the mean (Blom); sqrt(2 ln N) for very many."""
    return statistics.NormalDist().inv_cdf((devices - 0.375) / (devices + 0.25))


def step_seconds(
    compute: float, size: float, devices: int, shared: Callable[[float], float], *, overlaps: float, data: float = 0.0,
    cv: float = VARIES, rank: float = 0.0,
) -> float:  # fmt: skip
    """The formula: `shared` is the time of the gradients' all-reduce, of which `overlaps` of backward hides a part."""
    slowest = compute * (1 + cv * greatest(devices)) + (rank if devices > 1 else 0.0)
    whole, last = shared(size), shared(min(size, BUCKET))
    exposed = max(last, whole - overlaps * 2 / 3 * compute) if devices > 1 else 0.0
    return max(data, slowest + exposed)


LINKS = {  # (bytes/s, seconds) of an all-reduce within a machine of 8 and between machines: assumed
    "NVLink, 8 x 400 Gb/s between": ((200e9, 5e-6), (380e9, 20e-6)),
    "NVLink, 1 x 100 Gb/s between": ((200e9, 5e-6), (12e9, 20e-6)),
    "PCIe, 25 Gb/s between": ((12e9, 10e-6), (3e9, 30e-6)),
}
USUAL = {  # parameters, images of a device in a batch, images a second of one GPU: assumed
    "LeNet": (61e3, 64, 60_000),
    "ResNet-50": (25.6e6, 256, 2_500),
    "ViT-B": (86.6e6, 128, 1_000),
}


def predicted(compute: float, size: float, devices: int, link: str) -> float:
    """Seconds of a step by the formula."""
    node, net = LINKS[link]

    def shared(amount: float) -> float:
        return ring(amount, 8, *node) + ring(amount, devices // 8, *net)

    return step_seconds(compute, size, devices, shared, overlaps=0.9)


def paper() -> None:
    """Efficiency and seconds of an epoch of ImageNet, without a limit by data."""
    for model, (parameters, batch, rate) in USUAL.items():
        for link in LINKS:
            compute, cells = batch / rate, list[str]()
            for devices in (8, 64, 512):
                step = predicted(compute, 4 * parameters, devices, link)
                cells.append(f"{100 * compute / step:.0f} %, {IMAGENET / (devices * batch) * step:.1f} s")
            print(f"| {model}, {batch} a device | {link} | {' | '.join(cells)} |")
