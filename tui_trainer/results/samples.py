"""Which samples a trained model is tested on: those of its run, or of other data in the same way."""

from __future__ import annotations

import csv
import os
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from tui_trainer.config import Config, build, read_toml
from tui_trainer.data import batches, own, sources
from tui_trainer.data.decode import BadImageError, decode, read_image
from tui_trainer.data.encoding import encode_as
from tui_trainer.data.index import PARTS, Index, Own, Rows, Stream
from tui_trainer.data.own_items import as_tensor
from tui_trainer.data.table_file import read_table
from tui_trainer.errors import ConfigError, DataError
from tui_trainer.results.trained import Trained
from tui_trainer.run_folder import RunFolder
from tui_trainer.text import display

Ints = npt.NDArray[np.int64]
Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True)
class Samples:
    """`members` of `index`; `part`: train, val, test, or all. Of a stream nothing is known before it is read."""

    config: Config
    index: Index
    members: Ints
    part: str
    notes: tuple[str, ...] = ()

    @property
    def is_stream(self) -> bool:
        """Whether they have no numbers."""
        return not len(self.index)


def find_samples(trained: Trained, data: str = "", part: str = "") -> Samples:
    """The samples to test on: of the run's own split, or all of another dataset, or a part of it.

    Raises:
        ConfigError: the weights lie in no run, so that no dataset is known.
        DataError: the dataset is not there, has no such part, or has other classes.
    """
    folder, notes = trained.folder, list[str]()
    if not data and folder is None:
        raise ConfigError(f"{display(trained.path)} lies in no run folder: say with --data what to test it on.")
    values = read_toml(folder.config) if folder is not None else {}
    learned_from = str(values.get("data", ""))
    if data:
        values |= {"data": sources.absolute(data), "val_data": ""}
        planned = sources.is_stream(build(values).data)
        if not planned:
            values = {name: value for name, value in values.items() if name not in sources.OF_STREAMS}
        is_stream = planned or own_stream(build(values), trained.trusted)
        values |= {"val_data": values["data"]} if is_stream else {}  # of which one is named for each part
    config = build({**values, "cache": "off", "trust_code": trained.trusted})  # each is read once
    scanned = batches.scan(config, folder.path if folder is not None and not data else None)
    index = _known_classes(_known_inputs(scanned, trained, config), trained.classes)
    if not len(index):
        return Samples(
            config=config, index=index, members=np.zeros(0, np.int64), part="train" if part == "train" else "val"
        )
    if not data and folder is not None:
        index, notes = _as_it_was_split(index, folder)
    chosen = part or ("all" if data else "val")
    members = np.arange(len(index)) if chosen == "all" else index.part(PARTS.index(chosen))
    if not len(members):
        raise DataError(f"{display(index.root)} has no {chosen} part: choose another --part, or give --data.")
    if data and folder is not None:
        notes = _learned_already(index, members, folder, learned_from)
    return Samples(config=config, index=index, members=members, part=chosen, notes=tuple(notes))


def own_stream(config: Config, trusted: bool) -> bool:
    """Whether the data is a stream in Python, of which a part can only be another stream."""
    return sources.is_own(config.data.data) and own.is_stream(config.data, config.recipe.seed, trusted=trusted)


def _learned_already(index: Index, members: Ints, folder: RunFolder, root: str) -> list[str]:
    """A sentence if some of these image files are of the run's training part."""
    if index.inputs is not None:
        return []
    then, now = os.fsencode(os.path.realpath(root)), os.fsencode(os.path.realpath(index.root))
    train = PARTS.index("train")
    learned = {os.path.join(then, os.fsencode(path)) for path, part in _written_down(folder).items() if part == train}
    count = sum(os.path.join(now, index.name(int(i))) in learned for i in members)
    if not count:
        return []
    return [f"{count:,} of these {len(members):,} images were trained on: the figures are better than of new images."]


def _known_classes(index: Index, classes: tuple[str, ...]) -> Index:
    """The same samples with the model's numbers for their classes."""
    if index.classes == classes:
        return index
    unknown = [name for name in index.classes if name not in classes]
    if unknown:
        raise DataError(
            f"{display(index.root)} has classes that the model has not learned: {display(', '.join(unknown))}; "
            "rename or remove their folders."
        )
    number = {name: i for i, name in enumerate(classes)}
    if index.targets.ndim == 2:
        targets = np.zeros((len(index), len(classes)), index.targets.dtype)
        targets[:, [number[name] for name in index.classes]] = index.targets
    else:
        targets = np.array([number[name] for name in index.classes], index.targets.dtype)[index.targets]
    return replace(index, targets=targets, classes=classes)


def _known_inputs(index: Index, trained: Trained, config: Config) -> Index:
    """The same samples; rows of a table encoded as those that the model has learned from.

    Raises:
        DataError: the model takes other inputs than these, or a column is not there.
    """
    learned, inputs = trained.preprocessing, index.inputs
    of_rows = isinstance(inputs, Rows) or (isinstance(inputs, Stream) and bool(inputs.names))
    kind = "rows" if of_rows else "items" if isinstance(inputs, Own) else "images"
    if kind != learned.kind or (isinstance(inputs, Own) and inputs.shape != learned.shape):
        raise DataError(f"{display(config.data.data)} is nothing for this model, which takes {in_words(trained)}.")
    if isinstance(inputs, Stream):
        return replace(index, inputs=replace(inputs, encoding=learned.encoding, names=learned.inputs))
    if not isinstance(inputs, Rows) or inputs.encoding == learned.encoding:
        return index
    encoded = encode_as(read_table(index.root, config.data.header), learned.encoding, index.root)
    kept = [int(index.name(i)) - 1 for i in range(len(index))]
    return replace(index, inputs=replace(inputs, features=encoded[kept], names=learned.inputs))


def in_words(trained: Trained) -> str:
    """What a model takes."""
    learned = trained.preprocessing
    if learned.kind == "items":
        return f"items of shape {'x'.join(map(str, learned.shape))} from a dataset of your own"
    return "rows of a table" if learned.kind == "rows" else "images"


def _written_down(folder: RunFolder) -> dict[str, int]:
    """The part of each sample of the run; empty if its split.csv cannot be read."""
    try:
        with folder.split.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
            return {row["path"]: PARTS.index(row["part"]) for row in csv.DictReader(file)}
    except (OSError, ValueError, KeyError, csv.Error):
        return {}


def _as_it_was_split(index: Index, folder: RunFolder) -> tuple[Index, list[str]]:
    """The parts that the run has written down; what came to the dataset since then is in none."""
    part_of = _written_down(folder)
    if not part_of:
        return index, ["The run's split.csv cannot be read: the dataset is split anew."]
    none = len(PARTS)
    parts = [part_of.get(os.fsdecode(index.name(i)), none) for i in range(len(index))]
    new = sum(part == none for part in parts)
    gone = len(part_of) - (len(parts) - new)
    notes = [f"{new} samples came to the dataset after the run and are left out."] if new else []
    notes += [f"{gone} samples of the run are no longer in the dataset."] if gone > 0 else []
    return replace(index, parts=np.array(parts, np.uint8)), notes


def picture(index: Index, number: int, channels: int = 3) -> Pixels | None:
    """A sample (H, W, C) uint8 as it is in its file or dataset; None if it is no image, or cannot be read."""
    if isinstance(index.inputs, Rows) or not len(index):
        return None
    if isinstance(index.inputs, Own):
        return None if index.inputs.streams else _as_picture(index, number)
    try:
        pictures = index.pictures
        if pictures is not None:
            return decode(pictures.encoded(number), channels, max_megapixels=index.max_megapixels)
        return read_image(index.path(number), channels, index.max_megapixels)
    except BadImageError:
        return None


def _as_picture(index: Index, number: int) -> Pixels | None:
    """An item (1 or 3, H, W) or (H, W) of the user's own dataset, its lowest number black and its highest white."""
    from tui_trainer.data.own_items import OwnDataset

    item = as_tensor(OwnDataset(index, 0)[0, number].image)
    if item is None or item.ndim not in (2, 3):
        return None
    image = (item if item.ndim == 3 else item[None]).double()
    if image.shape[0] not in (1, 3):
        return None
    low, high = float(image.min()), float(image.max())
    shares = (image - low) / (high - low if high > low else 1.0)
    return np.ascontiguousarray((shares * 255).round().byte().permute(1, 2, 0).numpy())
