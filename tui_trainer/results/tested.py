"""A test of a trained model on a part of a dataset: which samples, what came out."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tui_trainer.config import build, read_toml
from tui_trainer.data import batches
from tui_trainer.data.encoding import encode_as
from tui_trainer.data.index import PARTS, Index, Rows
from tui_trainer.data.table_file import read_table
from tui_trainer.data_config import DataConfig
from tui_trainer.errors import ConfigError, DataError
from tui_trainer.results.inference import answers
from tui_trainer.results.outcomes import JUDGES, Classified, Labelled, Outcomes, Regressed
from tui_trainer.results.trained import Trained
from tui_trainer.run_folder import RunFolder
from tui_trainer.text import display, user_path

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


def find_samples(trained: Trained, data: str = "", part: str = "") -> tuple[Index, Ints, str, tuple[str, ...]]:
    """The samples to test on: of the run's own split, or all of another dataset, or a part of it.

    The index, its chosen samples, the part in a word, and notes in sentences.

    Raises:
        ConfigError: the weights lie in no run, so that no dataset is known.
        DataError: the dataset is not there, has no such part, or has other classes.
    """
    folder, notes = trained.folder, list[str]()
    if not data and folder is None:
        raise ConfigError(f"{display(trained.path)} lies in no run folder: say with --data what to test it on.")
    values = read_toml(folder.config) if folder is not None else {}
    if data:
        values |= {"data": str(user_path(data)), "val_data": ""}
    index = _known_classes(batches.scan(build(values)), trained.classes)
    index = _known_inputs(index, trained, build(values).data)
    if not data and folder is not None:
        index, notes = _as_it_was_split(index, folder)
    chosen = part or ("all" if data else "val")
    members = np.arange(len(index)) if chosen == "all" else index.part(PARTS.index(chosen))
    if not len(members):
        raise DataError(f"{display(index.root)} has no {chosen} part: choose another --part, or give --data.")
    return index, members, chosen, tuple(notes)


def _known_classes(index: Index, classes: tuple[str, ...]) -> Index:
    """The same samples with the model's numbers for their classes."""
    if index.classes == classes:
        return index
    unknown = [name for name in index.classes if name not in classes]
    if unknown:
        raise DataError(
            f"{display(index.root)} has classes that the model has not learned: {display(', '.join(unknown))}; "
            "rename or remove their folders."
        )
    number = {name: i for i, name in enumerate(classes)}
    if index.targets.ndim == 2:
        targets = np.zeros((len(index), len(classes)), index.targets.dtype)
        targets[:, [number[name] for name in index.classes]] = index.targets
    else:
        targets = np.array([number[name] for name in index.classes], index.targets.dtype)[index.targets]
    return replace(index, targets=targets, classes=classes)


def _known_inputs(index: Index, trained: Trained, data: DataConfig) -> Index:
    """The same samples; rows of a table encoded as those that the model has learned from.

    Raises:
        DataError: the model takes images and these are rows, or the other way round, or a column is not there.
    """
    learned = trained.preprocessing
    if isinstance(index.inputs, Rows) != bool(learned.inputs):
        takes = "rows of a table" if learned.inputs else "images"
        raise DataError(f"{display(index.root)} is nothing for this model, which takes {takes}.")
    if not isinstance(index.inputs, Rows) or index.inputs.encoding == learned.encoding:
        return index
    encoded = encode_as(read_table(index.root, data.header), learned.encoding, index.root)
    kept = [int(index.name(i)) - 1 for i in range(len(index))]
    return replace(index, inputs=replace(index.inputs, features=encoded[kept], names=learned.inputs))


def _as_it_was_split(index: Index, folder: RunFolder) -> tuple[Index, list[str]]:
    """The parts that the run has written down; what came to the dataset since then is in none."""
    try:
        with folder.split.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
            part_of = {row["path"]: PARTS.index(row["part"]) for row in csv.DictReader(file)}
    except (OSError, ValueError, KeyError, csv.Error):
        part_of = {}
    if not part_of:
        return index, ["The run's split.csv cannot be read: the dataset is split anew."]
    none = len(PARTS)
    parts = [part_of.get(os.fsdecode(index.name(i)), none) for i in range(len(index))]
    new = sum(part == none for part in parts)
    gone = len(part_of) - (len(parts) - new)
    notes = [f"{new} samples came to the dataset after the run and are left out."] if new else []
    notes += [f"{gone} samples of the run are no longer in the dataset."] if gone > 0 else []
    return replace(index, parts=np.array(parts, np.uint8)), notes


def run_test(trained: Trained, data: str = "", part: str = "", tell: Told = lambda done, total: None) -> Tested:
    """Let the model answer every sample of the part, and judge the answers.

    Raises:
        UserError: there is nothing to test on, or the outputs are no numbers.
    """
    index, members, chosen, notes = find_samples(trained, data, part)
    seen, outputs, bad = list[Ints](), list[npt.NDArray[np.float32]](), list[tuple[str, str]]()
    done = 0
    for answered in answers(trained, index, members):
        if len(answered.members):
            seen.append(answered.members)
            outputs.append(answered.outputs.numpy())
        bad += ((os.fsdecode(index.name(number)), reason) for number, reason in answered.bad)
        done += len(answered.members) + len(answered.bad)
        tell(done, len(members))
    if not seen:
        raise DataError(f"None of the {len(members)} samples can be read: there is nothing to test.")
    read = np.concatenate(seen)
    judge = JUDGES[trained.task]
    outcomes = judge(np.concatenate(outputs), index.targets[read], trained.names)
    return Tested(
        trained=trained, index=index, part=chosen, members=read, outcomes=outcomes, bad=tuple(bad), notes=notes
    )
