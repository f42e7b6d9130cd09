"""Checkpoints whose bytes are damaged, and disks that are full at any byte."""

import random
import resource
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tui_trainer.engine import checkpoint
from tui_trainer.engine.loop import train

from ..kills import same

OLD, NEW = 6, 12


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two checkpoints of a run, as the loop wrote them."""
    from ..conftest import make_job

    made = tmp_path_factory.mktemp("run")
    list(train(make_job(epochs=2, checkpoints=made)))
    return made


@pytest.fixture(scope="module")
def right(folder: Path) -> dict[int, Any]:
    """What they hold, by step."""
    return {step: checkpoint.load_newest(folder, pytest.fail, step) for step in (OLD, NEW)}


def damaged(folder: Path, right: dict[int, Any], name: str, data: bytes) -> tuple[int, int]:
    """The step of what is loaded when a file holds `data`, and how many were told to be damaged."""
    path, told = folder / name, list[str]()
    before = path.read_bytes()
    path.write_bytes(data)
    try:
        state = checkpoint.load_newest(folder, told.append)
    finally:
        path.write_bytes(before)
    step = state["state"]["step"]
    assert same(state, right[step]), "a checkpoint was accepted that is not what was saved"
    return step, len(told)


def test_three_hundred_flipped_bits_are_all_noticed(folder: Path, right: dict[int, Any]) -> None:
    data, draw = (folder / f"step-{NEW}.pt").read_bytes(), random.Random(0)
    for _ in range(300):
        wrong = bytearray(data)
        wrong[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
        assert damaged(folder, right, f"step-{NEW}.pt", bytes(wrong)) == (OLD, 1)


def test_three_hundred_truncations_are_all_noticed(folder: Path, right: dict[int, Any]) -> None:
    data, draw = (folder / f"step-{NEW}.pt").read_bytes(), random.Random(1)
    for length in (0, len(data) - 1, *(draw.randrange(len(data)) for _ in range(298))):
        assert damaged(folder, right, f"step-{NEW}.pt", data[:length]) == (OLD, 1)


def test_damage_of_a_manifest_costs_at_most_its_own_checkpoint(folder: Path, right: dict[int, Any]) -> None:
    data, draw = (folder / f"step-{NEW}.json").read_bytes(), random.Random(2)
    for at in range(len(data)):
        wrong = bytearray(data)
        wrong[at] ^= 1 << draw.randrange(8)
        assert damaged(folder, right, f"step-{NEW}.json", bytes(wrong)) in ((OLD, 1), (NEW, 0))
        assert damaged(folder, right, f"step-{NEW}.json", data[:at]) == (OLD, 1)


def test_a_disk_that_is_full_at_any_byte_costs_no_checkpoint(
    folder: Path, right: dict[int, Any], tmp_path: Path, make_job: Callable[..., Any]
) -> None:
    """Fifty offsets in data and manifest, by the limit that the kernel sets to the length of a file."""
    shutil.copytree(folder, tmp_path / "run")
    before = {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir()}
    state = {**right[NEW], "more": torch.arange(500)}
    length, limit = len(before[f"step-{NEW}.pt"]), resource.getrlimit(resource.RLIMIT_FSIZE)
    for offset in (0, 1, *range(length // 50, length, length // 49)):
        resource.setrlimit(resource.RLIMIT_FSIZE, (offset, limit[1]))
        try:
            with pytest.raises(OSError, match="File too large"):
                checkpoint.save(tmp_path / "run", NEW + 6 * (offset % 2), state, 1)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        assert {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir()} == before
    checkpoint.save(tmp_path / "run", NEW + 6, state, 1)
    assert checkpoint.load_newest(tmp_path / "run", pytest.fail)["more"].sum() == 500 * 499 // 2
