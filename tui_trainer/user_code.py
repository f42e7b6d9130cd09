"""The user's own Python: `path/to/file.py:Name` and `package.module:name`, imported with consent only.

What lies below the current folder is the user's project and is imported when it is named. Any other code
runs only after consent: `--trust-code`, or a question on the terminal that is remembered for these very bytes.
A configuration or a weight file that came from elsewhere can therefore name code, and not run it.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import importlib.util
import sys
import traceback
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from tui_trainer.config import did_you_mean
from tui_trainer.errors import ConfigError
from tui_trainer.text import display, user_path

T = TypeVar("T")
_NOT_CODE = ("timm",)  # what stands before a colon and names a library's own list
_STAMP = "__tui_trainer_stamp__"  # on a module that was made from a file: which bytes it is


class ConsentNeededError(ConfigError):
    """Code from outside the current folder was named, and nobody said that it may run."""


def names_code(spec: str) -> bool:
    """Whether `spec` names Python of the user rather than something that is built in."""
    place, colon, name = spec.rpartition(":")
    return bool(colon and place and name and place not in _NOT_CODE)


def absolute(spec: str) -> str:
    """The same from any folder: the path of a file is made absolute."""
    place, _, name = spec.rpartition(":")
    return f"{user_path(place)}:{name}" if place.endswith(".py") else spec


def load(spec: str, *, trusted: bool) -> Callable[..., Any]:
    """The class or function that `spec` names; imports its file or module.

    A file is imported under its own name with its folder on `sys.path`, so that loader processes can import it too.

    Raises:
        ConsentNeededError: it lies outside the current folder and is neither `trusted` nor consented to.
        ConfigError: there is no such file, module or name, it cannot be imported, or cannot be called.
    """
    place, _, name = spec.rpartition(":")
    if not names_code(spec):
        raise ConfigError(f"{display(spec)}: write path/to/file.py:Name or package.module:name.")
    require(spec)
    if not (trusted or has_consent(spec)):
        raise ConsentNeededError(
            f"{display(spec)} is code from outside the current folder: look at it, then give --trust-code to run it."
        )
    module = _from_file(user_path(place)) if place.endswith(".py") else _by_name(place)
    return _callable(module, place, name)


def require(spec: str) -> None:
    """Refuse code that is not there, without importing anything.

    Raises:
        ConfigError: there is no such file, or no package of this name.
    """
    place, _, name = spec.rpartition(":")
    if place.endswith(".py"):
        if not user_path(place).is_file():
            raise ConfigError(f"There is no file {display(place)}: {display(name)} cannot be imported from it.")
    elif place.partition(".")[0] not in sys.modules and _found(place) is None:
        raise _no_module(place)


def _no_module(place: str) -> ConfigError:
    is_file = user_path(f"{place}.py").is_file()
    instead = f"did you mean the file {place}.py?" if is_file else "nothing of this name is installed or here."
    return ConfigError(f"There is no module {display(place)}: {display(instead)}")


def has_consent(spec: str) -> bool:
    """Whether this code may run: it lies below the current folder, or was consented to as it is now."""
    origin = _origin(spec)
    if origin is not None and _in_project(origin):
        return True
    return _record(spec) in _consents()


def consent(spec: str) -> None:
    """Remember that this code may run; a file that changes is asked about again."""
    path = _consents_path()
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(f"{_record(spec)}\n")


def _consents_path() -> Path:
    import platformdirs

    return platformdirs.user_config_path("tui-trainer", appauthor=False) / "trusted_code.txt"


def _consents() -> set[str]:
    try:
        return set(_consents_path().read_text("utf-8").splitlines())
    except (OSError, UnicodeDecodeError):
        return set()


def _record(spec: str) -> str:
    """One line that names the code and, of a file, its bytes."""
    place, _, _ = spec.rpartition(":")
    if not place.endswith(".py"):
        return f"module {spec!a} {_origin(spec)}"
    try:
        return f"file {hashlib.sha256(user_path(place).read_bytes()).hexdigest()} {str(user_path(place))!a}"
    except OSError:
        return f"file - {place!a}"


def _origin(spec: str) -> Path | None:
    """Where the code lies, found without importing anything; None for what is built into Python."""
    place, _, _ = spec.rpartition(":")
    if place.endswith(".py"):
        return user_path(place).resolve()
    found = _found(place)
    where = (found.origin if found else None) or next(iter((found and found.submodule_search_locations) or ()), "")
    return Path(where).resolve() if where and Path(where).exists() else None


def _found(place: str) -> ModuleSpec | None:
    """Where the outermost package of a dotted name is found, if it is."""
    with _project_on_path():
        try:
            return importlib.util.find_spec(place.partition(".")[0])
        except (ImportError, ValueError):
            return None


def _in_project(path: Path) -> bool:
    """Whether it lies below the current folder; a home folder or the root is nobody's project."""
    here = Path.cwd().resolve()
    installed = "site-packages" in path.parts or "dist-packages" in path.parts
    return here not in (Path.home().resolve(), Path(here.anchor)) and path.is_relative_to(here) and not installed


@contextlib.contextmanager
def _project_on_path() -> Any:
    """The current folder is searched last, as a console script does not search it at all."""
    here = str(Path.cwd())
    if here not in sys.path and "" not in sys.path:
        sys.path.append(here)
    importlib.invalidate_caches()  # a file may have been written since the folder was last looked at
    yield


def _from_file(path: Path) -> ModuleType:
    """The module of a file; the same one as long as the file stays the same."""
    name, stamp = path.stem, (str(path), path.stat().st_mtime_ns, path.stat().st_size)
    known = sys.modules.get(name)
    if known is not None and getattr(known, _STAMP, None) == stamp:
        return known
    _require_free_name(path, known)
    folder = str(path.parent)
    if folder not in sys.path:
        sys.path.append(folder)
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    setattr(module, _STAMP, stamp)
    sys.modules[name] = module
    try:
        _guarded(lambda: spec.loader.exec_module(module), str(path))  # type: ignore[union-attr]
    except BaseException:
        sys.modules.pop(name, None)
        raise
    return module


def _require_free_name(path: Path, known: ModuleType | None) -> None:
    """Refuse a file whose name means another module: loader processes would import that one.

    Raises:
        ConfigError: the name is taken, or is none.
    """
    if not path.stem.isidentifier():
        raise ConfigError(f"{display(path)}: a module cannot have this name; rename the file to letters, digits and _.")
    earlier = getattr(known, _STAMP, None)
    if earlier is not None:
        sys.path[:] = [folder for folder in sys.path if folder != str(Path(earlier[0]).parent)]
        del sys.modules[path.stem]
        known = None
    importlib.invalidate_caches()
    found = None if known else importlib.util.find_spec(path.stem)
    origin = getattr(known, "__file__", None) if known else found and found.origin
    taken = known is not None or found is not None
    if taken and not (origin and Path(origin).exists() and Path(origin).samefile(path)):
        raise ConfigError(f"{display(path)}: another module is called {path.stem} already; rename the file.")


def _by_name(place: str) -> ModuleType:
    """The module of a dotted name."""
    with _project_on_path():
        return _guarded(lambda: importlib.import_module(place), place)


def _guarded(importing: Callable[[], T], place: str) -> T:
    """Import, and say in one sentence why that does not work; what it prints does not go among the results.

    Raises:
        ConfigError: it raised.
    """
    try:
        with contextlib.redirect_stdout(sys.stderr):
            return importing()
    except SyntaxError as error:
        where = f" line {error.lineno}" if error.lineno else ""
        raise ConfigError(
            f"{display(error.filename or place)}{where} is not valid Python: {display(error.msg)}."
        ) from None
    except ModuleNotFoundError as error:
        if error.name and (place == error.name or place.startswith(error.name + ".")):
            raise _no_module(place) from None
        raise ConfigError(f"{_where(error, place)}: it needs {display(error.name)}, which is not installed.") from error
    except (Exception, SystemExit) as error:
        what = display(f"{type(error).__name__}: {error}", 200)
        raise ConfigError(f"{_where(error, place)} fails while it is imported: {what}.") from error


def _where(error: BaseException, place: str) -> str:
    """The innermost line of the user's file that an exception passed."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == place]
    return f"{display(place)} line {lines[-1]}" if lines else display(place)


def _callable(module: ModuleType, place: str, name: str) -> Callable[..., Any]:
    """What `name`, dots allowed, is in `module`.

    Raises:
        ConfigError: it is not there, or cannot be called.
    """
    found: Any = module
    for part in name.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            known = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
            raise ConfigError(f"{display(place)} has no {display(name)}{did_you_mean(name, known)}") from None
    if not callable(found):
        raise ConfigError(f"{display(place)}:{display(name)} is a {type(found).__name__}: give a class or a function.")
    checked: Callable[..., Any] = found
    return checked
