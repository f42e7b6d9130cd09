"""A test of a trained model on a part of a dataset: which samples, what came out."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tui_trainer.data.datasets import ImageDataset
from tui_trainer.data.index import Index, Own, Rows, Stream
from tui_trainer.data.names import Names
from tui_trainer.errors import ConfigError, DataError
from tui_trainer.results.inference import answers, streamed
from tui_trainer.results.outcomes import JUDGES, Classified, Labelled, Outcomes, Regressed
from tui_trainer.results.samples import Pixels, find_samples, picture
from tui_trainer.results.trained import Trained
from tui_trainer.text import display

Ints = npt.NDArray[np.int64]
Told = Callable[[int, int], None]  # done, of all


@dataclass(frozen=True, kw_only=True)
class Tested:
    """The outcome of a test: sample i of `outcomes` is sample `members[i]` of `index`."""

    trained: Trained
    index: Index
    part: str  # train, val, test, or all
    members: Ints
    outcomes: Outcomes
    bad: tuple[tuple[str, str], ...] = ()  # files that could not be read, and why
    notes: tuple[str, ...] = ()

    def name(self, sample: int) -> str:
        """The path of a sample of `outcomes`, relative to the dataset's folder."""
        return os.fsdecode(self.index.name(int(self.members[sample])))

    def path(self, sample: int) -> Path:
        """Where a sample of `outcomes` lies."""
        return Path(os.fsdecode(self.index.path(int(self.members[sample]))))

    @property
    def has_pictures(self) -> bool:
        """Whether a sample can be looked at: rows are no pictures, and what a stream gave is gone."""
        inputs = self.index.inputs
        gone = isinstance(inputs, Stream) or (isinstance(inputs, Own) and inputs.streams)
        return self.trained.preprocessing.kind != "rows" and not gone

    def label(self, sample: int) -> str:
        """What a sample of `outcomes` is called where it is no picture."""
        is_row = isinstance(self.index.inputs, Rows)
        return f"row {display(self.name(sample))}" if is_row else display(self.name(sample))

    def picture(self, sample: int) -> Pixels | None:
        """A sample of `outcomes` as it is in the dataset (H, W, 3) or (H, W, 1); None if it is no picture."""
        return picture(self.index, int(self.members[sample]))

    def seen(self, sample: int) -> Pixels | None:
        """A sample of `outcomes` as the model saw it (S, S, C); None if it is no picture, or cannot be read."""
        learned = self.trained.preprocessing
        if learned.kind != "images":
            return self.picture(sample)
        image = ImageDataset(self.index, learned.spec)[0, int(self.members[sample])].image
        return None if image is None else np.ascontiguousarray(image.numpy())

    def answer(self, sample: int) -> tuple[str, str]:
        """What a sample of `outcomes` is and what was predicted: its class, its labels, or its numbers."""
        outcomes = self.outcomes
        if isinstance(outcomes, Classified):
            return outcomes.classes[outcomes.true[sample]], outcomes.classes[outcomes.predicted[sample]]
        if isinstance(outcomes, Labelled):
            return _labels(outcomes, outcomes.true[sample]), _labels(outcomes, outcomes.predicted[sample])
        both = outcomes.true[sample].tolist(), outcomes.predicted[sample].tolist()
        true, predicted = (" ".join(f"{value:.6g}" for value in numbers) for numbers in both)
        return true, predicted

    def in_words(self, sample: int) -> tuple[str, str]:
        """What was said of a sample of `outcomes`: in a few characters, and in a sentence."""
        outcomes = self.outcomes
        if isinstance(outcomes, Classified):
            true, predicted = (display(outcomes.classes[k[sample]], 30) for k in (outcomes.true, outcomes.predicted))
            sure, own = outcomes.confidence[sample], outcomes.true_probability[sample]
            also = "" if outcomes.correct[sample] else f", {own:.1%} for {true}"
            return f"{true}>{predicted} {sure:.0%}", f"{true} taken for {predicted} with {sure:.1%}{also}"
        if isinstance(outcomes, Regressed):
            pairs = zip(outcomes.names, outcomes.true[sample], outcomes.predicted[sample], strict=True)
            long = "; ".join(f"{display(n, 30)} {t:.4g}, predicted {p:.4g}" for n, t, p in pairs)
            return f"{outcomes.true[sample][0]:.4g}>{outcomes.predicted[sample][0]:.4g}", long
        true, claimed = (display(_labels(outcomes, k[sample]), 60) for k in (outcomes.true, outcomes.predicted))
        return f"{true}>{claimed}", f"{true or 'no label'}, claimed {claimed or 'none'}"

    def rows(self) -> Iterator[tuple[object, ...]]:
        """A heading, and one row for each sample: path, true, predicted and what belongs to the task."""
        outcomes = self.outcomes
        if isinstance(outcomes, Classified):
            yield "path", "true", "predicted", "probability", "true_probability", "correct"
            for i in range(len(outcomes)):
                true, predicted = outcomes.classes[outcomes.true[i]], outcomes.classes[outcomes.predicted[i]]
                figures = f"{outcomes.confidence[i]:.6f}", f"{outcomes.true_probability[i]:.6f}"
                yield self.name(i), true, predicted, *figures, str(bool(outcomes.correct[i])).lower()
        elif isinstance(outcomes, Regressed):
            yield "path", *(f"{kind}:{n}" for kind in ("true", "predicted", "residual") for n in outcomes.names)
            for i in range(len(outcomes)):
                yield self.name(i), *outcomes.true[i], *outcomes.predicted[i], *outcomes.residuals[i]
        else:
            yield "path", "true", "predicted", *(f"probability:{name}" for name in outcomes.classes), "correct"
            for i in range(len(outcomes)):
                true, claimed = (_labels(outcomes, flags[i]) for flags in (outcomes.true, outcomes.predicted))
                shares = (f"{p:.6f}" for p in outcomes.probability[i])
                yield self.name(i), true, claimed, *shares, str(true == claimed).lower()


def _labels(outcomes: Labelled, flags: npt.NDArray[np.bool_]) -> str:
    return " ".join(name for name, flag in zip(outcomes.classes, flags, strict=True) if flag)


def write_csv(tested: Tested, path: Path) -> None:
    """Every prediction as a row; names that are not UTF-8 keep their bytes.

    Raises:
        ConfigError: it cannot be written there.
    """
    try:
        with path.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file:
            csv.writer(file).writerows(tested.rows())
    except OSError as error:
        raise ConfigError(f"Cannot write {display(path)}: {error.strerror}.") from None


def run_test(trained: Trained, data: str = "", part: str = "", tell: Told = lambda done, total: None) -> Tested:
    """Let the model answer every sample of the part, and judge the answers.

    Raises:
        UserError: there is nothing to test on, or the outputs are no numbers.
    """
    samples = find_samples(trained, data, part)
    index, total = samples.index, len(samples.members)
    seen, outputs, targets = list[Ints](), list[npt.NDArray[np.float32]](), list[npt.NDArray[Any]]()
    bad, notes, done = list[tuple[str, str]](), list(samples.notes), 0
    source = streamed(trained, samples) if samples.is_stream else answers(trained, index, samples.members)
    for answered in source:
        if len(answered.members):
            seen.append(answered.members)
            outputs.append(answered.outputs.numpy())
            targets.append(index.targets[answered.members] if answered.targets is None else answered.targets)
        bad += ((os.fsdecode(index.name(number)), reason) for number, reason in answered.bad)
        notes += answered.warnings
        done += len(answered.members) + len(answered.bad)
        tell(done, max(total, done))
    if not seen:
        raise DataError(f"None of the {total or done} samples can be read: there is nothing to test.")
    read, true = np.concatenate(seen), np.concatenate(targets)
    return Tested(
        trained=trained,
        index=_numbered(index, true) if samples.is_stream else index,
        part=samples.part,
        members=read,
        outcomes=JUDGES[trained.task](np.concatenate(outputs), true, trained.names),
        bad=tuple(bad),
        notes=tuple(notes),
    )


def _numbered(index: Index, targets: npt.NDArray[Any]) -> Index:
    """The samples that a stream gave, called by their numbers."""
    names = [f"item {number}".encode() for number in range(len(targets))]
    return replace(index, names=Names.of(names), targets=targets, parts=np.zeros(len(targets), np.uint8))
