"""Folders of class folders."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cortexzoo.images import open_images

RNG = np.random.default_rng(3)
BYTES = RNG.integers(0, 256, (6, 9, 12, 3), np.uint8)
CLASSES = ("ape", "bee", "cow")


def write(folder: Path, images: np.ndarray = BYTES, ending: str = "png", classes: tuple[str, ...] = CLASSES) -> Path:
    """Writes images in turn into the folders of the classes."""
    for row, image in enumerate(images):
        path = folder / classes[row % len(classes)] / f"{row}.{ending}"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)
    return folder


def refusal(path: Path, **options: object) -> str:
    with pytest.raises(ValueError, match="Received: ") as caught:
        open_images(path, **options)
    return str(caught.value)


@pytest.mark.parametrize("ending", ["png", "bmp", "PNG"])
def test_folder(tmp_path: Path, ending: str) -> None:
    source = open_images(write(tmp_path / "photos", ending=ending))
    order = [0, 3, 1, 4, 2, 5]
    split = source.load("test")
    np.testing.assert_array_equal(split.images, BYTES[order] / np.float32(255))
    np.testing.assert_array_equal(split.labels, [0, 0, 1, 1, 2, 2])
    assert (source.info.class_names, source.info.image_shape, source.notes) == (CLASSES, (9, 12, 3), ())
    assert source.info.name == open_images(BYTES[order], [0, 0, 1, 1, 2, 2], name="photos").info.name


def test_as_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "my photos")
    monkeypatch.chdir(tmp_path)
    names = {open_images(text).info.name for text in ("my photos", "my photos/", "./my photos", str(tmp_path / "my photos"))}
    assert len(names) == 1
    assert next(iter(names)).startswith("my-photos@")


def test_jpeg(tmp_path: Path) -> None:
    smooth = np.tile(np.linspace(0, 255, 16, dtype=np.uint8)[:, None, None], (3, 1, 16, 3)).reshape(3, 16, 16, 3)
    images = open_images(write(tmp_path, smooth, "jpg")).load("test").images
    np.testing.assert_allclose(images, smooth / 255, atol=0.05)


def test_gray(tmp_path: Path) -> None:
    source = open_images(write(tmp_path, BYTES[..., 0]))
    assert (source.info.image_shape, source.notes) == ((9, 12, 1), ())
    np.testing.assert_array_equal(source.load("test").images[0, ..., 0], BYTES[0, ..., 0] / np.float32(255))


def test_gray_among_colour(tmp_path: Path) -> None:
    write(tmp_path)
    Image.fromarray(BYTES[0, ..., 0]).save(tmp_path / "ape" / "0.png")
    source = open_images(tmp_path)
    assert source.notes == ("1 of 6 images were converted to RGB.",)
    np.testing.assert_array_equal(source.load("test").images[0], BYTES[0, ..., :1].repeat(3, -1) / np.float32(255))


def test_colour_to_gray(tmp_path: Path) -> None:
    source = open_images(write(tmp_path), image_shape=(9, 12, 1))
    assert source.notes == ("6 of 6 images were converted to gray.",)
    luma = BYTES[0] @ np.array([0.299, 0.587, 0.114]) / 255
    np.testing.assert_allclose(source.load("test").images[0, ..., 0], luma, atol=0.005)


def test_palettes_and_opaque_alpha(tmp_path: Path) -> None:
    images = np.full((2, 4, 5, 3), 85, np.uint8)
    write(tmp_path, images, classes=("a", "b"))
    Image.fromarray(images[0]).quantize(2).save(tmp_path / "a" / "0.png")
    Image.fromarray(images[1]).convert("RGBA").save(tmp_path / "b" / "1.png")
    np.testing.assert_array_equal(open_images(tmp_path).load("test").images, images / np.float32(255))


def test_resized(tmp_path: Path) -> None:
    write(tmp_path)
    Image.fromarray(BYTES[0, :5]).save(tmp_path / "ape" / "0.png")
    message = refusal(tmp_path)
    assert f"Received: (5, 12) in {tmp_path / 'ape' / '0.png'}, and (9, 12) in {tmp_path / 'ape' / '3.png'}." in message
    assert "image_shape=(5, 12, 3) would resize all of them." in message
    source = open_images(tmp_path, image_shape=(9, 12, 3))
    assert source.notes == ("1 of 6 images were resized to 9 x 12 pixels, bilinear.",)
    expected = Image.fromarray(BYTES[0, :5]).resize((12, 9), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(source.load("test").images[0], np.asarray(expected) / np.float32(255))


def test_nested_and_hidden_files(tmp_path: Path) -> None:
    name = open_images(write(tmp_path)).info.name
    (tmp_path / "ape" / ".thumbnail.png").write_bytes(b"not an image")
    (tmp_path / ".git").mkdir()
    (tmp_path / "ape" / "more").mkdir()
    (tmp_path / "ape" / "0.png").rename(tmp_path / "ape" / "0")
    (tmp_path / "ape" / "3.png").rename(tmp_path / "ape" / "more" / "3.png")
    (tmp_path / "ape" / "0").rename(tmp_path / "ape" / "0.png")
    (tmp_path / "bee" / "notes.txt").write_text("honey")
    source = open_images(tmp_path)
    assert source.info.name == name
    assert source.notes == ("1 files that are not PNG, JPEG or BMP were left out.",)


def test_an_empty_class_keeps_its_number(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "bat").mkdir()
    source = open_images(tmp_path)
    assert source.info.class_names == ("ape", "bat", "bee", "cow")
    assert set(source.load("test").labels) == {0, 2, 3}


def test_train_and_test(tmp_path: Path) -> None:
    write(tmp_path / "test")
    write(tmp_path / "train", BYTES[:3, ::-1])
    source = open_images(tmp_path)
    assert source.has_train
    assert source.info.class_names == CLASSES
    np.testing.assert_array_equal(source.load("train").images, BYTES[:3, ::-1] / np.float32(255))
    write(tmp_path / "train", BYTES[:1], classes=("zebra",))
    with pytest.raises(ValueError, match=r"Expected the class folders of test/ in .*: ape, bee, cow. Received: .*, zebra."):
        source.load("train")


def test_test_and_train_can_be_classes(tmp_path: Path) -> None:
    source = open_images(write(tmp_path, classes=("test", "train")))
    assert source.info.class_names == ("test", "train")
    assert not source.has_train


@pytest.mark.parametrize("content", [b"", b"no image", None], ids=["empty", "text", "cut"])
@pytest.mark.parametrize("ending", ["png", "jpg", "bmp"])
def test_corrupt(tmp_path: Path, ending: str, content: bytes | None) -> None:
    write(tmp_path, ending=ending)
    path = tmp_path / "bee" / f"1.{ending}"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2] if content is None else content)
    assert f"Expected a PNG, JPEG or BMP image. Received: {path}, which cannot be read: " in refusal(tmp_path)


def test_transparent(tmp_path: Path) -> None:
    write(tmp_path)
    Image.fromarray(np.full((9, 12, 4), 100, np.uint8)).save(tmp_path / "cow" / "2.png")
    assert f"{tmp_path / 'cow' / '2.png'}: Expected images without transparency." in refusal(tmp_path)


def test_sixteen_bits(tmp_path: Path) -> None:
    write(tmp_path)
    Image.fromarray(np.full((9, 12), 40_000, np.uint16)).save(tmp_path / "cow" / "2.png")
    assert f"{tmp_path / 'cow' / '2.png'}: Expected gray or colour images of 8 bits." in refusal(tmp_path)


def test_channels(tmp_path: Path) -> None:
    assert "must have 1 or 3 channels, gray or RGB. Received: (9, 12, 4)" in refusal(write(tmp_path), image_shape=(9, 12, 4))


def test_no_class_folders(tmp_path: Path) -> None:
    assert "and at least two of them. Received: no folders." in refusal(tmp_path)
    write(tmp_path, classes=("ape",))
    assert f"as in {tmp_path / 'cat' / '1.png'}, and at least two of them. Received: ape." in refusal(tmp_path)


def test_no_images(tmp_path: Path) -> None:
    for name in CLASSES:
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.txt").touch()
    assert "Expected PNG, JPEG or BMP files in the folders of " in refusal(tmp_path)
    assert "Received: 3 other files." in refusal(tmp_path)


def test_scale(tmp_path: Path) -> None:
    assert "Expected no `scale` for a folder" in refusal(write(tmp_path), scale=1)
