"""The command line: what is asked for, signals, exit codes."""

from __future__ import annotations

import difflib
import importlib
import json
import os
import shlex
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec

from tui_trainer import preload, torchrun, user_code
from tui_trainer.config import Resolved, resolve, to_toml
from tui_trainer.errors import ConfigError, TooManyBadError, UserError
from tui_trainer.origin import naming_file
from tui_trainer.run_folder import find_checkpoint, find_run
from tui_trainer.steering import Interrupted, Signals, complain, flush, unless_gone
from tui_trainer.text import display
from tui_trainer.waiting import set_waiting

if TYPE_CHECKING:
    from tui_trainer.flags import Arguments
    from tui_trainer.session import LocalSession

P = ParamSpec("P")
EXIT_BUG = 1


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; the exit code. Without `argv` it is the whole program, and its process may end here."""
    try:
        code = _main(list(sys.argv[1:] if argv is None else argv))
    finally:
        if argv is None:
            flush()
    if argv is None:
        preload.leave(code)
    preload.settle()
    return code


def _main(words: Sequence[str]) -> int:
    set_waiting()
    try:
        if _is_command(words):
            return COMMANDS[words[0]](words[1:])
        _require_no_typo(words)
        return train(words)
    except UserError as error:
        if "--json" in words:
            _print_refusal(error)
        return _refuse(error)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the reader left; nothing to say it to
        return 128 + signal.SIGPIPE


def _is_command(words: Sequence[str]) -> bool:
    """Whether the first word is a subcommand; `tui-trainer data` alone is a folder of that name, if there is one."""
    if not words or words[0] not in COMMANDS:
        return False
    alone = len(words) == 1 or words[1].startswith("-")
    return words[0] == "runs" or not alone or not Path(words[0]).is_dir()


def _require_no_typo(words: Sequence[str]) -> None:
    """Refuse what is nearly a subcommand and no dataset.

    Raises:
        ConfigError: the first word is.
    """
    word = words[0] if words else ""
    near = difflib.get_close_matches(word, COMMANDS, n=1, cutoff=0.75)
    if near and word.isalpha() and not Path(word).exists():
        raise ConfigError(f"{display(word)} is no command and no dataset folder; did you mean tui-trainer {near[0]}?")


def _refuse(error: UserError) -> int:
    complain(f"tui-trainer: {display(error, 1000)}")
    return error.exit_code


def _print_refusal(error: UserError) -> None:
    """The one JSON object on stdout, also for what is refused before there is a run."""
    from tui_trainer.headless import Summary, print_result

    unless_gone(1, print_result, Summary(), True, error)


def train(argv: Sequence[str]) -> int:
    """`tui-trainer [DIR] [flags]`."""
    from tui_trainer import flags

    arguments = flags.parse(argv)
    resolved = _resolve(arguments)
    if (place := torchrun.place()) is not None:
        from tui_trainer import rank_run

        return rank_run.train(arguments, resolved, place)
    if arguments.print_config:
        print(to_toml(resolved.config, resolved.origins), end="")
        return 0
    if arguments.background:
        return train_in_background(resolved, argv, as_json=arguments.json)
    if arguments.dry_run:
        from tui_trainer.dry_step import dry_step

        with naming_file(resolved):
            print(dry_step(resolved.config).in_words())
        return 0
    from tui_trainer.tui import terminal

    _ask_about_code(resolved, interactive=terminal.is_interactive() and not arguments.json)
    if arguments.no_tui or arguments.json or not terminal.is_interactive():
        if resolved.config.run.nproc > 1:
            from tui_trainer import several

            return several.train(resolved, argv, as_json=arguments.json)
        return train_headless(resolved, as_json=arguments.json)
    return show_screens(resolved, in_ascii=arguments.ascii)


def _ask_about_code(resolved: Resolved, *, interactive: bool) -> None:
    """Python from outside the current folder runs after a yes, which is remembered; without a terminal see `load`.

    Raises:
        ConfigError: the answer was no.
    """
    from tui_trainer.early import own_code

    for spec in own_code(resolved.config) if interactive and not resolved.config.run.trust_code else ():
        user_code.require(spec)
        if user_code.has_consent(spec):
            continue
        print(f"{display(spec)} is Python from outside the current folder.", file=sys.stderr)
        print("It will run with all your rights. Run it, now and later? [y/N] ", end="", file=sys.stderr, flush=True)
        if sys.stdin.readline().strip().lower() not in ("y", "yes"):
            raise ConfigError(f"{display(spec)} was not run: nothing was started.")
        user_code.consent(spec)


def show_screens(resolved: Resolved, *, in_ascii: bool) -> int:
    """The screens, filled in with what was asked for; the exit code."""
    from tui_trainer.tui.launch import launch

    return launch(resolved, in_ascii=in_ascii)


def _resolve(arguments: Arguments) -> Resolved:
    """Flags over the file given, or over the configuration of the run to go on with or to branch from."""
    file = arguments.config
    if resume := arguments.values.get("resume"):
        if file is not None:
            raise ConfigError("A run is resumed with its own configuration: leave out --config.")
        file = find_run(str(resume)).config
    elif (branch := arguments.values.get("branch")) and file is None:
        file = find_checkpoint(str(branch))[0].config
    return resolve(arguments.values, file)


def train_headless(resolved: Resolved, *, as_json: bool) -> int:
    """Train without the screens; the exit code."""
    from tui_trainer.headless import Summary, choose_progress, print_result
    from tui_trainer.session import LocalSession

    progress, summary, signals = choose_progress(), Summary(), Signals()
    if resolved.config.run.resume:
        summary.add_all(find_run(resolved.config.run.resume).read_events())  # the best epoch may lie there
    given = {name for name, origin in resolved.origins.items() if origin.startswith("--")}
    session = LocalSession(resolved.config, lambda text: unless_gone(2, progress.tell, text), given)
    signals.steer(session)
    failure: UserError | None = None
    try:
        with naming_file(resolved):
            for event in session.events():
                summary.add(event)
                unless_gone(2, progress, event)
    except UserError as error:
        failure = error
    except Interrupted as interrupted:
        unless_gone(2, progress.close)
        complain("tui-trainer: stopped before the run began; nothing was written.")
        return 128 + interrupted.number
    except Exception as error:
        unless_gone(2, progress.close)
        return _bug(error, session)
    finally:
        unless_gone(2, progress.close)
    summary.run = str(session.folder.path) if session.folder else ""
    unless_gone(1, print_result, summary, as_json, failure)
    if isinstance(failure, TooManyBadError) and failure.allowed and not as_json and _accepts(failure):
        more = resolved.config.replace(max_bad=failure.allowed)
        return train_headless(replace(resolved, config=more), as_json=as_json)
    if failure is not None:
        return _refuse(failure)
    ended_by_signal = signals.received and summary.outcome in ("stopped", "aborted")
    return 128 + signals.received if ended_by_signal else 0


def _accepts(failure: TooManyBadError) -> bool:
    """Whether the person at the terminal wants to train on the files that can be read; without one it is no."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return False
    print(f"{display(failure, 1000)}\nTrain on the others? [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def train_in_background(resolved: Resolved, argv: Sequence[str], *, as_json: bool) -> int:
    """Hand the same command line to a process of its own, and wait until it trains; the exit code.

    Raises:
        UserError: it refused to start.
    """
    from tui_trainer import background

    words = [word for word in argv if word not in ("--background", "--json", "--no-tui")]
    run, model = resolved.config.run, resolved.config.model.model
    if run.resume:
        started = background.go_on(words, find_run(run.resume))
    else:
        started = background.start_new(words, output_dir=run.output_dir, name=run.name, model=model)
    started.wait_until_begun()
    path, pid = str(started.folder.path), started.process.pid
    if as_json:
        print(json.dumps({"run": path, "pid": pid}))
        return 0
    shown = shlex.quote(path)
    print(f"Training in the background, process {pid}: {display(path)}")
    print(f"  watch and steer   tui-trainer attach {display(shown)}")
    print(f"  stop and save     tui-trainer send {display(shown)} stop")
    return 0


def _bug(error: Exception, session: LocalSession) -> int:
    """A traceback is for the log; without a run there is no log, and it goes to the terminal."""
    if session.folder is None:
        raise error
    what = display(f"{type(error).__name__}: {error}", 300)
    complain(f"tui-trainer: this is a bug: {what}; traceback in {display(session.folder.log)}.")
    return EXIT_BUG


def _run(module: str) -> Callable[[Sequence[str]], int]:
    """A subcommand of its own module, which is imported when it is asked for."""

    def call(argv: Sequence[str]) -> int:
        return int(importlib.import_module(f"tui_trainer.{module}").main(argv))

    return call


COMMANDS: dict[str, Callable[[Sequence[str]], int]] = {
    name: _run(f"{name}_command")
    for name in (
        "attach",
        "data",
        "eject",
        "export",
        "predict",
        "report",
        "runs",
        "send",
        "test",
        "tune",
        "weights",
    )
}
