from __future__ import annotations

import contextlib
import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from tui_trainer.errors import WeightsError
from tui_trainer.weights.download import CHUNK, download
from tui_trainer.weights.limits import ReadingCancelledError

CONTENT = bytes(range(256)) * (CHUNK // 16)  # 16 chunks
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class _Server(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/none.pth":
            self.send_error(404)
            return
        self.send_response(200)
        if self.path != "/unsized.pth":
            self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        with contextlib.suppress(OSError):
            self.wfile.write(CONTENT[: len(CONTENT) // 2] if self.path == "/cut.pth" else CONTENT)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    made = HTTPServer(("127.0.0.1", 0), _Server)
    thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{made.server_port}"
    made.shutdown()
    thread.join()
    made.server_close()


def test_the_file_arrives_and_its_percent_are_told(server: str, tmp_path: Path) -> None:
    told: list[str] = []
    download(f"{server}/a.pth", tmp_path / "deep" / "a.pth", SHA256[:8], told.append)
    assert (tmp_path / "deep" / "a.pth").read_bytes() == CONTENT
    assert told[-1] == f"downloading a.pth: 100 % of {len(CONTENT) / 1e6:.0f} MB"
    percents = [int(text.split(": ")[1].split(" ")[0]) for text in told]
    assert percents == sorted(percents)
    assert 2 < len(told) <= 21
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["a.pth"]


def test_without_a_length_the_megabytes_are_told(server: str, tmp_path: Path) -> None:
    told: list[str] = []
    download(f"{server}/unsized.pth", tmp_path / "a.pth", SHA256[:8], told.append)
    assert told[0].endswith(" MB")


@pytest.mark.parametrize(
    ("name", "sha256", "said"),
    [("a.pth", "00000000", "arrived damaged"), ("cut.pth", SHA256, "broke off"), ("none.pth", SHA256, "Not Found")],
)
def test_what_goes_wrong_is_one_sentence_and_leaves_nothing(
    server: str, tmp_path: Path, name: str, sha256: str, said: str
) -> None:
    with pytest.raises(WeightsError, match=said):
        download(f"{server}/{name}", tmp_path / name, sha256)
    assert not list(tmp_path.iterdir())


def test_offline_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"Cannot download a.pth .*put it into .*, or give a file to --pretrained\."):
        download("http://127.0.0.1:9/a.pth", tmp_path / "a.pth", SHA256)


def test_a_download_can_be_cancelled(server: str, tmp_path: Path) -> None:
    told: list[str] = []
    with pytest.raises(ReadingCancelledError):
        download(f"{server}/a.pth", tmp_path / "a.pth", SHA256, told.append, lambda: len(told) > 2)
    assert len(told) == 3
    assert not list(tmp_path.iterdir())
