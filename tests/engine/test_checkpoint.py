import contextlib
import hashlib
import json
import os
import resource
import stat
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, BinaryIO

import pytest
import torch
from safetensors import safe_open

from tui_trainer import whole_file
from tui_trainer.engine import checkpoint
from tui_trainer.errors import WeightsError


def state(step: int) -> dict[str, Any]:
    return {"state": {"step": step}, "model": {"w": torch.full((50,), float(step))}, "name": "caf\udce9"}


def saved(folder: Path, *steps: int, keep: int = 9) -> Path:
    for step in steps:
        assert checkpoint.save(folder, step, state(step), keep) == f"step-{step}.pt"
    return folder


def load(folder: Path) -> tuple[int, list[str]]:
    warnings: list[str] = []
    loaded = checkpoint.load_newest(folder, warnings.append)
    step = loaded["state"]["step"]
    assert torch.equal(loaded["model"]["w"], state(step)["model"]["w"])
    assert loaded["name"] == "caf\udce9"
    return step, warnings


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_the_newest_is_loaded_by_number_not_by_name(tmp_path: Path) -> None:
    assert load(saved(tmp_path, 9, 10, 100)) == (100, [])


def test_the_newest_few_are_kept(tmp_path: Path) -> None:
    saved(tmp_path, 8, 9, 10, 11, keep=2)
    assert names(tmp_path) == {"step-10.pt", "step-10.json", "step-11.pt", "step-11.json"}


def test_a_damaged_later_one_does_not_push_out_the_good_ones(tmp_path: Path) -> None:
    saved(tmp_path, 90, 100)
    flip(tmp_path / "step-100.pt", 500)
    assert load(tmp_path)[0] == 90
    saved(tmp_path, 95, keep=1)  # the run went on from 90 and was stopped before 100
    assert load(tmp_path)[0] == 95
    saved(tmp_path, 100, keep=1)
    assert load(tmp_path) == (100, [])
    assert names(tmp_path) == {"step-100.pt", "step-100.json"}


def test_saving_a_step_again_replaces_it(tmp_path: Path) -> None:
    saved(tmp_path, 5)
    checkpoint.save(tmp_path, 5, {**state(5), "again": 1}, 2)
    assert checkpoint.load_newest(tmp_path, lambda text: None)["again"] == 1


def flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 0x10
    path.write_bytes(data)


def damage_flip_start(folder: Path) -> None:
    flip(folder / "step-2.pt", 40)


def damage_flip_end(folder: Path) -> None:
    flip(folder / "step-2.pt", -100)


def damage_truncate(folder: Path) -> None:
    path = folder / "step-2.pt"
    path.write_bytes(path.read_bytes()[:-1])


def damage_empty(folder: Path) -> None:
    (folder / "step-2.pt").write_bytes(b"")


def damage_remove_data(folder: Path) -> None:
    (folder / "step-2.pt").unlink()


def damage_longer(folder: Path) -> None:
    with (folder / "step-2.pt").open("ab") as file:
        file.write(b"\0")


def damage_folder(folder: Path) -> None:
    (folder / "step-2.pt").unlink()
    (folder / "step-2.pt").mkdir()


def manifest(text: str | bytes) -> Any:
    def damage(folder: Path) -> None:
        (folder / "step-2.json").write_bytes(text if isinstance(text, bytes) else text.encode())

    return damage


def agreeing(data: bytes) -> Any:
    """A manifest that agrees with data that is no checkpoint."""

    def damage(folder: Path) -> None:
        (folder / "step-2.pt").write_bytes(data)
        record = {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        (folder / "step-2.json").write_text(json.dumps(record))

    return damage


def other_version(folder: Path) -> None:
    path = folder / "other.pt"
    torch.save({"schema": 99}, path)
    agreeing(path.read_bytes())(folder)
    path.unlink()


DAMAGES = [
    damage_flip_start, damage_flip_end, damage_truncate, damage_empty, damage_remove_data, damage_longer, damage_folder,
    manifest(""), manifest("{"), manifest("null"), manifest("[]"), manifest("5"), manifest("{}"), manifest(b"\xff"),
    manifest('{"size": "x", "sha256": 5}'), agreeing(b""), agreeing(b"PK\x03\x04"), agreeing(b"\x80\x02."),
    other_version,
]  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_newest_is_told_and_the_one_before_is_used(tmp_path: Path, damage: Any) -> None:
    saved(tmp_path, 1, 2)
    damage(tmp_path)
    step, warnings = load(tmp_path)
    assert step == 1
    assert len(warnings) == 1
    assert "step-2.pt" in warnings[0]
    assert "\n" not in warnings[0]


@pytest.mark.parametrize("damage", DAMAGES)
def test_where_all_are_damaged_nothing_is_loaded_and_nothing_written(tmp_path: Path, damage: Any) -> None:
    saved(tmp_path, 2)
    damage(tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    with pytest.raises(WeightsError, match="There is no whole checkpoint in"):
        load(tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()} == before


def test_a_file_that_runs_code_is_damaged_and_runs_nothing(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.mkdir, (str(tmp_path / "evil"),)

    saved(tmp_path, 1, 2)
    torch.save({"schema": checkpoint.SCHEMA_VERSION, "evil": Evil()}, tmp_path / "evil.pt")
    agreeing((tmp_path / "evil.pt").read_bytes())(tmp_path)
    assert load(tmp_path)[0] == 1
    assert not (tmp_path / "evil").exists()


def test_a_process_killed_between_data_and_manifest_has_saved_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved(tmp_path, 1)
    monkeypatch.setattr(checkpoint, "replacing", killed_before("step-2.json"))
    with pytest.raises(Killed):
        checkpoint.save(tmp_path, 2, state(2), 1)
    assert load(tmp_path) == (1, [])
    monkeypatch.undo()
    saved(tmp_path, 3, keep=1)
    assert names(tmp_path) == {"step-3.pt", "step-3.json"}, "what the killed process left is removed"


class Killed(BaseException):
    """The process is gone: nothing is caught, nothing is put right."""


def killed_before(name: str) -> Any:
    """`replacing`, in which the process is killed when it is about to rename this file."""

    @contextlib.contextmanager
    def replacing(path: Path) -> Iterator[BinaryIO]:
        with whole_file.replacing(path) as file:
            yield file
            if path.name == name:
                raise Killed

    return replacing


@pytest.mark.parametrize("name", ["step-5.pt", "step-5.json"])
def test_saving_a_step_again_is_safe_at_any_instant_although_it_is_the_only_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    saved(tmp_path, 5)
    monkeypatch.setattr(checkpoint, "replacing", killed_before(name))
    with pytest.raises(Killed):
        checkpoint.save(tmp_path, 5, {**state(5), "again": 1}, 1)
    assert load(tmp_path) == (5, [])
    monkeypatch.undo()
    checkpoint.save(tmp_path, 5, {**state(5), "again": 2}, 1)
    assert checkpoint.load_newest(tmp_path, lambda text: None)["again"] == 2
    assert "or" not in json.loads((tmp_path / "step-5.json").read_bytes())


def test_what_is_kept_for_good_is_not_counted_and_not_removed(tmp_path: Path) -> None:
    for step in range(1, 9):
        checkpoint.save(tmp_path, step, state(step), 2, forever=step % 3 == 0)
    assert names(tmp_path) == {f"step-{step}.{end}" for step in (3, 6, 7, 8) for end in ("pt", "json")}


def test_a_disk_without_room_is_seen_before_a_byte_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saved(tmp_path, 1)
    disk = os.statvfs(tmp_path)
    room = SimpleNamespace(f_bavail=(checkpoint.SPARE + 199) // disk.f_frsize, f_frsize=disk.f_frsize)
    monkeypatch.setattr(os, "statvfs", lambda path: room)
    monkeypatch.setattr(checkpoint, "replacing", None)
    with pytest.raises(OSError, match="No space left"):
        checkpoint.save(tmp_path, 2, state(2), 1)
    assert load(tmp_path) == (1, [])


def test_a_disk_that_fills_up_while_writing_says_so_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """torch.save would raise an error of its own, of positions in its file."""
    saved(tmp_path, 1)
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limit[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            checkpoint.save(tmp_path, 2, {"model": torch.zeros(100_000)}, 1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert load(tmp_path) == (1, [])
    assert names(tmp_path) == {"step-1.pt", "step-1.json"}


@pytest.mark.parametrize("fails", ["fsync", "chmod"])
def test_write_whole_leaves_the_old_file_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: str
) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    path = tmp_path / "f"
    whole_file.write_whole(path, b"old")
    monkeypatch.setattr(os, fails, fail)
    with pytest.raises(OSError, match="No space left"):
        whole_file.write_whole(path, b"new")
    monkeypatch.undo()
    assert names(tmp_path) == {"f"}
    assert path.read_bytes() == b"old"
    whole_file.write_whole(path, b"new")
    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_no_folder_is_no_checkpoint(tmp_path: Path) -> None:
    for folder in (tmp_path / "none", tmp_path):
        with pytest.raises(WeightsError, match="nothing to go on from"):
            load(folder)


def test_weights_carry_their_metadata_and_are_the_same_bytes_each_time(tmp_path: Path) -> None:
    tensors = {"b": torch.arange(6.0).reshape(2, 3).t(), "a": torch.tensor(7)}
    metadata = {f"key{n}": f"caf\u00e9 {n}" for n in range(20)}
    files = []
    for n in range(5):
        checkpoint.save_weights(
            tmp_path / f"{n}.safetensors", tensors, dict(reversed(metadata.items())) if n % 2 else metadata
        )
        files.append((tmp_path / f"{n}.safetensors").read_bytes())
    assert len(set(files)) == 1
    with safe_open(tmp_path / "0.safetensors", "pt") as file:
        assert file.metadata() == metadata
        assert {name: file.get_tensor(name).tolist() for name in file.keys()} == {  # noqa: SIM118 - no mapping
            name: tensor.tolist() for name, tensor in tensors.items()
        }
