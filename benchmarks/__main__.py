"""All benchmarks one after another; `make bench`, or python -m benchmarks [--short] [--photos DIR] [NAME ...].

Each says which bars it is about, and whether they are met on this machine; the end is one table of them all.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import time

ALL = ("loading", "start", "epochs", "step", "threads", "runs", "costs", "scan", "index_memory", "tune")
BAR = re.compile(r"bar (?P<bar>\d+): (?P<what>.*): (?P<figure>\S+) \((?P<wanted>.*)\) (?P<met>met|NOT MET)")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", action="store_true", help="small and few, to see that all of it runs")
    parser.add_argument("--photos", default="", help="class folders of photos, for large ones and for the accuracy")
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(ALL))
    given = parser.parse_args()
    failed: list[str] = []
    bars: list[re.Match[str]] = []
    for name in given.names or ALL:
        words = ["--short"] if given.short else []
        words += ["--photos", given.photos] if given.photos and name == "loading" else []
        failed += [name] * (not ran(name, words, bars))
    if given.photos and not given.names:
        words = ["--photos", given.photos, *(["--seeds", "1", "--epochs", "1"] if given.short else [])]
        failed += ["accuracy"] * (not ran("accuracy", words, bars))
    table(bars)
    if failed:
        print(f"could not run: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def ran(name: str, words: list[str], bars: list[re.Match[str]]) -> bool:
    """Run one of them, pass on what it prints, and gather its `bars`."""
    began = time.monotonic()
    print(f"\n== {name}", flush=True)
    command = [sys.executable, "-W", "ignore", "-m", f"benchmarks.{name}", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        for line in program.stdout:
            print(line, end="", flush=True)
            bars += filter(None, [BAR.match(line)])
    print(f"({time.monotonic() - began:.0f} s)", flush=True)
    return program.returncode == 0


def table(bars: list[re.Match[str]]) -> None:
    """All bars, by number."""
    rows = sorted(
        (found.group("bar", "what", "figure", "wanted", "met") for found in bars), key=lambda row: int(row[0])
    )
    wide = max([len(what) for _, what, *_ in rows] or [0])
    print(f"\nbar | {'what':{wide}} |   figure |  wanted | met")
    for number, what, figure, wanted, met in rows:
        print(f"{number:>3} | {what:{wide}} | {figure:>8} | {wanted:>7} | {'yes' if met == 'met' else 'NO'}")


if __name__ == "__main__":
    sys.exit(main())
