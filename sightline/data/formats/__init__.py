"""The formats in which data sets come; one file each, with `read(path) -> Index` and, where it makes sense, `write`."""

from collections.abc import Callable
from pathlib import Path

from sightline.data.formats import csv_table, idx, image_folder, parquet
from sightline.data.index import Index
from sightline.errors import DataError, UnknownNameError

FORMATS: dict[str, Callable[[Path], Index]] = {
    "csv": csv_table.read,
    "parquet": parquet.read,
    "idx": idx.read,
    "image folder": image_folder.read,
}
"""Name -> how it is read."""

_RECOGNISES: dict[str, Callable[[Path], bool]] = {
    "csv": csv_table.recognises,
    "parquet": parquet.recognises,
    "idx": idx.recognises,
    "image folder": image_folder.recognises,
}

_LOOKED_FOR = (
    "a folder with train/val/test folders of class folders, a folder of class folders, a .csv file with the columns "
    "path,label[,split], .parquet files such as train-00000-of-00001.parquet (also in a folder `data`), "
    "or IDX files such as train-images-idx3-ubyte.gz"
)


def read(path: Path | str, format: str | None = None) -> Index:
    """The data set at `path`, in the format of that name, or in the one that it is recognised as.

    Raises `DataError` when nothing is there or nothing fits, `UnknownNameError` for a format that there is not.
    """
    path = Path(path).expanduser()
    if format is not None and format not in FORMATS:
        raise UnknownNameError("format", format, FORMATS)
    if not path.exists():
        raise DataError(f"{path} does not exist. Expected a data set: {_LOOKED_FOR}.")
    format = format or next((name for name, fits in _RECOGNISES.items() if fits(path)), None)
    if format is None:
        raise DataError(f"{path} is no data set that Sightline knows. It looked for {_LOOKED_FOR}.{_hint(path)}")
    return FORMATS[format](path)


def _hint(path: Path) -> str:
    if path.is_file():
        return f" It is a file with the ending {path.suffix!r}."
    tables = sorted(path.glob("*.csv"))
    if tables:
        return f" There is a table in it: give its path, {tables[0]}."
    names = sorted(entry.name for entry in path.iterdir())
    return f" It holds {', '.join(names[:5])}{' ...' if len(names) > 5 else ''}." if names else " It is empty."
