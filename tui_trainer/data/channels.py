"""Whether images are grey or in colour: a few are looked at."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator

from tui_trainer.data.decode import BadImageError, is_grey, read_file
from tui_trainer.data.index import TRAIN, Index, Stream
from tui_trainer.data.statistics import spread
from tui_trainer.data.stream_items import some_images
from tui_trainer.errors import DataError
from tui_trainer.text import display

LOOKED_AT = 64  # images that decide whether the data is grey


def look_at_channels(index: Index) -> int:
    """1 if the images looked at are all grey in their files, else 3.

    Raises:
        DataError: none of them can be read.
    """
    seen = 0
    for data in _some_images(index):
        try:
            if not is_grey(data()):
                return 3
            seen += 1
        except (BadImageError, ValueError):
            continue
    if not seen:
        raise DataError(f"None of the images looked at in {display(index.root)} can be read: are they images?")
    return 1


def _some_images(index: Index) -> Iterator[Callable[[], bytes]]:
    """What reads an image, for a few of the training part."""
    if isinstance(index.inputs, Stream):
        yield from some_images(index.inputs, LOOKED_AT)
        return
    for i in spread(index.part(TRAIN), LOOKED_AT):
        yield functools.partial(encoded, index, int(i))


def encoded(index: Index, sample: int) -> bytes:
    """The bytes of the image file of a sample, or of an image that is no file.

    Raises:
        BadImageError: the file cannot be read.
    """
    pictures = index.pictures
    return read_file(index.path(sample)) if pictures is None else pictures.encoded(sample)
