"""What listing a 4 GB checkpoint costs: seconds, memory, and whether torch was imported.

    python benchmarks/weights_listing.py [FOLDER]

The file is sparse: torch writes its directory and leaves the numbers out, so that it takes no space.
The issue's bar: 0.1 s of process time after the start, 20 MB more memory, torch not imported.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

_TENSORS = 1200
_NUMBERS = 900_000  # in each tensor: 3.6 MB of float32, 4.3 GB together
_REPEATS = 7

_WRITE = """
import sys, torch
from torch._subclasses import FakeTensorMode
with FakeTensorMode():
    state = {f"blocks.{i // 12}.part{i % 12}.weight": torch.empty(NUMBERS) for i in range(TENSORS)}
with torch.serialization.skip_data(materialize_fake_tensors=True):
    torch.save(state, sys.argv[1])
"""

_LIST = """
import json, resource, sys, time
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
before, wall, used = peak(), time.perf_counter(), time.process_time()
from tui_trainer.weights.reader import list_weights
imported = time.process_time()
file = list_weights(sys.argv[1])
print(json.dumps({
    "import_ms": 1000 * (imported - used), "list_ms": 1000 * (time.process_time() - imported),
    "process_ms": 1000 * (time.process_time() - used), "wall_ms": 1000 * (time.perf_counter() - wall),
    "memory_mb": peak() - before, "tensors": len(file.tensors), "gigabytes": file.size / 1e9,
    "torch_imported": "torch" in sys.modules, "numpy_imported": "numpy" in sys.modules,
}))
"""


def main() -> None:
    with tempfile.TemporaryDirectory(dir=sys.argv[1] if len(sys.argv) > 1 else None) as folder:
        path = Path(folder) / "large.pth"
        write = _WRITE.replace("NUMBERS", str(_NUMBERS)).replace("TENSORS", str(_TENSORS))
        subprocess.run([sys.executable, "-W", "ignore", "-c", write, str(path)], check=True)
        on_disk = path.stat().st_blocks * 512 / 1e6
        results = [
            json.loads(subprocess.run([sys.executable, "-c", _LIST, str(path)], check=True, capture_output=True).stdout)
            for _ in range(_REPEATS)
        ]
    first = results[0]
    print(f"{first['gigabytes']:.2f} GB, {first['tensors']} tensors ({on_disk:.0f} MB on disk, sparse)")
    for key in ("import_ms", "list_ms", "process_ms", "wall_ms", "memory_mb"):
        values = [result[key] for result in results]
        best, middle, worst = min(values), statistics.median(values), max(values)
        print(f"{key:11} best {best:6.1f}   median {middle:6.1f}   worst {worst:6.1f}   of {_REPEATS} processes")
    print(f"torch imported: {first['torch_imported']}, numpy imported: {first['numpy_imported']}")


if __name__ == "__main__":
    main()
