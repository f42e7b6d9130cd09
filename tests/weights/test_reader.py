from __future__ import annotations

import os
import struct
import warnings
import zipfile

import pytest
import torch

from tui_trainer.errors import WeightsError
from tui_trainer.weights.limits import ReadingCancelledError
from tui_trainer.weights.reader import choose_group, list_weights, read_state_dict, read_tensor
from tui_trainer.weights.regular_file import opened

from .opcodes import archive, pickled, table, tensor, written


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "w.pth"
    torch.save({"model": {"a": torch.ones(2), "b": torch.zeros(3)}, "ema": {"a": torch.full((2,), 5.0)}}, path)
    return path


def test_another_group_can_be_chosen(saved):
    file = list_weights(saved)
    assert file.chosen.path == "model"
    assert read_tensor(choose_group(file, "ema"), "a").tolist() == [5.0, 5.0]
    with pytest.raises(WeightsError, match="choose one of model, ema"):
        choose_group(file, "teacher")


def test_a_name_that_is_not_in_the_file(saved):
    with pytest.raises(WeightsError, match="no tensor is called c"):
        read_state_dict(list_weights(saved), ["a", "c"])


def test_only_what_is_asked_for_in_the_order_asked_for(saved):
    assert list(read_state_dict(list_weights(saved), ["b", "a", "b"])) == ["b", "a"]


def test_what_is_read_is_a_copy_that_can_be_written_to(saved):
    file = list_weights(saved)
    read_tensor(file, "a").zero_()
    assert read_tensor(file, "a").tolist() == [1.0, 1.0]


def test_listing_can_be_cancelled(saved):
    with pytest.raises(ReadingCancelledError):
        list_weights(saved, cancelled=lambda: True)


def test_cancelling_is_asked_for_again_and_again(tmp_path):
    torch.save({f"l{index}": torch.ones(1) for index in range(2000)}, tmp_path / "w.pth")
    asked = []
    with pytest.raises(ReadingCancelledError):
        list_weights(tmp_path / "w.pth", cancelled=lambda: asked.append(0) or len(asked) > 20)


def test_a_file_replaced_after_listing_is_noticed(saved):
    file = list_weights(saved)
    torch.save({"model": {"a": torch.zeros(2)}}, saved)
    with pytest.raises(WeightsError, match="changed since it was listed: open it again"):
        read_tensor(file, "a")


def test_a_file_that_became_another_of_equal_size_and_time_is_still_checked(saved):
    file = list_weights(saved)
    saved.write_bytes(bytes(file.size))
    os.utime(saved, ns=(file.modified_ns, file.modified_ns))
    with pytest.raises(WeightsError, match="disagree"):
        read_tensor(file, "a")


def test_a_named_pipe_is_refused_without_waiting_even_when_it_appears_between_two_looks(tmp_path, monkeypatch):
    fifo = tmp_path / "pipe"
    os.mkfifo(fifo)
    regular = written(tmp_path / "file", b"x")
    real_stat = os.stat
    monkeypatch.setattr(os, "stat", lambda path: real_stat(regular))
    with pytest.raises(WeightsError, match="a named pipe"), opened(fifo):
        pass


def test_names_that_no_file_can_have(tmp_path):
    with pytest.raises(WeightsError, match="name"):
        list_weights("a\0b")
    with pytest.raises(WeightsError, match="cannot be opened"):
        list_weights(tmp_path / ("x" * 5000))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read(saved):
    saved.chmod(0)
    with pytest.raises(WeightsError, match="may not be read"):
        list_weights(saved)


def test_run_folders(tmp_path):
    from safetensors.torch import save_file

    checkpoints = tmp_path / "checkpoints"
    with pytest.raises(WeightsError, match="has no checkpoints"):
        list_weights(tmp_path)
    checkpoints.mkdir()
    for step in (2, 10):
        torch.save({"model": {"w": torch.full((2,), float(step))}}, checkpoints / f"step-{step}.pt")
    assert read_tensor(list_weights(tmp_path), "w").tolist() == [10.0, 10.0]
    save_file({"w": torch.full((2,), 7.0)}, checkpoints / "final.safetensors")
    assert list_weights(tmp_path).path == checkpoints / "final.safetensors"
    save_file({"w": torch.full((2,), 9.0)}, checkpoints / "best.safetensors", {"classes": '["cat", "dog"]'})
    assert list_weights(checkpoints).class_names == ("cat", "dog")
    assert read_tensor(list_weights(tmp_path), "w").tolist() == [9.0, 9.0]


def test_metadata_of_safetensors(tmp_path):
    from safetensors.torch import save_file

    save_file({"w": torch.ones(1)}, tmp_path / "w.safetensors", {"format": "pt", "classes": "no JSON"})
    file = list_weights(tmp_path / "w.safetensors")
    assert file.metadata == {"format": "pt", "classes": "no JSON"}
    assert file.class_names == ()


def test_zip64_as_in_files_beyond_4_gigabytes(tmp_path):
    """A sparse file: the directory stands behind 5 GB of nothing, so that 32 bits are too few."""
    data = archive(pickled(table(weight=tensor())), {"data/0": struct.pack("<4f", 1, 2, 3, 4)})
    gap = 5 << 30
    start = data.index(b"PK\x03\x04", data.index(b"archive/data/0") - 30)
    central = data.index(b"PK\x01\x02")
    end = data.rindex(b"PK\x05\x06")
    directory, at = bytearray(), central
    while at < end:
        fields = list(struct.unpack_from("<4s6H3L5H2L", data, at))
        name = data[at + 46 : at + 46 + fields[10]]
        moved = fields[16] >= start
        extra = struct.pack("<2HQ", 1, 8, fields[16] + gap) if moved else b""
        fields[11], fields[16] = len(extra), 0xFFFFFFFF if moved else fields[16]
        directory += struct.pack("<4s6H3L5H2L", *fields) + name + extra
        at += 46 + len(name)
    count = struct.unpack_from("<H", data, end + 10)[0]
    directory_at = central + gap
    end64 = struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, count, count, len(directory), directory_at)
    locator = struct.pack("<4sLQL", b"PK\x06\x07", 0, directory_at + len(directory), 1)
    tail = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    path = tmp_path / "large.pth"
    with path.open("wb") as out:
        out.write(data[:start])
        out.seek(start + gap)
        out.write(data[start:central] + directory + end64 + locator + tail)
    assert zipfile.is_zipfile(path)
    file = list_weights(path)
    assert file.size > gap
    assert read_tensor(file, "weight").tolist() == [1.0, 2.0, 3.0, 4.0]


def test_views_of_one_large_storage_take_its_memory_once(tmp_path):
    base = torch.zeros(250_000)
    torch.save({f"view{index}": base[index:] for index in range(1000)}, tmp_path / "w.pth")
    state = read_state_dict(list_weights(tmp_path / "w.pth"))
    assert len({tensor.untyped_storage().data_ptr() for tensor in state.values()}) == 1


def test_a_single_view_reads_its_own_bytes_only(tmp_path):
    base = torch.arange(100_000.0)
    torch.save({"part": base[500:510]}, tmp_path / "w.pth")
    part = read_tensor(list_weights(tmp_path / "w.pth"), "part")
    assert part.tolist() == list(range(500, 510))
    assert part.untyped_storage().nbytes() < 100


def test_bools_are_0_or_1_whatever_the_bytes_say(tmp_path):
    from .opcodes import storage

    held = storage(kind="BoolStorage")
    data = archive(pickled(table(weight=tensor(held=held))), {"data/0": b"\0\1\2\xff"})
    found = read_tensor(list_weights(written(tmp_path / "w.pth", data)), "weight")
    assert found.view(torch.uint8).tolist() == [0, 1, 1, 1]


def test_warnings_of_the_standard_library_do_not_come_through(tmp_path):
    value = b"}" + b"S'\\d'\n" + tensor() + b"s"
    path = written(tmp_path / "w.pth", archive(pickled(value)))
    with warnings.catch_warnings():
        warnings.simplefilter("default", DeprecationWarning)
        warnings.simplefilter("ignore")
        assert list_weights(path).tensors[0].name == "\\d"


def test_text_opcodes_of_protocol_0(tmp_path):
    value = b"(dp0\nVw\np1\n" + tensor() + b"p2\nsS'n'\nI5\nsS'f'\nF1.5\nsS'l'\nL7L\nsS'b'\nI01\ns."
    path = written(tmp_path / "w.pth", archive(value))
    assert [info.name for info in list_weights(path).tensors] == ["w"]
