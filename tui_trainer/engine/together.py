"""Several processes that train one model: what they have in common goes through a small exchange every few steps.

What a step needs of all ranks travels with its gradients. The exchange is a gloo collective on the CPU, begun when a
step's samples are in hand and read at its end, so that it waits for nobody for whom the gradients would not wait too:
in each step if those are long, else in one of so many that a command waits `TURN` at most. It carries a few numbers;
where somebody has more to say, commands and events follow as objects.
"""

from __future__ import annotations

import json
import math
import re
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from tui_trainer.commands import Command
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
TURN = 50_000_000  # ns between two exchanges
LONG_STEP = 50_000_000  # ns; commands that come during a longer step are asked for once more at its end
GROWTH = 4  # of the steps between two exchanges from one to the next at most: a pause may have made the last one long
NEWS, CLOCK, PASSED_NS, WAITED_NS = range(4)  # columns of the exchange
NO_STEP = -1  # of CLOCK, in an exchange between steps
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
        self._row = torch.zeros(4, dtype=torch.int64)
        self._table = [torch.zeros(4, dtype=torch.int64) for _ in range(self.size)]
        self._written = self._row.numpy()
        self._work: Any = None  # the exchange that is under way
        self._every, self._turns = 1, 0  # steps from one exchange to the next, and since the last
        self._in_step = False  # commands that came in an exchange of this step are not taken yet
        self._long = False  # the last exchange was longer ago than `LONG_STEP`, for one step
        self._inbox: Commands | None = None
        self._outbox: list[Command | Event] = []
        self._sending: list[Command | Event] = []
        self._told: list[Command] = []
        self._heard: list[Event] = []
        self._gradients: SharedGradients | Sharded | None = None
        self._usual = 1  # samples of a step on all ranks, if it is whole
        self._began = time.perf_counter_ns()
        self._moment = Moment()
        self._waited = self._waited_before = 0  # ns
        self._slowest = 0.0  # share of the time that any rank waited for batches

    def _start(self, clock: int) -> None:
        if self._inbox is not None:
            self._outbox += self._inbox.take()
        self._sending, self._outbox = self._outbox, []
        now = time.perf_counter_ns()
        self._written[:] = len(self._sending), clock, now - self._began, self._waited - self._waited_before
        self._began, self._waited_before = now, self._waited
        self._work = dist.all_gather(self._table, self._row, group=self._group, async_op=True)

    def _finish(self) -> None:
        if self._work is None:
            return
        self._work.wait()
        self._work, known = None, [row.tolist() for row in self._table]
        if (bits := known[0][CLOCK]) != NO_STEP:
            self._moment = Moment(*(bool(bits >> place & 1) for place in range(len(Moment._fields))))
        self._slowest = max(min(1.0, row[WAITED_NS] / row[PASSED_NS]) for row in known)
        self._space(max(row[PASSED_NS] for row in known))
        if any(row[NEWS] for row in known):
            for rank, items in enumerate(self.gathered(self._sending)):
                self._told += [item for item in items if isinstance(item, Command)]
                self._heard += [item for item in items if isinstance(item, Event) and rank != self.rank]

    def _space(self, passed: int) -> None:
        """How many steps or looks there are until the next exchange; `passed`: ns since the last."""
        turns, self._turns = max(1, self._turns), 0
        self._long = passed > LONG_STEP * turns
        self._every = max(1, min(GROWTH * self._every, turns * TURN // passed))

    def _is_time(self) -> bool:
        """Whether the exchange is due in this step or look."""
        self._turns += 1
        return self._turns >= self._every

    def begin(self, samples: int, waited: float, clock: Clock) -> bool:
        """A step over `samples` here; whether other ranks have some shows at its end."""
        self._finish()
        self._waited, self._in_step = int(waited * 1e9), True
        self._shared.begin(samples)
        if self._is_time():
            self._start(sum(bit << place for place, bit in enumerate(clock())))
        return True

    def clock(self, here: Clock) -> Moment:
        """What the clock of rank 0 said in the last exchange."""
        self._finish()
        return self._moment

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
        if counted.device.type != "cpu":
            return self._finite_there(counted, scored)
        losses, samples = counted.tolist()
        if not samples:
            return None
        if samples != self._usual:
            self._shared.scale(self._usual / samples)
        if not math.isfinite(losses):
            scored = [one._replace(loss=torch.full_like(one.loss, torch.nan)) for one in scored]
        return counted[0], scored

    def _finite_there(self, counted: Tensor, scored: Sequence[Scored]) -> tuple[Tensor, Sequence[Scored]] | None:
        """The same on a device, which only a rank without samples waits for; a factor of 1 changes nothing."""
        losses, samples = counted.unbind()
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
        return max(share, self._slowest)

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
        self._inbox = commands
        return self

    def take(self) -> list[Command]:
        """What any rank was told. In a step its exchange has brought them; between steps, and after a long one, ask."""
        came, in_step = self._work is not None, self._in_step
        self._finish()
        self._in_step = False
        if (came and self._long) or (not in_step and self._is_time()):
            self._start(NO_STEP)
            self._finish()
        told, self._told = self._told, []
        return told

    def wait(self, seconds: float) -> None:
        """Rank 0 waits for a command; the others will wait for it in the exchange, which the next look has."""
        self._every = 1
        if self.rank == 0 and self._inbox is not None:
            self._inbox.wait(seconds)

    def tell(self, event: Event) -> None:
        """It goes with the next exchange."""
        self._outbox.append(event)

    def heard(self) -> list[Event]:
        """What other ranks told."""
        heard, self._heard = self._heard, []
        return heard

    def flush(self) -> None:
        """One more exchange; call it on every rank."""
        self._finish()
        self._start(NO_STEP)
        self._finish()
