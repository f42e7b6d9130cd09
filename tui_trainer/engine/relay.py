"""What other ranks warn of, among the events of rank 0."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tui_trainer.engine.ranks import Ranks
from tui_trainer.events import Event, RunEnded, Warned


def relayed(events: Iterator[Event], ranks: Ranks, hear: Callable[[str], None]) -> Iterator[Event]:
    """The same events; those of other ranks come before what happened after them, each once.

    Each rank tells the others of files that it could not read; all `hear` of them, so that too many end it on each.
    """
    if ranks.size == 1:
        yield from events
        return
    known: set[str] = set()
    for event in events:
        if isinstance(event, RunEnded):
            ranks.flush()
        for other in ranks.heard():
            if isinstance(other, Warned):
                hear(other.message)
                if ranks.rank == 0 and other.message not in known:
                    known.add(other.message)
                    yield other
        if isinstance(event, Warned) and event.topic == "data":
            known.add(event.message)
            ranks.tell(event)
        yield event
