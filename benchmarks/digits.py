"""Validation top-1 of the default run on sample_data/digits over three seeds, in the time that each takes."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

DIGITS = Path(__file__).resolve().parent.parent / "sample_data" / "digits"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    for seed in range(parser.parse_args().seeds):
        with tempfile.TemporaryDirectory() as folder:
            words = [str(DIGITS), "--no-tui", "--json", "--seed", str(seed), "--output-dir", f"{folder}/run"]
            began = time.perf_counter()
            done = subprocess.run(
                [sys.executable, "-m", "tui_trainer", *words], capture_output=True, text=True, check=True
            )
            seconds = time.perf_counter() - began
        result = json.loads(done.stdout)
        last, best = result["metrics"]["val_top1"], result["best"]["val_top1"]
        print(f"seed {seed}: val top-1 {last:.2%} after {result['epochs']} epochs, best {best:.2%}, {seconds:.1f} s")


if __name__ == "__main__":
    main()
