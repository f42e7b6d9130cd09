"""The words and the record of a report."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tui_trainer.data.report import Copies, Report, sizes_of

EVEN = Report(
    root=Path("/data"),
    classes=("ant", "bee"),
    counts=((80, 60), (20, 15), (0, 0)),
    images=175,
    looked_at=175,
    compared=175,
    decoded=175,
    colours=(("colour", 175),),
)


def facts(**changes: Any) -> dict[str, str]:
    return dict(replace(EVEN, **changes).facts())


def warnings(**changes: Any) -> str:
    return "\n".join(replace(EVEN, **changes).warnings())


def test_an_even_clean_dataset_has_facts_and_no_warning() -> None:
    assert facts() == {
        "images": "175: 140 train, 35 val",
        "classes": "2, with 60 to 80 in train",
        "colours": "all colour",
        "looked at": "all files, all decoded",
    }
    bad = facts(bad_in_part=(9, 3, 0))["images"]
    assert bad == "175: 140 train, 35 val (9 and 3 cannot be read)"
    assert EVEN.warnings() == []
    assert EVEN.in_class == (100, 75)
    assert EVEN.balance == pytest.approx(80 / 60)


def test_classes_of_one_size_and_uneven_ones() -> None:
    assert facts(counts=((60, 60), (5, 5), (0, 0)))["classes"] == "2, each with 60 in train"
    shown = facts(counts=((600, 60), (5, 5), (0, 0)))["classes"]
    assert shown == "2, largest to smallest 10 to 1 (ant 600, bee 60)"
    assert "uneven, 10 to 1" in warnings(counts=((600, 60), (5, 5), (0, 0)))
    assert "uneven" not in warnings(counts=((599, 60), (5, 5), (0, 0)))


def test_small_and_unvalidated_classes_are_named() -> None:
    told = warnings(counts=((80, 9), (20, 0), (0, 0)))
    assert "1 class has fewer than 10 training images: bee." in told
    assert "Nothing to validate bee on." in told
    many = tuple(f"c{i}" for i in range(7))
    assert "c0, c1, c2 and 4 more" in warnings(classes=many, counts=((5,) * 7, (1,) * 7, (0,) * 7))


def test_rare_colours_are_neither_zero_nor_everything() -> None:
    assert facts(colours=(("colour", 999), ("grey", 1)))["colours"] == "over 99% colour, under 1% grey"
    assert facts(colours=(("colour", 3), ("grey", 1)))["colours"] == "75% colour, 25% grey"


def test_sizes_of_one_image_size_and_of_many() -> None:
    one = sizes_of(np.array([[8, 9]] * 3, np.int32))
    assert one is not None
    assert one.in_words() == "all 8x9"
    many = sizes_of(np.array([[10, 400], [20, 300], [900, 7]], np.int32))
    assert many is not None
    assert many.in_words() == "median 20x300, from 10x7 to 900x400"
    assert sizes_of(np.zeros((0, 2), np.int32)) is None


def test_coverage_says_what_was_not_looked_at() -> None:
    assert (
        facts(looked_at=20, compared=175, decoded=5)["looked at"]
        == "headers of 20 of 175, contents of all 175, 5 decoded"
    )
    assert facts(looked_at=20, stage="headers")["looked at"] == "20 of 175 headers ..."
    assert facts(compared=21, stage="contents")["looked at"] == "21 of 175 contents ..."
    assert facts(decoded=7, stage="decoded")["looked at"] == "7 decoded ..."
    assert facts(decoded=173, bad=((b"x", "r"), (b"y", "r")))["looked at"] == "all files, all decoded"


def test_copies_in_train_and_val_come_first() -> None:
    leak = Copies(names=(b"ant/1", b"ant/2"), across_parts=True, across_classes=False)
    torn = Copies(names=(b"ant/3", b"bee/3", b"bee/4"), across_parts=False, across_classes=True)
    told = replace(EVEN, copies=(torn, leak), bad=((b"ant/0", "empty file"),), notes=("A note.",)).warnings()
    assert told[0] == (
        "1 image is in train and held out both, so the val metric will look better than it is, such as ant/1 = ant/2."
    )
    assert told[1] == "1 image is in two classes with the same content, such as ant/3 = bee/3 = bee/4."
    assert told[2] == "3 files are copies of another one."
    assert told[3] == "1 image cannot be read and is left out of training."
    assert told[-1] == "A note."


def test_hostile_names_are_made_visible_in_every_sentence() -> None:
    evil = "\x1b[31m\u202ered\n"
    group = Copies(names=(evil.encode(), b"\xff"), across_parts=True, across_classes=True)
    report = replace(EVEN, classes=(evil, "b"), counts=((100, 1), (1, 0), (0, 0)), copies=(group,))
    for text in [*report.warnings(), *(text for _, text in report.facts())]:
        assert text.isprintable(), text


def test_the_record_is_json_and_keeps_names_as_they_are() -> None:
    report = replace(EVEN, bad=((b"ant/\xff.png", "empty file"),))
    text = json.dumps(report.record())
    assert text.isascii()
    record = json.loads(text)
    assert record["parts"] == {"train": 140, "val": 35, "test": 0}
    assert record["classes"][1] == {"name": "bee", "train": 60, "val": 15, "test": 0}
    assert record["bad"] == [{"path": "ant/\udcff.png", "reason": "empty file"}]
