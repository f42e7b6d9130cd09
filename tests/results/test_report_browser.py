"""The page of a run with a hundred hostile names in a real browser: nothing runs, nothing is loaded, no complaint."""

from __future__ import annotations

import csv
import shutil
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from tests.conftest import DIGITS
from tui_trainer.cli import main

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
OWNED = "document.title='owned'"
ATTACKS = (  # {url}: of a server that hears whoever loads something
    "<script>{owned}</script>",
    "<script src={url}></script>",
    '"><script src="{url}"></script>',
    "<img src={url} onerror={owned}>",
    "<svg onload={owned}><image href={url}>",
    "</title></style></table><script>{owned}</script>",
    "<link rel=stylesheet href={url}>",
    "<style>@import url({url})</style>",
    "<iframe src={url}></iframe>",
    "<object data={url}></object>",
    "<meta http-equiv=refresh content='0;url={url}'>",
    "<base href={url}>",
    "<body onload={owned}>",
    "<video poster={url}>",
    "--><script>{owned}</script>",
    "]]><script>{owned}</script>",
    "' onmouseover='{owned}",
    "&#60;script&#62;{owned}&#60;/script&#62;",
    "\u202e<script>{owned}</script>",
    "\x1b]0;owned\x07\x9b31m\x00",
)


@pytest.fixture
def heard() -> Iterator[tuple[str, list[str]]]:
    """The address of a server, and what was asked of it."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_error(404)

        def log_message(self, *args: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/x", asked
    server.shutdown()
    server.server_close()


def hostile_run(folder: Path, url: str) -> Path:
    """A run whose hundred classes, and the files of them, are called like attacks."""
    images = sorted(DIGITS.glob("*/*.png"))
    names = [f"{ATTACKS[i % len(ATTACKS)].format(url=url, owned=OWNED)}{i}" for i in range(100)]
    rows = []
    for number, name in enumerate(names):
        for which in range(2):
            file = f"{which}{name}".replace("/", "\u2215").replace("\x00", "")[:90] + ".png"
            shutil.copy(images[2 * number + which], folder / file)
            rows.append((file, name.replace("\x00", "")))
    with (folder / "list.csv").open("w", newline="") as table:
        csv.writer(table).writerows([("path", "class"), *rows])
    run = folder / "<script>run"
    words = ("--no-tui", folder / "list.csv", "--epochs", 1, "--threads", 1, "--output-dir", run)
    assert main([str(word) for word in words]) == 0
    return run


@pytest.mark.skipif(BROWSER is None, reason="there is no Chromium")
def test_nothing_runs_and_nothing_is_loaded(heard: tuple[str, list[str]], tmp_path: Path) -> None:
    url, asked = heard
    run = hostile_run(tmp_path, url)
    assert main(["report", str(run), "--output", str(tmp_path / "page.html")]) == 0
    assert BROWSER is not None
    where = [
        f"--user-data-dir={tmp_path / 'profile'}",
        f"--screenshot={tmp_path / 'page.png'}",
        "--window-size=1200,3000",
    ]
    quiet = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
    logs = ["--enable-logging=stderr", "--log-level=0", "--dump-dom"]
    seen = subprocess.run(
        [BROWSER, *quiet, *logs, *where, (tmp_path / "page.html").as_uri()],
        check=True, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert "CONSOLE" not in seen.stderr
    assert "<title>&lt;script&gt;run</title>" in seen.stdout
    assert "taken for" in seen.stdout
    assert asked == []
    assert (tmp_path / "page.png").stat().st_size > 10_000
