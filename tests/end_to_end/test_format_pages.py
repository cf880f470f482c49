"""The examples on the pages of the formats are read as what the pages say."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from sightline.data.annotations import ClassLabels
from sightline.data.formats import FORMATS, WRITERS, read
from sightline.data.index import Index
from sightline.data.sources import TensorSource
from sightline.workflows.pictures import task_of

FOLDER = Path(__file__).parents[2] / "docs" / "reference" / "formats"
PAGES = sorted(path for path in FOLDER.glob("*.md") if path.name != "README.md")
TASKS = {"coco": "detection", "voc": "detection", "yolo": "detection", "mask folder": "segmentation"}
TASKS |= {"coco masks": "segmentation"}


def name_of(page: Path) -> str:
    return page.stem.replace("-", " ")


def blocks(page: Path) -> dict[str, str]:
    """What follows the kind of each fenced block on the page, and its text."""
    return dict(re.findall(r"```\w+ ([^\n]+)\n(.*?)```", page.read_text(), flags=re.DOTALL))


def two_pictures(splits: dict[str, np.ndarray]) -> Index:
    source = TensorSource(torch.arange(2 * 64, dtype=torch.uint8).view(2, 1, 8, 8), ["a.png", "b.png"])
    annotations = ClassLabels(np.array([0, 1]))
    return Index(source=source, annotations=annotations, class_names=("0", "1"), splits=splits, format="made up")


def make(root: Path, files: list[str], contents: dict[str, str]) -> None:
    """The files of the example: pictures and masks of noise, and what the page gives word for word."""
    for name in files:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if name in contents:
            path.write_text(contents[name])
        elif path.suffix.lower() in (".jpg", ".jpeg"):
            Image.fromarray(np.full((30, 40, 3), len(name), np.uint8)).save(path, "JPEG")
        elif path.suffix == ".png":
            Image.fromarray(np.eye(30, 40, dtype=np.uint8) * 255).save(path)
        elif path.suffix == ".parquet":
            WRITERS["parquet"](two_pictures({"train": np.arange(2)}), root / "made")
            next((root / "made").rglob("*.parquet")).rename(path)
            for folder in (root / "made" / "data", root / "made"):
                folder.rmdir()


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_the_example_is_read_as_the_page_says(page: Path, tmp_path: Path) -> None:
    name, contents = name_of(page), blocks(page)
    files = contents.pop("layout").splitlines()
    assert 3 <= len(files) <= 4
    assert set(contents) <= set(files)
    if name in ("idx", "shards"):
        index = two_pictures({"train": np.array([0]), "test": np.array([1])})
        WRITERS[name](index, tmp_path / files[0].partition("/")[0])
        written = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
        assert written == set(files)
    else:
        make(tmp_path, files, contents)
    data = tmp_path / (files[0] if name == "csv" else files[0].partition("/")[0])
    index = read(data, name if name == "coco masks" else None)
    assert index.format == name
    assert index.faults.lines == ()
    assert index.ignored == ()
    assert task_of(index) == TASKS.get(name, "classification")
    assert len(index) == (
        6 if name == "parquet" else 2 if name in ("idx", "shards") else sum("jp" in file.lower() for file in files)
    )
    assert index.class_counts("train")


def test_every_format_has_a_page_and_the_table_leads_to_it() -> None:
    assert {name_of(page) for page in PAGES} == set(FORMATS)
    table = (FOLDER / "README.md").read_text()
    assert [page.name for page in PAGES if f"({page.name})" not in table] == []
