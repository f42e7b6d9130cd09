"""Opens every hostile file and writes what happened as JSON: python -m weights.hostile_run write|open FOLDER."""

from __future__ import annotations

import json
import resource
import sys
import time
import traceback
from pathlib import Path

from tui_trainer.errors import WeightsError
from tui_trainer.weights.reader import list_weights, read_tensor

from .hostile_files import write_all


def outcome(path: Path) -> dict[str, object]:
    """What listing `path`, and loading each of its sound tensors, comes to."""
    started = time.perf_counter()
    result: dict[str, object] = {"listed": False, "message": "", "bug": "", "read": 0}
    try:
        file = list_weights(path)
        result["listed"] = True
        for tensor in file.tensors[:50]:
            try:
                read_tensor(file, tensor.name)
                result["read"] = int(str(result["read"])) + 1
            except WeightsError as error:
                result["message"] = str(error)
    except WeightsError as error:
        result["message"] = str(error)
    except BaseException:
        result["bug"] = traceback.format_exc()
    result["seconds"] = round(time.perf_counter() - started, 3)
    result["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    return result


def main(step: str, folder: Path) -> None:
    """`write` makes FOLDER/files; `open` opens them and leaves FOLDER/results.json."""
    files = folder / "files"
    if step == "write":
        files.mkdir()
        paths = write_all(files, folder / "canary")
        (folder / "paths.json").write_text(json.dumps([str(path) for path in paths]))
        return
    import torch  # its own memory is not the files'

    torch.zeros(1)
    paths = [Path(path) for path in json.loads((folder / "paths.json").read_text())]
    results = {"(start)": {"peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10}}
    results |= {path.name: outcome(path) for path in paths}
    (folder / "results.json").write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
