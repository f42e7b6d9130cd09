"""One of several processes that torchrun has started: the same run in each, of which the first records and speaks."""

from __future__ import annotations

import atexit
import logging
import os
from typing import TYPE_CHECKING

from tui_trainer.commands import Checkpoint
from tui_trainer.config import Resolved, resolve
from tui_trainer.data_config import WHICH_SAMPLES
from tui_trainer.errors import UserError
from tui_trainer.headless import Summary, choose_progress, print_result
from tui_trainer.launched import end_with_parent
from tui_trainer.run_folder import RunFolder, runs_root
from tui_trainer.session import LocalSession, refuse_early
from tui_trainer.steering import Interrupted, Signals, complain, flush, unless_gone
from tui_trainer.text import display, user_path
from tui_trainer.torchrun import Place, leave_refusal, refusal

if TYPE_CHECKING:
    from tui_trainer.engine.ranks import Ranks
    from tui_trainer.flags import Arguments

LAUNCH = ".launch"  # in a run's folder: what torchrun calls the launch that began it
BUG, LOST = 1, 1  # exit codes


def train(arguments: Arguments, resolved: Resolved, place: Place) -> int:
    """Train among the others; the exit code, which makes torchrun start all again unless it is 0."""
    if place.meeting and (refused := refusal(place.meeting)):
        return refused.exit_code  # another attempt would end as the one before
    end_with_parent()
    from tui_trainer.engine import world
    from tui_trainer.engine.ranks import LostRankError

    ranks: Ranks | None = None
    try:
        ranks = world.join(
            rank=place.rank,
            size=place.size,
            local_rank=place.local_rank,
            local_size=place.local_size,
            device=resolved.config.recipe.device,
            store=place.store,
            restarts=place.attempt < place.attempts,
        )
        summary = _train(arguments, resolved, place, ranks)
    except UserError as error:
        _tell_of(error, place, ranks)
        _end_at_once(error.exit_code)
    except Interrupted as interrupted:
        _end_at_once(128 + interrupted.number)
    except LostRankError:
        _end_at_once(LOST)
    except Exception as error:
        explained = ranks.explain(error) if ranks else None  # another rank is gone, before training began
        if isinstance(explained, LostRankError):
            _end_at_once(LOST)
        if isinstance(explained, UserError):
            _tell_of(explained, place, ranks)
            _end_at_once(explained.exit_code)
        logging.getLogger("tui_trainer").exception("This is a bug in tui-trainer")
        _tell_of(UserError(f"this is a bug: {type(error).__name__}: {error}"), place, ranks)
        _end_at_once(BUG)
    assert ranks is not None
    world.leave(ranks)
    if _speaks(place):
        unless_gone(1, print_result, summary, arguments.json, None)
    if ranks.size > 1:  # while the interpreter ends, a thread of torch may abort it, and all would be started again
        atexit._run_exitfuncs()
        _end_at_once(0)
    return 0


def _train(arguments: Arguments, resolved: Resolved, place: Place, ranks: Ranks) -> Summary:
    resolved, resumed = ranks.by_first(lambda: _settled(arguments, resolved, place))
    config = resolved.config.replace(nproc=place.local_size)
    given = set() if resumed else {name for name, origin in resolved.origins.items() if origin.startswith("--")}
    summary, signals = Summary(), Signals(patient=True)  # torchrun passes on what the terminal has sent already
    progress = choose_progress() if _speaks(place) else None
    tell = progress.tell if progress else lambda text: None
    session = LocalSession(config, lambda text: unless_gone(2, tell, text), given, ranks)
    signals.steer(session)
    if ranks.rank == 0 and place.attempts and not config.run.resume:
        session.send(Checkpoint())  # after the first step, so that there is one to start again from
    try:
        for event in session.events():
            if session.folder and ranks.rank == 0 and not summary.run:
                summary.run = str(session.folder.path)
                (session.folder.path / LAUNCH).write_text(place.launch, "utf-8")
            summary.add(event)
            if progress:
                unless_gone(2, progress, event)
    finally:
        if progress:
            unless_gone(2, progress.close)
    return summary


def _speaks(place: Place) -> bool:
    """Whether this process tells what happens; where this program is the launcher, that does."""
    return place.rank == 0 and place.meeting is None


def _settled(arguments: Arguments, resolved: Resolved, place: Place) -> tuple[Resolved, bool]:
    """What to train, and whether it goes on with what an earlier attempt of this launch began.

    Raises:
        UserError: it is refused.
    """
    run = resolved.config.run
    if not run.resume and (run.output_dir or run.name):
        root = user_path(run.output_dir) if run.output_dir else runs_root()
        folder = RunFolder(root / run.name if run.name else root)
        if folder.holds_a_run() and _is_of_this_launch(folder, place):
            known = ("output_dir", "name", *WHICH_SAMPLES)  # of the run; a path may have been given from here
            flags = {name: value for name, value in arguments.values.items() if name not in known}
            return resolve({**flags, "resume": str(folder.path)}, folder.config), True
    refuse_early(resolved.config, place.size)
    return resolved, False


def _is_of_this_launch(folder: RunFolder, place: Place) -> bool:
    if not place.launch:
        return place.attempt > 0
    try:
        return (folder.path / LAUNCH).read_text("utf-8") == place.launch
    except OSError:
        return False


def _tell_of(error: UserError, place: Place, ranks: Ranks | None) -> None:
    """Leave the reason where the others and the launcher look for it."""
    if ranks is not None and ranks.size > 1:
        ranks.leave_word(error)
    leave_refusal(place.meeting, error)
    if place.rank == 0 or ranks is None:
        complain(f"tui-trainer: {display(error, 1000)}")


def _end_at_once(code: int) -> None:
    """Without the interpreter's own end, which may wait for ranks that are gone."""
    logging.shutdown()
    flush()
    os._exit(code)
