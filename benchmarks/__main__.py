"""All benchmarks one after another; `make bench`, or python -m benchmarks [--short] [--photos DIR] [NAME ...].

Each says which bars it is about, and whether they are met on this machine.
"""

from __future__ import annotations

import argparse
import subprocess
import sys

ALL = (
    "loading",
    "start",
    "epochs",
    "step",
    "threads",
    "runs",
    "costs",
)  # of those that others measure, see each script


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", action="store_true", help="small and few, to see that all of it runs")
    parser.add_argument("--photos", default="", help="class folders of photos, for large ones and for the accuracy")
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(ALL))
    given = parser.parse_args()
    failed = []
    for name in given.names or ALL:
        print(f"\n== {name}", flush=True)
        words = [sys.executable, "-W", "ignore", "-m", f"benchmarks.{name}", *(["--short"] if given.short else [])]
        words += ["--photos", given.photos] if given.photos and name == "loading" else []
        failed += [name] * (subprocess.run(words, check=False).returncode != 0)
    if given.photos:
        words = ["--photos", given.photos, *(["--seeds", "1", "--epochs", "1"] if given.short else [])]
        failed += ["accuracy"] * bool(
            subprocess.run([sys.executable, "-m", "benchmarks.accuracy", *words], check=False).returncode
        )
    if failed:
        print(f"could not run: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
