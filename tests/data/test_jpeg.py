import cv2
import numpy as np
import pytest

from tui_trainer.data import jpeg
from tui_trainer.data.decode import BadImageError, decode_as
from tui_trainer.data.header import header

pytest.importorskip("simplejpeg")
rng = np.random.default_rng(5)


def picture(height: int, width: int, channels: int = 3) -> bytes:
    pixels = cv2.resize(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8), (width, height), interpolation=cv2.INTER_CUBIC)
    pixels = pixels if channels == 3 else pixels[:, :, 0]
    return cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, 90])[1].tobytes()


@pytest.mark.parametrize("reduce", [1, 2, 4, 8])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("height", "width", "of"), [(64, 48, 3), (101, 67, 3), (33, 90, 1), (5, 3, 3)])
def test_pixels_are_opencvs(height: int, width: int, of: int, channels: int, reduce: int) -> None:
    data = picture(height, width, of)
    head = header(data)
    assert np.array_equal(jpeg.decoded(head, data, channels, reduce), decode_as(head, data, channels, reduce=reduce))


def test_a_truncated_file_is_bad_and_another_format_is_decoded() -> None:
    data = picture(200, 200)
    with pytest.raises(BadImageError):
        jpeg.decoded(header(data), data[: len(data) // 2], 3)
    png = cv2.imencode(".png", np.full((4, 5, 3), 7, np.uint8))[1].tobytes()
    assert jpeg.decoded(header(png), png, 3).shape == (4, 5, 3)


def test_nothing_but_the_picture_is_written_where_others_may_read() -> None:
    data, room = picture(8, 6), np.full(8 * 6 * 3, 7, np.uint8)
    turned = jpeg.decoded(header(data)._replace(orientation=3), data, 3, room=room)
    assert (room == 7).all()
    assert np.shares_memory(jpeg.decoded(header(data), data, 3, room=room), room)
    assert np.array_equal(turned, room.reshape(8, 6, 3)[::-1, ::-1])


def test_without_the_library_opencv_decodes(monkeypatch: pytest.MonkeyPatch) -> None:
    data = picture(40, 30)
    wanted = jpeg.decoded(header(data), data, 3).copy()
    monkeypatch.setattr(jpeg, "_library", None)
    assert np.array_equal(jpeg.decoded(header(data), data, 3), wanted)
