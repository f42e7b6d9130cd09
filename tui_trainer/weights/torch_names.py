"""What torch's own functions would make of their arguments, for the names that stand in weight files.

The names are recognised as text. Nothing is looked up in torch, and whatever is not listed here
becomes a `Made` that does nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tui_trainer.text import display
from tui_trainer.weights.dtypes import PICKLED, STORAGES
from tui_trainer.weights.limits import MAX_DIMENSIONS, UnreadableError
from tui_trainer.weights.records import Made, Name, StorageRef, TensorRecord, Value

Maker = Callable[[Sequence[Value]], Value]


def natural(value: Value, what: str) -> int:
    """`value` when it is a whole number from 0 up; True is not one."""
    if type(value) is not int or value < 0 or value >= 1 << 63:
        raise UnreadableError(
            f"its {what} holds {display(value, 40) if isinstance(value, int) else 'what is no number'}"
        )
    return value


def naturals(value: Value, what: str) -> tuple[int, ...]:
    """`value` when it is a short row of whole numbers from 0 up."""
    if isinstance(value, Made) and not value.pairs and isinstance(value.args, tuple) and len(value.args) == 1:
        value = value.args[0]  # torch.Size((2, 3))
    if not isinstance(value, tuple | list):
        raise UnreadableError(f"its {what} is no row of numbers")
    if len(value) > MAX_DIMENSIONS:
        raise UnreadableError(f"its {what} has {len(value)} dimensions, more than {MAX_DIMENSIONS}")
    return tuple(natural(item, what) for item in value)


def dtype_of(value: Value) -> str:
    """The dtype that a pickled name stands for."""
    if isinstance(value, Name) and value.module == "torch" and value.name in PICKLED:
        return PICKLED[value.name]
    raise UnreadableError("its number format is not known")


def storage_ref(pid: Value) -> Value:
    """What a persistent id refers to: a storage, or (old files) a module with its source text."""
    if isinstance(pid, tuple) and len(pid) >= 2 and pid[0] == "module":
        return pid[1]
    if not isinstance(pid, tuple) or len(pid) not in (5, 6) or pid[0] != "storage":
        raise UnreadableError("it refers to data in a way that torch does not")
    kind, key, numel = pid[1], pid[2], pid[4]
    if not isinstance(kind, Name) or not isinstance(key, str):
        raise UnreadableError("it refers to a storage without a type or a key")
    dtype = STORAGES.get(kind.name, "") if kind.module.split(".")[0] == "torch" else ""
    ref = StorageRef(dtype, key, natural(numel, "storage size"))
    if len(pid) == 6 and isinstance(pid[5], tuple):  # (view key, first number, numbers)
        if len(pid[5]) != 3:
            raise UnreadableError("it refers to a part of a storage that is not described")
        ref.first = natural(pid[5][1], "storage offset")
    return ref


def _broken(problem: str, dtype: str = "unknown", shape: tuple[int, ...] = ()) -> TensorRecord:
    return TensorRecord(None, dtype, shape, (), problem=problem)


def _tensor(args: Sequence[Value], dtype: str = "", metadata_at: int = 6) -> Value:
    storage = args[0]
    if not isinstance(storage, StorageRef):
        return _broken("its numbers are not in a storage of this file")
    try:
        shape, stride = naturals(args[2], "shape"), naturals(args[3], "stride")
        offset = natural(args[1], "offset")
    except UnreadableError as error:
        return _broken(str(error), dtype or storage.dtype)
    dtype = dtype or storage.dtype
    if not dtype:
        return _broken("its number format is not known (quantised?)", shape=shape)
    marks = args[metadata_at] if len(args) > metadata_at else None
    marks = marks if isinstance(marks, dict) else {}
    return TensorRecord(
        storage,
        dtype,
        shape,
        stride,
        offset + storage.first,
        conjugated=marks.get("conj") is True,
        negated=marks.get("neg") is True,
    )


def _tensor_of_dtype(args: Sequence[Value]) -> Value:
    try:
        return _tensor(args, dtype_of(args[6]), metadata_at=7)
    except UnreadableError as error:
        return _broken(str(error))


def _meta_tensor(args: Sequence[Value]) -> Value:
    try:
        dtype, shape = dtype_of(args[0]), naturals(args[1], "shape")
    except UnreadableError as error:
        return _broken(str(error))
    return _broken("it was saved from the meta device and has no numbers", dtype, shape)


def _quantised(args: Sequence[Value]) -> Value:
    storage = args[0]
    dtype = storage.dtype if isinstance(storage, StorageRef) else ""
    try:
        shape = naturals(args[2], "shape")
    except UnreadableError:
        shape = ()
    return _broken("it is quantised: save the float model", dtype or "quantised", shape)


def _sparse(args: Sequence[Value]) -> Value:
    return _broken("it is sparse: save it with .to_dense()", "sparse")


def _first(args: Sequence[Value]) -> Value:
    return args[0]


def _from_type(args: Sequence[Value]) -> Value:
    """A subclass of Tensor: (function, type, its arguments, state)."""
    function, arguments = args[0], args[2]
    nested = isinstance(function, Name) and function.name.startswith("_rebuild_from_type")  # a chain has no end
    if isinstance(function, Name) and isinstance(arguments, tuple) and not nested:
        return made(function, arguments)
    return Made(function, arguments)


def _dict(args: Sequence[Value]) -> Value:
    result: dict[Value, Value] = {}
    if args and isinstance(args[0], dict):
        result.update(args[0])
    elif args and isinstance(args[0], list | tuple):  # OrderedDict([[key, value], ...]) of Python 2
        for pair in args[0]:
            if isinstance(pair, list | tuple) and len(pair) == 2 and isinstance(pair[0], str):
                result[pair[0]] = pair[1]
    return result


def _defaultdict(args: Sequence[Value]) -> Value:
    return _dict(args[1:])


def _list(args: Sequence[Value]) -> Value:
    return list(args[0]) if args and isinstance(args[0], list | tuple) else []


_UTILS = "torch._utils"
# name -> what it makes, and how many arguments that needs
_MAKERS: dict[tuple[str, str], tuple[Maker, int]] = {
    (_UTILS, "_rebuild_tensor"): (_tensor, 4),
    (_UTILS, "_rebuild_tensor_v2"): (_tensor, 4),
    (_UTILS, "_rebuild_tensor_v3"): (_tensor_of_dtype, 7),
    (_UTILS, "_rebuild_parameter"): (_first, 1),
    (_UTILS, "_rebuild_parameter_with_state"): (_first, 1),
    (_UTILS, "_rebuild_device_tensor_from_cpu_tensor"): (_first, 1),
    (_UTILS, "_rebuild_meta_tensor_no_storage"): (_meta_tensor, 2),
    (_UTILS, "_rebuild_qtensor"): (_quantised, 3),
    (_UTILS, "_rebuild_sparse_tensor"): (_sparse, 0),
    (_UTILS, "_rebuild_sparse_csr_tensor"): (_sparse, 0),
    ("torch._tensor", "_rebuild_from_type"): (_from_type, 3),
    ("torch._tensor", "_rebuild_from_type_v2"): (_from_type, 3),
    ("torch.nn.parameter", "Parameter"): (_first, 1),
    ("collections", "OrderedDict"): (_dict, 0),
    ("collections", "defaultdict"): (_defaultdict, 0),
    ("builtins", "dict"): (_dict, 0),
    ("builtins", "list"): (_list, 0),
    ("builtins", "set"): (_list, 0),
    ("builtins", "frozenset"): (_list, 0),
    ("__builtin__", "set"): (_list, 0),
}


def made(of: Value, args: Value) -> Value:
    """What calling `of` with `args` would give, described; nothing is called."""
    if isinstance(of, Name) and isinstance(args, tuple):
        maker, needs = _MAKERS.get((of.module, of.name), (None, 0))
        if maker is not None and len(args) >= needs:
            return maker(args)
    return Made(of, args)
