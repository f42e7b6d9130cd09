"""Damaged files: whatever a byte says, listing and reading end with tensors or with a sentence."""

from __future__ import annotations

import io
import random

import pytest
import torch

from tui_trainer.errors import WeightsError
from tui_trainer.weights.reader import list_weights, read_tensor

from . import good_files


def seeds(folder) -> list[bytes]:
    """Small honest files of each format."""
    import warnings

    net = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2))
    out = []
    for legacy in (False, True):
        for value in (net, net.state_dict(), {"model": net.state_dict(), "epoch": 3}):
            buffer = io.BytesIO()
            torch.save(value, buffer, _use_new_zipfile_serialization=not legacy)
            out.append(buffer.getvalue())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in ("deflated", "big_endian", "float8", "torchscript", "exported"):
            good_files.MAKERS[name](folder / name)
            out.append((folder / name).read_bytes())
    from safetensors.torch import save

    return [*out, save(net.state_dict(), {"classes": '["a", "b"]'})]


def damaged(data: bytes, dice: random.Random) -> bytes:
    """`data` with one to a few bytes changed, removed, put in or repeated; often near its ends, where headers are."""
    changed = bytearray(data)
    for _ in range(dice.choice((1, 1, 1, 2, 4, 16))):
        region = dice.choice((len(changed), min(400, len(changed)), len(changed)))
        at = dice.randrange(region) if dice.random() < 0.7 else len(changed) - 1 - dice.randrange(region)
        kind = dice.randrange(7)
        if kind < 3:
            changed[at] = dice.randrange(256)
        elif kind == 3:
            changed[at] ^= 1 << dice.randrange(8)
        elif kind == 4:
            changed[at : at + 8] = dice.choice((b"\xff" * 8, bytes(8), b"\xff" * 7 + b"\x7f", b"\0\0\0\x80\0\0\0\0"))
        elif kind == 5:
            del changed[at : at + dice.choice((1, 3, 50))]
        else:
            changed[at:at] = changed[at : at + dice.choice((1, 4, 30))]
        if not changed:
            return b""
    return bytes(changed)


def sentence_of(action, *arguments):
    """(result, what the user is told instead of one)."""
    try:
        return action(*arguments), ""
    except WeightsError as error:
        return None, str(error)


def survives(folder, count: int, seed: int) -> tuple[int, int]:
    """(files listed, tensors read) of `count` damaged files; anything but a `WeightsError` escapes."""
    dice = random.Random(seed)
    originals = seeds(folder)
    path = folder / "damaged"
    listed = read = 0
    for _ in range(count):
        path.write_bytes(damaged(dice.choice(originals), dice))  # the last one stays for whoever looks why
        file, told = sentence_of(list_weights, path)
        assert file is not None or told.isprintable()
        listed += file is not None
        for tensor in file.tensors if file is not None else ():
            found, told = sentence_of(read_tensor, file, tensor.name)
            assert found is not None or told.isprintable()
            read += found is not None
    return listed, read


def test_damaged_files_end_in_tensors_or_a_sentence(tmp_path):
    listed, read = survives(tmp_path, 2_000, seed=1)
    assert listed > 100
    assert read > 100


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(10))
def test_many_damaged_files(tmp_path, seed):
    survives(tmp_path, 2_000, seed=100 + seed)


@pytest.mark.parametrize("legacy", [False, True])
def test_every_way_to_cut_a_file(tmp_path, legacy):
    buffer = io.BytesIO()
    torch.save({"w": torch.ones(3)}, buffer, _use_new_zipfile_serialization=not legacy)
    whole = buffer.getvalue()
    path = tmp_path / "cut"
    for size in range(0, len(whole), 3):
        path.write_bytes(whole[:size])
        with pytest.raises(WeightsError):
            read_tensor(list_weights(path), "w")
