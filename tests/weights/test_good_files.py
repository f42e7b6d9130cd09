from __future__ import annotations

import struct
import warnings

import pytest
import torch

from tui_trainer.weights.reader import list_weights, read_state_dict, read_tensor

from . import good_files


def same_bits(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Equal dtype, shape and bytes; NaN equals NaN, and 0.0 is not -0.0."""
    if one.dtype != other.dtype or one.shape != other.shape:
        return False
    parts = [tensor.detach().resolve_conj().resolve_neg().contiguous().reshape(-1) for tensor in (one, other)]
    return torch.equal(*(part.view(torch.uint8) for part in parts))


def made(name, tmp_path):
    path = tmp_path / f"{name}.bin"  # the name says nothing: content does
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns about its own old formats
        expected = good_files.MAKERS[name](path)
    return path, {key: value for key, value in expected.items() if isinstance(value, torch.Tensor)}


@pytest.mark.parametrize("name", good_files.MAKERS)
def test_is_bit_for_bit_what_torch_reads(name, tmp_path):
    path, expected = made(name, tmp_path)
    file = list_weights(path)
    assert [tensor.name for tensor in file.tensors if tensor.problem] == []
    found = read_state_dict(file)
    if name.startswith(("torchscript", "safetensors", "exported")):  # these formats keep no order
        assert set(found) == set(expected)
    else:
        assert list(found) == list(expected)
    for key, tensor in expected.items():
        assert same_bits(found[key], tensor), key
        info = next(info for info in file.tensors if info.name == key)
        assert (info.shape, f"torch.{info.dtype}") == (tuple(tensor.shape), str(tensor.dtype))
        assert info.numel == tensor.numel()
        assert info.nbytes == tensor.numel() * tensor.element_size()


def test_there_are_enough_of_them():
    assert len(good_files.MAKERS) >= 30


@pytest.mark.parametrize(
    ("name", "format_name"),
    [
        ("state_dict_zip", "state_dict (zip)"),
        ("state_dict_legacy", "state_dict (legacy)"),
        ("whole_lenet", "pickled module (zip)"),
        ("whole_lenet_legacy", "pickled module (legacy)"),
        ("nested_with_optimizer", "checkpoint (zip)"),
        ("torchscript", "TorchScript"),
        ("exported", "pt2"),
        ("safetensors", "safetensors"),
    ],
)
def test_format_is_named(name, format_name, tmp_path):
    assert list_weights(made(name, tmp_path)[0]).format == format_name


def test_module_class_is_named_also_when_it_is_gone(tmp_path):
    assert list_weights(made("whole_class_gone", tmp_path)[0]).module_class == "gone_module.Net"


def test_groups_of_a_nested_checkpoint(tmp_path):
    file = list_weights(made("nested_with_optimizer", tmp_path)[0])
    assert [(group.path, group.role) for group in file.groups] == [("model", "weights"), ("optimizer", "optimizer")]
    assert file.chosen.path == "model"


def test_moving_average_is_chosen_first(tmp_path):
    file = list_weights(made("ema_beside", tmp_path)[0])
    assert (file.chosen.path, file.chosen.role) == ("model_ema", "ema")


def test_class_names_are_found(tmp_path):
    assert list_weights(made("nested_module", tmp_path)[0]).class_names == ("cat", "dog")
    assert list_weights(made("safetensors", tmp_path)[0]).class_names == ("cat", "dog")


def test_foreign_names_are_noted(tmp_path):
    file = list_weights(made("namespace_and_numpy_inside", tmp_path)[0])
    assert any("argparse.Namespace" in note and "none of it was run" in note for note in file.notes)


def test_tensors_that_share_memory_share_a_storage_id_and_memory(tmp_path):
    file = list_weights(made("shared", tmp_path)[0])
    assert len({tensor.storage for tensor in file.tensors}) == 1
    state = read_state_dict(file)
    assert state["encoder.weight"].data_ptr() == state["decoder.weight"].data_ptr()


def test_a_part_of_a_storage_is_read_without_the_rest(tmp_path):
    path, expected = made("views", tmp_path)
    file = list_weights(path)
    for name, tensor in expected.items():
        assert same_bits(read_tensor(file, name), tensor)


def test_quantised_and_sparse_tensors_are_named_and_not_read(tmp_path):
    path = tmp_path / "q.pth"
    sparse = torch.eye(3).to_sparse()
    torch.save({"sparse": sparse, "weight": torch.ones(2)}, path)
    file = list_weights(path)
    assert {tensor.name: bool(tensor.problem) for tensor in file.tensors} == {"sparse": True, "weight": False}
    assert any("sparse" in note for note in file.notes)


def test_old_storage_views_are_read(tmp_path):
    from .opcodes import legacy, name, number, pickled, row, table, tensor, text, written

    view = row(text("v1"), number(3), number(4))
    kind = name("torch", "FloatStorage")
    held = row(text("storage"), kind, text("0"), text("cpu"), number(10), view) + b"Q"
    tail = struct.pack("<q10f", 10, *range(10))
    path = written(tmp_path / "old.pt", legacy(pickled(table(w=tensor((2,), (1,), 1, held))), tail=tail))
    assert read_state_dict(list_weights(path))["w"].tolist() == [4.0, 5.0]
