"""The page of a run: whole, safe, and of one file."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.conftest import Told, copy_digits
from tui_trainer.events import RunStarted, to_json
from tui_trainer.results.page import page, table, text
from tui_trainer.results.svg import Curve, line_chart
from tui_trainer.run_folder import RunFolder

Cli = Callable[..., Told]
HOSTILE = (
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    '"><svg onload=alert(1)>',
    "'; DROP TABLE x; --",
    "\x1b]0;title\x07\x1b[31m",
    "[@click=app.quit]x[&]",
    "\u202egnp.exe",
    "&lt;b&gt; &amp;",
    "</title></style><h1>",
    "new\nline",
    "javascript:alert(1)",
    "${7*7}{{7*7}}",
)


class Elements(HTMLParser):
    """What a browser would make of a page."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.words: list[str] = []
        self.feed(source)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def safe(source: str) -> Elements:
    """The elements, after nothing was found that runs or loads."""
    found = Elements(source)
    assert {"script", "iframe", "object", "form", "base"}.isdisjoint(found.tags)
    assert not [name for name, _ in found.attributes if name.startswith("on")]
    loaded = [value for name, value in found.attributes if name in ("src", "href") and value]
    assert all(value.startswith("data:") for value in loaded), loaded
    assert found.tags.count("h1") == 1
    assert found.tags.count("title") == 1
    assert "\x1b" not in source
    return found


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A dataset with hostile class and file names, and a run trained on it."""
    from tui_trainer import cli

    place = tmp_path_factory.mktemp("hostile")
    digits = copy_digits(place / "digits", classes=3, each=6)
    data = place / "data"
    names = [name.replace("/", "∕") for name in HOSTILE]
    for digit, name in enumerate(names[:3]):
        (data / name).mkdir(parents=True)
        for image, other in zip(sorted((digits / str(digit)).iterdir()), names[3:], strict=False):
            shutil.copy(image, data / name / f"{other}.png")
    run = place / "<b>run</b>"
    words = ("--no-tui", data, "--epochs", 1, "--threads", 1, "--output-dir", run)
    assert cli.main([str(word) for word in words]) == 0
    return data, run


def test_hostile_names_are_text_and_nothing_runs_or_loads(run_cli: Cli, hostile: tuple[Path, Path]) -> None:
    _, run = hostile
    told = run_cli("report", run)
    assert told.code == 0
    assert told.out.strip().endswith("report.html")
    source = (run / "report.html").read_text("utf-8")
    found = safe(source)
    assert any((value or "").startswith("default-src 'none';") for _, value in found.attributes)
    assert "<script>alert(1)<∕script>" in "".join(found.words)
    assert found.tags.count("img") == 3
    assert found.tags.count("svg") == 2


def test_the_figures_are_those_of_the_run(run_cli: Cli, hostile: tuple[Path, Path], tmp_path: Path) -> None:
    _, run = hostile
    assert run_cli("report", run, "-o", tmp_path / "page.html").code == 0
    with (run / "metrics.csv").open(newline="") as file:
        top1 = float(next(csv.DictReader(file))["val_top1"])
    words = Elements((tmp_path / "page.html").read_text("utf-8")).words
    assert f"{top1:.2%}" in words
    assert run_cli("test", run, "--json").json["metrics"]["top1"]["value"] == pytest.approx(top1)


def test_without_its_dataset_the_page_says_so_and_shows_the_rest(
    run_cli: Cli, hostile: tuple[Path, Path], tmp_path: Path
) -> None:
    data, run = hostile
    copy = shutil.copytree(run, tmp_path / "run")
    events = RunFolder(copy).events
    began = next(event for event in RunFolder(run).read_events() if isinstance(event, RunStarted))
    events.write_text(f"{to_json(replace(began, train_bad=2))}\n{events.read_text('ascii')}", "ascii")  # as if resumed
    away = data.rename(tmp_path / "away")
    try:
        assert run_cli("report", copy, "-o", tmp_path / "page.html").code == 0
    finally:
        away.rename(data)
    found = safe((tmp_path / "page.html").read_text("utf-8"))
    assert any(word.startswith("Not tested: ") for word in found.words)
    assert any(word.endswith(" to validate on (2 and 0 cannot be read)") for word in found.words)
    assert found.tags.count("svg") == 2
    assert "img" not in found.tags


def test_where_it_cannot_be_written_is_said_in_one_sentence(
    run_cli: Cli, hostile: tuple[Path, Path], tmp_path: Path
) -> None:
    told = run_cli("report", hostile[1], "-o", tmp_path / "no" / "page.html")
    assert told.code == 2
    assert "choose another --output" in told.sentence
    assert run_cli("report", tmp_path / "nothing").code == 2


def test_a_chart_has_a_line_for_each_stretch_without_gaps() -> None:
    nan = float("nan")
    curve = Curve(name="<b>", style="train", points=[(0, 1.0), (1, nan), (2, 2.0), (3, 3.0)])
    drawn = line_chart("loss & more", [curve])
    assert drawn.count("<polyline") == 1
    assert drawn.count("<circle") == 1
    assert "<b>loss &amp; more</b>" in drawn
    assert "&lt;b&gt;" in drawn
    assert line_chart("empty", [Curve(name="n", style="val", points=[(0, nan)])]) == ""
    flat = line_chart("flat", [Curve(name="n", style="val", points=[(5, 0.0), (5, 0.0)])], percent=True)
    assert "nan" not in flat


def test_only_columns_of_numbers_stand_to_the_right() -> None:
    assert table(("a", "b"), [("x", 1), ("2", 1234)]).count("class=n") == 3
    assert table(("a",), []) == ""
    assert text("\x1b[0m<") == "\\x1b[0m&lt;"
    safe(page("</title><script>", ["<h1>x</h1>"]))
