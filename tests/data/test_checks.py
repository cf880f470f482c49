from collections.abc import Callable
from pathlib import Path

import pytest

from sightline.data.checks import check
from sightline.data.formats import read
from sightline.data.index import Index
from sightline.data.sources import MemorySource
from sightline.data.splits import with_splits
from sightline.errors import DataError

MakeFolder = Callable[..., Path]


@pytest.fixture
def folder(make_folder: MakeFolder) -> Path:
    """Two classes of 20 training pictures, three of them bad."""
    names = [f"{split}/{kind}/{at}.png" for kind in "ab" for split, n in (("train", 20), ("val", 2)) for at in range(n)]
    path = make_folder(*names)
    (path / "train/a/3.png").write_bytes(b"")
    (path / "train/b/7.png").write_text("no picture")
    whole = (path / "val/a/0.png").read_bytes()
    (path / "val/a/0.png").write_bytes(whole[: len(whole) // 2])
    return path


def test_faults_are_named_with_their_reasons(folder: Path) -> None:
    index = read(folder)
    seen: list[tuple[int, int]] = []
    report = check(index, workers=2, progress=lambda done, total: seen.append((done, total)))
    assert [fault.name for fault in report.faults] == ["train/a/3.png", "train/b/7.png", "val/a/0.png"]
    assert report.faults[0].reason == "the file is empty."
    assert report.faults[1].reason.startswith("it begins with b'no pictu'")
    assert "incomplete" in report.faults[2].reason
    assert [index.source.name(fault.position) for fault in report.faults] == [fault.name for fault in report.faults]
    assert report.images == 44
    assert seen[-1] == (44, 44)
    assert report.sizes is not None
    assert (report.sizes.shorter_min, report.sizes.shorter_median, report.sizes.longer_max) == (5, 5, 6)


def test_too_many_faults_stop_and_say_what_to_set(folder: Path) -> None:
    report, index = check(read(folder)), read(folder)
    with pytest.raises(DataError) as caught:
        report.without_faults(index)
    lines = str(caught.value).splitlines()
    assert lines[0] == (
        "3 of 44 pictures (6.82%) cannot be decoded; 1.00% may be lost. "
        "Repair or remove them, or allow more with --set data.max_bad=0.07:"
    )
    assert lines[1] == "train/a/3.png: the file is empty."
    assert len(lines) == 4
    report.without_faults(index, 0.07)


def test_only_twenty_are_listed(make_folder: MakeFolder) -> None:
    path = make_folder(*(f"{kind}/{at}.png" for kind in "ab" for at in range(15)))
    for file in path.rglob("*.png"):
        file.write_bytes(b"")
    with pytest.raises(DataError) as caught:
        check(read(path)).without_faults(read(path))
    lines = str(caught.value).splitlines()
    assert len(lines) == 22
    assert lines[-1] == "... and 10 more"


def test_a_few_faults_are_left_out_aloud_and_the_rest_stays_in_memory(folder: Path) -> None:
    index = read(folder)
    cleaned = check(index).without_faults(index, tolerance=0.1)
    assert {name: len(held) for name, held in cleaned.splits.items()} == {"train": 38, "val": 3}
    assert cleaned.notes[-1] == "3 of 44 pictures cannot be decoded and are left out."
    assert len(cleaned) == len(index)
    assert cleaned.fingerprint() == index.fingerprint()
    assert isinstance(cleaned.source, MemorySource)
    expected = {p: index.source.image(p) for p in cleaned.positions("train").tolist()}
    for file in folder.rglob("*.png"):
        file.unlink()
    assert all((cleaned.source.image(p) == image).all() for p, image in expected.items())


def test_large_sets_are_not_kept(folder: Path) -> None:
    index = read(folder)
    report = check(index, keep_below=41 * 90 - 1)
    assert report.kept is None
    assert report.without_faults(index, 0.1).source is index.source
    assert check(index, keep_below=41 * 90).kept is not None


def test_what_would_be_left_empty_stops(folder: Path) -> None:
    for at in range(2):
        (folder / f"val/b/{at}.png").write_bytes(b"")
    (folder / "val/a/1.png").write_bytes(b"")
    index = read(folder)
    with pytest.raises(DataError, match=r"None of the pictures of the val split \(4\) can"):
        check(index).without_faults(index, 1.0)
    for file in (folder / "train/b").iterdir():
        file.write_bytes(b"")
    index = read(folder)
    with pytest.raises(DataError, match=r"None of the training pictures of the class 'b' \(20\)"):
        check(index, index.positions("train")).without_faults(index, 1.0)


def test_positions_and_sets_without_splits(make_index: Callable[..., Index]) -> None:
    index = make_index(4, 4, splits={"train": [0, 1], "val": [5]})
    assert check(index).images == 3
    assert check(index, [7]).images == 1
    assert check(make_index(4, 4)).images == 8
    assert check(index, []).sizes is None


def test_real_set(real_set: Callable[[str], Path]) -> None:
    index = with_splits(read(real_set("trashnet_sub")))
    report = check(index, index.positions("val")[:12])
    assert report.faults == ()
    assert report.sizes is not None
    assert (report.sizes.shorter_median, report.sizes.longer_max) == (384, 512)
