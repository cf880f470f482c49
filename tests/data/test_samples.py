from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from sightline.data.formats import read
from sightline.data.samples import write_digits, write_scenes
from sightline.errors import DataError, StorageError


@pytest.mark.slow
def test_digits(tmp_path: Path) -> None:
    folder = write_digits(tmp_path / "digits")
    index = read(folder)
    assert folder == tmp_path / "digits"
    assert index.class_names == tuple("0123456789")
    counts = {name: len(held) for name, held in index.splits.items()}
    assert sum(counts.values()) == 1797
    assert counts == {"train": 1259, "val": 179, "test": 359}
    assert min(index.class_counts("val").values()) >= 17
    assert (index.notes, index.ignored) == ((), ())
    data = load_digits()
    for position in range(0, 1797, 100):
        number = int(Path(index.source.name(position)).stem)
        assert index.labels[position] == data.target[number]
        image = index.source.image(position)
        assert image.shape == (3, 32, 32)
        small = np.asarray(Image.fromarray(image[0].numpy()).resize((8, 8), Image.Resampling.BOX))
        assert np.abs(small / 255 * 16 - data.images[number]).mean() < 1


@pytest.mark.slow
def test_another_seed_divides_otherwise(tmp_path: Path) -> None:
    names = [sorted(path.name for path in write_digits(tmp_path / str(seed), seed).glob("test/*/*")) for seed in (0, 1)]
    assert names[0] != names[1]


@pytest.mark.parametrize("write", [write_digits, write_scenes])
def test_nothing_is_overwritten(
    write: Callable[[Path], Path], make_folder: Callable[..., Path], tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=r"is not empty\. Choose a new folder"):
        write(make_folder("a.txt"))
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="is not empty"):
        write(tmp_path / "file")


def test_the_folder_one_is_in_is_not_taken() -> None:
    with pytest.raises(DataError, match="name a new one for the sample data, such as sample"):
        write_digits(Path())


@pytest.mark.parametrize(
    "write", [write_digits, lambda out: write_scenes(out, 0, {"train": 1})], ids=["digits", "scenes"]
)
def test_a_failure_leaves_nothing_behind(
    write: Callable[[Path], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", full)
    with pytest.raises(StorageError, match="disk is full"):
        write(tmp_path / "sample")
    assert list(tmp_path.iterdir()) == []
