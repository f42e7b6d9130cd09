"""`--nproc N` without the screens: N processes under torchrun, seen from the one that started them."""

from __future__ import annotations

from collections.abc import Sequence

from tui_trainer.background import last_words
from tui_trainer.config import Resolved
from tui_trainer.errors import BY_KIND, TrainingError, UserError
from tui_trainer.events import RunEnded
from tui_trainer.headless import Summary, choose_progress, print_result
from tui_trainer.past_runs import last_event
from tui_trainer.run_folder import RunFolder, find_run, make_folder, new_folder_path
from tui_trainer.session import FollowedSession, refuse_early
from tui_trainer.steering import Interrupted, Signals, complain, unless_gone
from tui_trainer.text import display
from tui_trainer.torchrun import launched

BUG = 1  # exit code


def train(resolved: Resolved, argv: Sequence[str], *, as_json: bool) -> int:
    """Train, show what happens as a run of this process would, and pass signals on; the exit code.

    Raises:
        UserError: it was refused before a process was started.
    """
    config, summary, signals = resolved.config, Summary(), Signals()
    refuse_early(config)
    words = [word for word in argv if word not in ("--json", "--no-tui")]
    folder = find_run(config.run.resume) if config.run.resume else _new(resolved)
    if config.run.resume:
        summary.add_all(folder.read_events())
    else:
        words += [f"--output-dir={folder.path}", "--name="]
    since = folder.events.stat().st_size if folder.events.exists() else 0
    progress, failure = choose_progress(), None
    unless_gone(2, progress.tell, f"starting {config.run.nproc} processes")
    try:
        with launched(words, folder, nproc=config.run.nproc, max_restarts=config.run.max_restarts) as started:
            session = FollowedSession(folder, started.process, since)
            signals.steer(session)
            try:
                for event in session.events():
                    summary.add(event)
                    unless_gone(2, progress, event)
            except UserError as error:
                failure = error
            failure = started.refusal() or failure or _failure(folder)
    except Interrupted as interrupted:
        unless_gone(2, progress.close)
        complain("tui-trainer: stopped before the run began; nothing was written.")
        return 128 + interrupted.number
    finally:
        unless_gone(2, progress.close)
    summary.run = str(folder.path) if folder.holds_a_run() else ""
    unless_gone(1, print_result, summary, as_json, failure)
    if failure is not None:
        complain(f"tui-trainer: {display(failure, 1000)}")
        return failure.exit_code
    return 128 + signals.received if signals.received and summary.outcome in ("stopped", "aborted") else 0


def _new(resolved: Resolved) -> RunFolder:
    run = resolved.config.run
    return make_folder(new_folder_path(run.output_dir, run.name, resolved.config.model.model))


def _failure(folder: RunFolder) -> UserError | None:
    """What went wrong, by the last event; without one the processes ended before they could say."""
    last = last_event(folder)
    if not isinstance(last, RunEnded):
        return TrainingError(f"The processes ended without a word: {last_words(folder)} --resume goes on.")
    if last.outcome != "failed":
        return None
    if last.error == "bug":
        return UserError(f"this is a bug: {last.message}; traceback in {folder.log}.")
    return BY_KIND.get(last.error, TrainingError)(last.message)
