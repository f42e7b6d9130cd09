from __future__ import annotations

import copy
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from tui_trainer.engine import checkpoint
from tui_trainer.engine.frozen import Frozen
from tui_trainer.engine.loop import train
from tui_trainer.events import Evaluated, SettingChanged

from ..conftest import make_job

EPOCHS = 3


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.2), nn.ReLU(), nn.Linear(8, 3))


def job_of(epochs_frozen: int, checkpoints: Path | None = None, optimizer=torch.optim.AdamW):
    model = network()
    frozen = Frozen([model[0], model[1]], epochs_frozen)
    parameters = frozen.ever_trained(list(model.parameters()))
    made = optimizer(parameters, lr=0.01, weight_decay=0.1)
    return make_job(model=model, optimizer=made, frozen=frozen, epochs=EPOCHS, checkpoints=checkpoints, lr=0.01)


def state(job) -> dict[str, Tensor]:
    return copy.deepcopy(job.model.state_dict())


def after_each_epoch(job) -> list[dict[str, Tensor]]:
    return [state(job)] + [state(job) for event in train(job) if isinstance(event, Evaluated)]


FROZEN = ("0.", "1.")


@pytest.mark.parametrize("optimizer", [torch.optim.AdamW, torch.optim.SGD, torch.optim.RMSprop])
@pytest.mark.parametrize("still", [0, 1, 2])
def test_frozen_layers_are_bit_identical_and_move_after_the_thaw(still, optimizer):
    states = after_each_epoch(job_of(still, optimizer=optimizer))
    for epoch, (before, after) in enumerate(pairwise(states)):
        for name in before:
            held = name.startswith(FROZEN) and (still == 0 or epoch < still)
            assert torch.equal(before[name], after[name]) is held, (epoch, name)


def test_the_thaw_is_told_once_at_the_start_of_its_epoch():
    events = list(train(job_of(1)))
    (told,) = [event for event in events if isinstance(event, SettingChanged)]
    assert (told.name, told.value, told.step) == ("freeze", "none", 6)
    assert not [event for event in train(job_of(0)) if isinstance(event, SettingChanged)]


def test_resuming_at_any_checkpoint_across_the_thaw_gives_the_same_bits(tmp_path):
    torch.manual_seed(3)
    whole = job_of(1)
    list(train(whole))
    for ends_after in (1, 2):
        torch.manual_seed(3)
        (tmp_path / str(ends_after)).mkdir()
        first = job_of(1, tmp_path / str(ends_after))
        first.epochs = ends_after
        list(train(first))
        second = job_of(1)
        second.load_dict(checkpoint.load_newest(tmp_path / str(ends_after), lambda text: None))
        second.epochs = EPOCHS
        events = list(train(second))
        assert all(torch.equal(a, b) for a, b in zip(state(second).values(), state(whole).values(), strict=True))
        assert sum(isinstance(event, SettingChanged) for event in events) == (ends_after == 1)


def test_what_the_model_itself_holds_still_is_never_thawed():
    model = network()
    model[0].bias.requires_grad_(False)
    frozen = Frozen([model[0]], 1)
    frozen.apply(1)
    assert [parameter.requires_grad for parameter in model[0].parameters()] == [True, False]


def test_only_the_module_s_own_tensors_are_held():
    outer = nn.Sequential(nn.Linear(2, 2))
    outer.scale = nn.Parameter(torch.ones(1))
    outer.train()
    Frozen([outer]).apply(0)
    assert [outer.scale.requires_grad, outer[0].weight.requires_grad, outer[0].training] == [False, True, True]
    assert len(Frozen([outer]).ever_trained(list(outer.parameters()))) == 2
