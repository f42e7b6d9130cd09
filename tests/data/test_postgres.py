"""A real PostgreSQL, where one is installed: started for the test as another user, on a socket of its own."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .streams_made import built, epoch_of, rows

pytest.importorskip("psycopg")
BINARIES = next(iter(sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)), Path())
USER = "postgres"


def _installed() -> bool:
    try:
        pwd.getpwnam(USER)
    except KeyError:
        return False
    return os.geteuid() == 0 and (BINARIES / "initdb").exists() and shutil.which("setpriv") is not None


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The URL of an empty database, reached through a socket that nobody else can open."""
    if not _installed():
        pytest.skip("no PostgreSQL server is installed here, or it cannot be started as another user")
    with tempfile.TemporaryDirectory(prefix="pg") as name:
        shutil.chown(name, USER)
        as_user = ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups"]
        options = f"-k {name} -c listen_addresses='' -c fsync=off"

        def run(*words: str) -> None:
            subprocess.run([*as_user, *words], check=True, capture_output=True, cwd=name, timeout=60)

        run(str(BINARIES / "initdb"), "-D", f"{name}/data", "-A", "trust", "--no-sync", "-E", "UTF8")
        run(str(BINARIES / "pg_ctl"), "-D", f"{name}/data", "-l", f"{name}/log", "-w", "-o", options, "start")
        try:
            yield f"postgresql+psycopg://{USER}@/{USER}?host={name}"
        finally:
            run(str(BINARIES / "pg_ctl"), "-D", f"{name}/data", "-m", "immediate", "stop")


def test_rows_of_postgres_come_once_whatever_their_key_is(server: str) -> None:
    import sqlalchemy

    engine = sqlalchemy.create_engine(server)
    with engine.begin() as connection:
        connection.exec_driver_sql(
            "CREATE TABLE samples (key uuid PRIMARY KEY DEFAULT gen_random_uuid(), id int, x float8, y numeric, "
            "at timestamptz UNIQUE)"
        )
        connection.execute(
            sqlalchemy.text("INSERT INTO samples (id, x, y, at) VALUES (:id, :x, :y, now() + :id * interval '1 s')"),
            rows(300),
        )
    values: dict[str, Any] = {"features": ("x",), "target": ("y",)}
    for key in ("", "at"):
        query = {"query": "SELECT *, y::text AS t FROM samples", "order_key": key} if key else {}
        data = built(server, **values, **query)
        ranks = [built(server, rank, 2, index=data.index, num_workers=1, **values, **query) for rank in (0, 1)]
        train = [i for one in ranks for batch in epoch_of(one.train) for i in batch]
        assert sorted(train) == sorted(i for batch in epoch_of(data.train) for i in batch)
        assert sorted(train + [i for batch in epoch_of(data.val) for i in batch]) == list(range(300))
        assert epoch_of(data.train, 0, 5) == epoch_of(data.train)[5:]
    source = data.index.inputs.source  # type: ignore[union-attr]
    with pytest.raises(Exception, match="read-only"):
        source._connection().exec_driver_sql("DELETE FROM samples")
    source.close()
    engine.dispose()
