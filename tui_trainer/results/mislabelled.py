"""Samples that a person has marked as labelled wrongly, kept as a list in the run folder."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from tui_trainer.errors import ConfigError
from tui_trainer.results.outcomes import Classified
from tui_trainer.results.tested import Tested
from tui_trainer.text import display
from tui_trainer.whole_file import write_whole

HEADING = ("path", "true", "predicted", "probability")


class Mislabelled:
    """`mislabelled.csv`: path, label, what the model says, how sure it is; a row a marked sample."""

    def __init__(self, tested: Tested) -> None:
        self._tested = tested
        trained = tested.trained
        folder = trained.folder.path if trained.folder is not None else trained.path.parent
        self.path: Path = folder / "mislabelled.csv"
        self._rows = self._read()

    @property
    def marked(self) -> frozenset[str]:
        """The paths that are in the list."""
        return frozenset(self._rows)

    def toggle(self, sample: int) -> None:
        """Add a sample of the test, or take it away; the file is whole at any time.

        Raises:
            ConfigError: it cannot be written.
        """
        name, rows = self._tested.name(sample), dict(self._rows)
        if name in rows:
            del rows[name]
        else:
            rows[name] = self._row(sample, name)
        text = io.StringIO(newline="")
        csv.writer(text, lineterminator="\n").writerows([HEADING, *rows.values()])
        try:
            write_whole(self.path, text.getvalue().encode("utf-8", "surrogateescape"))
        except OSError as error:
            raise ConfigError(f"Cannot write {display(self.path)}: {error.strerror}.") from None
        self._rows = rows

    def _row(self, sample: int, name: str) -> tuple[str, ...]:
        outcomes = self._tested.outcomes
        true, predicted = self._tested.answer(sample)
        sure = f"{outcomes.confidence[sample]:.6f}" if isinstance(outcomes, Classified) else ""
        return name, true, predicted, sure

    def _read(self) -> dict[str, tuple[str, ...]]:
        try:
            text = self.path.read_bytes().decode("utf-8", "surrogateescape")
        except OSError:
            return {}
        return {row[0]: tuple(row) for row in list(csv.reader(io.StringIO(text, newline="")))[1:] if row}
