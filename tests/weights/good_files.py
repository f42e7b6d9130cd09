"""Honest weight files of every format, each with the state_dict that torch itself says is in it."""

from __future__ import annotations

import argparse
import collections
import io
import sys
import types
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import nn

Expected = dict[str, torch.Tensor]
Maker = Callable[[Path], Expected]


class LeNet(nn.Module):
    """The tutorial's network, names and sizes as there."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 6, 3)
        self.pool1 = nn.MaxPool2d(2, 2)
        self.conv2 = nn.Conv2d(6, 16, 3)
        self.pool2 = nn.MaxPool2d(2, 2)
        self.fc1 = nn.Linear(16 * 6 * 6, 120)
        self.fc2 = nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:  # (N, 1, 32, 32) to (N, 10)
        x = self.pool1(torch.relu(self.conv1(x)))
        x = self.pool2(torch.relu(self.conv2(x)))
        x = x.view(x.size(0), -1)
        x = torch.relu(self.fc1(x))
        x = torch.relu(self.fc2(x))
        return self.fc3(x)


class Blocks(nn.Module):
    """Batch norm, a buffer that is not saved, a None bias, a shared module, a list."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, bias=False)
        self.norm = nn.BatchNorm2d(4)
        self.register_buffer("scratch", torch.ones(2), persistent=False)
        self.register_buffer("scale", torch.tensor(2.0))
        self.again = self.norm
        self.rows = nn.ModuleList([nn.Linear(4, 4, bias=False), nn.Linear(4, 2)])
        self.extra = nn.Parameter(torch.randn(3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.again(self.norm(self.stem(x))).mean((2, 3)) * self.scale
        for row in self.rows:
            x = row(x)
        return x + self.extra.sum()


class Marked(torch.Tensor):
    """A subclass of Tensor, as fastai and others save."""


MAKERS: dict[str, Maker] = {}


def good(maker: Maker) -> Maker:
    MAKERS[maker.__name__] = maker
    return maker


def save(value: object, path: Path, *, legacy: bool = False, protocol: int = 2) -> None:
    torch.save(value, path, pickle_protocol=protocol, _use_new_zipfile_serialization=not legacy)


def lenet() -> LeNet:
    return LeNet()


@good
def state_dict_zip(path: Path) -> Expected:
    save(lenet().state_dict(), path)
    return torch.load(path)


@good
def state_dict_legacy(path: Path) -> Expected:
    save(lenet().state_dict(), path, legacy=True)
    return torch.load(path)


def _whole(path: Path, module: nn.Module, legacy: bool = False, protocol: int = 2) -> Expected:
    save(module, path, legacy=legacy, protocol=protocol)
    return torch.load(path, weights_only=False).state_dict()


@good
def whole_lenet(path: Path) -> Expected:
    return _whole(path, lenet())


@good
def whole_lenet_legacy(path: Path) -> Expected:
    return _whole(path, lenet(), legacy=True)


@good
def whole_blocks(path: Path) -> Expected:
    return _whole(path, Blocks())


@good
def whole_blocks_legacy(path: Path) -> Expected:
    return _whole(path, Blocks(), legacy=True)


@good
def whole_class_gone(path: Path) -> Expected:
    module = types.ModuleType("gone_module")
    sys.modules["gone_module"] = module
    module.Net = type("Net", (LeNet,), {"__module__": "gone_module"})
    net = module.Net()
    save(net, path)
    del sys.modules["gone_module"]
    return net.state_dict()


def _by_protocol(protocol: int, legacy: bool) -> Maker:
    def maker(path: Path) -> Expected:
        return _whole(path, Blocks(), legacy=legacy, protocol=protocol)

    return maker


for _protocol in (2, 3, 4, 5):
    MAKERS[f"whole_protocol_{_protocol}"] = _by_protocol(_protocol, legacy=False)
    MAKERS[f"whole_legacy_protocol_{_protocol}"] = _by_protocol(_protocol, legacy=True)


def _trained() -> tuple[nn.Module, torch.optim.Optimizer]:
    net = Blocks()
    optimizer = torch.optim.Adam(net.parameters())
    net(torch.randn(2, 3, 6, 6)).sum().backward()
    optimizer.step()
    return net, optimizer


@good
def nested_with_optimizer(path: Path) -> Expected:
    net, optimizer = _trained()
    save({"epoch": 3, "model": net.state_dict(), "optimizer": optimizer.state_dict(), "best": 0.5}, path)
    return net.state_dict()


@good
def nested_legacy(path: Path) -> Expected:
    net, optimizer = _trained()
    save({"optimizer": optimizer.state_dict(), "state_dict": net.state_dict()}, path, legacy=True)
    return net.state_dict()


@good
def nested_module(path: Path) -> Expected:
    net = Blocks()
    save({"epoch": -1, "model": net, "ema": None, "names": {0: "cat", 1: "dog"}}, path)
    return net.state_dict()


@good
def lightning(path: Path) -> Expected:
    inner = {f"model.{key}": value for key, value in lenet().state_dict().items()}
    save({"pytorch-lightning_version": "2.0", "state_dict": inner, "hyper_parameters": {"lr": 0.1}, "loops": {}}, path)
    return inner


@good
def namespace_and_numpy_inside(path: Path) -> Expected:
    net = lenet()
    args = argparse.Namespace(lr=np.float64(0.1), history=np.arange(3))
    save({"args": args, "state_dict": net.state_dict(), "path": Path("/tmp")}, path)
    return net.state_dict()


@good
def data_parallel(path: Path) -> Expected:
    state = {f"module.{key}": value for key, value in lenet().state_dict().items()}
    save(state, path)
    return torch.load(path)


@good
def data_parallel_whole(path: Path) -> Expected:
    return _whole(path, nn.DataParallel(lenet()))


@good
def compiled(path: Path) -> Expected:
    save(torch.compile(Blocks()).state_dict(), path)
    return torch.load(path)


@good
def averaged(path: Path) -> Expected:
    return _whole(path, torch.optim.swa_utils.AveragedModel(lenet()))


@good
def ema_beside(path: Path) -> Expected:
    net = lenet()
    save({"model": lenet().state_dict(), "model_ema": net.state_dict()}, path)
    return net.state_dict()


@good
def weight_norm(path: Path) -> Expected:
    net = nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(3, 4)))
    save(net.state_dict(), path)
    return torch.load(path)


@good
def weight_norm_hooks(path: Path) -> Expected:
    state = {"0.bias": torch.randn(4), "0.weight_g": torch.randn(4, 1), "0.weight_v": torch.randn(4, 3)}
    save(collections.OrderedDict(state), path)
    return torch.load(path)


def _jit(path: Path, save_it: Callable[[], object]) -> Expected:
    save_it()
    return dict(torch.jit.load(path).state_dict())


@good
def torchscript(path: Path) -> Expected:
    return _jit(path, lambda: torch.jit.script(Blocks()).save(path))


@good
def torchscript_traced(path: Path) -> Expected:
    net = Blocks().eval()
    return _jit(path, lambda: torch.jit.trace(net, torch.randn(1, 3, 6, 6)).save(path))


@good
def exported(path: Path) -> Expected:
    program = torch.export.export(Blocks().eval(), (torch.randn(1, 3, 6, 6),))
    torch.export.save(program, path)
    return dict(program.state_dict)


@good
def safetensors(path: Path) -> Expected:
    from safetensors.torch import load_file, save_file

    state = lenet().state_dict() | {"half": torch.randn(3).half(), "empty": torch.empty(0, 3), "one": torch.tensor(3)}
    state["brain"] = torch.randn(5).bfloat16()
    save_file(state, path, metadata={"format": "pt", "classes": '["cat", "dog"]'})
    return load_file(path)


@good
def views(path: Path) -> Expected:
    base = torch.arange(100.0)
    save({"a": base[10:20], "b": base[15:40:3], "c": base.view(10, 10).t(), "d": base.view(10, 10)[2:4, 3:5]}, path)
    return torch.load(path)


@good
def views_legacy(path: Path) -> Expected:
    base = torch.arange(100.0)
    save({"a": base[10:20], "b": base[15:40:3], "c": base.view(10, 10).t()}, path, legacy=True)
    return torch.load(path)


@good
def expanded(path: Path) -> Expected:
    save({"a": torch.randn(1, 3).expand(50, 3), "b": torch.tensor(1.5).expand(4, 4)}, path)
    return torch.load(path)


@good
def channels_last(path: Path) -> Expected:
    save({"a": torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last)}, path)
    return torch.load(path)


@good
def floats(path: Path) -> Expected:
    kinds = (torch.float64, torch.float32, torch.float16, torch.bfloat16)
    save({str(kind): torch.randn(7).to(kind) for kind in kinds}, path)
    return torch.load(path)


@good
def floats_legacy(path: Path) -> Expected:
    kinds = (torch.float64, torch.float32, torch.float16, torch.bfloat16)
    save({str(kind): torch.randn(7).to(kind) for kind in kinds}, path, legacy=True)
    return torch.load(path)


@good
def float8(path: Path) -> Expected:
    kinds = (
        torch.float8_e4m3fn, torch.float8_e5m2, torch.float8_e4m3fnuz, torch.float8_e5m2fnuz, torch.float8_e8m0fnu
    )  # fmt: skip
    save({str(kind): torch.rand(9).to(kind) for kind in kinds}, path)
    return torch.load(path)


@good
def complex_numbers(path: Path) -> Expected:
    save({"a": torch.randn(3, dtype=torch.complex64), "b": torch.randn(3, dtype=torch.complex128).conj()}, path)
    return torch.load(path)


@good
def whole_numbers(path: Path) -> Expected:
    kinds = (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64, torch.uint16, torch.uint32, torch.uint64)
    state = {str(kind): torch.arange(5).to(kind) for kind in kinds}
    save(state | {"bool": torch.tensor([True, False, True])}, path)
    return torch.load(path)


@good
def not_finite(path: Path) -> Expected:
    save({"a": torch.tensor([float("nan"), float("inf"), -0.0])}, path)
    return torch.load(path)


@good
def shared(path: Path) -> Expected:
    weight = torch.randn(4, 4)
    save({"encoder.weight": weight, "decoder.weight": weight, "part": weight[1]}, path)
    return torch.load(path)


@good
def shared_legacy(path: Path) -> Expected:
    weight = torch.randn(4, 4)
    save({"encoder.weight": weight, "decoder.weight": weight, "part": weight[1]}, path, legacy=True)
    return torch.load(path)


@good
def odd_shapes(path: Path) -> Expected:
    save(
        {"scalar": torch.tensor(3.0), "empty": torch.empty(0), "hollow": torch.empty(3, 0, 2), "one": torch.ones(1)},
        path,
    )
    return torch.load(path)


@good
def deflated(path: Path) -> Expected:
    out = io.BytesIO()
    torch.save(Blocks().state_dict(), out)
    with zipfile.ZipFile(out) as stored, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for entry in stored.namelist():
            packed.writestr(entry, stored.read(entry))
    return torch.load(path)


@good
def without_checksums(path: Path) -> Expected:
    torch.serialization.set_crc32_options(False)
    try:
        save(Blocks().state_dict(), path)
    finally:
        torch.serialization.set_crc32_options(True)
    return torch.load(path)


@good
def big_endian(path: Path) -> Expected:
    state = {
        "a": torch.randn(5),
        "b": torch.arange(4),
        "c": torch.randn(2, dtype=torch.complex64),
        "d": torch.ones(2).half(),
    }
    out = io.BytesIO()
    torch.save(state, out)
    swapped = {"0": 4, "1": 8, "2": 4, "3": 2}  # storage to bytes of one number's parts
    with zipfile.ZipFile(out) as little, zipfile.ZipFile(path, "w") as big:
        for entry in little.namelist():
            data, key = little.read(entry), entry.rpartition("/")[2]
            if "/data/" in entry:
                data = np.frombuffer(data, f"<u{swapped[key]}").byteswap().tobytes()
            big.writestr(entry, b"big" if key == "byteorder" else data)
    return torch.load(path)


@good
def parameters(path: Path) -> Expected:
    save({key: nn.Parameter(value) for key, value in lenet().state_dict().items()}, path)
    return torch.load(path)


@good
def parameter_with_attribute(path: Path) -> Expected:
    weight = nn.Parameter(torch.randn(3))
    weight.note = "mine"
    save({"weight": weight}, path)
    return torch.load(path, weights_only=False)


@good
def tensor_subclass(path: Path) -> Expected:
    save({"weight": torch.randn(3).as_subclass(Marked)}, path)
    return {key: value.as_subclass(torch.Tensor) for key, value in torch.load(path, weights_only=False).items()}


@good
def default_dict(path: Path) -> Expected:
    state: dict[str, torch.Tensor] = collections.defaultdict(list)
    state |= lenet().state_dict()
    save(state, path)
    return torch.load(path, weights_only=False)


@good
def single_tensor(path: Path) -> Expected:
    save(torch.randn(3, 4), path)
    return {"tensor": torch.load(path)}


@good
def list_of_state_dicts(path: Path) -> Expected:
    save([lenet().state_dict(), {"lr": 0.1}], path)
    return torch.load(path)[0]


@good
def list_of_tensors(path: Path) -> Expected:
    save([torch.randn(3), torch.randn(2)], path)
    return {str(index): tensor for index, tensor in enumerate(torch.load(path))}


@good
def tree(path: Path) -> Expected:
    encoder, decoder = lenet().state_dict(), Blocks().state_dict()
    save({"encoder": encoder, "decoder": {"inner": decoder}, "step": 3}, path)
    joined = {f"encoder.{name}": tensor for name, tensor in encoder.items()}
    return joined | {f"decoder.inner.{name}": tensor for name, tensor in decoder.items()}


@good
def compiled_whole(path: Path) -> Expected:
    net = lenet()
    save(torch.compile(net), path)
    return net.state_dict()


@good
def parameter_dict(path: Path) -> Expected:
    return _whole(path, nn.ParameterDict({"a": torch.randn(2), "b": torch.randn(3)}))


@good
def attention(path: Path) -> Expected:
    return _whole(path, nn.TransformerEncoderLayer(8, 2))


@good
def recurrent(path: Path) -> Expected:
    return _whole(path, nn.LSTM(3, 4, num_layers=2))


@good
def other_alphabets(path: Path) -> Expected:
    save({"слой.weight": torch.randn(2), "层.bias": torch.randn(2), "a b\tc": torch.randn(1)}, path)
    return torch.load(path)


@good
def long_names(path: Path) -> Expected:
    save({".".join(["layer"] * 60) + ".weight": torch.randn(2)}, path)
    return torch.load(path)


@good
def several_thousand(path: Path) -> Expected:
    save({f"layers.{index}.weight": torch.randn(2) for index in range(3000)}, path)
    return torch.load(path)
