"""The threads behind the data screen: one looks at a folder, one draws samples as the model will see them.

They never call the screen: its timer reads what they have found so far. numpy is imported in the
threads, torch in the second one: the first screen is drawn before.
"""

from __future__ import annotations

import threading
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tui_trainer.data_config import DataConfig
from tui_trainer.text import display
from tui_trainer.tui.work import Work

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from tui_trainer.data.index import Index
    from tui_trainer.data.pipeline import Spec
    from tui_trainer.data.report import Report
    from tui_trainer.data.table_report import TableReport

    Pixels = npt.NDArray[np.uint8]

TRIES = 4  # samples tried for each one wanted, where some cannot be read


@dataclass(frozen=True, kw_only=True)
class Place:
    """What decides which samples there are, and their split."""

    data: DataConfig
    seed: int
    trusted: bool = False


@dataclass(frozen=True, kw_only=True)
class View:
    """What decides how the model sees them; None: chosen here as a run does.

    `still`: without augmentation, which would draw from the random numbers of the run that trains now.
    """

    model: str
    image_size: int | None
    channels: int | None
    resize: str
    augment: str
    seed: int
    still: bool = False
    trusted: bool = False  # whether the user's own model may be imported


@dataclass(frozen=True, eq=False)
class Tile:
    """A sample as the model will see it: (S, S, C) uint8, and its class."""

    pixels: Pixels
    label: str


class Look:
    """Scans a folder and reports what is in it, until it ends or is cancelled."""

    def __init__(self, place: Place) -> None:
        self.index: Index | None = None
        self.report: Report | TableReport | None = None
        self.error = ""
        self.source = ""  # the same from any folder
        self._place = place
        self._work = Work("look", self._look, self._fail, daemon=True)

    def start(self) -> None:
        """Begin."""
        self._work.thread.start()

    def stop(self, seconds: float = 0.0) -> None:
        """End soon, and wait so long for it; what is known stays."""
        self._work.stop(seconds)

    @property
    def working(self) -> bool:
        """Whether more will come."""
        return self._work.thread.is_alive()

    def _look(self, stopped: threading.Event) -> None:
        from tui_trainer.data import sources
        from tui_trainer.data.examine import examine
        from tui_trainer.data.preflight import remember
        from tui_trainer.data.report import Report

        self.source = sources.absolute(self._place.data.data)
        index = sources.open_source(self._place.data, self._place.seed, trusted=self._place.trusted)
        with closing(examine(index)) as reports:
            for report in reports:
                if stopped.is_set():
                    return
                self.report, self.index = report, index
        if isinstance(report, Report):
            remember(index, report)

    def _fail(self, sentence: str) -> None:
        self.error = sentence


class Draw:
    """Draws samples of the training part; `number` is the draw, and the epoch of their augmentation."""

    def __init__(self, index: Index, view: View, number: int, most: int) -> None:
        self.tiles: list[Tile] = []
        self.caption = ""
        self.error = ""
        self._index, self._view, self._number, self._most = index, view, number, most
        self._work = Work("draw", self._draw, self._fail, daemon=False)

    def start(self) -> None:
        """Begin."""
        self._work.thread.start()

    def stop(self, seconds: float = 0.0) -> None:
        """End after the sample at hand, and wait so long for it."""
        self._work.stop(seconds)

    @property
    def working(self) -> bool:
        """Whether more will come."""
        return self._work.thread.is_alive()

    def _draw(self, stopped: threading.Event) -> None:
        import numpy as np

        from tui_trainer.data.channels import look_at_channels
        from tui_trainer.data.datasets import ImageDataset, Spec
        from tui_trainer.data.index import Own, Rows, Stream
        from tui_trainer.models import catalog

        index, view = self._index, self._view
        if isinstance(index.inputs, Rows) or (isinstance(index.inputs, Stream) and index.inputs.names):
            self.caption = f"The model sees rows of {len(index.inputs.names)} numbers, standardised."
            return
        if isinstance(index.inputs, Own):
            self.caption = f"The model sees what your dataset gives, of shape {'x'.join(map(str, index.inputs.shape))}."
            return
        channels = view.channels or look_at_channels(index)
        model = catalog.LENET if view.model == "auto" else view.model
        side = view.image_size or catalog.default_size(model, trusted=view.trusted)
        colour = "grey" if channels == 1 else "RGB"
        preset, note = ("none", ", not augmented while a run trains") if view.still else (view.augment, "")
        augment = "" if view.augment == "none" else note or f", augment {preset}"
        self.caption = f"{display(model, 24)} sees {side}x{side} {colour}, {view.resize}{augment}"
        spec = Spec(image_size=side, channels=channels, resize=view.resize, max_megapixels=index.max_megapixels)
        if isinstance(index.inputs, Stream):
            self._draw_stream(index, spec, preset, stopped)
            return
        dataset = ImageDataset(index, spec, preset, view.seed)
        for sample in _choose(index, view.seed, self._number, self._most * TRIES):
            if stopped.is_set() or len(self.tiles) == self._most:
                return
            image = dataset[self._number, sample].image
            if image is not None:
                self.tiles.append(Tile(np.ascontiguousarray(image.numpy()), index.target_in_words(sample)))
        if not self.tiles:
            self.error = "None of the images drawn can be read."

    def _draw_stream(self, index: Index, spec: Spec, preset: str, stopped: threading.Event) -> None:
        """Images of a few blocks, spread over the stream, others for each draw."""
        from tui_trainer.data.stream_items import drawn

        for pixels, label in drawn(index, spec, preset, self._view.seed, self._number):
            if stopped.is_set() or len(self.tiles) == self._most:
                return
            self.tiles.append(Tile(pixels, label))
        if not self.tiles:
            self.error = "None of the images drawn can be read."

    def _fail(self, sentence: str) -> None:
        self.error = sentence


def _choose(index: Index, seed: int, number: int, most: int) -> list[int]:
    """Training samples by (seed, number), each class once before one comes again."""
    import numpy as np

    from tui_trainer.data.index import CLASSIFICATION, TRAIN

    generator = np.random.default_rng([seed, number])
    members = index.part(TRAIN)
    members = members[generator.permutation(len(members))]
    if index.task != CLASSIFICATION:
        spread: list[int] = members[:most].tolist()
        return spread
    targets = index.targets[members]
    order = np.argsort(targets, kind="stable")
    firsts = np.searchsorted(targets[order], np.arange(len(index.classes)))
    turn = np.empty(len(members), np.int64)  # how many of its class come before it
    turn[order] = np.arange(len(members)) - firsts[targets[order]]
    chosen: list[int] = members[np.argsort(turn, kind="stable")][:most].tolist()
    return chosen
