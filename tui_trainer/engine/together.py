"""Several processes that train one model, seen from one of them: torch's process group.

What a step needs of all ranks travels with its gradients, see `shared_gradients` and `sharding`; everything else in an
exchange of its own.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from tui_trainer.commands import Command
from tui_trainer.engine.exchange import Exchange
from tui_trainer.engine.ranks import Clock, LostRankError, Moment
from tui_trainer.engine.shared_gradients import SharedGradients
from tui_trainer.errors import BY_KIND, TrainingError, UserError
from tui_trainer.events import Event

if TYPE_CHECKING:
    from tui_trainer.engine.job import Commands
    from tui_trainer.engine.precision import Precision
    from tui_trainer.engine.sharding import Sharded
    from tui_trainer.engine.step import Scored

T = TypeVar("T")
WORD = "last word"  # key of the store under which a rank says why it ends
# What collectives say when a rank is gone: gloo, NCCL, the store.
LOST = re.compile(
    "Connection (closed|reset|refused)|gloo|NCCL|Broken pipe|Socket|recvValue|wait timeout|Timed out", re.IGNORECASE
)
PATIENCE = timedelta(minutes=30)  # for a rank that writes a checkpoint while the others wait


class Together:
    """This rank of torch's default process group.

    `local_rank`: its number on its machine. `restarts`: if a rank is lost, the launcher will start all again.
    """

    def __init__(self, timeout: timedelta = PATIENCE, *, local_rank: int | None = None, restarts: bool = False) -> None:
        self.rank, self.size = dist.get_rank(), dist.get_world_size()
        self._is_first_here = (self.rank if local_rank is None else local_rank) == 0
        self._restarts = restarts
        self._group = dist.new_group(backend="gloo", timeout=timeout)
        self._exchange = Exchange(self._group, self.rank, self.size, self.gathered)
        self._gradients: SharedGradients | Sharded | None = None
        self._usual = 1  # samples of a step on all ranks, if it is whole
        self._inbox: Commands | None = None

    def begin(self, samples: int, waited: float, clock: Clock) -> bool:
        """A step over `samples` here; whether other ranks have some shows at its end."""
        asks = self._exchange.begin(clock(), int(waited * 1e9), told=self._shared.here)
        self._shared.begin(samples, asks=asks)
        return True

    def clock(self, here: Clock) -> Moment:
        """What the clock of rank 0 said in the last exchange."""
        self._exchange.finish()
        return self._exchange.moment

    def read_clock(self, here: Clock) -> None:
        """One more exchange: else a save would be due again in each step until the next one."""
        self._exchange.now(here())

    # Gradients --------------------------------------------------------------------------------------------------------

    def wrap(
        self, model: nn.Module, forward: Callable[[Tensor], Tensor], samples: int, sharded: Sharded | None
    ) -> Callable[[Tensor], Tensor]:
        """The network whose gradients are those of all ranks."""
        self._gradients, self._usual = sharded or SharedGradients(model, forward, self.size), samples
        return self._gradients

    @property
    def _shared(self) -> SharedGradients | Sharded:
        assert self._gradients is not None
        return self._gradients

    def batch(self, *, last: bool) -> AbstractContextManager[Any]:
        """Share gradients in the last batch of a step."""
        return self._shared.batch(last=last)

    def weigh(self, loss: Tensor, samples: int, batches: int) -> Tensor:
        """By the share of the samples that a step usually has."""
        return self._shared.weigh(loss, samples, self._usual)

    def pass_by(self, precision: Precision, *, last: bool) -> None:
        """Gradients of 0 where the others wait for some."""
        with precision.autocast():
            nothing = self._shared.nothing(last=last)
        if nothing is not None:
            precision.backward(self._shared.carrying(nothing * 0))

    def finite(self, scored: Sequence[Scored]) -> tuple[Tensor, Sequence[Scored]] | None:
        """The sum of all losses. Where the step had not as many samples as usual its gradients are scaled."""
        counted = self._shared.counted()
        if not self._shared.here:
            return self._finite_there(counted, scored)
        losses, counts, asks = counted.tolist()
        samples = round(counts)  # a mean of several ranks' numbers, which need not be whole
        self._exchange.asked(asks > 0)
        if not samples:
            return None
        if samples != self._usual:
            self._shared.scale(self._usual / samples)
        if not math.isfinite(losses):
            scored = [one._replace(loss=torch.full_like(one.loss, torch.nan)) for one in scored]
        return counted[0], scored

    def _finite_there(self, counted: Tensor, scored: Sequence[Scored]) -> tuple[Tensor, Sequence[Scored]] | None:
        """The same on a device, which only a rank without samples waits for; a factor of 1 changes nothing."""
        losses, samples, _ = counted.unbind()
        samples = samples.round()
        if not scored and not samples.item():
            return None
        self._shared.scale(self._usual / samples)
        finite = losses.isfinite()
        return losses, [one._replace(loss=one.loss.where(finite, torch.nan)) for one in scored]

    def same_buffers(self, model: nn.Module) -> None:
        """Rank 0 sends its own."""
        for buffer in model.buffers():
            dist.broadcast(buffer, 0)

    # Sums and words ---------------------------------------------------------------------------------------------------

    def total(self, sums: Tensor) -> Tensor:
        """Counts are added by the collective; floats here, in the order of ranks, so that all have the same bits."""
        here = sums.detach().cpu()
        if not here.is_floating_point():
            added = here.clone()
            dist.all_reduce(added, group=self._group)
            return added
        parts = [torch.empty_like(here) for _ in range(self.size)]
        dist.all_gather(parts, here, group=self._group)
        return torch.stack(parts).sum(0)

    def own(self, sums: Sequence[float]) -> Sequence[float]:
        """All of them on rank 0."""
        return sums if self.rank == 0 else ()

    def joined(self, parts: Tensor) -> Tensor:
        """Rows of all ranks, by rank."""
        return torch.cat(self.gathered(parts.cpu()))

    def agreed(self, value: T) -> T:
        """What rank 0 says."""
        said = [value]
        dist.broadcast_object_list(said, 0, group=self._group)
        return said[0]

    def gathered(self, value: T) -> list[T]:
        """What each rank says."""
        said: list[Any] = [None] * self.size
        dist.all_gather_object(said, value, group=self._group)
        return said

    def slowest(self, share: float) -> float:
        """The greatest of all, as far as the last exchange knows."""
        return max(share, self._exchange.slowest)

    def by_first(self, act: Callable[[], T]) -> T:
        """What rank 0 gets of it; what the user can act on is raised on every rank."""
        said: tuple[Any, UserError | None] = (None, None)
        if self.rank == 0:
            try:
                said = act(), None
            except UserError as error:
                said = None, error
        result, refused = self.agreed(said)
        if refused is not None:
            raise refused
        return result  # type: ignore[no-any-return]

    def in_turn(self, act: Callable[[], T]) -> T:
        """First where `local_rank` is 0."""
        if not self._is_first_here:
            dist.barrier(self._group)
            return act()
        try:
            return act()
        finally:
            dist.barrier(self._group)

    def leave_word(self, error: UserError) -> None:
        """Why this rank ends, for those who will notice that it did."""
        dist.distributed_c10d._get_default_store().set(WORD, json.dumps([self.rank, error.kind, str(error)]))

    def explain(self, error: BaseException) -> UserError | LostRankError | None:
        """The word of a rank that ended, or that one is gone."""
        if isinstance(error, UserError) or not LOST.search(str(error)):
            return None
        store = dist.distributed_c10d._get_default_store()
        if store.check([WORD]):
            rank, kind, words = json.loads(store.get(WORD))
            return BY_KIND.get(kind, TrainingError)(f"Rank {rank}: {words}")
        if self._restarts:
            return LostRankError(str(error))
        return TrainingError(
            "Another process of this run ended without a word: was it killed, or out of memory? --resume goes on."
        )

    # Commands and events ----------------------------------------------------------------------------------------------

    def commands(self, commands: Commands) -> Commands:
        """Those of every rank, at the same step everywhere."""
        self._exchange.inbox = self._inbox = commands
        return self

    def take(self) -> list[Command]:
        """What any rank was told."""
        return self._exchange.take()

    def wait(self, seconds: float) -> None:
        """Rank 0 waits for a command; the others will wait for it in the exchange, which the next look has."""
        self._exchange.at_next_look()
        if self.rank == 0 and self._inbox is not None:
            self._inbox.wait(seconds)

    def tell(self, event: Event) -> None:
        """It goes with the next exchange."""
        self._exchange.tell(event)

    def heard(self) -> list[Event]:
        """What other ranks told."""
        return self._exchange.heard()

    def flush(self) -> None:
        """One more exchange; call it on every rank."""
        self._exchange.now()
