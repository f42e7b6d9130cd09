"""Opens every hostile file and writes what happened as JSON: python -m weights.hostile_run FOLDER SCALE.

With a SCALE over 1 the floods, and the limits that stop them, are that much smaller: the same ways, in less time.
"""

from __future__ import annotations

import json
import sys
import traceback
from pathlib import Path

from tui_trainer.errors import WeightsError
from tui_trainer.weights import limits

FLOODED = (
    "MAX_OPCODES", "MAX_CONTAINERS", "MAX_NAMES", "MAX_MEMO", "MAX_STACK", "MAX_TENSORS", "MAX_VISITS", "MAX_SPELLED",
)  # fmt: skip


def lower_limits(scale: int) -> None:
    """Before any other module takes them over."""
    assert "tui_trainer.weights.reader" not in sys.modules
    for name in FLOODED:
        setattr(limits, name, getattr(limits, name) // scale)


def outcome(path: Path) -> dict[str, object]:
    """What listing `path`, and loading each of its sound tensors, comes to."""
    from tui_trainer.weights.reader import list_weights, read_tensor

    result: dict[str, object] = {"listed": False, "message": "", "bug": "", "read": 0, "classes": 0}
    try:
        file = list_weights(path)
        result |= {"listed": True, "classes": len(file.class_names)}
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
    return result


def main(folder: Path, scale: int) -> None:
    """Opens the files that `hostile_files.write_all` listed in FOLDER/paths.json; leaves FOLDER/results.json."""
    lower_limits(scale)
    paths = [Path(path) for path in json.loads((folder / "paths.json").read_text())]
    (folder / "results.json").write_text(json.dumps({path.name: outcome(path) for path in paths}, indent=1))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
