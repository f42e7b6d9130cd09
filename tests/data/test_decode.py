import os
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from tui_trainer.data.decode import MOST, BadImageError, decode, is_grey, read_file, read_image

RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)
rng = np.random.default_rng(5)
NOISE = cv2.GaussianBlur(rng.integers(0, 255, (60, 50, 3), dtype=np.uint8), (5, 5), 0)


def encoded(extension: str, pixels: np.ndarray = NOISE) -> bytes:
    return cv2.imencode(extension, pixels)[1].tobytes()


def saved(path: Path, image: Image.Image, **options: object) -> bytes:
    image.save(path, **options)
    return os.fsencode(path)


@pytest.mark.parametrize("colour", [RED, GREEN, BLUE])
@pytest.mark.parametrize("extension", ["png", "bmp", "tiff", "webp", "jpg", "gif"])
def test_channels_come_in_the_order_red_green_blue(
    tmp_path: Path, extension: str, colour: tuple[int, int, int]
) -> None:
    path = saved(tmp_path / f"x.{extension}", Image.new("RGB", (16, 8), colour))
    pixels = read_image(path, 3)
    assert pixels.shape == (8, 16, 3)
    assert pixels.dtype == np.uint8
    assert np.abs(pixels.astype(int) - colour).max() <= 3  # jpg and webp lose a little


@pytest.mark.parametrize("extension", [".png", ".bmp", ".tiff"])
def test_what_a_format_keeps_exactly_is_read_exactly(extension: str) -> None:
    assert np.array_equal(decode(encoded(extension), 3), NOISE[:, :, ::-1])


def test_grey_is_one_channel_and_is_the_luminance(tmp_path: Path) -> None:
    path = saved(tmp_path / "x.png", Image.new("RGB", (4, 4), GREEN))
    grey = read_image(path, 1)
    assert grey.shape == (4, 4, 1)
    assert abs(int(grey[0, 0, 0]) - 150) <= 1


def test_a_grey_file_as_colour_has_three_equal_channels(tmp_path: Path) -> None:
    pixels = read_image(saved(tmp_path / "x.png", Image.new("L", (4, 4), 77)), 3)
    assert pixels.shape == (4, 4, 3)
    assert (pixels == 77).all()


@pytest.mark.parametrize(
    ("mode", "colour", "grey"),
    [
        ("L", 9, True),
        ("RGB", RED, False),
        ("RGBA", (1, 2, 3, 4), False),
        ("P", 3, False),
        ("1", 1, True),
        ("I;16", 900, True),
    ],
)
def test_every_kind_of_png_is_read(tmp_path: Path, mode: str, colour: object, grey: bool) -> None:
    path = saved(tmp_path / "x.png", Image.new(mode, (5, 3), colour))
    assert read_image(path, 1).shape == (3, 5, 1)
    assert read_image(path, 3).shape == (3, 5, 3)
    assert read_image(path, 3).dtype == np.uint8
    if mode != "P":
        assert is_grey(read_file(path)) is grey


def test_sixteen_bits_become_eight(tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    cv2.imwrite(str(path), np.full((3, 3), 0x8000, np.uint16))
    assert abs(int(read_image(os.fsencode(path), 1)[0, 0, 0]) - 128) <= 1


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_orientation_of_a_camera_is_applied(tmp_path: Path, orientation: int) -> None:
    image = Image.new("RGB", (40, 20), BLUE)
    image.paste(RED, (0, 0, 20, 10))
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = saved(tmp_path / "x.jpg", image, exif=exif, quality=95)
    from PIL import ImageOps

    upright = np.asarray(ImageOps.exif_transpose(Image.open(tmp_path / "x.jpg")).convert("RGB")).astype(int)
    pixels = read_image(path, 3).astype(int)
    assert pixels.shape == upright.shape
    assert np.abs(pixels - upright).mean() < 5


# Damage ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("part", [0.1, 0.3, 0.5, 0.7, 0.9, 0.97])
@pytest.mark.parametrize("extension", [".jpg", ".png", ".webp", ".bmp", ".tiff"])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_truncated_file_is_refused(
    extension: str, part: float, channels: int, capfd: pytest.CaptureFixture[str]
) -> None:
    data = encoded(extension)
    with pytest.raises(BadImageError):
        decode(data[: int(len(data) * part)], channels)
    assert capfd.readouterr() == ("", "")


def test_a_jpeg_without_its_last_bytes_is_refused() -> None:
    data = encoded(".jpg")
    assert data.endswith(b"\xff\xd9")
    with pytest.raises(BadImageError):
        decode(data[:-20], 3)


def test_a_png_with_a_flipped_bit_is_refused() -> None:
    data = bytearray(encoded(".png"))
    data[len(data) // 2] ^= 1
    with pytest.raises(BadImageError):
        decode(bytes(data), 3)


@pytest.mark.parametrize(
    "data",
    [b"", b"\0", b"<!DOCTYPE html><html>404</html>", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"PK\x03\x04"],
)
@pytest.mark.parametrize("look", [lambda data: decode(data, 3), lambda data: decode(data, 1), is_grey])
def test_what_is_no_image_is_refused(data: bytes, look: object) -> None:
    with pytest.raises(BadImageError) as caught:
        look(data)  # type: ignore[operator]
    said = str(caught.value)
    assert said in ("empty file", "no image", "nothing but zeros", "damaged or truncated") or "not read" in said


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def bomb(side: int) -> bytes:
    """A small PNG that says it is side x side."""
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0" * 1000))
        + chunk(b"IEND", b"")
    )


def test_an_image_that_claims_a_billion_pixels_is_refused_unread() -> None:
    with pytest.raises(BadImageError, match="32000x32000 pixels are more than 100 megapixels"):
        decode(bomb(32_000), 3)
    jpeg = bytearray(encoded(".jpg"))
    at = jpeg.index(b"\xff\xc0") + 5
    jpeg[at : at + 4] = struct.pack(">HH", 32_000, 32_000)
    with pytest.raises(BadImageError, match="more than 100 megapixels"):
        decode(bytes(jpeg), 3)


# What is no file ------------------------------------------------------------------------------------------------------


def test_a_pipe_named_like_an_image_is_refused_without_waiting(tmp_path: Path) -> None:
    path = tmp_path / "x.jpg"
    os.mkfifo(path)
    with pytest.raises(BadImageError, match="not a regular file"):
        read_file(os.fsencode(path))


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        (b"/dev/zero", "not a regular file"),
        (b"/tmp", "not a regular file"),
        (b"/none.jpg", "No such file or directory"),
    ],
)
def test_devices_folders_and_nothing_are_refused(path: bytes, reason: str) -> None:
    with pytest.raises(BadImageError, match=reason):
        read_file(path)


def test_a_socket_and_a_broken_link_are_refused(tmp_path: Path) -> None:
    import socket

    with socket.socket(socket.AF_UNIX) as listening:
        here = Path.cwd()
        os.chdir(tmp_path)  # names of sockets are short
        try:
            listening.bind("x.jpg")
        finally:
            os.chdir(here)
    (tmp_path / "link.jpg").symlink_to("nowhere.jpg")
    for name in ("x.jpg", "link.jpg"):
        with pytest.raises(BadImageError):
            read_file(os.fsencode(tmp_path / name))


def test_names_of_any_bytes_can_be_read(tmp_path: Path) -> None:
    path = os.path.join(os.fsencode(tmp_path), b"caf\xe9\n\x1b[31m.png")
    with open(path, "wb") as file:
        file.write(encoded(".png"))
    assert read_image(path, 3).shape == (60, 50, 3)


def test_no_descriptor_is_left_open(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.jpg")
    before = len(os.listdir("/proc/self/fd"))
    for path in (b"/tmp", b"/dev/zero", os.fsencode(tmp_path / "x.jpg")):
        with pytest.raises(BadImageError):
            read_file(path)
    assert len(os.listdir("/proc/self/fd")) == before


def test_opencv_was_told_the_limit_before_its_import() -> None:
    assert int(os.environ["OPENCV_IO_MAX_IMAGE_PIXELS"]) == MOST


# Colours --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("extension", ["png", "webp", "tiff", "avif", "gif"])
@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_alpha_is_laid_on_white(tmp_path: Path, extension: str, mode: str) -> None:
    image = Image.new("RGBA", (16, 8), (200, 100, 50, 128))
    image.paste((0, 0, 0, 0), (0, 0, 8, 8))
    options = {"lossless": True} if extension == "webp" else {}
    image = image.convert("RGBA").quantize(4) if mode == "P" else image.convert(mode)
    if extension == "webp" and mode == "P":
        image = image.convert("RGBA")
    try:
        path = saved(tmp_path / f"x.{extension}", image, **options)
    except (OSError, ValueError):
        pytest.skip("Pillow does not write this")
    with Image.open(tmp_path / f"x.{extension}") as written:
        stored = written.convert("RGBA")
    white = Image.new("RGBA", stored.size, "white")
    wanted = np.asarray(Image.alpha_composite(white, stored).convert("RGB")).astype(int)
    assert np.abs(read_image(path, 3).astype(int) - wanted).max() <= 3
    luminance = wanted @ (0.299, 0.587, 0.114)
    assert np.abs(read_image(path, 1)[:, :, 0] - luminance).max() <= 3


def test_one_transparent_grey_is_white(tmp_path: Path) -> None:
    path = saved(tmp_path / "x.png", Image.new("L", (6, 4), 77), transparency=77)
    assert (read_image(path, 3) == 255).all()


@pytest.mark.parametrize(
    ("value", "kind", "eight"),
    [
        (0.5, np.float32, 128),
        (200, np.float32, 200),
        (np.nan, np.float32, 0),
        (33023, np.float32, 128),
        (-3, np.float32, 0),
    ],
)
def test_floats_are_scaled_from_the_range_that_holds_them(value: float, kind: type, eight: int) -> None:
    pixels = decode(cv2.imencode(".tiff", np.full((4, 6, 3), value, kind))[1].tobytes(), 3)
    assert np.abs(pixels.astype(int) - eight).max() <= 1


@pytest.mark.parametrize("reduce", [2, 4, 8])
def test_a_jpeg_can_be_decoded_smaller(reduce: int) -> None:
    image = cv2.GaussianBlur(rng.integers(0, 255, (61, 103, 3), dtype=np.uint8), (0, 0), 9)
    data = encoded(".jpg", image)
    pixels = decode(data, 3, reduce=reduce)
    assert pixels.shape == (-(-61 // reduce), -(-103 // reduce), 3)
    assert abs(pixels.mean() - decode(data, 3).mean()) < 2


@pytest.mark.parametrize("part", [0.2, 0.5, 0.8, 0.97])
@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_jpeg_that_ends_too_early_but_tidily_is_refused(part: float, progressive: bool, channels: int) -> None:
    image = np.full((160, 120, 3), 40, np.uint8)
    image[:80] = cv2.resize(NOISE, (120, 80))
    data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_PROGRESSIVE, int(progressive)])[1].tobytes()
    start = data.index(b"\xff\xda") + 14
    end = data.index(b"\xff", start) if progressive else len(data) - 2
    while data[end + 1] == 0:
        end = data.index(b"\xff", end + 2)
    cut = start + int((end - start) * part)
    cut -= data[cut - 1] == 0xFF
    with pytest.raises(BadImageError):
        decode(data[:cut] + data[end:], channels)


def test_a_whole_picture_with_a_grey_corner_is_read() -> None:
    image = cv2.resize(NOISE, (120, 160))
    image[80:] = 128
    for progressive in (0, 1):
        data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_PROGRESSIVE, progressive])[1].tobytes()
        assert (decode(data, 3)[-1, -1] == 128).all()
        assert (decode(data, 1)[-1, -1] == 128).all()
