import pytest
import torch
from torch import nn
from torch.optim.optimizer import register_optimizer_step_post_hook

from tui_trainer.engine.optim import (
    FACTOR,
    UNFIT,
    build_optimizer,
    load_state,
    parameter_groups,
    set_lr,
    update,
    zero_grad,
)
from tui_trainer.errors import ConfigError
from tui_trainer.recipe_config import OPTIMIZERS, parse_arguments

CLASSES = {
    name.lower(): cls
    for name, cls in vars(torch.optim).items()
    if isinstance(cls, type) and issubclass(cls, torch.optim.Optimizer) and name != "Optimizer"
}


def built(name: str, **more: object) -> torch.optim.Optimizer:
    values = {"lr": 0.3, "momentum": 0.7, "weight_decay": 0.01, **more}
    return build_optimizer(name, [nn.Parameter(torch.ones(2, 2))], **values)


def test_every_optimizer_of_torch_is_offered_or_said_to_be_unfit() -> None:
    assert {*OPTIMIZERS, *map(str.lower, UNFIT)} == set(CLASSES)
    for name in UNFIT:
        with pytest.raises(ConfigError, match=f"optimizer = {name}: it .*cannot be used here"):
            built(name)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_each_name_builds_its_optimizer_with_the_values_given(name: str) -> None:
    optimizer = built(name)
    assert type(optimizer) is CLASSES[name]
    (group,) = optimizer.param_groups
    assert group["lr"] == 0.3
    if name != "rprop":
        assert group["weight_decay"] == 0.01
    if name in ("sgd", "rmsprop", "muon"):
        assert group["momentum"] == 0.7
    parameter = group["params"][0]
    parameter.grad = torch.full((2, 2), 0.5)
    optimizer.step()
    assert not torch.equal(parameter, torch.ones(2, 2)), "it trains"


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_update_is_a_step_and_gradients_are_cleared(name: str) -> None:
    both = [built(name), built(name)]
    (one,), (two,) = (optimizer.param_groups[0]["params"] for optimizer in both)
    for gradient in (0.5, -0.25, 0.125):
        one.grad, two.grad = torch.full((2, 2), gradient), torch.full((2, 2), gradient)
        both[0].step()
        update(both[1])
        assert torch.equal(one, two)
    assert not torch.equal(one, torch.ones(2, 2))
    zero_grad(both[1])
    assert two.grad is None


def test_a_state_goes_on_in_another_memory_format() -> None:
    def steps(last: torch.memory_format, saved: dict[str, object] | None) -> tuple[torch.Tensor, dict[str, object]]:
        parameter = nn.Parameter(torch.ones(2, 3, 4, 4).contiguous(memory_format=last))
        optimizer = build_optimizer("sgd", [parameter], lr=0.1, momentum=0.9, weight_decay=0.0)
        if saved:
            load_state(optimizer, saved)
        parameter.grad = torch.arange(96.0).reshape(2, 3, 4, 4).contiguous(memory_format=last)
        update(optimizer)
        return parameter, optimizer.state_dict()

    _, saved = steps(torch.channels_last, None)
    went_on, _ = steps(torch.contiguous_format, saved)
    straight, _ = steps(torch.contiguous_format, steps(torch.contiguous_format, None)[1])
    assert torch.equal(went_on, straight)


def test_nesterov_is_taken_where_there_is_one() -> None:
    assert built("sgd", nesterov=True).param_groups[0]["nesterov"]
    with pytest.raises(ConfigError, match="AdamW has no Nesterov momentum: use --no-nesterov, or sgd"):
        built("adamw", nesterov=True)
    with pytest.raises(ConfigError, match="SGD does not take its arguments"):
        built("sgd", nesterov=True, momentum=0.0)


def test_other_arguments_reach_it() -> None:
    group = built("adamw", arguments=parse_arguments("betas=(0.8, 0.95),eps=1e-6,amsgrad=true")).param_groups[0]
    assert (group["betas"], group["eps"], group["amsgrad"]) == ((0.8, 0.95), 1e-6, True)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("beta=(0.8,0.9)", "optimizer_args: AdamW has no beta; did you mean betas? There are betas, eps, amsgrad"),
        ("betas=(2,2)", "AdamW does not take its arguments: Invalid beta"),
        ("eps=", "optimizer_args = eps=: write NAME=VALUE, parted by commas"),
        ("lr=1", "optimizer_args gives lr, which is a setting: --lr."),
    ],
)
def test_arguments_that_do_not_do_are_refused(text: str, sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        built("adamw", arguments=parse_arguments(text))
    assert sentence in str(caught.value)


def test_it_is_fused_where_it_can_be() -> None:
    assert built("sgd").param_groups[0]["fused"]
    assert not built("sgd", arguments={"foreach": True}).param_groups[0]["fused"]


def model() -> nn.Module:
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(2, 3))


def test_one_group_where_nothing_differs() -> None:
    net = model()
    (group,) = parameter_groups(
        net, list(net.parameters()), weight_decay=0.1, decay_norm_bias=True, backbone_lr_factor=1.0
    )
    assert len(group["params"]) == 6


def test_norms_and_biases_are_spared_and_the_backbone_has_its_own_rate() -> None:
    net = model()
    trained = list(net.parameters())
    groups = parameter_groups(net, trained[1:], weight_decay=0.1, decay_norm_bias=False, backbone_lr_factor=0.5)
    names = {parameter: name for name, parameter in net.named_parameters()}
    found = {
        (group["weight_decay"], group[FACTOR]): {names[parameter] for parameter in group["params"]} for group in groups
    }
    assert found == {(0.0, 0.5): {"0.bias", "1.weight", "1.bias"}, (0.1, 1.0): {"3.weight"}, (0.0, 1.0): {"3.bias"}}


def test_set_lr_gives_every_group_its_part() -> None:
    optimizer = built("sgd")
    optimizer.add_param_group({"params": [nn.Parameter(torch.zeros(1))], "lr": 9.0, FACTOR: 0.1})
    set_lr(optimizer, 0.05)
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([0.05, 0.005])


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_update_is_what_step_does(name: str) -> None:
    ours, theirs = built(name), built(name)
    for optimizer in (ours, theirs):
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                parameter.grad = torch.full_like(parameter, 0.5)
    update(ours)
    theirs.step()
    assert torch.equal(ours.param_groups[0]["params"][0], theirs.param_groups[0]["params"][0])


def test_an_update_calls_the_hooks_that_others_hung_on_step() -> None:
    optimizer, called = built("sgd"), []
    optimizer.register_step_post_hook(lambda *_: called.append(1))
    update(optimizer)
    assert called == [1]
    handle = register_optimizer_step_post_hook(lambda *_: called.append(2))
    try:
        update(built("sgd"))
    finally:
        handle.remove()
    assert called == [1, 2]


def test_a_loaded_state_leaves_how_it_is_computed() -> None:
    """A run of one process is fused, and goes on shared out, for which torch has few fused optimizers."""
    fused, plain = built("sgd"), built("sgd", arguments={"foreach": False})
    fused.param_groups[0]["lr"] = 0.25
    load_state(plain, fused.state_dict())
    assert (plain.param_groups[0]["fused"], plain.param_groups[0]["lr"]) == (None, 0.25)
