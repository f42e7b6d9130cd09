"""Rows of a database, by any URL that SQLAlchemy knows, in ranges of an order key. No torch here.

The keys are read once, in their order, to plan the ranges; later each range is a query of its own, so that nothing is
read twice and nothing is loaded whole. Rows added behind the last key meanwhile are not seen. Nothing is written.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tui_trainer.data.plan import Place, Plan
from tui_trainer.data.raw import Raw, Walked
from tui_trainer.data.stream_files import State, UnreadableError, states_of
from tui_trainer.errors import ConfigError, DataError
from tui_trainer.text import display, user_path

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine, TextClause

FILES = (".db", ".sqlite", ".sqlite3")
URL = re.compile(r"(?!https?:|file:)[a-z][a-z0-9_]*(\+[a-z0-9_]+)?://", re.IGNORECASE)
JOURNALS = ("-wal", "-journal")  # of SQLite, beside its file
AT_A_TIME = 1000  # rows that a plan fetches


def is_database(source: str) -> bool:
    """Whether it is the URL of a database, or a file of SQLite."""
    return bool(URL.match(source)) or (source.lower().endswith(FILES) and user_path(source).is_file())


def absolute(source: str) -> str:
    """The same from any folder."""
    if not URL.match(source):
        return str(user_path(source))
    scheme, _, rest = source.partition(":///")
    if scheme.lower().startswith("sqlite") and rest and not rest.startswith(("/", ":", "file:")):
        return f"{scheme}:///{user_path(rest)}"
    return source


class Database:
    """The rows of a query, each called by its key. Connections belong to the process that opens them."""

    unit = "rows"
    whole_files = False

    def __init__(self, source: str, query: str, order_key: str) -> None:
        try:
            import sqlalchemy  # noqa: F401 - said before anything is read
        except ImportError:
            raise ConfigError('A database needs SQLAlchemy: pip install "tui-trainer[sql]".') from None
        self.source = source
        self._engine_held: Engine | None = None
        self._held: Connection | None = None
        self._url = _url(source)
        self.base = user_path(str(self._url.database)).parent if self._lite and self._url.database else Path.cwd()
        self.query, self.key, self.columns = self._settle(query.strip().rstrip(";").strip(), order_key)

    @property
    def _lite(self) -> bool:
        return bool(self._url.get_backend_name() == "sqlite")

    def _settle(self, query: str, key: str) -> tuple[str, str, tuple[str, ...]]:
        """The query, its key and its columns.

        Raises:
            ConfigError: one has to be given, or there is no such column.
            DataError: the database says no.
        """
        from sqlalchemy import exc

        try:
            if not query:
                table, primary = self._only_table()
                query, key = f"SELECT * FROM {table}", key or primary
            columns = tuple(self._connection().execute(_text(f"SELECT * FROM ({query}) AS q WHERE 1 = 0")).keys())
        except exc.SQLAlchemyError as error:
            raise DataError(f"{self}: {_said(error)}: look at --query.") from None
        if len(set(columns)) < len(columns):
            twice = next(name for name in columns if columns.count(name) > 1)
            raise ConfigError(f"--query gives two columns of the name {display(twice, 40)}: name each (AS) once.")
        known = ", ".join(display(name, 40) for name in columns[:12])
        if not key:
            raise ConfigError(
                f"Rows of a query come in ranges of a key: name a column of unique values with --order-key ({known})."
            )
        if key not in columns:
            raise ConfigError(f"order_key = {display(key, 40)}: the query has no such column; it has {known}.")
        return query, key, columns

    def _only_table(self) -> tuple[str, str]:
        """The table to read, quoted, and its key, if the database has one table."""
        import sqlalchemy

        looked = sqlalchemy.inspect(self._engine())
        names = [*looked.get_table_names(), *looked.get_view_names()]
        if len(names) != 1:
            there = ", ".join(display(name, 40) for name in names[:8]) or "none"
            raise ConfigError(f'{self} has the tables {there}: choose with --query "SELECT ... FROM ...".')
        keys = looked.get_pk_constraint(names[0])["constrained_columns"] if looked.get_table_names() else []
        return self._quoted(names[0]), keys[0] if len(keys) == 1 else ""

    def _quoted(self, name: str) -> str:
        return str(self._engine().dialect.identifier_preparer.quote(name))

    def walk(self, columns: tuple[str, ...] = ()) -> Iterator[Walked]:
        """Every row by its key; `columns` alone are read, or all.

        Raises:
            ConfigError: two rows have the same key.
            DataError: the database says no.
        """
        from sqlalchemy import exc

        names = tuple(dict.fromkeys((self.key, *(columns or self.columns))))
        key, listed = self._quoted(self.key), ", ".join(map(self._quoted, names))
        asked = _text(f"SELECT {listed} FROM ({self.query}) AS q WHERE {key} IS NOT NULL ORDER BY {key}")
        before: Any = None
        try:
            connected = self._engine().connect().execution_options(yield_per=AT_A_TIME)
            with connected, closing(connected.execute(asked)) as found:
                for number, row in enumerate(found):
                    if row[0] == before:
                        raise ConfigError(
                            f"order_key = {display(self.key, 40)}: two rows have {display(before, 40)}; "
                            "a key is unique."
                        )
                    before = row[0]
                    place = Place(0, number, number + 1, number, before)
                    yield Walked(place, self._name(before), dict(zip(names, row, strict=True)), "")
        except exc.SQLAlchemyError as error:
            raise DataError(f"{self}: {_said(error)}.") from None

    def read(self, plan: Plan, block: int, lane: int = 0) -> list[Raw]:
        """The rows of a range of keys.

        Raises:
            UnreadableError: the database says no, twice.
        """
        from sqlalchemy import exc

        key = self._quoted(self.key)
        above = f"{key} > :_low_key AND " if block else ""
        asked = _text(f"SELECT * FROM ({self.query}) AS q WHERE {above}{key} <= :_high_key ORDER BY {key}")
        bounds = {"_high_key": plan.keys[block], **({"_low_key": plan.keys[block - 1]} if block else {})}
        place, first = self.columns.index(self.key), int(plan.first[block])
        for again in (True, False):
            try:
                rows = self._connection().execute(asked, bounds).fetchall()
                break
            except exc.SQLAlchemyError as error:
                self.close()
                if not again:
                    raise UnreadableError(_said(error)) from None
        return [Raw(first + i, self._name(row[place]), tuple(row)) for i, row in enumerate(rows)]

    def values(self, data: Any) -> Mapping[str, Any]:
        """A row by column."""
        return dict(zip(self.columns, data, strict=True))

    def _name(self, key: Any) -> bytes:
        return f"{self.key}={key}".encode("utf-8", "surrogateescape")

    def _engine(self) -> Engine:
        if self._engine_held is None:
            self._engine_held = _engine(self._url, lite=self._lite)
        return self._engine_held

    def _connection(self) -> Connection:
        if self._held is None:
            from sqlalchemy import exc

            try:
                self._held = self._engine().connect().execution_options(isolation_level="AUTOCOMMIT")
            except exc.SQLAlchemyError as error:
                raise DataError(f"{self} cannot be opened: {_said(error)}.") from None
        return self._held

    def state(self) -> list[State] | None:
        """Of a file of SQLite those of the file and of its journals; a server does not say."""
        if not self._lite or not self._url.database:
            return None
        path = str(user_path(self._url.database))
        return states_of([path, *(path + end for end in JOURNALS if os.path.exists(path + end))])  # noqa: PTH110 - texts

    def close(self) -> None:
        """End the connections."""
        if self._held is not None:
            self._held.close()
        if self._engine_held is not None:
            self._engine_held.dispose()
        self._held = self._engine_held = None

    def __str__(self) -> str:
        return display(self._url.render_as_string(hide_password=True))

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_held": None, "_engine_held": None}


def _url(source: str) -> Any:
    """The URL with `$NAME` filled in from the environment.

    Raises:
        ConfigError: it is none, or holds a password, which would be written to files.
    """
    from sqlalchemy import exc, make_url

    if not URL.match(source):
        return make_url(f"sqlite:///{user_path(source)}")
    try:
        url = make_url(source)
    except (exc.ArgumentError, ValueError):
        raise ConfigError(
            f"{display(source)} is no URL of a database: write dialect://user@host/name or sqlite:///file.db."
        ) from None
    if url.password and not str(url.password).startswith("$"):
        better = url.render_as_string().replace(":***@", ":$DB_PASSWORD@")
        raise ConfigError(
            "The password in the URL would be written to the run's files: put it into an environment variable and "
            f"write {display(better)}."
        )
    if url.password:
        name = str(url.password)[1:].strip("{}")
        if name not in os.environ:
            raise ConfigError(f"The URL of the database names ${display(name, 40)}, which is not set.")
        url = url.set(password=os.environ[name])
    return url


def _engine(url: Any, *, lite: bool) -> Engine:
    """For reading alone."""
    import sqlalchemy
    from sqlalchemy import exc

    if lite and url.database and not user_path(url.database).is_file():
        raise DataError(f"{display(url.database)} does not exist: give the file of an SQLite database.")
    try:
        if lite:
            import sqlite3

            place = f"{user_path(url.database).as_uri()}?mode=ro"
            return sqlalchemy.create_engine(
                "sqlite://", creator=lambda: sqlite3.connect(place, uri=True, check_same_thread=False),
                poolclass=sqlalchemy.NullPool,
            )  # fmt: skip
        libpq = url.get_backend_name() == "postgresql" and url.get_driver_name().startswith("psycopg")
        read_only = {"options": "-c default_transaction_read_only=on"} if libpq else {}
        return sqlalchemy.create_engine(url, poolclass=sqlalchemy.NullPool, connect_args=read_only)
    except (exc.NoSuchModuleError, ImportError) as error:
        raise ConfigError(
            f"{display(url.drivername)}: its driver is not installed ({display(error, 80)}); see SQLAlchemy's dialects."
        ) from None


def _text(statement: str) -> TextClause:
    """A statement whose colons are its own, but for the two keys."""
    from sqlalchemy import text

    return text(re.sub(r"(?<![:\\]):(?=\w)(?!(?:_low_key|_high_key)\b)", r"\:", statement))


def _said(error: Exception) -> str:
    """What the driver says, without the statement."""
    cause = getattr(error, "orig", None) or error
    return display(" ".join(str(cause).split()), 160).rstrip(".")
