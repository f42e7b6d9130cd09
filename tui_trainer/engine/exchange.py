"""What the ranks have to say to each other beside the gradients, in a small collective on the CPU.

Each tells a few numbers; commands and events follow as objects, where there are any. Where the gradients tell whether
anybody has something to say there is an exchange only then, and once a second, at the end of the step. Where they lie
on a device, which is not waited for, one is begun in one of so many steps that a command waits `TURN` at most, and
read at the step's end, so that it waits for nobody for whom the gradients would not wait too.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
import torch.distributed as dist

from tui_trainer.commands import Command
from tui_trainer.engine.ranks import Moment
from tui_trainer.events import Event

if TYPE_CHECKING:
    from tui_trainer.engine.job import Commands

TURN = 50_000_000  # ns between two exchanges that nobody asked for, where gradients do not tell
SELDOM = 1_000_000_000  # and where they do
LONG_STEP = 50_000_000  # ns; commands that come during a longer step are asked for once more at its end
GROWTH = 4  # of the steps between two exchanges from one to the next at most: a pause may have made the last one long
NEWS, CLOCK, PASSED_NS, WAITED_NS = range(4)  # columns
NO_STEP = -1  # of CLOCK, between steps


class Exchange:
    """`moment`: what the clock of rank 0 said in the last one; `slowest`: share of the time a rank waited for batches.

    `waited`: ns that this one waited in all. `gathered` gives what each rank says.
    """

    def __init__(self, group: Any, rank: int, size: int, gathered: Callable[[Any], list[Any]]) -> None:
        self._group, self._rank, self._gathered = group, rank, gathered
        self._row = torch.zeros(4, dtype=torch.int64)
        self._table = [torch.zeros(4, dtype=torch.int64) for _ in range(size)]
        self._written = self._row.numpy()
        self._work: Any = None  # the one that is under way
        self._every, self._turns = 1, 0  # steps or looks from one to the next, and since the last
        self._due = self._long = self._in_step = False  # `_long`: since the last, a step took longer than `LONG_STEP`
        self._bits = NO_STEP  # what the clock says in this step
        self._began, self.waited, self._waited_before = time.perf_counter_ns(), 0, 0
        self.inbox: Commands | None = None
        self._outbox: list[Command | Event] = []
        self._sending: list[Command | Event] = []
        self._told: list[Command] = []
        self._heard: list[Event] = []
        self.moment, self.slowest = Moment(), 0.0

    def begin(self, now: Moment, waited: int, *, told: bool) -> bool:
        """A step begins; whether this rank has something to say, if that is `told` by the gradients."""
        self.finish()
        self.waited, self._in_step = waited, True
        self._bits = _bits_of(now)
        due = self._is_time()
        if not told and due:
            self._start(self._bits)
        return told and self._has_news(now)

    def _has_news(self, now: Moment) -> bool:
        self._collect()
        changed = self._rank == 0 and now != self.moment
        return bool(self._outbox) or changed or time.perf_counter_ns() - self._began > SELDOM

    def asked(self, somebody: bool) -> None:
        """The gradients have told whether somebody has something to say; the same on every rank."""
        self._due = somebody or self._long

    def _collect(self) -> None:
        if self.inbox is not None:
            self._outbox += self.inbox.take()

    def _is_time(self) -> bool:
        self._turns += 1
        return self._turns >= self._every

    def _start(self, bits: int) -> None:
        if self._long or not self._due:  # else that was done a moment ago, when the step began
            self._collect()
        self._due = False
        self._sending, self._outbox = self._outbox, []
        now = time.perf_counter_ns()
        self._written[:] = len(self._sending), bits, now - self._began, self.waited - self._waited_before
        self._began, self._waited_before = now, self.waited
        self._work = dist.all_gather(self._table, self._row, group=self._group, async_op=True)

    def finish(self) -> None:
        """Read the one that is under way, or due; call it on every rank at the same place."""
        if self._due:
            self._start(self._bits)
        if self._work is None:
            return
        self._work.wait()
        self._work, known = None, [row.tolist() for row in self._table]
        if (bits := known[0][CLOCK]) != NO_STEP:
            self.moment = Moment(*(bool(bits >> place & 1) for place in range(len(Moment._fields))))
        self.slowest = max(min(1.0, row[WAITED_NS] / row[PASSED_NS]) for row in known)
        self._space(max(row[PASSED_NS] for row in known))
        if any(row[NEWS] for row in known):
            for rank, items in enumerate(self._gathered(self._sending)):
                self._told += [item for item in items if isinstance(item, Command)]
                self._heard += [item for item in items if isinstance(item, Event) and rank != self._rank]

    def _space(self, passed: int) -> None:
        """How many steps or looks there are until the next one; `passed`: ns since the last."""
        turns, self._turns = max(1, self._turns), 0
        self._long = passed > LONG_STEP * turns
        self._every = max(1, min(GROWTH * self._every, turns * TURN // passed))

    def take(self) -> list[Command]:
        """What any rank was told. In a step an exchange has brought it; between steps, and after a long one, ask."""
        early, in_step = self._work is not None, self._in_step
        self.finish()
        self._in_step = False
        if (early and self._long) or (not in_step and self._is_time()):
            self.now()
        told, self._told = self._told, []
        return told

    def now(self, clock: Moment | None = None) -> None:
        """One more, with what the clock says if that is given; call it on every rank."""
        self.finish()
        self._start(_bits_of(clock) if clock is not None else NO_STEP)
        self.finish()

    def at_next_look(self) -> None:
        """The next look has one."""
        self._every = 1

    def tell(self, event: Event) -> None:
        """It goes with the next one."""
        self._outbox.append(event)

    def heard(self) -> list[Event]:
        """What other ranks told."""
        heard, self._heard = self._heard, []
        return heard


def _bits_of(moment: Moment) -> int:
    return sum(bit << place for place, bit in enumerate(moment))
