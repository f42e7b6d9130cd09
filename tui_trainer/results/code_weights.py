"""The code of the Weights screen: the model, what is loaded into it, and what stays as it is. No torch here."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

from tui_trainer.results import script_training as training

LENET = "lenet"
Values = Mapping[str, Any]
NAMED = '''\
import fnmatch


def named(name, patterns):
    """Whether a tensor is of a layer that a pattern means."""
    return any(fnmatch.fnmatchcase(name, f"{one}.*") for one in patterns)


'''


def weights(values: Values) -> str:
    """The model, what is loaded into it, and what stays as it is."""
    name = str(values["model"])
    name = LENET if name == "auto" else name
    imports, network, made = "", "", f"models.get_model({name!r}, weights=None, num_classes=len(CLASSES))"
    if name == LENET:
        network, made = training.LENET[1:].rstrip() + "\n\n\n", "LeNet()"
    elif name == "mlp":
        sizes = values["hidden_sizes"]
        ends = [("INPUTS", str(sizes[0])), *itertools.pairwise(map(str, sizes))]
        inner = ", ".join(f"nn.Linear({a}, {b}), nn.ReLU()" for a, b in ends)
        made = f"nn.Sequential({inner}, nn.Linear({sizes[-1]}, OUTPUTS))"
    elif name.startswith("timm:"):
        imports, made = "import timm\n", f"timm.create_model({name.removeprefix('timm:')!r}, num_classes=len(CLASSES))"
    elif ":" in name:
        place, _, function = name.rpartition(":")
        imports = f"from {PurePath(place).stem if place.endswith('.py') else place} import {function}\n"
        made = f"{function}({', '.join(values['model_args'])})"
    else:
        imports = "from torchvision import models\n"
    head = f"import torch\nfrom torch import nn\n{imports}\n"
    return (
        head
        + network
        + f"torch.manual_seed({values['seed']})\nmodel = {made}\n"
        + _loading(values, name)
        + _frozen(values)
    )


def _loading(values: Values, model: str) -> str:
    given = str(values["pretrained"])
    if not given:
        return ""
    if given == "imagenet":
        read = f'saved = models.get_model_weights("{model}").DEFAULT.get_state_dict()'
    elif given.endswith(".safetensors") or not given.endswith((".pt", ".pth", ".bin", ".ckpt", ".tar")):
        file = given if given.endswith(".safetensors") else f"{given}/checkpoints/best.safetensors"
        read = f"saved = safetensors.torch.load_file({file!r})"
    else:
        read = f'saved = torch.load({given!r}, map_location="cpu", weights_only=True)'
    lines = [read]
    if values["rename_layers"]:
        pairs = [tuple(pair.split("=", 1)) for pair in values["rename_layers"] if "=" in pair]
        lines += [
            f"for old, new in {pairs!r}:",
            "    saved = {name.replace(old, new, 1): tensor for name, tensor in saved.items()}",
        ]
    conditions, wild = ["name in own", "tensor.shape == own[name].shape"], False
    for setting, word in (("include_layers", ""), ("exclude_layers", "not ")):
        if patterns := values[setting]:
            wild = wild or any(set(one) & set("*?[") for one in patterns)
            ways = (f"name.startswith({tuple(f'{one}.' for one in patterns)!r})", f"named(name, {list(patterns)!r})")
            conditions.append(word + ways[wild])
    kept = "\n    and ".join(conditions)
    lines += [
        "own = model.state_dict()",
        f"chosen = {{\n    name: tensor\n    for name, tensor in saved.items()\n    if {kept}\n}}",
        "model.load_state_dict(chosen, strict=False)  # the rest keeps its random numbers",
    ]
    return (NAMED if wild else "") + "\n".join(lines) + "\n"


def _frozen(values: Values) -> str:
    if not values["freeze"]:
        return ""
    which = {"loaded": "name in chosen", "backbone": "name not in last"}
    lines = ["last = [name for name, _ in model.named_parameters()][-2:]"] if "backbone" in values["freeze"] else []
    conditions = [which.get(one, f"name.startswith({one + '.'!r})") for one in values["freeze"]]
    lines += [
        "for name, parameter in model.named_parameters():",
        f"    parameter.requires_grad_(not ({' or '.join(conditions)}))",
    ]
    if epochs := values["freeze_epochs"]:
        lines.append(f"# after {epochs} epochs: model.requires_grad_(True)")
    return "\n".join(lines) + "\n"
