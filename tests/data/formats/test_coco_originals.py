"""A copy of a COCO data set that is COCO too keeps what is not read."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sightline.data.formats import coco, read
from sightline.data.subset import only
from sightline.workflows.check import check
from tests.data import sound

Table = dict[str, Any]


@pytest.fixture
def rich(tmp_path: Path) -> Path:
    """A data set whose train split has everything, ids from 70 on, and a box without an area (annotation 71)."""

    def change(table: Table) -> None:
        for row in table["images"]:
            row |= {"id": row["id"] + 700, "license": 1, "flickr_url": f"http://{row['id']}"}
        for at, row in enumerate(table["annotations"]):
            row |= {"id": 70 + at, "image_id": row["image_id"] + 700, "keypoints": [at, 1, 2], "score": at / 10}
        table["annotations"][1]["bbox"][2] = 0
        table["annotations"][2]["segmentation"] = {"counts": [500, 12], "size": [16, 32]}
        table["categories"][0] |= {"supercategory": "animal", "keypoints": ["nose"]}
        table["info"], table["licenses"] = {"year": 2024}, [{"id": 1, "name": "CC \ud800"}]

    return sound.coco(tmp_path / "set", change)


def table_of(folder: Path, split: str = "train") -> Table:
    table: Table = json.loads((folder / f"annotations/instances_{split}.json").read_text())
    return table


def without(row: Table, *keys: str) -> Table:
    return {key: held for key, held in row.items() if key not in keys}


def test_a_repaired_copy_keeps_all_but_the_fault(rich: Path, tmp_path: Path) -> None:
    fixed = check(rich, fixed=tmp_path / "fixed")["fixed"]
    assert (fixed["lost"], fixed["errors"]) == ([], 0)
    old, new = table_of(rich), table_of(tmp_path / "fixed")
    del old["annotations"][1]
    assert new.keys() == old.keys()
    assert [new[key] for key in ("info", "licenses", "images", "categories")] == [
        old[key] for key in ("info", "licenses", "images", "categories")
    ]
    assert [without(row, "area") for row in new["annotations"]] == old["annotations"]
    assert table_of(tmp_path / "fixed", "val")["categories"] == old["categories"]


def test_of_annotations_without_ids_each_keeps_its_own(rich: Path, tmp_path: Path) -> None:
    table = table_of(rich)
    for row in table["annotations"]:
        del row["id"]
    (rich / "annotations/instances_train.json").write_text(json.dumps(table))
    index = read(rich)
    assert coco.write(index, tmp_path / "new") == ("The ids of images and annotations are numbered anew.",)
    new = table_of(tmp_path / "new")["annotations"]
    assert [row["keypoints"][0] for row in new] == [0, 2, 3, 4, 5, 6, 7]
    assert [row["id"] for row in new] == [1, 2, 3, 4, 5, 6, 7]


def test_a_picture_in_two_files_is_as_the_one_says_that_counts(tmp_path: Path) -> None:
    data = sound.coco(tmp_path / "set", lambda table: table["images"].append({"id": 99, "file_name": "../val/1.png"}))
    coco.write(read(data), tmp_path / "new")
    assert [row["id"] for row in table_of(tmp_path / "new", "val")["images"]] == [1, 2]


def test_ids_that_are_text_are_found_again(rich: Path, tmp_path: Path) -> None:
    table = table_of(rich)
    for row in table["annotations"]:
        row |= {"id": str(row["id"]), "image_id": str(row["image_id"])}
    (rich / "annotations/instances_train.json").write_text(json.dumps(table))
    assert coco.write(read(rich), tmp_path / "new") == ()
    assert [row["keypoints"][0] for row in table_of(tmp_path / "new")["annotations"]] == [0, 2, 3, 4, 5, 6, 7]


def test_where_splits_are_others_ids_are_numbered_anew(rich: Path, tmp_path: Path) -> None:
    index = read(rich)
    some = only(index, np.array([0, 5])).divided({"test": np.array([0, 1])})
    assert coco.write(some, tmp_path / "new") == ("The ids of images and annotations are numbered anew.",)
    new = table_of(tmp_path / "new", "test")
    assert [row["id"] for row in new["images"]] == [1, 2]
    assert [row["image_id"] for row in new["annotations"]] == [1, 2, 2]
    assert [row.get("score") for row in new["annotations"]] == [0, None, None]
    assert (new["info"], new["images"][0]["flickr_url"]) == ({"year": 2024}, "http://1")


def test_a_class_with_two_ids_gets_another(rich: Path, tmp_path: Path) -> None:
    table = table_of(rich, "val")
    table["categories"] = [{"id": 1, "name": "dog"}, {"id": 2, "name": "cat"}]
    (rich / "annotations/instances_val.json").write_text(json.dumps(table))
    index = read(rich)
    assert coco.write(index, tmp_path / "new") == ("The ids of categories are numbered anew.",)
    again = read(tmp_path / "new")
    assert {name: again.class_counts(name) for name in again.splits} == {
        name: index.class_counts(name) for name in index.splits
    }


def test_numbers_that_json_does_not_have(rich: Path, tmp_path: Path) -> None:
    file = rich / "annotations/instances_train.json"
    text = file.read_text()
    assert text.count('"score": 0.3') == text.count('"score": 0.4') == 1
    file.write_text(text.replace('"score": 0.3', '"score": NaN').replace('"score": 0.4', '"score": 1e999'))
    coco.write(read(rich), tmp_path / "new")
    scores = [row["score"] for row in table_of(tmp_path / "new")["annotations"]]
    assert scores == [0, 0.2, None, None, 0.5, 0.6, 0.7]
