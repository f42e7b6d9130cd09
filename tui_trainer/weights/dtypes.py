"""Number formats: what torch, safetensors and torch.export call them, and how many bytes one takes.

Everywhere in this package a dtype is torch's own name without "torch.", so that nothing here needs torch.
"""

from __future__ import annotations

# bytes of one number; float4_e2m1fn_x2 holds two numbers in its byte
BYTES: dict[str, int] = {
    "float64": 8, "float32": 4, "float16": 2, "bfloat16": 2,
    "float8_e4m3fn": 1, "float8_e5m2": 1, "float8_e4m3fnuz": 1, "float8_e5m2fnuz": 1, "float8_e8m0fnu": 1,
    "complex128": 16, "complex64": 8, "complex32": 4,
    "int64": 8, "int32": 4, "int16": 2, "int8": 1,
    "uint64": 8, "uint32": 4, "uint16": 2, "uint8": 1,
    "bool": 1,
}  # fmt: skip

# the names that pickles use for `torch.dtype` objects; several are aliases
PICKLED: dict[str, str] = {name: name for name in BYTES} | {
    "double": "float64", "float": "float32", "half": "float16",
    "cdouble": "complex128", "cfloat": "complex64", "chalf": "complex32",
    "long": "int64", "int": "int32", "short": "int16",
}  # fmt: skip

STORAGES: dict[str, str] = {
    "DoubleStorage": "float64", "FloatStorage": "float32", "HalfStorage": "float16",
    "BFloat16Storage": "bfloat16", "ComplexDoubleStorage": "complex128", "ComplexFloatStorage": "complex64",
    "LongStorage": "int64", "IntStorage": "int32", "ShortStorage": "int16", "CharStorage": "int8",
    "ByteStorage": "uint8", "BoolStorage": "bool", "UntypedStorage": "uint8",
    "Float8_e4m3fnStorage": "float8_e4m3fn", "Float8_e5m2Storage": "float8_e5m2",
}  # fmt: skip

SAFETENSORS: dict[str, str] = {
    "F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16",
    "F8_E4M3": "float8_e4m3fn", "F8_E5M2": "float8_e5m2", "F8_E8M0": "float8_e8m0fnu",
    "F8_E4M3FNUZ": "float8_e4m3fnuz", "F8_E5M2FNUZ": "float8_e5m2fnuz",
    "C64": "complex64",
    "I64": "int64", "I32": "int32", "I16": "int16", "I8": "int8",
    "U64": "uint64", "U32": "uint32", "U16": "uint16", "U8": "uint8",
    "BOOL": "bool",
}  # fmt: skip

# torch/_export/serde/schema.py, ScalarType
EXPORTED: dict[int, str] = {
    1: "uint8", 2: "int8", 3: "int16", 4: "int32", 5: "int64",
    6: "float16", 7: "float32", 8: "float64", 9: "complex32", 10: "complex64", 11: "complex128",
    12: "bool", 13: "bfloat16", 28: "uint16",
    29: "float8_e4m3fn", 30: "float8_e5m2", 31: "float8_e4m3fnuz", 32: "float8_e5m2fnuz",
}  # fmt: skip


def plain(dtype: object) -> str:
    """`torch.float32`, "torch.float32" or "float32" as "float32"."""
    return str(dtype).removeprefix("torch.")


def is_floating(dtype: str) -> bool:
    """Whether numbers of `dtype` can be NaN or infinite."""
    return dtype.startswith(("float", "bfloat", "complex"))
