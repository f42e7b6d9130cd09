import pytest
import torch
from torch import nn

from tui_trainer.config import SETTINGS
from tui_trainer.engine.optim import build_optimizer, set_lr

NAMES = [str(name) for name in SETTINGS["optimizer"].choices]
CLASSES = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam, "adamw": torch.optim.AdamW, "rmsprop": torch.optim.RMSprop}


def built(name: str) -> torch.optim.Optimizer:
    return build_optimizer(name, nn.Linear(2, 2).parameters(), lr=0.3, momentum=0.7, weight_decay=0.01)


@pytest.mark.parametrize("name", NAMES)
def test_each_name_builds_its_optimizer_with_the_values_given(name: str) -> None:
    optimizer = built(name)
    assert type(optimizer) is CLASSES[name]
    (group,) = optimizer.param_groups
    assert (group["lr"], group["weight_decay"]) == (0.3, 0.01)
    assert len(group["params"]) == 2
    if name in ("sgd", "rmsprop"):
        assert group["momentum"] == 0.7


def test_set_lr_reaches_every_group() -> None:
    optimizer = built("sgd")
    optimizer.add_param_group({"params": [nn.Parameter(torch.zeros(1))], "lr": 9.0})
    set_lr(optimizer, 0.05)
    assert [group["lr"] for group in optimizer.param_groups] == [0.05, 0.05]
