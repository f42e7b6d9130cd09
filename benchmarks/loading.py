"""Image files to normalised float batches, against torchvision and timm: bars 1 to 5.

    python -m benchmarks.loading [PART ...] [--rounds 7] [--short] [--photos DIR]

Both sides use two workers that stay, batches of 32, and the same random crops in kind. The first epoch of each side is
not counted: in it a photo of ours is decoded whole, later ones only down to the crop. Kernels alone are decode,
resampling and normalisation of the very same crops, called one after another by one thread. Before each epoch that
fills a cache, as before those without one, as much memory as it takes is touched and freed: what a virtual machine's
host takes to hand it out is not measured.
"""

from __future__ import annotations

import mmap
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from benchmarks import made
from benchmarks.measuring import arguments, bar, in_turns, show
from tui_trainer import vision
from tui_trainer.config import Config
from tui_trainer.data.augment import random_box
from tui_trainer.data.batches import Data, build_batches, scan
from tui_trainer.data.datasets import Spec
from tui_trainer.data.decode import read_file
from tui_trainer.data.header import header
from tui_trainer.data.loader import worker_context
from tui_trainer.data.pipeline import Pipeline
from tui_trainer.data.threads import ThreadLoader
from tui_trainer.data.transforms import Normalize, Random, resize_into
from tui_trainer.heap import keep_freed

SIZE, BATCH, WORKERS = 224, 32, 2
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
LEAST = 0.08  # of the area: RandomResizedCrop's
CPU = torch.device("cpu")


def ours(folder: Path, **values: Any) -> Data:
    """Our loaders; every image is trained on, and validated on too."""
    given: dict[str, Any] = {
        "data": str(folder), "val_data": str(folder), "batch_size": BATCH, "num_workers": WORKERS, "augment": "light",
        "crop_scale": LEAST, "normalize": "imagenet", "cache": "off", "channels_last": True,
    }  # fmt: skip
    config = Config().replace(**{**given, **values})
    spec = Spec(image_size=SIZE, channels=3, resize=config.data.resize)
    return build_batches(config, scan(config), spec, needs_two=False, context=worker_context(config))


def epoch_of(data: Data, part: str = "train") -> Callable[[], None]:
    """Another epoch each time, normalised."""
    number, prepare = iter(range(1 << 30)), data.prepare(CPU, channels_last=True)

    def one() -> None:
        loader = data.train if part == "train" else data.val
        for batch in loader.epoch(next(number)):
            prepare(batch)

    return one


def over(batches: Iterable[Any]) -> Callable[[], None]:
    """An epoch of somebody else's loader."""

    def one() -> None:
        for _ in batches:
            pass

    return one


def torchvision_loader(folder: Path, *, training: bool) -> DataLoader[Any]:
    """ImageFolder, Pillow and DataLoader, as in torchvision's own reference."""
    t = vision.transforms()
    cut = [t.RandomResizedCrop(SIZE), t.RandomHorizontalFlip()] if training else [t.Resize(SIZE), t.CenterCrop(SIZE)]
    change = t.Compose([*cut, _pil_to_tensor(), t.Normalize(MEAN, STD)])
    dataset = vision.datasets().ImageFolder(str(folder), change)
    return DataLoader(dataset, BATCH, shuffle=training, num_workers=WORKERS, persistent_workers=True)


def _pil_to_tensor() -> Any:
    from torchvision import transforms

    return transforms.ToTensor()


def timm_loader(folder: Path) -> Any:
    """Timm's create_loader: its transform, fast_collate and PrefetchLoader."""
    import timm.data

    data: Any = timm.data
    return data.create_loader(
        data.ImageDataset(str(folder)), (3, SIZE, SIZE), BATCH, is_training=True, num_workers=WORKERS, device=CPU,
        hflip=0.5, color_jitter=None, interpolation="bilinear", persistent_workers=True, use_prefetcher=True,
        mean=MEAN, std=STD,
    )  # fmt: skip


def kernels(folder: Path, count: int, *, copies: bool) -> Callable[[], None]:
    """Decode, resample and normalise alone, of the crops of one epoch after another; with reading and cutting too."""
    index = scan(Config().replace(data=str(folder), val_data=str(folder)))
    data = [read_file(index.path(i)) for i in range(count)]
    made_by = Pipeline(Spec(image_size=SIZE, channels=3, resize="squash"), "light", scaled=True, least=LEAST)
    rows, normalize = (
        torch.empty(BATCH, SIZE, SIZE, 3, dtype=torch.uint8),
        Normalize(MEAN, STD, CPU, channels_last=True),
    )
    number = iter(range(1 << 30))

    def one() -> None:
        epoch = next(number)
        for i in range(count):
            file = read_file(index.path(i)) if copies else data[i]
            head = header(file)
            box = random_box(head.height, head.width, LEAST, Random(0, epoch, i))
            pixels, box = made_by._part(head, file, box, made_by._scale(head, box.height, box.width, SIZE, SIZE), True)
            part = pixels[box.top : box.top + box.height, box.left : box.left + box.width]
            in_a_row = pixels.reshape(-1)[: part.size].reshape(part.shape)  # as many pixels, without the cut
            resize_into(np.ascontiguousarray(part) if copies else in_a_row, rows[i % BATCH].numpy())
            if i % BATCH == BATCH - 1 or i == count - 1:
                normalize(rows[: i % BATCH + 1])

    return one


def train(folder: Path, count: int, rounds: int) -> None:
    made.photos(folder, count, 500, 375)
    print(f"500x375 to {SIZE}, random crops: {count} JPEGs of {made.bytes_each(folder) / 1000:.0f} kB")
    sides = {
        "ours": epoch_of(ours(folder)),
        "torchvision": over(torchvision_loader(folder, training=True)),
        "timm": over(timm_loader(folder)),
        "kernels": kernels(folder, count, copies=False),
        "kernels, reading, cutting": kernels(folder, count, copies=True),
    }
    found = in_turns(sides, rounds)
    show(found, count)
    bar("1", "processor time, torchvision / ours", found.ratio("torchvision", "ours"), 2.2)
    bar("1", "processor time, timm / ours", found.ratio("timm", "ours"), 1.9)
    print(f"  by the clock: torchvision {found.ratio('torchvision', 'ours', 'wall'):.2f}, "
          f"timm {found.ratio('timm', 'ours', 'wall'):.2f}")  # fmt: skip
    bar("2", "kernels / ours", found.ratio("kernels", "ours"), 0.85)
    bar("2", "stretch: kernels, reading, cutting / ours", found.ratio("kernels, reading, cutting", "ours"), 0.95)


def large(folder: Path, count: int, rounds: int, real: str = "") -> None:
    """Of `real` photos, if there are any, or of made pictures."""
    if real:
        made.tiled(folder, Path(real), count, 2048, 1536)
    else:
        made.photos(folder, count, 2048, 1536, 85, 1.4)
    print(f"2048x1536 to {SIZE}, random crops: {count} JPEGs of {made.bytes_each(folder) / 1000:.0f} kB")
    sides = {"ours": epoch_of(ours(folder)), "torchvision": over(torchvision_loader(folder, training=True))}
    found = in_turns(sides, rounds)
    show(found, count)
    bar("3", "training, torchvision / ours", found.ratio("torchvision", "ours"), 3.0)


def evaluation(folder: Path, count: int, rounds: int) -> None:
    made.photos(folder, count, 500, 375)
    data = ours(folder, resize="crop")
    theirs = torchvision_loader(folder, training=False)
    found = in_turns({"ours": epoch_of(data, "val"), "torchvision": over(theirs)}, rounds)
    show(found, count)
    bar("3", "evaluation, torchvision / ours", found.ratio("torchvision", "ours"), 2.0)
    prepare = data.prepare(CPU)
    scale = torch.tensor(STD)[None, :, None, None] * 255
    worst = 0.0
    for batch, (images, _) in zip(data.val.epoch(0), theirs, strict=True):
        worst = max(worst, float(((prepare(batch)[0] - images) * scale).abs().max()))
    bar("3", "evaluation, most grey levels from Resize and CenterCrop", worst, most=1.01)


class Filled(Dataset[Any]):
    """Images that cost nothing but the copy."""

    def __init__(self, count: int, kind: torch.dtype) -> None:
        self._count, self._image = count, torch.zeros(SIZE, SIZE, 3, dtype=kind)

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> torch.Tensor:
        return self._image

    def read(self, addresses: list[int], memory: torch.Tensor) -> torch.Tensor:
        """As our datasets write a batch."""
        rows = memory.view(len(addresses), SIZE, SIZE, 3)
        for row in rows:
            row.copy_(self._image)
        return rows


def transport(folder: Path, count: int, rounds: int) -> None:
    count *= 8
    print(f"From a worker to the training: {count} images of {SIZE}x{SIZE}")
    floats, bytes_ = Filled(count, torch.float32), Filled(count, torch.uint8)
    same: dict[str, Any] = {"batch_size": BATCH, "num_workers": WORKERS, "persistent_workers": True}
    sampler: Any = torch.utils.data.SequentialSampler(bytes_)
    sides = {
        "ours": over(ThreadLoader(bytes_.read, sampler, SIZE * SIZE * 3, **same)),
        "DataLoader float32": over(DataLoader(floats, **same)),
        "DataLoader uint8": over(DataLoader(bytes_, **same)),
    }
    found = in_turns(sides, rounds)
    show(found, count)
    bar("4", "DataLoader float32 / ours", found.ratio("DataLoader float32", "ours"), 20)
    bar("4", "DataLoader uint8 / ours", found.ratio("DataLoader uint8", "ours"), 8)


KEPT: dict[str, dict[str, Any]] = {
    "memory, shrunk": {"cache": "memory", "cache_shrink": True},
    "disk, shrunk": {"cache": "disk", "cache_shrink": True},
    "memory, whole": {"cache": "memory"},
    "disk, whole": {"cache": "disk"},
}
SHRUNK_TO = "the shorter side 256, as the bar's prototype"


def cache(folder: Path, count: int, rounds: int) -> None:
    """Of validation images what is kept is what the model sees, of training images all of them or a smaller one."""
    made.photos(folder, count, 500, 375)
    sides: dict[str, Callable[[], object]] = {}
    for name, values in KEPT.items():
        data = ours(folder, resize="crop", num_workers=0, **values)
        for part in ("train", "val"):
            if part == "train" or "whole" in name:
                epoch_of(data, part)()
                sides[f"{part} from {name}"] = epoch_of(data, part)
                if "memory" in name:
                    sides[f"{part} from {name}, bytes"] = over(_Again(data, part))
    sides["train, torchvision"] = over(torchvision_loader(folder, training=True))
    sides["val, torchvision"] = over(torchvision_loader(folder, training=False))
    found = in_turns(sides, rounds)
    show(found, count)
    print(f"  shrunk: to {SHRUNK_TO}; bytes: before they are normalised")
    for name in sides:
        part, _, kind = name.partition(" from ")
        if kind:
            bar("5", name, found.ratio(f"{part}, torchvision", name), 20 if part == "train" else 100)


def filling(folder: Path, count: int, rounds: int) -> None:
    """The first epoch, which fills, without what is before it: looking at sizes, removing the files of the last one.

    In twice as many rounds, as the difference is small.
    """
    made.photos(folder, count, 500, 375)
    ready: dict[str, Callable[[], None]] = {}
    held: dict[str, Data] = {}

    def prepared(name: str, values: dict[str, Any]) -> Callable[[], None]:
        def one() -> None:
            held.clear()
            for path in (Path(os.environ["XDG_CACHE_HOME"]) / "tui-trainer" / "images").glob("*"):
                path.unlink()
            given_by_the_host(count * 500 * 375 * 3)
            held[name] = ours(folder, resize="crop", num_workers=0, **values)
            ready[name] = epoch_of(held[name])

        return one

    def run(name: str) -> None:
        ready[name]()

    none_kept = {"cache": "memory", "cache_shrink": True, "cache_limit": 1e-6}
    ways: dict[str, dict[str, Any]] = {"no cache, whole": {"cache": "off"}, "no cache, shrunk": none_kept, **KEPT}
    before = {name: prepared(name, values) for name, values in ways.items()}
    found = in_turns({name: partial(run, name) for name in ways}, 2 * rounds, before=before)
    show(found, count)
    print("  no cache, shrunk: the same batches, by --cache-shrink with a cache that holds none")
    for name in KEPT:
        same = f"no cache, {name.partition(', ')[2]}"
        bar("5", f"the epoch that fills {name} / the same without", 1 / found.ratio(same, name), most=1.08)
    for name in ("memory, shrunk", "disk, shrunk"):
        print(f"  the epoch that fills {name} / one of whole images: {1 / found.ratio('no cache, whole', name):.3g}")


def given_by_the_host(count: int) -> None:
    """Have so many bytes of memory free that have been used: a virtual machine asks its host for others first."""
    np.empty(count, np.uint8)[:: mmap.PAGESIZE] = 1


class _Again:
    """Batches as the loader hands them over, before normalisation."""

    def __init__(self, data: Data, part: str) -> None:
        self._loader, self._number = data.train if part == "train" else data.val, iter(range(1 << 30))

    def __iter__(self) -> Iterator[Any]:
        return iter(self._loader.epoch(next(self._number)))


PARTS: dict[str, tuple[Callable[..., None], int]] = {
    "filling": (filling, 640),  # first, as in a process that has just begun
    "train": (train, 640),
    "large": (large, 192),
    "evaluation": (evaluation, 640),
    "transport": (transport, 320),
    "cache": (cache, 640),
}


def main() -> None:
    given = arguments(__doc__)
    torch.set_num_threads(1)
    keep_freed()  # as a run does
    for name in given.only or PARTS:
        part, count = PARTS[name]
        with tempfile.TemporaryDirectory() as folder:
            os.environ["XDG_CACHE_HOME"] = f"{folder}/cache"
            words = {"real": given.photos} if name == "large" else {}
            part(Path(folder) / "images", 64 if given.short else count, given.rounds, **words)


if __name__ == "__main__":
    main()
