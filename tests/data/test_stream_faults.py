"""What streams hold in real life: rows that are none, files that end, servers that fail. Each is told in a sentence."""

from __future__ import annotations

import base64
import http.server
import json
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tui_trainer.config import Config
from tui_trainer.data import stream_files
from tui_trainer.data.batches import scan
from tui_trainer.data.index import TRAIN, VAL
from tui_trainer.data.loader import Loader
from tui_trainer.data.plan import Plan
from tui_trainer.data.stream_columns import MOST_CLASSES, Tally
from tui_trainer.errors import ConfigError, DataError, UserError

from .streams_made import built, database, epoch_of, lines, picture, rows, shard

VALUES: dict[str, Any] = {"features": ("x",), "target": ("y",), "stream": True}
IMAGES: dict[str, Any] = {"target": ("y",), "task": "regression", "channels": 1}


def told(*loaders: Loader) -> tuple[list[int], list[str]]:
    """The samples that came, and what was said of the others."""
    from .streams_made import ids_of

    seen: list[int] = []
    said: list[str] = []
    for loader in loaders:
        for batch in loader.epoch(0):
            seen += ids_of(batch.inputs)
            said += batch.warnings
    return sorted(seen), sorted(said)


def test_lines_that_are_no_rows_are_told_of_and_left_out(tmp_path: Path) -> None:
    made = [json.dumps(one) for one in rows(100)]
    made[3] = '{"id": 3, "x": '
    made[10] = "[1, 2]"
    made[20] = json.dumps({"id": 20, "x": 20.0})
    made[30] = json.dumps({"id": 30, "x": "thirty", "y": 1.0})
    made[40] = json.dumps({"id": 40, "x": 40.0, "y": "forty"})
    made[50] = json.dumps({"id": 50, "y": 1.0})
    made[60] = "[" * 100_000
    made.insert(70, "")
    (tmp_path / "a.jsonl").write_text("\n".join(made))  # and no end of the last line
    data = built(str(tmp_path / "a.jsonl"), max_bad=0.2, **VALUES)
    seen, said = told(data.train, data.val)
    assert seen == [i for i in range(100) if i not in (3, 10, 20, 30, 40, 50, 60)]
    assert said == sorted(
        [
            "a.jsonl:4 is left out: not JSON.",
            "a.jsonl:11 is left out: not a JSON object.",
            "a.jsonl:21 is left out: lacks y.",
            "a.jsonl:31 is left out: its x is 'thirty', no number.",
            "a.jsonl:41 is left out: its target forty is no number.",
            "a.jsonl:51 is left out: lacks x.",
            "a.jsonl:61 is left out: not JSON.",
        ]
    )
    assert data.index.warnings[0] == "4 rows cannot be used, the first a.jsonl:4: not JSON."
    with pytest.raises(DataError, match=r"more than --max-bad 0\.02 allows"):
        built(str(tmp_path / "a.jsonl"), max_bad=0.02, **{**VALUES, "task": "regression"})


def test_missing_numbers_are_filled_where_that_is_asked_for(tmp_path: Path) -> None:
    made = rows(60)
    made[5]["x"] = None
    spec = lines(tmp_path / "a.jsonl", made)
    filled, refused = built(spec, missing="median", **VALUES), built(spec, **VALUES)
    assert len(told(filled.train, filled.val)[0]) == 60
    left, said = told(refused.train, refused.val)
    assert (len(left), said) == (59, ["a.jsonl:6 is left out: lacks x."])


def test_texts_become_inputs_and_classes(tmp_path: Path) -> None:
    made = [{"colour": ("red", "green", "blue")[i % 3], "size": i, "label": "ab"[i % 2]} for i in range(60)]
    data = built(lines(tmp_path / "a.jsonl", made), stream=True)
    stream = data.index.inputs
    assert stream.names == ("colour=blue", "colour=green", "colour=red", "size")  # type: ignore[union-attr]
    assert (data.index.classes, data.index.task, data.index.task_reason) == (
        ("a", "b"), "classification", "label holds texts",
    )  # fmt: skip
    assert sum(data.index.counts(0)) == data.train.samples
    first = next(iter(data.train.epoch(0)))
    assert first.inputs[:, :3].sum(1).tolist() == [1.0] * len(first.targets)


def test_images_in_rows_are_bytes_base64_or_paths(tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    for i in range(40):
        (tmp_path / "pictures" / f"{i}.png").write_bytes(picture(i))
    ways = {
        "image": lambda i: base64.b64encode(picture(i)).decode(),
        "path": lambda i: f"pictures/{i}.png",
    }
    for name, make in ways.items():
        made = [{name: make(i), "y": i} for i in range(40)]
        made[7][name] = "pictures/none.png" if name == "path" else "////"
        data = built(lines(tmp_path / f"{name}.jsonl", made), stream=True, max_bad=0.5, **IMAGES)
        seen, said = told(data.train, data.val)
        assert seen == [i for i in range(40) if i != 7]
        assert len(said) == 1
        assert "jsonl:8 is left out" in said[0]
    with closing(sqlite3.connect(tmp_path / "a.db")) as file:
        file.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, picture BLOB, y INTEGER)")
        file.executemany("INSERT INTO t VALUES (?, ?, ?)", [(i, picture(i), i) for i in range(40)])
        file.execute("UPDATE t SET picture = ? WHERE id = 3", (picture(3)[:40],))
        file.execute("UPDATE t SET picture = 'text' WHERE id = 4")
        file.commit()
    data = built(str(tmp_path / "a.db"), max_bad=0.5, **IMAGES)
    seen, said = told(data.train, data.val)
    assert seen == [i for i in range(40) if i not in (3, 4)]
    assert said[1] == "id=4 is left out: its picture is of another type, str."


def test_broken_shards_lose_what_is_broken_and_no_more(tmp_path: Path) -> None:
    for i in range(4):
        shard(tmp_path / f"s-{i}.tar", range(100 * i, 100 * i + 50))
    whole = (tmp_path / "s-1.tar").read_bytes()
    each = whole.index(b"part/00101.png")  # a sample is as long as that
    (tmp_path / "s-1.tar").write_bytes(whole[: 20 * each + 700])  # ends within a member
    broken = bytearray((tmp_path / "s-2.tar").read_bytes())
    broken[10 * each : 10 * each + 512] = b"\xff" * 512  # a header
    (tmp_path / "s-2.tar").write_bytes(broken)
    (tmp_path / "s-3.tar").write_bytes(b"no tar at all" * 100)
    data = built(f"{tmp_path}/s-*.tar", max_bad=0.5, **IMAGES)
    seen, _ = told(data.train, data.val)
    assert set(seen) >= {
        *range(50),
        *range(100, 120),
        *range(200, 209),
    }  # whether the one before the damage is whole, nobody knows
    plan = data.index.inputs.plans[0]  # type: ignore[union-attr]
    assert isinstance(plan, Plan)
    assert [name for name, _ in plan.bad] == [b"s-1.tar", b"s-2.tar", b"s-3.tar"]
    assert plan.bad[0][1].endswith("after 20 samples")


def test_members_that_do_not_fit_are_bad_samples(tmp_path: Path) -> None:
    import io
    import tarfile

    with tarfile.open(tmp_path / "a.tar", "w") as made:

        def put(name: str, data: bytes) -> None:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            made.addfile(info, io.BytesIO(data))

        for i in range(40):
            if i != 5:
                put(f"{i:03}.png", picture(i) if i != 6 else picture(i)[:30])
            if i != 7:
                put(f"{i:03}.cls", str(i % 2).encode())
            put(f"{i:03}.pkl", b"cos\nsystem\n(S'touch /tmp/owned'\ntR.")
        put("x" * 150 + ".png", picture(200))  # a long name, for which the library reads the block
        put("x" * 150 + ".cls", b"1")
    data = built(str(tmp_path / "a.tar"), max_bad=0.5, channels=1)
    seen, said = told(data.train, data.val)
    assert seen == [*(i for i in range(40) if i not in (5, 6, 7)), 200]
    assert said == [
        "a.tar:005 is left out: lacks image.",
        said[1],
        "a.tar:007 is left out: lacks cls.",
    ]
    assert said[1].startswith("a.tar:006 is left out")


def test_packed_lines_that_end_early_keep_what_came_before(tmp_path: Path) -> None:
    lines(tmp_path / "a.jsonl.gz", rows(4000))
    packed = (tmp_path / "a.jsonl.gz").read_bytes()
    (tmp_path / "a.jsonl.gz").write_bytes(packed[: len(packed) // 2])
    data = built(str(tmp_path / "a.jsonl.gz"), **VALUES)
    seen, _ = told(data.train, data.val)
    assert 1000 < len(seen) < 3000
    assert seen == list(range(len(seen)))
    assert data.index.warnings[0].startswith("1 rows cannot be used, the first a.jsonl.gz: truncated after line")


@pytest.mark.parametrize(
    ("values", "kind", "sentence"),
    [
        ({"data": "{f}/none-{0..3}.tar"}, DataError, "does not exist: give a file, or a pattern"),
        ({"data": "sqlite:///{f}/none.db"}, DataError, "does not exist: give the file of an SQLite database"),
        ({"data": "nodb://host/x"}, ConfigError, "its driver is not installed"),
        ({"data": "postgresql://u:secret@host/x"}, ConfigError, r"environment variable and write postgresql://u:\$DB_P"),
        ({"data": "postgresql://u:$NOT_SET_HERE@host/x"}, ConfigError, "names .NOT_SET_HERE, which is not set"),
        ({"data": "{f}/a.db", "query": "SELECT * FROM no_such"}, DataError, "no such table: no_such: look at --query"),
        ({"data": "{f}/a.db", "query": "DELETE FROM samples"}, DataError, "look at --query"),
        ({"data": "{f}/a.db", "query": "SELECT id, y FROM samples"}, ConfigError, r"with --order-key \(id, y\)"),
        ({"data": "{f}/a.db", "order_key": "nokey"}, ConfigError, "the query has no such column; it has key, id"),
        ({"data": "{f}/a.db", "order_key": "z"}, ConfigError, "order_key = z: two rows have 0; a key is unique"),
        ({"data": "{f}/two.db"}, ConfigError, 'has the tables .*: choose with --query "SELECT'),
        ({"data": "{f}/a.jsonl", "stream": True, "query": "SELECT 1"}, ConfigError, "are for databases: leave"),
        ({"data": "{f}/a.jsonl", "query": "SELECT 1"}, ConfigError, "query is for streams"),
        ({"data": "{f}/a.jsonl", "stream": True, "target": ("w",)}, DataError, "no such column; it has id, x, z, y"),
        ({"data": "{f}/empty.jsonl", "stream": True}, DataError, "has no lines that can be read"),
        ({"data": "{f}/a.jsonl", "stream": True, "task": "multilabel"}, ConfigError, "a stream has one class, or num"),
        ({"data": "{f}/a.jsonl", "stream": True, "sampler": "weighted"}, ConfigError, "A stream gives its own order"),
        ({"data": "{f}/a.jsonl", "follow": True}, ConfigError, "follow reads a growing file of JSON lines"),
    ],
)  # fmt: skip
def test_what_does_not_do_is_said_in_a_sentence(
    values: dict[str, Any], kind: type[Exception], sentence: str, tmp_path: Path
) -> None:
    database(tmp_path / "a.db", rows(50))
    lines(tmp_path / "a.jsonl", rows(50))
    (tmp_path / "empty.jsonl").touch()
    with closing(sqlite3.connect(tmp_path / "two.db")) as file:
        file.execute("CREATE TABLE one (x)")
        file.execute("CREATE TABLE two (x)")
    values = {**values, "data": values["data"].replace("{f}", str(tmp_path))}
    with pytest.raises(kind, match=sentence):
        built(values.pop("data"), **values)


@pytest.mark.parametrize(("kind", "extra"), [("tar", "webdataset"), ("sql", "sqlalchemy")])
def test_a_library_that_is_missing_is_named(
    kind: str, extra: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    spec = shard(tmp_path / "a.tar", range(20)) if kind == "tar" else database(tmp_path / "a.db", rows(20))
    monkeypatch.setitem(sys.modules, extra, None)
    with pytest.raises(ConfigError, match=rf'pip install "tui-trainer\[{kind}\]"'):
        scan(Config().replace(data=spec))


def test_a_database_is_only_read_and_its_password_never_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tui_trainer.data.sql import Database

    monkeypatch.setenv("DB_PASSWORD", "very-secret")
    database(tmp_path / "a.db", rows(10))
    source = Database(str(tmp_path / "a.db"), "SELECT key, x AS ':x' FROM samples WHERE x < 5 ;", "key")
    assert [dict(one.values or {}) for one in source.walk()] == [{"key": 10 * i, ":x": float(i)} for i in range(5)]
    with pytest.raises(Exception, match="readonly"):
        source._connection().exec_driver_sql("DELETE FROM samples")
    source.close()
    at_half = Database(str(tmp_path / "a.db"), "SELECT key, 'at :30' AS at, 'é :é' AS é FROM samples", "key")
    assert next(at_half.walk()).values == {"key": 0, "at": "at :30", "é": "é :é"}
    with pytest.raises(DataError) as caught:
        Database("postgresql+psycopg://u:$DB_PASSWORD@127.0.0.1:1/x", "SELECT 1 AS a", "a")
    assert "very-secret" not in str(caught.value)


def test_targets_are_counted_in_little_memory_and_without_loss() -> None:
    tally = Tally(1, 0.05)
    for i in range(MOST_CLASSES + 50):
        tally.add([f"name {i}"], TRAIN, b"row")
        tally.add(["name 0"], VAL, b"row")
    assert len(tally.different[TRAIN]) == MOST_CLASSES + 1
    with pytest.raises(DataError, match="too many for classes"):
        tally.classes("y", "a.jsonl")
    times = Tally(1, 0.05)
    for i in range(1000):
        times.add([1.7e9 + i % 2], TRAIN, b"row")
    assert times.moments() == ((1700000000.0,), (0.5,))  # of 9 digits


# Over HTTP ------------------------------------------------------------------------------------------------------------


class _Server(http.server.SimpleHTTPRequestHandler):
    """Serves a folder, with ranges if asked to; `failing` answers so many requests with an error first."""

    ranges, failing, asked = True, 0, list[str]()

    def do_GET(self) -> None:
        self.asked.append(self.headers.get("Range", ""))
        if type(self).failing:
            type(self).failing -= 1
            self.send_error(503, "busy")
            return
        path = Path(self.translate_path(self.path))
        if not path.is_file():
            self.send_error(404, "gone")
            return
        data = path.read_bytes()
        begin = self.headers.get("Range", "")[len("bytes=") : -1] if self.ranges else ""
        self.send_response(206 if begin else 200)
        self.send_header("Content-Length", str(len(data) - int(begin or 0)))
        self.end_headers()
        self.wfile.write(data[int(begin or 0) :])

    def log_message(self, *words: object) -> None:
        pass


@pytest.fixture
def serve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., tuple[str, type[_Server]]]]:
    monkeypatch.setattr(stream_files, "WAIT", 0.01)
    servers: list[http.server.ThreadingHTTPServer] = []

    def begin(**how: Any) -> tuple[str, type[_Server]]:
        handler = type("Handler", (_Server,), {"asked": [], **how})
        servers.append(http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(handler, directory=str(tmp_path))))
        threading.Thread(target=servers[-1].serve_forever, args=(0.01,), daemon=True).start()
        return f"http://127.0.0.1:{servers[-1].server_port}", handler

    yield begin
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("ranges", [True, False])
def test_shards_behind_http_give_the_same_batches(
    ranges: bool, serve: Callable[..., tuple[str, type[_Server]]], tmp_path: Path
) -> None:
    for i in range(3):
        shard(tmp_path / f"s-{i}.tar", range(40 * i, 40 * i + 40))
    lines(tmp_path / "a.jsonl", rows(100))
    url, _ = serve(ranges=ranges)
    here = built(f"{tmp_path}/s-{{0..2}}.tar", **IMAGES)
    there = built(f"{url}/s-{{0..2}}.tar", **IMAGES)
    assert epoch_of(there.train) == epoch_of(here.train)
    assert epoch_of(built(f"{url}/a.jsonl", **VALUES).train, 1, 2) == epoch_of(
        built(f"{tmp_path}/a.jsonl", **VALUES).train, 1, 2
    )


def test_a_server_that_fails_is_asked_again_and_then_told_of(
    serve: Callable[..., tuple[str, type[_Server]]], tmp_path: Path
) -> None:
    for i in range(2):
        shard(tmp_path / f"s-{i}.tar", range(200 * i, 200 * i + 100))
    url, server = serve()
    data = built(f"{url}/s-{{0..1}}.tar", max_bad=0.6, **IMAGES)
    server.failing = 2
    assert len(told(data.train)[0]) == data.train.samples
    (tmp_path / "s-1.tar").unlink()
    seen, said = told(data.train, data.val)
    assert seen == list(range(100))
    assert len(said) == 100
    assert all(text.endswith("is left out: the server says 404 gone.") for text in said)
    with pytest.raises(DataError, match=r"s-9\.tar: the server says 404 gone"):
        built(f"{url}/s-9.tar", **IMAGES)


def test_what_changed_since_the_plan_is_told_of(tmp_path: Path) -> None:
    spec = lines(tmp_path / "a.jsonl", rows(300))
    data = built(spec, max_bad=1.0, **VALUES)
    whole = (tmp_path / "a.jsonl").read_bytes()
    (tmp_path / "a.jsonl").write_bytes(whole[: len(whole) // 2])
    seen, said = told(data.train, data.val)
    assert 100 < len(seen) < 160
    assert len(seen) + len(said) == 300
    assert all("shorter than it was" in text for text in said)


def test_a_plan_comes_back_from_its_file(tmp_path: Path) -> None:
    import datetime
    import uuid

    plan = scan(Config().replace(data=database(tmp_path / "a.db", rows(300)), target=("y",))).inputs.plans[0]  # type: ignore[union-attr]
    keys = (datetime.datetime(2020, 1, 2, 3), uuid.UUID(int=5), b"\xff", 7, "text")  # noqa: DTZ001 - databases have such
    other = Plan(**{**vars(plan), "keys": keys, "bad": ((b"\xff:1", "why"),), "bad_count": 3})
    back = Plan.from_bytes(other.to_bytes())
    assert (back.keys, back.bad, back.bad_count) == (keys, other.bad, 3)
    assert (back.rows == plan.rows).all()
    assert back.start.tolist() == plan.start.tolist()
    with pytest.raises(DataError, match="The plan of the stream is damaged"):
        Plan.from_bytes(other.to_bytes()[:-200])


@pytest.mark.parametrize(
    ("name", "values", "sentence"),
    [
        ("tags", (["a"], ["a", "b"]), "the target tags holds lists, and a stream has one class or number in each"),
        ("split", ("train", "val"), "column split says train or val, and a stream is split by a hash of its keys"),
    ],
)
def test_a_column_of_lists_or_of_parts_is_refused(
    tmp_path: Path, name: str, values: tuple[Any, Any], sentence: str
) -> None:
    spec = lines(tmp_path / "a.jsonl", ({"x": float(i), name: values[i % 2], "y": i % 2} for i in range(40)))
    config = Config().replace(data=spec, stream=True, target=("tags",) if name == "tags" else ("y",))
    with pytest.raises(UserError, match=sentence):
        scan(config)
    if name == "split":
        assert scan(config.replace(ignore_columns=("split",))).inputs is not None
