"""The code of the Data screen where the rows of a stream are read as they come. No torch here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tui_trainer.data import streams
from tui_trainer.data.sql import is_database
from tui_trainer.data.stream_files import ends_with
from tui_trainer.data.tar_shards import ENDINGS as TARS
from tui_trainer.text import user_path

Values = Mapping[str, Any]
HEAD = "from torch.utils.data import IterableDataset, get_worker_info\n\n\n"
SHARE = """\
        info = get_worker_info()
        worker, workers = (info.id, info.num_workers) if info else (0, 1)
"""


def is_stream(values: Values) -> bool:
    """Whether the data is a database, tar shards, or JSON lines that are not loaded whole."""
    return streams.is_stream(str(values["data"]), True if values["follow"] else values["stream"])


def stream(values: Values) -> str:
    """A dataset without a length; each worker reads its share of the rows."""
    source = str(values["data"])
    if is_database(source):
        return _database(values, source)
    if ends_with(source, TARS):
        return _shards(source)
    return _lines(source)


def _database(values: Values, source: str) -> str:
    url = source if "://" in source else f"sqlite:///{user_path(source)}"
    query = values["query"] or "SELECT * FROM (the only table)"
    key = f" ORDER BY {values['order_key']}" if values["order_key"] else ""
    return f'''\
import sqlalchemy
{HEAD}class Rows(IterableDataset):
    """The rows of a query, each as a mapping of its columns."""

    def __iter__(self):
{SHARE}        engine = sqlalchemy.create_engine({url!r})
        with engine.connect().execution_options(yield_per=256) as connection:
            for number, row in enumerate(connection.execute(sqlalchemy.text({query + key!r}))):
                if number % workers == worker:
                    yield dict(row._mapping)


dataset = Rows()  # a hash of each key decides which rows are held out for validation
'''


def _shards(source: str) -> str:
    return f"""\
import webdataset

dataset = (
    webdataset.WebDataset({source!r}, nodesplitter=webdataset.split_by_node, shardshuffle=100)
    .decode("rgb8")
    .to_tuple("jpg;jpeg;png", "cls")
)  # a hash of each key decides which samples are held out for validation
"""


def _lines(source: str) -> str:
    path = source if "://" in source else str(user_path(source))
    module, opened = ("gzip\nimport json", "gzip.open") if path.endswith(".gz") else ("json", "open")
    return f'''\
import {module}
{HEAD}class Lines(IterableDataset):
    """A row a line of JSON, as a mapping of its columns; images are base64 or paths."""

    def __iter__(self):
{SHARE}        with {opened}({path!r}, "rt", encoding="utf-8") as file:
            for number, line in enumerate(file):
                if number % workers == worker:
                    yield json.loads(line)


dataset = Lines()  # a hash of each line's place decides which are held out for validation
'''
