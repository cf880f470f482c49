import gzip
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from sightline.data.formats import idx, read
from sightline.data.splits import with_splits
from sightline.errors import DataError


def write(folder: Path, prefix: str, images: np.ndarray, labels: list[int], ending: str = ".gz") -> None:
    pack = gzip.compress if ending else bytes
    header = struct.pack(">4B3I", 0, 0, 8, 3, *images.shape)
    (folder / f"{prefix}-images-idx3-ubyte{ending}").write_bytes(pack(header + images.astype(np.uint8).tobytes()))
    (folder / f"{prefix}-labels-idx1-ubyte{ending}").write_bytes(
        pack(struct.pack(">4BI", 0, 0, 8, 1, len(labels)) + bytes(labels))
    )


IMAGES = np.arange(24).reshape(4, 2, 3)


@pytest.mark.parametrize("ending", [".gz", ""])
def test_train_and_test(tmp_path: Path, ending: str) -> None:
    write(tmp_path, "train", IMAGES, [0, 2, 1, 0], ending)
    write(tmp_path, "t10k", IMAGES[::-1], [1, 0, 2, 1], ending)
    index = read(tmp_path)
    assert index.class_names == ("0", "1", "2")
    assert {name: held.tolist() for name, held in index.splits.items()} == {"train": [0, 1, 2, 3], "test": [4, 5, 6, 7]}
    assert index.labels.tolist() == [0, 2, 1, 0, 1, 0, 2, 1]
    assert index.source.image(5).tolist() == IMAGES[2][None].repeat(3, axis=0).tolist()
    assert index.source.name(5) == f"t10k-images-idx3-ubyte{ending} picture 1"


def test_numbers_that_no_picture_has_are_no_classes(tmp_path: Path) -> None:
    """EMNIST's letters are counted from 1."""
    write(tmp_path, "train", IMAGES, [1, 4, 2, 1])
    write(tmp_path, "t10k", IMAGES[::-1], [2, 1, 4, 4])
    index = read(tmp_path)
    assert (index.class_names, index.labels.tolist()) == (("1", "2", "4"), [0, 2, 1, 0, 1, 0, 2, 2])
    assert (with_splits(index).notes[1:], index.faults.lines) == ((), ())
    idx.write(index, tmp_path / "again")
    again = read(tmp_path / "again")
    assert (again.class_names, again.labels.tolist()) == (index.class_names, index.labels.tolist())


def test_broken_files_say_what_is_wrong(tmp_path: Path) -> None:
    write(tmp_path, "train", IMAGES, [0, 1, 1, 0])
    images, labels = tmp_path / "train-images-idx3-ubyte.gz", tmp_path / "train-labels-idx1-ubyte.gz"
    whole, good_labels = images.read_bytes(), labels.read_bytes()
    plain = gzip.decompress(whole)
    cases = [
        (gzip.compress(plain[:18]), r"announces 4 x 2 x 3 = 24 values and holds 2"),
        (gzip.compress(plain + b"x"), "24 values and holds more"),
        (whole[:12], "cannot be read .*fetch it again"),
        (b"no gzip at all", "cannot be read"),
        (gzip.compress(plain[:9]), r"ends within its header \(9 bytes\)"),
        (gzip.compress(b"\0\0\x0d\3" + plain[4:]), "begins with 00 00 0d 03; .* begins with 00 00 08 03"),
        (gzip.compress(struct.pack(">4B3I", 0, 0, 8, 3, 0, 2, 3)), "it is empty"),
    ]
    for content, text in cases:
        images.write_bytes(content)
        with pytest.raises(DataError, match=text):
            read(tmp_path)
    images.write_bytes(whole)
    labels.write_bytes(gzip.compress(struct.pack(">4BI", 0, 0, 8, 1, 3) + bytes(3)))
    with pytest.raises(DataError, match="3 labels for 4 pictures"):
        read(tmp_path)
    labels.unlink()
    with pytest.raises(DataError, match="has no labels: expected train-labels-idx1"):
        read(tmp_path)
    labels.write_bytes(good_labels)
    assert len(read(tmp_path)) == 4


@pytest.mark.parametrize("ending", [".gz", ""])
def test_the_pictures_before_a_cut_are_used(tmp_path: Path, ending: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (4, 20, 20))
    write(tmp_path, "train", noise, [0, 1, 1, 0], ending)
    write(tmp_path, "t10k", noise, [1, 0, 0, 1], ending)
    images = tmp_path / f"train-images-idx3-ubyte{ending}"
    images.write_bytes(images.read_bytes()[:1000])  # noise is not compressed: two pictures and a half
    index = read(tmp_path)
    assert index.labels.tolist() == [0, 1, 1, 0, 0, 1]
    assert index.source.image(1).tolist() == noise[1][None].repeat(3, axis=0).tolist()
    assert index.faults.lines == (
        f"{images.name}: it announces 4 pictures and ends after 2; 2 pictures are left out. Fetch it again.",
    )
    assert (index.faults.pictures, index.faults.bad_pictures) == (8, 2)


def test_the_size_is_checked_before_decompressing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, "train", IMAGES, [0, 1, 1, 0])
    path = tmp_path / "train-images-idx3-ubyte.gz"
    path.write_bytes(gzip.compress(struct.pack(">4B3I", 0, 0, 8, 3, 2**20, 2**10, 2**10) + bytes(100)))
    with pytest.raises(DataError, match=r"1,099,511,627,776 bytes of values, more than the limit of 4,294,967,296"):
        read(tmp_path)
    monkeypatch.setattr(idx, "LIMIT", 23)
    write(tmp_path, "train", IMAGES, [0, 1, 1, 0])
    with pytest.raises(DataError, match="24 bytes of values, more than the limit of 23"):
        read(tmp_path)


def test_splits_of_different_sizes_are_refused(tmp_path: Path) -> None:
    write(tmp_path, "train", IMAGES, [0, 1, 1, 0])
    write(tmp_path, "t10k", IMAGES[:, :, :2], [0, 1, 1, 0])
    with pytest.raises(DataError, match="different sizes"):
        read(tmp_path)


def test_real_set(real_set: Callable[[str], Path]) -> None:
    index = read(real_set("mnist_t10k_idx"))
    assert index.format == "idx"
    assert {name: len(held) for name, held in index.splits.items()} == {"test": 10_000}
    assert index.class_names == tuple("0123456789")
    assert index.labels[:5].tolist() == [7, 2, 1, 0, 4]
    assert index.source.image(0).shape == (3, 28, 28)
