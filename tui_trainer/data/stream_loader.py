"""Batches of a planned stream, addressable by epoch and batch, of one rank among others.

The process that trains reads the rows, each once for all its workers, and a window ahead in a thread of its own where
there are workers; they decode. Batch `k` of an epoch holds the same rows for any number of workers and ranks, of which
a rank gets its own: every rank has equally many batches, some perhaps empty at the end.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from torch.utils.data import DataLoader, Dataset, Sampler

from tui_trainer.config import Config
from tui_trainer.data import stream_files
from tui_trainer.data.bad_files import MIN_SEEN, BadFiles
from tui_trainer.data.datasets import RawBatch
from tui_trainer.data.follow import FollowLoader
from tui_trainer.data.index import PARTS, TRAIN, VAL, Index, Stream
from tui_trainer.data.lanes import LANES, Lane, deal, taken, turns
from tui_trainer.data.loader import Batch
from tui_trainer.data.own_items import OneByOne
from tui_trainer.data.raw import Raw
from tui_trainer.data.respawn import LOOK, Workers, lasting
from tui_trainer.data.rows import as_it_is
from tui_trainer.data.stream_files import UnreadableError
from tui_trainer.data.stream_items import At, StreamItems
from tui_trainer.data.stream_rows import rows_of
from tui_trainer.data.threads import ThreadLoader
from tui_trainer.data.transforms import address
from tui_trainer.errors import ConfigError, DataError, TooManyBadError
from tui_trainer.text import display

HELD = 128 << 20  # bytes of rows that wait at most
THREADS = ("num_workers", "prefetch_factor", "timeout", "persistent_workers", "pin_memory")
Slot = list[Raw]  # what takes one place in the epoch: a row, none that has gone, or with it one that has come


class StreamOrder(Sampler[list[At]]):
    """The rows of this rank, batch by batch; `epoch` and `start` (batches) are set before each iteration."""

    def __init__(
        self, stream: Stream, part: int, *, batch_size: int, batches: int, seed: int, shuffle: bool, window: int,
        places: int, ahead: bool, rank: int = 0, ranks: int = 1, lanes: int = LANES,
    ) -> None:  # fmt: skip
        own = tuple(copy.deepcopy(one) for one in stream.sources)  # what is open belongs to the thread of one order
        self._stream = replace(stream, sources=own)
        self._part, self._seed, self._shuffle = part, seed, shuffle
        self._batch_size, self.length, self.places = batch_size, batches, places
        self._lanes, self._window = lanes, max(1, window // lanes)
        self._rank, self._ranks, self._ahead = rank, ranks, ahead
        self.epoch = self.start = 0

    def __len__(self) -> int:
        return max(0, self.length - self.start)

    def __iter__(self) -> Iterator[list[At]]:
        """Batches after the first `start`, whose rows are not read but for the windows that they end in."""
        lanes = self._dealt()
        sizes = [sum(window.slots for window in lane) for lane in lanes]
        first = self.start * self._batch_size
        reader = _Reader(self._slots, self._ahead)
        sources = [
            reader.lane(number, lane, skip)
            for number, (lane, skip) in enumerate(zip(lanes, taken(sizes, first), strict=True))
        ]
        shared = self._stream.origin(self._part)[0].whole_files
        rows: list[At] = []
        try:
            for place, lane in enumerate(turns(sizes, first), first):
                if shared:
                    slot = next(sources[lane])
                    mine = place % self._ranks == self._rank
                elif mine := lane % self._ranks == self._rank:
                    slot = next(sources[lane])
                if mine:
                    rows += [(self.epoch, raw) for raw in slot]
                done = place + 1
                if done % self._batch_size == 0 or done == self.places:
                    yield rows
                    rows = []
                if done == self.places or done == self.length * self._batch_size:
                    return
        finally:
            reader.close()
            self._stream.origin(self._part)[0].close()

    def _dealt(self) -> list[Lane]:
        source, plan, column = self._stream.origin(self._part)
        generator = np.random.default_rng(address(self._seed, self.epoch, -1)) if self._shuffle else None
        counts = plan.rows[:, column]
        whole = source.whole_files
        return deal(counts, plan.file, self._window, self._lanes, generator=generator, whole_files=whole)

    def _slots(self, lane: int, number: int, blocks: tuple[int, ...], slots: int) -> list[Slot]:
        """The rows of a window, in their order in this epoch."""
        found: list[Raw] = []
        _, plan, column = self._stream.origin(self._part)
        for block in blocks:
            try:
                found += rows_of(self._stream, self._part, block, lane)
            except UnreadableError as error:
                name = f"{PARTS[self._part]} block {block}, row".encode()
                lost = range(1, int(plan.rows[block, column]) + 1)
                found += [Raw(0, b"%s %d" % (name, row), None, str(error)) for row in lost]
        spread: list[Slot] = [[] for _ in range(slots)]
        for i, raw in enumerate(found):
            spread[i * slots // len(found)].append(raw)
        if not self._shuffle:
            return spread
        at = address(self._seed, self.epoch, (lane << 32) + number)
        return [spread[i] for i in np.random.default_rng(at).permutation(slots).tolist()]


class _Reader:
    """Reads windows, `ahead`: the next one of a lane while the one at hand is used."""

    def __init__(self, read: Callable[[int, int, tuple[int, ...], int], list[Slot]], ahead: bool) -> None:
        self._read = read
        self._pool = ThreadPoolExecutor(1, "stream") if ahead else None

    def lane(self, number: int, lane: Lane, skip: int) -> Iterator[Slot]:
        """The slots of a lane after the first `skip`."""
        coming: Future[list[Slot]] | None = None
        for turn, window in enumerate(lane):
            if skip >= window.slots:
                skip -= window.slots
                continue
            slots = coming.result() if coming is not None else self._window(number, lane, turn).result()
            coming = self._window(number, lane, turn + 1) if self._pool and turn + 1 < len(lane) else None
            yield from slots[skip:]
            skip = 0

    def _window(self, number: int, lane: Lane, turn: int) -> Future[list[Slot]]:
        window = lane[turn]
        if self._pool is not None:
            return self._pool.submit(self._read, number, turn, window.blocks, window.slots)
        done: Future[list[Slot]] = Future()
        done.set_result(self._read(number, turn, window.blocks, window.slots))
        return done

    def close(self) -> None:
        """Nothing is read any more."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)


class PlannedLoader:
    """Batches of one part of a stream, addressable by epoch and batch."""

    def __init__(
        self, items: StreamItems, order: StreamOrder, options: dict[str, Any], bad_files: BadFiles, least: int
    ) -> None:
        self.batch_size: int = options["batch_size"]
        self.batches, self.samples = order.length, min(order.places, order.length * self.batch_size)
        self._order, self.bad_files, self._least = order, bad_files, least
        self._make: Callable[[], Iterable[RawBatch]] = lambda: _loader(items, order, options)
        self._loader, self._workers, self._patience = self._make(), Workers(), options["timeout"]

    def epoch(self, number: int, start: int = 0) -> Iterator[Batch]:
        """The batches of epoch `number` after the first `start`, which are not read."""
        raw: RawBatch
        for count, raw, told in lasting(partial(self._opened, number), start, self._renew, self._patience):
            enough = len(raw.targets) if len(raw.targets) >= self._least else 0
            yield Batch(raw.inputs[:enough], raw.targets[:enough], count, told + self.bad_files.tell(raw.bad))

    def _opened(self, number: int, start: int) -> Iterator[RawBatch]:
        self._order.epoch, self._order.start = number, start
        if start >= self.batches:
            return iter(())
        with self._workers.starting():
            return iter(self._loader)

    def _renew(self) -> None:
        self._workers.kill()
        self._loader = self._make()

    def close(self) -> None:
        """End the workers at once."""
        self._workers.kill()
        if isinstance(self._loader, ThreadLoader):
            self._loader.close()


def _loader(items: StreamItems, order: StreamOrder, options: dict[str, Any]) -> Iterable[RawBatch]:
    """Rows are decoded in worker processes, in threads, or by whoever asks."""
    others = {name: value for name, value in options.items() if name not in ("batch_size", "drop_last")}
    if options["num_workers"] and options["multiprocessing_context"] is None:
        size = items.row_bytes * options["batch_size"]
        same = {name: options[name] for name in THREADS}
        return ThreadLoader(lambda group, memory: items.read(group[0], memory), order, size, batch_size=1, **same)
    others["timeout"] = min(options["timeout"], LOOK)
    dataset: Dataset[Any] = OneByOne(items) if others["collate_fn"] is not as_it_is else items
    return DataLoader(dataset, batch_sampler=order, **others)


def loaders_of(
    config: Config,
    index: Index,
    items: tuple[StreamItems, StreamItems],
    options: dict[str, Any],
    *,
    least: int,
    rank: int,
    ranks: int,
) -> tuple[PlannedLoader | FollowLoader, PlannedLoader]:
    """Of training and validation, the share of one rank.

    Raises:
        DataError: there are fewer rows than a batch has.
        ConfigError: an option is not for streams.
    """
    loader, data, seed, stream = config.loader, config.data, config.recipe.seed, index.inputs
    assert isinstance(stream, Stream)
    if loader.sampler != "default" or loader.batch_sampler:
        raise ConfigError("A stream gives its own order: leave out sampler and batch_sampler.")
    if loader.batch_size < least * ranks:
        raise ConfigError(
            f"batch_size = {loader.batch_size}: this model needs {least} or more {index.unit} a step in each process, "
            f"so {least * ranks} or more."
        )
    bad_files = BadFiles(data.max_bad, index.size(TRAIN) + index.size(VAL))
    _require_few(stream, bad_files, index.unit)
    made = []
    for part in (TRAIN, VAL):
        training = part == TRAIN
        places, batch = index.size(part), loader.batch_size
        whole = training and loader.drop_last
        if training and least > 1 and not whole and places % batch == 1:
            places -= 1
        batches = places // batch if whole else -(-places // batch)
        if not batches and not stream.follow:
            raise DataError(f"The training part has {places} {index.unit}, fewer than batch_size {batch}: lower it.")
        if training and loader.steps_per_epoch and not stream.follow:
            batches = min(batches, loader.steps_per_epoch)
        order = StreamOrder(
            stream, part, batch_size=batch, batches=batches, seed=seed, shuffle=training and loader.shuffle,
            window=_window(stream, part, loader.shuffle_buffer), places=places, ahead=loader.num_workers > 0,
            rank=rank, ranks=ranks, lanes=LANES if loader.shuffle or not training else 1,
        )  # fmt: skip
        given = {**options, "drop_last": whole}
        made.append(PlannedLoader(items[part], order, given, bad_files, least if training else 1))
    return (_following(config, items[TRAIN], stream, bad_files, ranks) if stream.follow else made[0]), made[1]


def _following(config: Config, items: StreamItems, stream: Stream, bad_files: BadFiles, ranks: int) -> FollowLoader:
    """The loader of a file that grows.

    Raises:
        ConfigError: a setting does not go with it.
    """
    loader = config.loader
    if loader.steps_per_epoch is None:
        raise ConfigError("A file that grows has no end: give --steps-per-epoch with follow.")
    if ranks > 1 or config.recipe.grad_accum_steps > 1:
        raise ConfigError("follow takes lines as they come, one process at a time: leave out nproc, grad_accum_steps.")
    bad_files.total = max(bad_files.total, loader.steps_per_epoch * loader.batch_size * config.recipe.epochs)
    path = stream.source.source
    return FollowLoader(
        items, stream_files.absolute(path), batch_size=loader.batch_size, steps=loader.steps_per_epoch,
        bad_files=bad_files, name=path.rpartition("/")[2],
    )  # fmt: skip


def _require_few(stream: Stream, bad_files: BadFiles, unit: str) -> None:
    """Refuse a stream of which too much is bad, as the plan has found.

    Raises:
        TooManyBadError: more than the allowed part of its rows cannot be used.
    """
    found, total = sum(plan.bad_count for plan in stream.plans), bad_files.total
    if found <= bad_files.max_bad * max(total, MIN_SEEN):
        return
    name, reason = next(one for plan in stream.plans for one in plan.bad)
    allowed = float(f"{min(1.0, max(2 * found / total, 0.1)):.2g}")
    raise TooManyBadError(
        f"{found:,} of {total:,} {unit} cannot be used, such as {display(name)} ({reason}): more than --max-bad "
        f"{bad_files.max_bad:g} allows.",
        allowed=allowed,
        advice=f"`tui-trainer data` names them; --max-bad {allowed:g} trains on the others.",
    )


def _window(stream: Stream, part: int, rows: int) -> int:
    """Rows that are held: as many as asked for, if that is not too much memory."""
    _, plan, _ = stream.origin(part)
    each = stream.row_bytes if plan.keys else float((plan.end - plan.start).sum()) / max(1, int(plan.rows.sum()))
    return min(rows, int(HELD / each)) if each else rows
