from collections.abc import Callable
from pathlib import Path

import pytest

from sightline.data.formats import FORMATS, read
from sightline.errors import DataError, UnknownNameError

MakeFolder = Callable[..., Path]


def test_a_missing_path_says_what_was_expected(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        read(tmp_path / "absent")
    assert str(caught.value).startswith(
        f"{tmp_path / 'absent'} does not exist. Expected a data set: a folder with train"
    )


def test_what_is_no_data_set_says_what_was_looked_for(make_folder: MakeFolder, tmp_path: Path) -> None:
    folder = make_folder("notes.txt", "more/notes.md")
    with pytest.raises(DataError, match=r"no data set.*path,label.*parquet.*idx3.* It holds more, notes\.txt\."):
        read(folder)
    with pytest.raises(DataError, match=r"a file with the ending '\.txt'"):
        read(folder / "notes.txt")
    (folder / "labels.csv").touch()
    with pytest.raises(DataError, match=r"give its path, .*labels\.csv"):
        read(folder)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="It is empty"):
        read(tmp_path / "empty")


def test_unknown_format(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'parquet'"):
        read(tmp_path, "parket")


@pytest.mark.parametrize("format", FORMATS)
def test_each_format_refuses_what_is_not_its_own(make_folder: MakeFolder, format: str) -> None:
    with pytest.raises(DataError, match="set"):
        read(make_folder("notes.txt"), format)
