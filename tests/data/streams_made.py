"""Small streams of one content: rows `id`, `x` (the id again) and `y`, or images whose target is the id."""

from __future__ import annotations

import gzip
import io
import json
import sqlite3
import tarfile
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from tui_trainer.config import Config
from tui_trainer.data.batches import Data, build_batches, scan, spec_of
from tui_trainer.data.index import TRAIN, VAL, Index
from tui_trainer.data.loader import Loader, worker_context

UNEVEN = (3, 120, 1, 0, 77, 200)  # rows of shards


def rows(count: int, first: int = 0) -> list[dict[str, Any]]:
    return [{"id": i, "x": float(i), "z": i % 7, "y": 3.0 * i} for i in range(first, first + count)]


def database(path: Path, made: Iterable[dict[str, Any]], *, step: int = 10) -> str:
    """Keys are `step` apart, so that rows can be put in between."""
    with closing(sqlite3.connect(path)) as made_in:
        made_in.execute("CREATE TABLE samples (key INTEGER PRIMARY KEY, id, x, z, y)")
        made_in.executemany("INSERT INTO samples VALUES (?, ?, ?, ?, ?)",
                            [(step * one["id"], *one.values()) for one in made])  # fmt: skip
        made_in.commit()
    return f"sqlite:///{path}"


def lines(path: Path, made: Iterable[dict[str, Any]]) -> str:
    data = b"".join(json.dumps(one).encode() + b"\n" for one in made)
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return str(path)


def picture(number: int) -> bytes:
    pixels = np.full((8, 8), number % 251, np.uint8)
    pixels[0, 0] = number // 251
    return cv2.imencode(".png", pixels)[1].tobytes()


def shard(path: Path, ids: Iterable[int]) -> str:
    with tarfile.open(path, "w:gz" if path.suffix == ".gz" else "w") as made:
        for number in ids:
            members = {"png": picture(number), "json": json.dumps({"y": number}).encode()}
            for suffix, data in members.items():
                info = tarfile.TarInfo(f"part/{number:05}.{suffix}")
                info.size = len(data)
                made.addfile(info, io.BytesIO(data))
    return str(path)


def parted(counts: Iterable[int] = UNEVEN) -> Iterator[range]:
    first = 0
    for count in counts:
        yield range(first, first + count)
        first += count


def source(kind: str, folder: Path) -> tuple[str, dict[str, Any]]:
    """A stream of 401 rows, in uneven shards where there are shards; and settings for it."""
    count = sum(UNEVEN)
    if kind == "sql":
        return database(folder / "a.db", rows(count)), {"features": ("x",), "target": ("y",)}
    if kind in ("tar", "tar.gz"):
        for i, ids in enumerate(parted()):
            shard(folder / f"s-{i}.{kind}", ids)
        return f"{folder}/s-{{0..{len(UNEVEN) - 1}}}.{kind}", {"target": ("y",), "task": "regression", "channels": 1}
    for i, ids in enumerate(parted()):
        lines(folder / f"s-{i}.{kind}", rows(len(ids), ids.start))
    return f"{folder}/s-*.{kind}", {"features": ("x",), "target": ("y",), "stream": True}


def built(spec: str, rank: int = 0, ranks: int = 1, index: Index | None = None, **values: Any) -> Data:
    config = Config().replace(data=spec, **{"batch_size": 16, "image_size": 8, "normalize": "none", **values})
    index = scan(config) if index is None else index
    context = worker_context(config)
    return build_batches(
        config, index, spec_of(config.data, index), needs_two=False, context=context, rank=rank, ranks=ranks
    )


def ids_of(inputs: torch.Tensor) -> list[int]:
    """Which samples these inputs are."""
    if inputs.ndim == 2:
        return [round(value) for value in inputs[:, 0].tolist()]
    flat = inputs.flatten(1).long()
    return (flat[:, 0] * 251 + flat[:, -1]).tolist()


def epoch_of(loader: Loader, epoch: int = 0, start: int = 0) -> list[list[int]]:
    return [ids_of(batch.inputs) for batch in loader.epoch(epoch, start)]


__all__ = ["TRAIN", "VAL", "built", "database", "epoch_of", "ids_of", "lines", "parted", "picture", "rows", "shard"]
