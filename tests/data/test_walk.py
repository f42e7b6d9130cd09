import os
from pathlib import Path

from tui_trainer.data.names import Names
from tui_trainer.data.walk import Walk, images_below


def below(folder: Path, prefix: bytes = b"c/") -> tuple[list[bytes], Walk]:
    walk = Walk()
    listed = images_below(os.fsencode(folder), prefix, walk)
    names = Names.of_blocks(listed.blocks, listed.counts)
    assert listed.count == len(names)
    return [names[i] for i in range(len(names))], walk


def test_images_are_found_at_any_depth_in_a_fixed_order(tmp_path: Path) -> None:
    for name in ("b.jpg", "a.PNG", "notes.txt", ".hidden.jpg", "deep/er/z.webp", "deep/y.tiff", "@eaDir/thumb.jpg"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    found, walk = below(tmp_path)
    assert found == [b"c/a.PNG", b"c/b.jpg", b"c/deep/y.tiff", b"c/deep/er/z.webp"]
    assert [stamp.path for stamp in walk.folders] == [os.fsencode(tmp_path / part) for part in ("", "deep", "deep/er")]


def test_a_folder_of_images_only_gives_the_same_as_one_with_other_files(tmp_path: Path) -> None:
    for name in (b"2.jpg", b"10.jpg", b"caf\xe9.png", b"line\nbreak.gif", b"x.JPG"):
        with open(os.path.join(os.fsencode(tmp_path), name), "wb"):
            pass
    quick, _ = below(tmp_path)
    (tmp_path / "other.txt").touch()
    assert below(tmp_path)[0] == quick == sorted(quick)
    assert len(quick) == 5


def test_a_hidden_image_among_images_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "._a.jpg").touch()
    (tmp_path / "a.jpg").touch()
    assert below(tmp_path)[0] == [b"c/a.jpg"]


def test_a_loop_of_links_is_cut(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").touch()
    (tmp_path / "again").symlink_to(tmp_path)
    (tmp_path / "itself").symlink_to("itself")
    assert below(tmp_path)[0] == [b"c/a.jpg"]
