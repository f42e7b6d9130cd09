import io

import cv2
import numpy as np
import pytest
from PIL import Image

from tui_trainer.data import jpeg, known_bad
from tui_trainer.data.augment import Box
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


def silent(capfd: pytest.CaptureFixture[str]) -> bool:
    """Whether nothing was printed, by whatever library, since the last call."""
    return capfd.readouterr().err == ""


def test_a_bad_file_is_decoded_once_and_a_mended_one_again(capfd: pytest.CaptureFixture[str]) -> None:
    data = picture(200, 200)
    damaged = data[: len(data) // 2] + b"\xff\xd9"
    for number in range(3):
        with pytest.raises(BadImageError, match="damaged or truncated"):
            jpeg.decoded(header(damaged), damaged, 3)
        assert silent(capfd) == (number > 0)
    with pytest.raises(BadImageError):  # in other colours it is decoded for itself
        jpeg.decoded(header(damaged), damaged, 1)
    assert not silent(capfd)
    same_length = data[: len(damaged) - 2] + b"\xff\xd8"
    with pytest.raises(BadImageError):
        jpeg.decoded(header(same_length), same_length, 3)
    assert jpeg.decoded(header(data), data, 3).shape == (200, 200, 3)


@pytest.mark.parametrize("kind", ["python", "opencv"])
def test_a_lack_of_memory_is_not_the_fault_of_a_file(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def lacking(*_: object) -> object:
        error = MemoryError() if kind == "python" else cv2.error("Failed to allocate")
        error.code = cv2.Error.StsNoMem
        raise error

    data = picture(50, 40)
    with monkeypatch.context() as patch:
        patch.setattr(jpeg, "_library", None)
        patch.setattr(cv2, "imdecode", lacking)
        with pytest.raises(BadImageError, match="too little memory to decode it"):
            jpeg.decoded(header(data), data, 3)
    assert jpeg.decoded(header(data), data, 3).shape == (50, 40, 3)


def test_what_is_known_to_be_bad_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known_bad, "MOST", 0)
    known_bad.add(b"of no other length", (3,), "damaged")
    known_bad.require_unknown(b"of no other length", (3,))


@pytest.mark.parametrize("reduce", [1, 2, 4, 8])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("kind", ["grey corner", "cmyk", "restarts", "grey"])
def test_a_whole_file_is_read_in_silence(
    kind: str, channels: int, reduce: int, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jpeg, "_library", None)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1)  # Pillow's limit would be another one, and print
    pixels = cv2.imdecode(np.frombuffer(picture(120, 96), np.uint8), cv2.IMREAD_COLOR)
    pixels[60:] = 128
    image, file = Image.fromarray(pixels), io.BytesIO()
    mode = {"cmyk": "CMYK", "grey": "L"}.get(kind, "RGB")
    image.convert(mode).save(file, "JPEG", **({"restart_marker_blocks": 2} if kind == "restarts" else {}))
    data = file.getvalue()
    assert jpeg.decoded(header(data), data, channels, reduce).shape == (120 // reduce, 96 // reduce, channels)
    assert silent(capfd)


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


SAMPLINGS = (0x111111, 0x211111, 0x221111, 0x121111, 0x411111)  # 4:4:4, 4:2:2, 4:2:0, 4:4:0, 4:1:1


def detailed(height: int, width: int, *params: int, channels: int = 3) -> bytes:
    """With edges in colour everywhere, so that a row that is blended with another one shows."""
    shape = (height, width, 3) if channels == 3 else (height, width)
    return cv2.imencode(".jpg", rng.integers(0, 256, shape, dtype=np.uint8), params)[1].tobytes()


@pytest.mark.parametrize("reduce", [1, 2, 4, 8])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_part_has_the_pixels_of_the_whole(orientation: int, reduce: int) -> None:
    left_out = 0
    for sampling in SAMPLINGS:
        for restarts, channels in ((0, 3), (3, 3), (0, 1)):
            params = cv2.IMWRITE_JPEG_SAMPLING_FACTOR, sampling, cv2.IMWRITE_JPEG_RST_INTERVAL, restarts
            data = detailed(int(rng.integers(60, 200)), int(rng.integers(60, 200)), *params)
            head = header(data)
            if orientation >= 5:
                head = head._replace(width=head.height, height=head.width)
            head = head._replace(orientation=orientation)
            whole = jpeg.decoded(head, data, channels, reduce).copy()
            for _ in range(6):
                height, width = (int(rng.integers(1, side + 1)) for side in whole.shape[:2])
                top, left = (
                    int(rng.integers(0, a - b + 1)) for a, b in zip(whole.shape, (height, width), strict=False)
                )
                part = jpeg.decoded_part(head, data, channels, Box(top, left, height, width, False), reduce)
                if part is not None:
                    pixels, box = part
                    left_out += pixels.size < whole.size
                    cut = pixels[box.top : box.top + height, box.left : box.left + width]
                    assert np.array_equal(cut, whole[top : top + height, left : left + width])
    assert left_out > 10


def test_a_part_is_taken_only_where_the_decoder_complains_of_the_rest_alone() -> None:
    box, data = Box(0, 0, 40, 60, False), detailed(200, 60)
    head = header(data)
    assert jpeg.decoded_part(head, data, 3, box) is not None
    assert jpeg.decoded_part(head, data + b"appended", 3, box) is not None
    assert jpeg.decoded_part(head, data[: len(data) // 8] + data[-2:], 3, box) is None, "ended within the part"
    assert jpeg.decoded_part(head, data, 3, box._replace(top=155)) is None, "nothing left out"
    with pytest.raises(BadImageError, match="megapixels"):
        jpeg.decoded_part(head, data, 3, box, max_megapixels=0.001)


def test_a_file_of_several_scans_is_decoded_whole() -> None:
    data = detailed(200, 60, cv2.IMWRITE_JPEG_PROGRESSIVE, 1)
    assert header(data).height_at == 0
    assert jpeg.decoded_part(header(data), data, 3, Box(0, 0, 40, 60, False)) is None
