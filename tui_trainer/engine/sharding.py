"""A network that is shared out among the ranks: torch's FSDP2, for models that do not fit on one device.

Each rank keeps its part of every parameter, gradient and state of the optimizer. A unit, such as a block of
the network, is brought together on all ranks just before it computes and let go just after, in the backward
pass too: every forward pass is a collective, in which a rank without a sample takes part with a made-up one.
"""

from __future__ import annotations

import contextlib
import functools
from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor

from tui_trainer.engine.optim import NORMS
from tui_trainer.errors import ConfigError, TrainingError
from tui_trainer.text import display

LARGEST, LEAST = 8, 256  # a unit is at most an eighth of the parameters where it can be parted, and no tiny share
UNCALLED = (nn.ModuleList, nn.ModuleDict)
OPENED = (nn.Sequential, nn.Transformer, nn.TransformerEncoder, nn.TransformerDecoder)  # of torch.nn, made of blocks


def shard(model: nn.Module, device: torch.device, dtype: torch.dtype | None = None) -> None:
    """Share `model`, the same on every rank, out in place; each part goes to `device` for itself.

    With `dtype` a unit computes in it, normalisation layers excepted, and gradients are added up in float32.

    Raises:
        ConfigError: it has parameters that cannot be shared out.
    """
    mesh = init_device_mesh(device.type, (dist.get_world_size(),))
    units = units_of(model)
    share = functools.partial(fully_shard, mesh=mesh, reshard_after_forward=True)
    # Autocast decides of inputs, as without sharding.
    policy = MixedPrecisionPolicy(dtype, torch.float32, cast_forward_inputs=False) if dtype else MixedPrecisionPolicy()
    norms: list[nn.Module] = [module for module in model.modules() if isinstance(module, NORMS) and _size(module)]
    try:
        if dtype and norms:
            share(norms)
        for unit in units:
            if not (dtype and isinstance(unit, NORMS)):
                share(unit, mp_policy=policy)
        share(model, mp_policy=policy)
    except (ValueError, NotImplementedError) as error:
        raise ConfigError(
            f"strategy = fsdp: this model cannot be shared out ({display(error, 200)}): use --strategy ddp."
        ) from error


def units_of(model: nn.Module) -> list[nn.Module]:
    """The modules below `model` that are brought together each for itself, inner ones first.

    Of a module whose parameters other modules use too, the whole network takes care.
    """
    total, everywhere = _size(model), _uses(model)
    found: dict[nn.Module, None] = {}

    def look(module: nn.Module) -> None:
        for child in module.children():
            if child in found or _size(child) < max(1, total // LEAST):
                continue
            tied = any(everywhere[parameter] > uses for parameter, uses in _uses(child).items())
            if tied or not (_size(child) <= total // LARGEST or _is_whole(child)):
                look(child)
            left = _size(child) - sum(map(_size, _outermost(child, found)))
            if not tied and not isinstance(child, UNCALLED) and left >= max(1, total // LEAST):
                found[child] = None

    look(model)
    return list(found)


def _outermost(module: nn.Module, found: dict[nn.Module, None]) -> Iterator[nn.Module]:
    for child in module.children():
        if child in found:
            yield child
        else:
            yield from _outermost(child, found)


def _is_whole(module: nn.Module) -> bool:
    """Whether it must not be parted: it has no inner layers, or, as attention does, uses them without a call."""
    of_torch = type(module).__module__.startswith("torch.nn.modules.")
    return (of_torch and not isinstance(module, (*UNCALLED, *OPENED))) or not any(map(_size, module.children()))


def _size(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def _uses(module: nn.Module) -> Counter[nn.Parameter]:
    return Counter(parameter for _, parameter in module.named_parameters(remove_duplicate=False))


class Sharded:
    """The network in training, on a rank's part of a batch. `sample`: the shape of an input, (C, S, S) of an image.

    Gradients are added up over the ranks after each batch: to wait for the last of a step (no_sync) would
    take the memory of all gradients, which are the size of the whole network, on every rank.
    """

    def __init__(self, model: nn.Module, sample: tuple[int, ...]) -> None:
        self._model, self._sample, self._dtype = model, sample, torch.float32
        self._syncs = any(isinstance(module, nn.SyncBatchNorm) for module in model.modules())
        self._norms = [m for m in model.modules() if isinstance(m, nn.modules.batchnorm._NormBase)]
        self._device = next(model.parameters()).device
        self._counts = torch.zeros(3, device=self._device)
        self._losses, self._samples, self._asks = self._counts.unbind()

    def __call__(self, inputs: Tensor) -> Tensor:
        """Outputs (N, ...).

        Raises:
            TrainingError: the network uses a layer without calling it, which leaves that layer in parts.
        """
        self._sample, self._dtype = tuple(inputs.shape[1:]), inputs.dtype
        try:
            outputs: Tensor = self._model(inputs)
        except RuntimeError as error:
            if "DTensor" not in str(error):
                raise
            raise TrainingError(
                "strategy = fsdp: this model takes weights of a layer without calling the layer: use --strategy ddp."
            ) from error
        return outputs

    @property
    def here(self) -> bool:
        """Whether the gradients are in memory that may be looked at without waiting for a device."""
        return self._device.type == "cpu"

    def begin(self, samples: int, *, asks: bool = False) -> None:
        """A step over so many samples of this rank begins; whether this rank has something to say."""
        self._losses.zero_()
        self._samples.fill_(samples)
        self._asks.fill_(asks)

    def batch(self, *, last: bool) -> AbstractContextManager[Any]:
        """Nothing around it."""
        return nullcontext()

    def weigh(self, loss: Tensor, samples: int, usual: int) -> Tensor:
        """A mean loss () over so many samples, weighted; it is counted."""
        self._losses.add_(loss.detach(), alpha=samples)
        return loss * (samples * dist.get_world_size() / usual)  # by which gradients are divided

    def carrying(self, loss: Tensor) -> Tensor:
        """`loss` () as it is: what is counted goes its own way."""
        return loss

    def counted(self) -> Tensor:
        """Sum of losses, samples, ranks that ask (3), the same on each rank; once a step, after its last batch."""
        dist.all_reduce(self._counts)
        return self._counts.clone()

    def scale(self, factor: float | Tensor) -> None:
        """Multiply the gradients."""
        gradients = (parameter.grad for parameter in self._model.parameters())
        torch._foreach_mul_([g.to_local() for g in gradients if isinstance(g, DTensor)], factor)

    def nothing(self, *, last: bool) -> Tensor:
        """A number () that depends on every parameter, of a pass without samples beside those of other ranks."""
        with self._without_statistics():
            return self.take_part().sum()

    def take_part(self) -> Tensor:
        """Outputs for a made-up input, beside those of other ranks; none where their normalisation would count it."""
        count = 0 if self._syncs and self._model.training else 1
        return self(torch.zeros((count, *self._sample), dtype=self._dtype, device=self._device))

    @contextlib.contextmanager
    def _without_statistics(self) -> Iterator[None]:
        """Running statistics stand still, and one sample is enough."""
        trained = [] if self._syncs else [norm for norm in self._norms if norm.training]
        for norm in trained:
            norm.training = False
        yield
        for norm in trained:
            norm.training = True

    def weights(self) -> dict[str, Tensor]:
        """The whole network on the CPU of rank 0; nothing on others. Call it on every rank."""
        options = StateDictOptions(full_state_dict=True, cpu_offload=True)
        return get_model_state_dict(self._model, options=options)  # type: ignore[return-value]
