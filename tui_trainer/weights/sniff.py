"""What a file is that holds no weights, each with the sentence that says what to do about it."""

from __future__ import annotations

from collections.abc import Sequence

from tui_trainer.text import display

_SAVE = "save the model's state_dict with torch.save or safetensors"

# first bytes, and what a file that starts so is
_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"\x89HDF\r\n\x1a\n", f"it is an HDF5 file (Keras?): convert it to PyTorch first, and {_SAVE}"),
    (b"GGUF", "it is a GGUF file of quantised weights: get the original weights"),
    (b"\x93NUMPY", f"it is a NumPy array: turn it into tensors and {_SAVE}"),
    (b"\x1f\x8b", "it is packed with gzip: unpack it first (gunzip, tar xzf)"),
    (b"7z\xbc\xaf\x27\x1c", "it is a 7z archive: unpack it first"),
    (b"Rar!", "it is a RAR archive: unpack it first"),
    (b"BZh", "it is packed with bzip2: unpack it first"),
    (b"\xfd7zXZ", "it is packed with xz: unpack it first"),
    (b"\x28\xb5\x2f\xfd", "it is packed with zstd: unpack it first"),
    (b"\xff\xd8\xff", "it is a JPEG picture: give the weight file"),
    (b"\x89PNG", "it is a PNG picture: give the weight file"),
    (b"GIF8", "it is a GIF picture: give the weight file"),
    (b"%PDF", "it is a PDF document: give the weight file"),
    (b"\x7fELF", "it is a program: give the weight file"),
    (b"MZ", "it is a Windows program: give the weight file"),
    (b"SQLite format 3", "it is a database: give the weight file"),
    (b"version https://git-lfs", "it is a Git LFS pointer, not the weights: run `git lfs pull` where it came from"),
)
_HTML = (b"<!doctype", b"<html", b"<head", b"<?xml")


def about_file(head: bytes, size: int) -> str:
    """What a file is that is no checkpoint, by its first kilobyte, and what to do."""
    if not size:
        return "it is empty: download or save it again"
    for magic, sentence in _MAGIC:
        if head.startswith(magic):
            return sentence
    if head[257:262] == b"ustar":
        return "it is a tar archive (torch before 0.4, or a packed folder): unpack it, or save it with a newer torch"
    start = head.lstrip()[:16].lower()
    if start.startswith(_HTML):
        return "it is a web page, not the weights: the download needed a login or another link"
    if head[:1] == b"\x08" and b"\x12" in head[2:4] and any(word in head for word in (b"pytorch", b"onnx", b"tf2")):
        return "it is an ONNX model: give the PyTorch weights that it was made from"
    if start[:1] in (b"{", b"["):
        return _about_json(head)
    if not head.strip(b"\0"):
        return "it holds nothing but zeros: the download broke off, get it again"
    return _about_unknown(head)


def _about_json(head: bytes) -> str:
    if b'"weight_map"' in head:
        return "it is the index of a checkpoint in several files: give one of the files that it lists"
    return "it is JSON text: give the weight file, not its description"


def _about_unknown(head: bytes) -> str:
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "it is a text file (UTF-16): give the weight file"
    try:
        text = head[:1000].decode("utf-8")
    except UnicodeDecodeError as error:
        text = head[: error.start].decode("utf-8") if error.start >= len(head[:1000]) - 3 else ""
    if text and sum(character.isprintable() or character.isspace() for character in text) == len(text):
        return "it is a text file: give the weight file"
    return "it is of no known format: torch.save, TorchScript, .pt2 and safetensors are read"


def about_zip(names: Sequence[str]) -> str:
    """What a zip file is that torch did not write, by the names in it."""
    weights = next((name for name in names if name.lower().endswith((".pth", ".pt", ".safetensors", ".bin"))), "")
    if weights:
        return f"it is a zip file that holds {display(weights, 60)}: unpack it and give that file"
    if not names:
        return "it is an empty zip file: download or save it again"
    if all(name.endswith(".npy") for name in names):
        return f"it is a NumPy archive (.npz): turn it into tensors and {_SAVE}"
    if "model.weights.h5" in names or "metadata.json" in names:
        return f"it is a Keras model: convert it to PyTorch first, and {_SAVE}"
    if any("/.data/" in name or name.startswith(".data/") for name in names):
        return f"it is a torch.package: load it where it was made and {_SAVE}"
    return "it is a zip file without weights: give the weight file"
