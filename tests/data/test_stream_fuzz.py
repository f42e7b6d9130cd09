"""Streams with bytes changed, taken away and put in anywhere: a sentence or a run, never anything else."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from tui_trainer.errors import UserError

from .streams_made import built, database, lines, rows, shard

KINDS = ("a.tar", "a.tar.gz", "a.jsonl", "a.jsonl.gz", "a.db")


def changed(data: bytes, draw: random.Random) -> bytes:
    made = bytearray(data)
    for _ in range(draw.choice((1, 3, 30))):
        at, what = draw.randrange(len(made)), draw.random()
        if what < 0.5:
            made[at] = draw.randrange(256)
        elif what < 0.7:
            del made[at : at + draw.randrange(1, 600)]
        elif what < 0.85:
            made[at:at] = draw.randbytes(draw.randrange(1, 100))
        else:
            del made[at:]
        made = made or bytearray(b"x")
    return bytes(made)


@pytest.mark.parametrize("turns", [40, pytest.param(4000, marks=pytest.mark.soak)])
def test_damage_anywhere_is_a_sentence_or_rows_left_out(turns: int, tmp_path: Path) -> None:
    shard(tmp_path / "a.tar", range(40))
    shard(tmp_path / "a.tar.gz", range(40))
    lines(tmp_path / "a.jsonl", rows(60))
    lines(tmp_path / "a.jsonl.gz", rows(60))
    database(tmp_path / "a.db", rows(60))
    whole = {kind: (tmp_path / kind).read_bytes() for kind in KINDS}
    draw, trained, said = random.Random(turns), 0, list[str]()
    for turn in range(turns):
        kind = KINDS[turn % len(KINDS)]
        (tmp_path / f"m-{kind}").write_bytes(changed(whole[kind], draw))
        values: dict[str, Any] = {"target": ("y",), "max_bad": 1.0}
        values |= {"task": "regression", "channels": 1} if "tar" in kind else {"features": ("x",)}
        values |= {"stream": True} if "jsonl" in kind else {}
        try:
            data = built(str(tmp_path / f"m-{kind}"), **values)
            for loader in (data.train, data.val):
                for batch in loader.epoch(0):
                    assert all("\n" not in text for text in batch.warnings)
            trained += 1
        except UserError as error:
            said.append(str(error))
    assert all(len(text) < 500 and "\n" not in text for text in said)
    assert trained > turns / 8
