"""Make the files of this folder again: `pip install scikit-learn`, then `python sample_data/make_sample_data.py`.

digits/       the UCI handwritten digits as PNG files in class folders
numbers.csv   three inputs and their sum: the first regression of every tutorial
digits_manifest.csv   200 of the digits by path: class, share of ink, labels
digits.jsonl  600 of the digits as lines of JSON, the image in base64: a stream
wine.db       the wine data as a table of SQLite
wine.csv      the UCI wine recognition data: 13 measurements, the cultivar as class
"""

from __future__ import annotations

import base64
import csv
import json
import sqlite3
from contextlib import closing
from pathlib import Path

import cv2
import numpy as np
from sklearn import datasets

HERE = Path(__file__).parent
GREYS = 16  # the set counts ink in cells of 4x4 pixels: 0 to 16


def make_digits() -> None:
    """1,797 images of 8x8, black background."""
    digits = datasets.load_digits()
    numbers = dict.fromkeys(range(10), 0)
    for image, target in zip(digits.images, digits.target, strict=True):
        folder = HERE / "digits" / str(target)
        folder.mkdir(parents=True, exist_ok=True)
        pixels = np.rint(image * 255 / GREYS).astype(np.uint8)
        cv2.imwrite(str(folder / f"{target}_{numbers[target]:03}.png"), pixels)
        numbers[target] += 1


def make_numbers() -> None:
    """1,000 rows of x1, x2, x3 (standard normal) and y = x1 + x2 + x3."""
    x = np.random.default_rng(0).standard_normal((1000, 3)).round(6)
    with (HERE / "numbers.csv").open("w", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(("x1", "x2", "x3", "y"))
        rows.writerows((*row, round(float(row.sum()), 6)) for row in x)


def make_wine() -> None:
    """178 rows; numeric regression on one of the measurements is harder than the sum."""
    wine = datasets.load_wine()
    with (HERE / "wine.csv").open("w", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow((*(name.replace("/", "_") for name in wine.feature_names), "cultivar"))
        rows.writerows((*values, wine.target_names[t]) for values, t in zip(wine.data, wine.target, strict=True))


def make_manifests() -> None:
    """200 of the digits: their class, how much ink they hold, and labels of which several can be true."""
    paths = [path for digit in range(10) for path in sorted((HERE / "digits" / str(digit)).glob("*.png"))[:20]]
    with (HERE / "digits_manifest.csv").open("w", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(("path", "digit", "ink", "tags"))
        for path in paths:
            digit = int(path.parent.name)
            ink = np.mean(cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_GRAYSCALE)) / 255  # type: ignore[arg-type]
            tags = [word for word, holds in (("even", digit % 2 == 0), ("round", digit in (0, 6, 8, 9))) if holds]
            rows.writerow((path.relative_to(HERE).as_posix(), digit, f"{ink:.6f}", "|".join(tags)))


def make_streams() -> None:
    """Lines in a mixed order, as a log would have them; rows with a key."""
    paths = [path for digit in range(10) for path in sorted((HERE / "digits" / str(digit)).glob("*.png"))[:60]]
    with (HERE / "digits.jsonl").open("w", newline="") as file:
        for i in np.random.default_rng(0).permutation(len(paths)).tolist():
            image = base64.b64encode(paths[i].read_bytes()).decode()
            file.write(json.dumps({"image": image, "digit": int(paths[i].parent.name)}) + "\n")
    with (HERE / "wine.csv").open(newline="") as file:
        names, *rows = csv.reader(file)
    (HERE / "wine.db").unlink(missing_ok=True)
    with closing(sqlite3.connect(HERE / "wine.db")) as database:
        columns = ", ".join(f"{name} {'TEXT' if name == 'cultivar' else 'REAL'}" for name in names)
        database.execute(f"CREATE TABLE wine (id INTEGER PRIMARY KEY, {columns})")
        marks = ", ".join("?" * len(names))
        database.executemany(f"INSERT INTO wine ({', '.join(names)}) VALUES ({marks})", rows)
        database.commit()


if __name__ == "__main__":
    make_digits()
    make_numbers()
    make_wine()
    make_manifests()
    make_streams()
