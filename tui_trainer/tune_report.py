"""What `tui-trainer tune` has found: tables for a person, or one object for a program."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tui_trainer.config import Config
from tui_trainer.loader_facts import Measurement, faster_batches, faster_prefetch
from tui_trainer.settings import Value
from tui_trainer.text import display
from tui_trainer.tui.draft import words_of
from tui_trainer.tune_facts import Advice, Found, Trial, rows

if TYPE_CHECKING:
    from tui_trainer.console import Console

WIDEST = 40  # cells of a bar


def record(config: Config, found: Found, advice: Advice | None, *, complete: bool) -> dict[str, Any]:
    """Everything, in values of JSON; what was not measured has null for its figures."""
    return {
        "data": config.data.data,
        "model": config.model.model,
        "batch_size": config.loader.batch_size,
        "complete": complete and not found.lacked_time,
        "step_seconds": found.loading[0].step_seconds if found.loading else None,
        "steps": [_trial(trial) for trial in found.steps],
        "measurements": [_measurement(m) for m in found.loading],
        "together": [_trial(trial) for trial in found.together],
        "recommended": None if advice is None else _advice(advice),
    }


def _trial(trial: Trial) -> dict[str, Any]:
    whole = {"num_workers": trial.num_workers, "worker_type": trial.worker_type}
    return {
        **(whole if trial.num_workers is not None else {}),
        "threads": trial.threads,
        "precision": trial.precision,
        "images_per_second": round(trial.per_second, 3) if trial.rates else None,
        "spread": round(trial.spread, 4) if len(trial.rates) > 1 else None,
        "rounds": len(trial.rates),
        "losses": list(trial.losses),
        "skipped": trial.skipped or None,
    }


def _measurement(m: Measurement) -> dict[str, Any]:
    measured = not m.skipped
    return {
        "num_workers": m.num_workers,
        "batch_size": m.batch_size,
        "prefetch_factor": m.prefetch_factor,
        "images_per_second": round(m.images_per_second, 3) if measured else None,
        "trained_per_second": round(m.trained_per_second, 3) if measured else None,
        "wait_share": round(m.wait_share, 4) if measured else None,
        "first_batch_seconds": m.first_batch_seconds,
        "skipped": m.skipped or None,
    }


def _advice(advice: Advice) -> dict[str, Any]:
    reasons = " ".join([*filter(None, advice.reasons.values()), *advice.remarks])
    return {**advice.settings, "flags": words_of(advice.settings), "reason": reasons}


def show(config: Config, found: Found, advice: Advice | None, file: str) -> None:
    """Tables on stdout, and under them what to set, also as `file`."""
    from rich.text import Text

    from tui_trainer.console import Console

    console = Console(highlight=False)
    size = config.loader.batch_size
    model = "" if config.model.model == "auto" else f"{display(config.model.model)}, "
    title = f"{display(config.data.data)}: {model}batches of {size:,}."
    if found.steps:
        console.print(Text(f"{title} Samples/s of training steps alone, on batches that are there:"), soft_wrap=True)
        _trials(console, found.steps, advice)
        for text in dict.fromkeys(trial.skipped for trial in found.steps if trial.skipped):
            console.print(Text(text, style="yellow"), soft_wrap=True)
    if found.loading:
        step = f"{1000 * found.loading[0].step_seconds:.3g} ms a training step of {size:,}"
        console.print(Text(f"{title} {step}. Samples/s of the loader alone, and of training:"), soft_wrap=True)
        _loading(console, config, found, advice)
    if found.together:
        console.print(Text("Samples/s of training with the best of both, in turns:"), soft_wrap=True)
        _trials(console, found.together, advice)
    for text in (faster_batches(found.loading, size), faster_prefetch(found.loading)):
        if text:
            console.print(Text(text), soft_wrap=True)
    if advice is not None:
        _say(console, advice, file)


def _say(console: Console, advice: Advice, file: str) -> None:
    """The advice as flags with their reasons, then as TOML."""
    from rich.text import Text

    for remark in advice.remarks:
        console.print(Text(remark, style="yellow"), soft_wrap=True)
    for name, value in advice.settings.items():
        if advice.reasons.get(name):
            flags = words_of({name: value} | _with_it(name, advice))
            console.print(Text(f"{' '.join(flags)}  {advice.reasons[name]}", style="green"), soft_wrap=True)
    console.print(Text("The same in a TOML file, which --write FILE makes:"), soft_wrap=True)
    for line in file.splitlines():
        console.print(Text(display(line, 6 * len(line))), soft_wrap=True)


def _with_it(name: str, advice: Advice) -> dict[str, Value]:
    return {"amp_dtype": advice.settings["amp_dtype"]} if name == "amp" and "amp_dtype" in advice.settings else {}


def _trials(console: Console, trials: Sequence[Trial], advice: Advice | None) -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    heads, *lines = rows([trial for trial in trials if not trial.skipped])
    table = Table(box=None if console.options.ascii_only else box.SIMPLE_HEAD, pad_edge=False)
    for head in heads:
        table.add_column(Text(head), justify="right", no_wrap=True)
    for line, trial in zip(lines, (t for t in trials if not t.skipped), strict=True):
        plain = [cell.replace("±", "+-") for cell in line] if console.options.ascii_only else line
        table.add_row(*plain, style="bold green" if advice is not None and advice.is_of(trial) else "")
    console.print(table)


def _loading(console: Console, config: Config, found: Found, advice: Advice | None) -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None if console.options.ascii_only else box.SIMPLE_HEAD, pad_edge=False)
    for head in ("workers", "batch", "loader/s", "", "train/s", "waits", "first batch"):
        table.add_column(Text(head), justify="left" if not head else "right", no_wrap=True)
    fastest = max(m.images_per_second for m in found.loading) or 1.0
    full = "#" if console.options.ascii_only else "█"
    room = max(1, min(WIDEST, console.width - 74))
    for m in found.loading:
        usual = m.batch_size == config.loader.batch_size and m.prefetch_factor is None
        chosen = advice is not None and usual and m.num_workers == advice.settings.get("num_workers")
        ahead = f", {m.prefetch_factor} ahead" if m.prefetch_factor else ""
        what = (str(m.num_workers), f"{m.batch_size:,}{ahead}")
        bar = Text(full * round(m.images_per_second / fastest * room), style="green" if chosen else "cyan")
        texts = (f"{m.images_per_second:,.0f}", bar, f"{m.trained_per_second:,.0f}", f"{m.wait_share:.0%}")
        cells = (*what, *texts, f"{m.first_batch_seconds or 0:.2f} s")
        skipped = (*what, "skipped", "", "", "", "")
        table.add_row(*(skipped if m.skipped else cells), style="bold" if chosen else "")
    console.print(table)
    for text in dict.fromkeys(m.skipped for m in found.loading if m.skipped):
        console.print(Text(text, style="yellow"), soft_wrap=True)
