"""How much a weight file may ask of the reader, and what is raised when it asks for more.

The largest honest files seen: 46,080 tensors in an 8.6 MB pickle (2.4 million opcodes), 1,200 tensors
in 4.3 GB. Each limit leaves room above that and keeps the worst file under 5 s and 500 MB.
"""

from __future__ import annotations

from collections.abc import Callable

from tui_trainer.errors import WeightsError

MIB = 1 << 20

MAX_PICKLE_BYTES = 64 * MIB
MAX_LINE_BYTES = 64 << 10  # of a text opcode: turning longer digits into a number takes quadratic time
MAX_OPCODES = 5_000_000
MAX_CONTAINERS = 2_000_000  # dicts, lists, tuples, sets, texts, copied items; a third as many objects
MAX_NAMES = 200_000  # of classes and functions; honest pickles name each once
MAX_MEMO = 2_000_000
MAX_STACK = 1_000_000
MAX_MARKS = 10_000
MAX_INTEGER_BITS = 1024

MAX_TENSORS = 200_000
MAX_VISITS = 1_000_000  # values looked at while tensors are searched in what the pickle describes
MAX_NAME = 10_000  # characters of a tensor's name, its path included
MAX_SPELLED = 32_000_000  # characters of all names: nesting can make long ones of a few bytes
MAX_DEPTH = 100  # of modules within modules and dicts within dicts
MAX_DIMENSIONS = 64
MAX_NUMBERS = 1 << 46  # in one tensor, by its shape
MAX_EXPANDED_BYTES = 64 * MIB  # of a tensor that repeats a smaller storage (stride 0)

MAX_ZIP_ENTRIES = 500_000
MAX_ZIP_DIRECTORY_BYTES = 64 * MIB
MAX_DIRECTORY_PICKLE_RATIO = 50  # torch stores data.pkl unpacked; packed opcodes compress to almost nothing
MAX_RATIO = 200  # of a packed record above the size below
MAX_RATIO_FREE_BYTES = 16 * MIB

MAX_JSON_BYTES = 10 * MIB
MAX_METADATA_ENTRIES = 1_000
MAX_METADATA_TEXT = 10_000
MAX_CLASS_NAMES = 100_000
MAX_CLASS_NAME = 1_000  # characters
MAX_NOTES = 50

CANCEL_EVERY = 2048  # steps between two questions whether to go on: some milliseconds

Cancelled = Callable[[], bool]


class UnreadableError(Exception):
    """Why a file or a tensor cannot be read, in words; what to do about it follows after a colon, if anything.

    The reader adds which file it is.
    """

    @property
    def sentence(self) -> str:
        """Why, and what to do."""
        text = str(self)
        return text if ": " in text else f"{text}: get the file again, or save it anew"


class ReadingCancelledError(WeightsError):
    """The user went on to something else while a file was being read."""


def never() -> bool:
    """The `cancelled` of a caller who waits for the end."""
    return False


def stop_if(cancelled: Cancelled) -> None:
    """Raises `ReadingCancelledError` when the caller no longer wants the answer."""
    if cancelled():
        raise ReadingCancelledError("reading the weight file was cancelled: nothing was changed, open it again.")
