"""This process among those that train one model together; alone, everything here is next to nothing.

Every rank runs the same loop over its part of each batch, and asks here for what the ranks must have in
common: how many samples a step has, whether its loss was finite, sums, commands, and what only the clock
of rank 0 decides. `Alone` answers for one process, `together.Together` for several.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar

from torch import Tensor, nn

if TYPE_CHECKING:
    from tui_trainer.engine.job import Commands
    from tui_trainer.engine.precision import Precision
    from tui_trainer.engine.sharding import Sharded
    from tui_trainer.engine.step import Scored
    from tui_trainer.errors import UserError
    from tui_trainer.events import Event

T = TypeVar("T")


class Moment(NamedTuple):
    """What depends on the time that has passed: a checkpoint's turn, see `Keeping`, and the end of the run."""

    ready: bool = False  # saving again would not take too large a share of the time
    long: bool = False  # the last checkpoint is so old that the epoch's end is not waited for
    failing: bool = False  # the last one could not be written
    over: bool = False  # the run has had its time


Clock = Callable[[], Moment]


class Ranks(Protocol):
    """The processes that train together, seen from one of them, number `rank` of `size`."""

    rank: int
    size: int

    def begin(self, samples: int, waited: float, clock: Clock) -> bool:
        """A step over `samples` here begins, after `waited` seconds for batches in all; whether there may be any."""

    def clock(self, here: Clock) -> Moment:
        """What the clock of rank 0 said when it was last read."""

    def read_clock(self, here: Clock) -> None:
        """A save has changed what it says: read it before the next step does; call it on every rank."""

    def wrap(
        self, model: nn.Module, forward: Callable[[Tensor], Tensor], samples: int, sharded: Sharded | None
    ) -> Callable[[Tensor], Tensor]:
        """The forward pass of training, through which gradients are shared; `samples` that a step usually has."""

    def batch(self, *, last: bool) -> AbstractContextManager[Any]:
        """Around forward and backward pass of a batch; gradients are shared in the `last` of a step."""

    def weigh(self, loss: Tensor, samples: int, batches: int) -> Tensor:
        """A mean loss () over `samples`, one of `batches` of the step, as its part of the mean over the whole step."""

    def pass_by(self, precision: Precision, *, last: bool) -> None:
        """This rank has no sample in a batch; others may wait for its gradients, which are 0."""

    def finite(self, scored: Sequence[Scored]) -> tuple[Tensor, Sequence[Scored]] | None:
        """A loss () that is finite if those of all ranks are; where not, no batch of it may look as if it were.

        None if no rank had a sample.
        """

    def total(self, sums: Tensor) -> Tensor:
        """The sum over all ranks, the same bits on each."""

    def own(self, sums: Sequence[float]) -> Sequence[float]:
        """What this rank shall begin with, so that the total is `sums`."""

    def joined(self, parts: Tensor) -> Tensor:
        """Rows (N, ...) of all ranks, one after another."""

    def agreed(self, value: T) -> T:
        """What rank 0 says."""

    def gathered(self, value: T) -> list[T]:
        """What each rank says, by rank."""

    def slowest(self, share: float) -> float:
        """The greatest share of time that a rank waited for batches since the last call; `share`: this one."""

    def same_buffers(self, model: nn.Module) -> None:
        """Running statistics, which each rank takes of its own samples, become those of rank 0."""

    def commands(self, commands: Commands) -> Commands:
        """Commands of any rank, on all of them at the same step."""

    def tell(self, event: Event) -> None:
        """Have rank 0 say it."""

    def heard(self) -> list[Event]:
        """What other ranks told since the last call."""

    def flush(self) -> None:
        """Nothing that was told is on its way any more."""

    def by_first(self, act: Callable[[], T]) -> T:
        """What `act` gives, or raises, on rank 0, where alone it is called."""

    def in_turn(self, act: Callable[[], T]) -> T:
        """What `act` gives, called on one rank of each machine before the others, which may find its work done."""

    def leave_word(self, error: UserError) -> None:
        """Why this rank ends, for those who will notice that it did."""

    def explain(self, error: BaseException) -> UserError | LostRankError | None:
        """Why this rank cannot go on, if that lies with another one."""


class LostRankError(Exception):
    """Another rank is gone and the launcher will start all of them again."""


class Alone:
    """One process."""

    rank, size = 0, 1

    def __init__(self) -> None:
        self._samples = 0
        self._nothing = nullcontext()

    def begin(self, samples: int, waited: float, clock: Clock) -> bool:
        """Whether there are samples."""
        self._samples = samples
        return samples > 0

    def clock(self, here: Clock) -> Moment:
        """What it says here."""
        return here()

    def read_clock(self, here: Clock) -> None:
        """It is read each time."""

    def wrap(
        self, model: nn.Module, forward: Callable[[Tensor], Tensor], samples: int, sharded: Sharded | None
    ) -> Callable[[Tensor], Tensor]:
        """As it is."""
        return forward

    def batch(self, *, last: bool) -> AbstractContextManager[Any]:
        """Nothing around it."""
        return self._nothing

    def weigh(self, loss: Tensor, samples: int, batches: int) -> Tensor:
        """By the share of the step's samples."""
        return loss if batches == 1 else loss * (samples / self._samples)

    def pass_by(self, precision: Precision, *, last: bool) -> None:
        """Nobody waits."""

    def finite(self, scored: Sequence[Scored]) -> tuple[Tensor, Sequence[Scored]]:
        """Their sum."""
        if len(scored) == 1:
            return scored[0].loss, scored
        return sum(one.loss for one in scored), scored  # type: ignore[return-value]

    def total(self, sums: Tensor) -> Tensor:
        """As they are."""
        return sums

    def own(self, sums: Sequence[float]) -> Sequence[float]:
        """All of them."""
        return sums

    def joined(self, parts: Tensor) -> Tensor:
        """As they are."""
        return parts

    def agreed(self, value: T) -> T:
        """As it is."""
        return value

    def gathered(self, value: T) -> list[T]:
        """One."""
        return [value]

    def slowest(self, share: float) -> float:
        """The only one."""
        return share

    def same_buffers(self, model: nn.Module) -> None:
        """They are."""

    def commands(self, commands: Commands) -> Commands:
        """As they are."""
        return commands

    def tell(self, event: Event) -> None:
        """Nobody else is there to be told."""

    def heard(self) -> list[Event]:
        """Nothing."""
        return []

    def flush(self) -> None:
        """Nothing was told."""

    def by_first(self, act: Callable[[], T]) -> T:
        """What it gives."""
        return act()

    def in_turn(self, act: Callable[[], T]) -> T:
        """What it gives."""
        return act()

    def leave_word(self, error: UserError) -> None:
        """Nobody is there to notice."""

    def explain(self, error: BaseException) -> UserError | LostRankError | None:
        """There is no other one."""
        return None


ALONE = Alone()  # for sums; a job has one of its own, which knows its step


def states_of(saved: Mapping[str, Any], rank: int, size: int) -> Mapping[str, Any] | None:
    """The generators' states of a rank in a checkpoint of as many ranks; None if it was made by another number."""
    others = saved.get("rng_of_ranks", ())
    if rank == 0:
        states: Mapping[str, Any] = saved["rng"]
        return states
    return others[rank - 1] if len(others) == size - 1 else None
