"""Optimizers of torch.optim by name, and groups of parameters with rates and decays of their own."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.optimizer import _global_optimizer_post_hooks as _AFTER_ALL  # noqa: N812 - constants
from torch.optim.optimizer import _global_optimizer_pre_hooks as _BEFORE_ALL  # noqa: N812

from tui_trainer.errors import ConfigError
from tui_trainer.text import display

FACTOR = "lr_factor"  # of a parameter group: its rate in parts of the run's
HANDLED = ("self", "params", "lr", "weight_decay", "momentum", "nesterov", "fused")
UNFIT = {  # what asks for another loop
    "LBFGS": "it evaluates the loss several times a step",
    "SparseAdam": "it takes sparse gradients only",
}
NORMS = (
    nn.modules.batchnorm._BatchNorm,
    nn.modules.instancenorm._InstanceNorm,
    nn.LayerNorm,
    nn.GroupNorm,
    nn.RMSNorm,
)


def build_optimizer(
    name: str,
    parameters: Sequence[nn.Parameter] | Sequence[dict[str, Any]],
    *,
    lr: float,
    momentum: float,
    weight_decay: float,
    nesterov: bool = False,
    arguments: Mapping[str, Any] | None = None,
    fused: bool = True,
) -> Optimizer:
    """The optimizer `name` of torch.optim, in any case of letters; fused where it can be.

    Not `fused` where some parameters begin to train later: the fused kernels want all of a group to have a state.

    Raises:
        ConfigError: there is none, or it does not take what is given.
    """
    cls = _class(name)
    _leave_out_the_compiler()
    taken = inspect.signature(cls).parameters
    if "nesterov" not in taken and nesterov:
        raise ConfigError(f"{cls.__name__} has no Nesterov momentum: use --no-nesterov, or sgd.")
    known = [key for key in taken if key not in HANDLED]
    if unknown := [key for key in arguments or () if key not in known]:
        near = difflib.get_close_matches(unknown[0], known, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]}? " if near else ""
        raise ConfigError(
            f"optimizer_args: {cls.__name__} has no {display(unknown[0], 80)}; {hint}There are {', '.join(known)}."
        )
    own = {"lr": lr, "weight_decay": weight_decay, "momentum": momentum, "nesterov": nesterov}
    given = {key: value for key, value in own.items() if key in taken} | dict(arguments or {})
    if "fused" in taken and not {"foreach", "differentiable"} & given.keys():
        given["fused"] = fused and _can_fuse(parameters)
    try:
        return cls(parameters, **given)
    except (ValueError, TypeError, RuntimeError) as error:
        raise ConfigError(f"{cls.__name__} does not take its arguments: {display(error, 200)}.") from None


def _class(name: str) -> type[Optimizer]:
    everything = {
        key.lower(): cls
        for key, cls in vars(torch.optim).items()
        if isinstance(cls, type) and issubclass(cls, Optimizer) and cls is not Optimizer
    }
    cls = everything.get(name.lower())
    if cls is None:
        known = [key for key, item in everything.items() if item.__name__ not in UNFIT]
        raise ConfigError(f"optimizer = {display(name, 80)}: torch.optim has {', '.join(sorted(known))}.")
    if cls.__name__ in UNFIT:
        raise ConfigError(f"optimizer = {name}: {UNFIT[cls.__name__]}, and cannot be used here; try adamw.")
    return cls


def _can_fuse(parameters: Sequence[Any]) -> bool:
    """Whether one kernel can update all of them, which saves launches on a GPU and passes over memory on a CPU."""
    every = [p for item in parameters for p in (item["params"] if isinstance(item, dict) else [item])]
    return all(p.is_floating_point() and p.device.type in ("cpu", "cuda", "mps") for p in every)


def parameter_groups(
    model: nn.Module,
    trained: Sequence[nn.Parameter],
    *,
    weight_decay: float,
    decay_norm_bias: bool,
    backbone_lr_factor: float,
) -> list[dict[str, Any]]:
    """The parameters of `model` that are `trained`, grouped by weight decay and by their part of the learning rate.

    The backbone is everything but the last layer that has parameters. One group where nothing differs.
    """
    owners = [module for module in model.modules() if any(True for _ in module.parameters(recurse=False))]
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    left = set(trained)  # a parameter that two layers share counts once
    for module in owners:
        factor = 1.0 if module is owners[-1] else backbone_lr_factor
        for name, parameter in module.named_parameters(recurse=False):
            if parameter not in left:
                continue
            left.remove(parameter)
            spared = not decay_norm_bias and (isinstance(module, NORMS) or name.endswith("bias"))
            groups.setdefault((0.0 if spared else weight_decay, factor), []).append(parameter)
    return [{"params": params, "weight_decay": decay, FACTOR: factor} for (decay, factor), params in groups.items()]


def set_lr(optimizer: Optimizer, lr: float) -> None:
    """Give every parameter group its part of this learning rate."""
    for group in optimizer.param_groups:
        group["lr"] = lr * group.get(FACTOR, 1.0)


def zero_grad(optimizer: Optimizer) -> None:
    """What `zero_grad` does, without its entry for a profiler, which costs a small network 5 microseconds a step."""
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            parameter.grad = None


@torch.no_grad()
def load_state(optimizer: Optimizer, saved: Mapping[str, Any]) -> None:
    """Go on from a saved state, whose tensors come to lie in memory as their parameters do: fused kernels mix them.

    Whether it is fused stays as it was built: the run may have been of another strategy.
    """
    groups = [dict(group) for group in saved["param_groups"]]
    for group, built in zip(groups, optimizer.param_groups, strict=False):  # torch refuses another number of groups
        group |= {key: built[key] for key in ("fused",) if key in built}
    optimizer.load_state_dict({**saved, "param_groups": groups})
    for parameter, state in optimizer.state.items():
        for name, value in state.items():
            fits = isinstance(value, Tensor) and value.shape == parameter.shape
            if fits and value.stride() != parameter.stride():
                state[name] = torch.empty_like(parameter, dtype=value.dtype).copy_(value)


@torch.no_grad()
def update(optimizer: Optimizer) -> None:
    """What `step` does, without what torch wraps around it: an entry for a profiler, and its compiler.

    That entry also calls hooks: where there are any, or `step` is the optimizer's own, it is called as it is.
    """
    hooks = optimizer._optimizer_step_pre_hooks or optimizer._optimizer_step_post_hooks or _BEFORE_ALL or _AFTER_ALL
    if hooks or "step" in vars(optimizer):
        optimizer.step()
        return
    _plain_step(type(optimizer))(optimizer)  # type: ignore[arg-type]


@cache
def _plain_step(cls: type[Optimizer]) -> Callable[[Optimizer], object]:
    step: Callable[[Optimizer], object] = inspect.unwrap(cls.step)
    return step


def _leave_out_the_compiler() -> None:
    """Let the first optimizer not import torch's compiler, only to tell it that its methods are not to be compiled.

    It takes over a second to load, and nothing but --compile, which asks for the model alone, needs it.
    """
    for method in (Optimizer.add_param_group, Optimizer.zero_grad, Optimizer.state_dict, Optimizer.load_state_dict):
        vars(inspect.unwrap(method)).setdefault("__dynamo_disable", inspect.unwrap(method))
