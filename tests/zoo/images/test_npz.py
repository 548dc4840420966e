"""NumPy archives."""

from pathlib import Path

import numpy as np
import pytest

from cortexzoo.images import open_images

BYTES = np.random.default_rng(2).integers(0, 256, (6, 7, 8, 3), np.uint8)
LABELS = np.arange(6) % 3
SAME = open_images(BYTES, LABELS).info.name.partition("@")[2]


def refusal(path: Path, **options: object) -> str:
    with pytest.raises(ValueError, match="Received: ") as caught:
        open_images(path, **options)
    return str(caught.value)


@pytest.mark.parametrize(
    "names",
    [
        ("images", "labels"),
        ("x", "y"),
        ("X", "Y"),
        ("x_test", "y_test"),
        ("test_images", "test_labels"),
        ("data", "targets"),
    ],
)
@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_pairs(tmp_path: Path, names: tuple[str, str], save: object) -> None:
    path = tmp_path / "my photos.npz"
    save(path, **dict(zip(names, (BYTES, LABELS[:, None]), strict=True)), others=np.zeros(3))
    source = open_images(str(path))
    assert source.info.name == f"my-photos@{SAME}"
    assert not source.has_train
    np.testing.assert_array_equal(source.load("test").images, BYTES / np.float32(255))


def test_positional(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", BYTES / 255, LABELS)
    assert open_images(tmp_path / "a.npz", name="b").info.name == f"b@{SAME}"


def test_test_images_come_before_others(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=BYTES[:2], y=LABELS[:2], x_test=BYTES, y_test=LABELS)
    assert open_images(tmp_path / "a.npz").info.name == f"a@{SAME}"


def test_training_images(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x_test=BYTES, y_test=LABELS, x_train=BYTES[::-1] / 255.0, y_train=LABELS[::-1])
    source = open_images(tmp_path / "a.npz")
    assert source.has_train
    np.testing.assert_array_equal(source.load("train").images, BYTES[::-1] / np.float32(255))
    np.testing.assert_array_equal(source.load("train").labels, LABELS[::-1])


def test_class_names(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", images=BYTES, labels=LABELS, class_names=["cat", "dog", "owl", "fox"])
    assert open_images(tmp_path / "a.npz").info.class_names == ("cat", "dog", "owl", "fox")
    np.savez(tmp_path / "a.npz", images=BYTES, labels=LABELS, class_names=["cat", "dog"])
    assert "Expected labels below 2, the number of class names. Received: label 2." in refusal(tmp_path / "a.npz")


def test_scale(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", images=BYTES.astype(np.float32), labels=LABELS)
    assert open_images(tmp_path / "a.npz", scale=255).info.name == f"a@{SAME}"
    assert f"{tmp_path / 'a.npz'}, arrays images and labels: Expected images in [0, 1]." in refusal(tmp_path / "a.npz")


def test_other_names(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", pictures=BYTES, labels=LABELS)
    assert "or x_test and y_test in " in refusal(tmp_path / "a.npz")
    assert "Received: pictures, labels." in refusal(tmp_path / "a.npz")
    np.savez(tmp_path / "a.npz")
    assert "Received: no arrays." in refusal(tmp_path / "a.npz")


def test_pickles_are_not_opened(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", images=np.array([BYTES, None], object), labels=LABELS)
    assert "Object arrays cannot be loaded when allow_pickle=False" in refusal(tmp_path / "a.npz")


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04 half an archive"], ids=["empty", "text", "cut"])
def test_unreadable(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.npz").write_bytes(content)
    assert f"Received: {tmp_path / 'a.npz'}, unreadable: " in refusal(tmp_path / "a.npz")


@pytest.mark.parametrize("position", [0.3, 0.6, 0.9])
def test_damaged(tmp_path: Path, position: float) -> None:
    np.savez_compressed(tmp_path / "a.npz", images=BYTES, labels=LABELS)
    damaged = bytearray((tmp_path / "a.npz").read_bytes())
    place = int(len(damaged) * position)
    damaged[place : place + 40] = bytes(40)
    (tmp_path / "a.npz").write_bytes(damaged)
    refusal(tmp_path / "a.npz")


def test_a_single_array(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npz", BYTES)
    (tmp_path / "a.npz.npy").rename(tmp_path / "a.npz")
    assert "unreadable" in refusal(tmp_path / "a.npz")


def test_other_files(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("1,2")
    assert "Expected an .npz file, as np.savez('my.npz', images=images, labels=labels)" in refusal(tmp_path / "a.csv")


def test_missing(tmp_path: Path) -> None:
    message = refusal(tmp_path / "a.npz")
    assert "Expected a data set of the catalogue (cifar10, " in message
    assert f"Received: '{tmp_path / 'a.npz'}', where there is no file or folder." in message
