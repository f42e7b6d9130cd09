"""A run as one self-contained HTML page: curves, figures, confusion, worst pictures, settings."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np

from tui_trainer.comparison import train_curve, val_curve
from tui_trainer.config import SETTINGS, Config, read_toml
from tui_trainer.errors import ConfigError, UserError
from tui_trainer.events import RunEnded, RunStarted, Warned
from tui_trainer.metric_names import RATES, label
from tui_trainer.past_runs import PastRun, read_run
from tui_trainer.results.outcomes import Classified, Labelled, Outcomes, Regressed
from tui_trainer.results.page import Cell, page, picture, table, text
from tui_trainer.results.svg import Curve, line_chart
from tui_trainer.results.tables import LABELS, shown
from tui_trainer.results.tested import Tested, Told, run_test
from tui_trainer.results.trained import load_trained
from tui_trainer.run_folder import RunFolder
from tui_trainer.text import bad_in_words, display, duration
from tui_trainer.whole_file import write_whole

PICTURES = 24
DOTS, TARGETS = 2000, 6  # of residuals: dots in a chart, and charts
PAIRS = 20  # of classes that were mixed up
LARGEST_MATRIX = 40  # classes; of more, only the pairs that were mixed up are shown
SMOOTHING = 0.9  # of the loss of single steps


def save_report(
    folder: RunFolder,
    path: Path | None = None,
    *,
    data: str = "",
    trusted: bool = False,
    tell: Told = lambda done, total: None,
) -> Path:
    """Write the page of a run, into its folder unless `path` says otherwise; where it lies.

    Raises:
        ConfigError: it cannot be written there.
    """
    path = path or folder.path / "report.html"
    content = _content(folder, data=data, trusted=trusted, tell=tell)
    try:
        write_whole(path, content.encode("utf-8", "replace"))
    except OSError as error:
        raise ConfigError(f"Cannot write {display(path)}: {error.strerror}; choose another --output.") from None
    return path


def _content(folder: RunFolder, *, data: str = "", trusted: bool = False, tell: Told = lambda done, of: None) -> str:
    """The page of a run. Where its dataset or weights are not there, the page says so and shows the rest."""
    tested, missing = None, ""
    try:
        tested = run_test(load_trained(str(folder.path), trusted=trusted), data, tell=tell)
    except UserError as error:
        missing = str(error)
    run = read_run(folder)
    events = list(islice(_rare(folder), 1000))
    parts = [_head(run, events), _curves(run)]
    parts += _results(tested) if tested else [f'<h2>Test</h2><p class="muted">Not tested: {text(missing, 500)}</p>']
    parts += [_warnings(events), _settings(run)]
    return page(run.name, parts)


def _rare(folder: RunFolder) -> Iterator[RunStarted | RunEnded | Warned]:
    return (event for event in folder.read_events() if isinstance(event, RunStarted | RunEnded | Warned))


def _head(run: PastRun, events: Sequence[RunStarted | RunEnded | Warned]) -> str:
    begun = [event for event in events if isinstance(event, RunStarted)]
    started = begun[-1] if begun else None
    ended = next((event for event in reversed(events) if isinstance(event, RunEnded)), None)
    facts: list[tuple[str, str]] = [("state", run.state), ("best", run.best_in_words or "none yet")]
    if started:
        samples = f"{started.train_samples:,} to train on, {started.val_samples:,} to validate on"
        samples += bad_in_words(max((event.train_bad, event.val_bad) for event in begun))  # a resumed run does not look
        samples = samples if started.steps_per_epoch else "as many as the stream has"
        facts += [
            ("model", f"{started.model}, {started.parameters:,} parameters, on {started.device}"),
            ("samples", samples),
            ("classes", f"{len(started.classes)}: {', '.join(started.classes[:20])}" if started.classes else "numbers"),
        ]
    facts += [("epochs", str(run.epochs)), ("time", duration(run.seconds)), ("data", str(run.settings.get("data", "")))]
    facts += [("note", run.note)] if run.note else []
    said = f"<p>{text(ended.message, 500)}</p>" if ended else ""
    return f"<h1>{text(run.name)}</h1>{said}{table(('', ''), [(k, display(v, 600)) for k, v in facts])}"


def _curves(run: PastRun) -> str:
    name = run.metric.partition("_")[2]
    loss = (
        Curve(name="train", style="train", points=_smooth(train_curve(run.folder, "loss"))),
        Curve(name="val", style="val", points=val_curve(run.folder, "val_loss")),
    )
    score = (
        Curve(name="train", style="train", points=_smooth(train_curve(run.folder, name))),
        Curve(name="val", style="val", points=val_curve(run.folder, run.metric)),
    )
    charts = line_chart("loss", loss) + line_chart(label(name), score, percent=name in RATES)
    return f'<h2>Curves</h2><div class="charts">{charts}</div><p class="muted">over epochs</p>' if charts else ""


def _smooth(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Exponential average without the bias of its beginning."""
    average, weight, smooth = 0.0, 0.0, list[tuple[float, float]]()
    for x, y in points:
        average, weight = SMOOTHING * average + (1 - SMOOTHING) * y, SMOOTHING * weight + 1 - SMOOTHING
        smooth.append((x, average / weight))
    return smooth


def _results(tested: Tested) -> list[str]:
    outcomes = tested.outcomes
    figures = [
        (LABELS.get(name, label(name)), shown(name, estimate.value), _interval(name, estimate.low, estimate.high))
        for name, estimate in outcomes.metrics.items()
    ]
    what = f"{len(outcomes):,} samples, part {tested.part}, weights {tested.trained.path.stem}"
    notes = "".join(f"<p>{text(note, 500)}</p>" for note in tested.notes)
    bad = table(("left out", "why"), tested.bad[:100])
    parts = [f'<h2>Test</h2><p class="muted">{text(what)}</p>', notes, table(("", "", "95 % interval"), figures), bad]
    if isinstance(outcomes, Classified | Labelled):
        rows: list[list[Cell]] = [
            [name, f.support, *(f"{value:.1%}" for value in (f.precision.value, f.recall.value, f.f1))]
            for name, f in zip(outcomes.classes, outcomes.figures, strict=True)
        ]
        parts += ["<h2>Classes</h2>", table(("class", "samples", "precision", "recall", "F1"), rows)]
    if isinstance(outcomes, Classified):
        parts += _confusion(outcomes)
    if isinstance(outcomes, Regressed):
        parts += _residuals(outcomes)
    return [*parts, _worst(tested)]


def _residuals(outcomes: Regressed) -> list[str]:
    """Predicted minus true over true, for each target; of many samples evenly chosen ones."""
    chosen = np.linspace(0, len(outcomes) - 1, min(DOTS, len(outcomes))).astype(np.int64)
    charts = []
    for k, name in enumerate(outcomes.names[:TARGETS]):
        points = list(zip(outcomes.true[chosen, k].tolist(), outcomes.residuals[chosen, k].tolist(), strict=True))
        charts.append(line_chart(display(name, 60), [Curve(name="residual", style="val", points=points)], dots=True))
    what = '<p class="muted">predicted - true, over true</p>'
    return ["<h2>Residuals</h2>", what, f'<div class="charts">{"".join(charts)}</div>']


def _interval(name: str, low: float, high: float) -> str:
    return f"{shown(name, low)} to {shown(name, high)}" if math.isfinite(low) and math.isfinite(high) else ""


def _confusion(outcomes: Classified) -> list[str]:
    pairs = [(outcomes.classes[t], outcomes.classes[p], count) for t, p, count in outcomes.confused()[:PAIRS]]
    mixed = table(("is", "taken for", "samples"), pairs) or '<p class="good">No two classes were mixed up.</p>'
    matrix = _matrix(outcomes) if len(outcomes.classes) <= LARGEST_MATRIX else ""
    return ["<h2>Confusion</h2>", f'<div class="charts">{matrix}{mixed}</div>']


def _matrix(outcomes: Classified) -> str:
    counts = outcomes.confusion
    share = counts / np.maximum(1, counts.sum(1, keepdims=True))
    head = "".join(f"<th>{text(name, 30)}</th>" for name in outcomes.classes)
    rows = [
        f'<tr><th class="row">{text(name, 30)}</th>'
        + "".join(_count(int(counts[t, p]), float(share[t, p]), right=t == p) for p in range(len(counts)))
        + "</tr>"
        for t, name in enumerate(outcomes.classes)
    ]
    corner = "<tr><th>is \\ taken for</th>"
    return f'<div class="scroll"><table class="matrix">{corner}{head}</tr>{"".join(rows)}</table></div>'


def _count(count: int, share: float, *, right: bool) -> str:
    colour = "46,139,87" if right else "192,57,43"
    return f'<td style="background: rgba({colour},{0.75 * share:.2f})">{count or ""}</td>'


def _worst(tested: Tested) -> str:
    outcomes = tested.outcomes
    hardest = outcomes.hardest()[:PICTURES].tolist()
    if not tested.has_pictures:
        rows = [(tested.label(i), tested.in_words(i)[1]) for i in hardest]
        return f"<h2>Hardest samples</h2>{table(('', ''), rows)}"
    shown_ones = [picture(tested.picture(i), [text(tested.name(i), 80), *_verdict(outcomes, i)]) for i in hardest]
    return f'<h2>Hardest samples</h2><div class="pictures">{"".join(shown_ones)}</div>' if shown_ones else ""


def _verdict(outcomes: Outcomes, i: int) -> list[str]:
    if isinstance(outcomes, Classified):
        right, classes = bool(outcomes.correct[i]), outcomes.classes
        taken = f"{text(classes[outcomes.predicted[i]], 40)} {outcomes.confidence[i]:.0%}"
        kind = "good" if right else "bad"
        return [f"is {text(classes[outcomes.true[i]], 40)}", f'<span class="{kind}">taken for {taken}</span>']
    if isinstance(outcomes, Regressed):
        values = zip(outcomes.names, outcomes.true[i], outcomes.predicted[i], strict=True)
        return [f"{text(name, 40)}: is {is_:.4g}, taken for {taken:.4g}" for name, is_, taken in values]
    wrong = [
        n
        for n, is_, claimed in zip(outcomes.classes, outcomes.true[i], outcomes.predicted[i], strict=True)
        if is_ != claimed
    ]
    return [f'<span class="bad">wrong: {text(", ".join(wrong) or "none", 120)}</span>']


def _warnings(events: Sequence[RunStarted | RunEnded | Warned]) -> str:
    told = list(dict.fromkeys(event.message for event in events if isinstance(event, Warned)))
    return f"<h2>Warnings</h2>{table(('',), [(message,) for message in told[:200]])}" if told else ""


def _settings(run: PastRun) -> str:
    try:
        values = Config().values() | read_toml(run.folder.config)
    except UserError as error:
        return f'<h2>Settings</h2><p class="muted">{text(error, 500)}</p>'
    rows = [
        (name, item.to_text(values[name]), "" if values[name] == item.default else "changed")
        for name, item in SETTINGS.items()
    ]
    rows.sort(key=lambda row: not row[2])
    repeat = f"tui-trainer -c {run.folder.config}"
    return f"<h2>Settings</h2><p>Again: <code>{text(repeat, 500)}</code></p>{table(('setting', 'value', ''), rows)}"
