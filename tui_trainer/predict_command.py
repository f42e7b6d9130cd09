"""`tui-trainer predict RUN IMAGE|DIR|GLOB|-`: what a trained model says of images without labels.

The rows go to stdout, one an image, as CSV or with --json as one JSON object a line. An image that cannot be
read is a row with the reason; the exit code is 3 then, after all others were answered.
"""

from __future__ import annotations

import csv
import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from tui_trainer.errors import DataError
from tui_trainer.results.command_line import load, parser
from tui_trainer.text import display

if TYPE_CHECKING:
    from tui_trainer.results.predict import Prediction


def main(argv: Sequence[str]) -> int:
    """Print the predictions; the exit code.

    Raises:
        UserError: there is no such run, or no image.
    """
    words = parser("predict", (__doc__ or "").partition(": ")[2])
    words.add_argument("images", nargs="+", metavar="IMAGE|DIR|GLOB|-", help="-: paths from stdin, one a line")
    words.add_argument("--top-k", type=int, default=5, metavar="K", help="classes for each image [5]")
    words.add_argument("--json", action="store_true", help="JSON lines instead of CSV")
    asked = words.parse_args(list(argv))
    if asked.top_k < 1:
        words.error("--top-k must be at least 1")
    from tui_trainer.results.predict import expand, predict

    trained = load(asked)
    begun, count, bad = time.perf_counter(), 0, 0
    columns = min(asked.top_k, len(trained.names)) if trained.task == "classification" else len(trained.names)
    write = _json_lines if asked.json else _csv_rows(columns)
    for prediction in predict(trained, expand(asked.images, _listed()), asked.top_k):
        write(prediction)
        count += 1
        bad += bool(prediction.error)
    seconds = max(time.perf_counter() - begun, 1e-9)
    sys.stdout.flush()
    failed = f", {bad:,} of them cannot be read" if bad else ""
    units = trained.preprocessing.kind
    unit = units if count != 1 else units.removesuffix("s")
    print(f"{count:,} {unit} in {seconds:.2f} s, {count / seconds:,.0f} {units}/s{failed}", file=sys.stderr)
    return DataError.exit_code if bad else 0


def _listed() -> Iterator[str]:
    """The lines of stdin, as the file system has its names."""
    for line in sys.stdin.buffer:
        yield line.decode(sys.getfilesystemencoding(), "surrogateescape")


def _json_lines(prediction: Prediction) -> None:
    record: dict[str, object] = {"path": prediction.path}
    if prediction.error:
        record["error"] = prediction.error
    else:
        record["predictions"] = [{"name": name, "value": round(value, 6)} for name, value in prediction.answers]
    print(json.dumps(record))


def _csv_rows(columns: int) -> Callable[[Prediction], None]:
    """Writes path, error, then name and value of each answer."""
    out = csv.writer(sys.stdout, lineterminator="\n")
    sys.stdout.reconfigure(errors="surrogateescape")  # type: ignore[union-attr]  # a name keeps its bytes
    heading = [word for k in range(1, columns + 1) for word in (f"name{k}", f"value{k}")]
    shown = display if sys.stdout.isatty() else str  # a program gets the names, a terminal must not obey them
    started = False

    def write(prediction: Prediction) -> None:
        nonlocal started
        if not started:
            out.writerow(("path", "error", *heading))
            started = True
        cells = [cell for name, value in prediction.answers for cell in (shown(name), f"{value:.6f}")]
        out.writerow((shown(prediction.path), prediction.error, *(cells or [""] * len(heading))))

    return write
