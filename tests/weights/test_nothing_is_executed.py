"""No loader that runs code from a file occurs in the package, but for one call on our own checkpoints."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import tui_trainer

PACKAGE = Path(tui_trainer.__file__).parent
MODULES = {"pickle", "_pickle", "cPickle", "marshal", "shelve", "dill", "joblib", "cloudpickle", "jsonpickle"}
CALLS = {
    "torch.load", "torch.jit.load", "torch.package.PackageImporter", "torch.export.load", "torch.hub.load",
    "torch.hub.load_state_dict_from_url", "torch.serialization.load", "torch.ops.load_library",
    "torch.classes.load_library", "eval", "exec", "compile", "__import__",
}  # fmt: skip
OWN = ("engine/checkpoint.py", "torch.load")


def dotted(node: ast.AST) -> str:
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else "?"


def offences(path: Path) -> list[tuple[str, str, bool]]:
    """(file, what, whether it says weights_only=True) for each forbidden import or call."""
    where = path.relative_to(PACKAGE).as_posix()
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            wanted = [alias.name for alias in node.names if not alias.name.endswith("Error")]  # to catch, not to call
            names = [f"{node.module}.{name}" for name in wanted]
        else:
            names = []
        found += [(where, name, False) for name in names if name.split(".")[0] in MODULES or name in CALLS]
        if isinstance(node, ast.Call) and dotted(node.func) in CALLS:
            safe = any(
                keyword.arg == "weights_only" and getattr(keyword.value, "value", None) is True
                for keyword in node.keywords
            )
            found.append((where, dotted(node.func), safe))
    return found


def test_no_forbidden_loader_in_the_package():
    found = [offence for path in PACKAGE.rglob("*.py") for offence in offences(path)]
    own = [offence for offence in found if offence[:2] == OWN]
    assert [offence for offence in found if offence not in own] == []
    assert len(own) <= 1
    assert all(safe for _, _, safe in own)


def test_the_lint_sees_what_it_should(tmp_path, monkeypatch):
    monkeypatch.setattr(f"{__name__}.PACKAGE", tmp_path)
    file = tmp_path / "bad.py"
    file.write_text("import pickle\nfrom torch import load\ntorch.load('x', weights_only=True)\nm.eval()\n")
    assert offences(file) == [
        ("bad.py", "pickle", False), ("bad.py", "torch.load", False), ("bad.py", "torch.load", True)
    ]  # fmt: skip


def test_listing_needs_neither_torch_nor_numpy(tmp_path):
    import torch

    torch.save({"w": torch.ones(2)}, tmp_path / "w.pth")
    script = (
        "import sys; from tui_trainer.weights.reader import list_weights; from tui_trainer.weights import match;"
        f"file = list_weights({str(tmp_path / 'w.pth')!r}); tensors = {{t.name: t for t in file.tensors}};"
        "report = match.match(tensors, tensors); assert report.totals.tensors == 1;"
        "print([name for name in ('torch', 'numpy') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
