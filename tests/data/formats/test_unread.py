"""What a data set says besides and is not read: it is named, and whoever writes the data set anew says that it is not there."""

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from sightline.data.formats import FORMATS, GOING_WITH, WRITERS, read
from sightline.data.subset import only
from sightline.workflows.check import check
from tests.data import sound


def coco(root: Path) -> Path:
    def change(table: sound.Table) -> None:
        for number, row in enumerate(table["annotations"]):
            row |= {"keypoints": [1, 1, 2] * (number < 3), "segmentation": [], "score": 0.5}
        table["images"][0]["license"] = 1
        table["categories"][0]["supercategory"] = "animal"
        table["info"] = {"year": 2024}

    return sound.coco(root, change)


def coco_masks(root: Path) -> Path:
    def change(table: sound.Table) -> None:
        table["annotations"][1]["iscrowd"] = 1
        table["images"][0]["flickr_url"] = "http://x"

    return sound.coco_masks(root, change)


def voc(root: Path) -> Path:
    file = sound.voc(root) / "Annotations/train1.xml"
    more = "<pose>Left</pose><truncated>1</truncated><occluded>0</occluded><part><name>head</name></part>"
    text = file.read_text().replace("<difficult>0</difficult>", f"<difficult>0</difficult>{more}", 1)
    file.write_text(text.replace("<size>", "<source><database>Ours</database></source><segmented>0</segmented><size>"))
    return root


def yolo(root: Path) -> Path:
    sound.yolo(root)
    (root / "labels/train/1.txt").write_text("0 .1 .1 .5 .1 .5 .5\n0 .5 .5 .2 .2 .4 .4 2\n1 .6 .6 .2 .2\n")
    with (root / "data.yaml").open("a") as file:
        file.write("kpt_shape: [1, 3]\ndownload: https://x\nnc: 2\n")
    return root


def table(root: Path) -> Path:
    file = sound.csv(root)
    lines = file.read_text().splitlines()
    file.write_text("\n".join([f"{lines[0]},patient,", *(f"{line},p{at},{at}" for at, line in enumerate(lines[1:]))]))
    return file


def parquet(root: Path) -> Path:
    import pyarrow as pa
    import pyarrow.parquet as pq

    for file in sound.parquet(root).glob("*.parquet"):
        rows = pq.read_table(file)
        pq.write_table(rows.append_column("patient", pa.array([f"p{at}" for at in range(len(rows))])), file)
    return root


SAID: dict[str, tuple[Callable[[Path], Path], set[str]]] = {
    "coco": (
        coco,
        {
            "score of 8 annotations",
            "keypoints of 3 annotations",
            "license of 1 image",
            "supercategory of 1 category",
            "info of 1 JSON file",
        },
    ),
    "coco masks": (coco_masks, {"iscrowd of 1 annotation", "flickr_url of 1 image"}),
    "voc": (voc, {"part, pose, truncated of 1 object", "source of 1 XML file"}),
    "yolo": (yolo, {"key points, outlines of 1 object", "download, kpt_shape of 1 YAML file"}),
    "csv": (table, {"what is in the columns patient, number 5 without a name"}),
    "parquet": (parquet, {"what is in the columns patient"}),
}
KEPT = ("coco", "csv")
"""Formats that keep it in a copy of the same format."""


@pytest.mark.parametrize("format", SAID)
def test_what_is_not_read_is_named(format: str, tmp_path: Path) -> None:
    make, said = SAID[format]
    index = read(make(tmp_path / "set"), format)
    assert set(index.unread) == said
    assert only(index, np.arange(2)).divided({}).unread == index.unread


@pytest.mark.parametrize("format", sound.SOUND)
def test_of_what_is_read_as_a_whole_nothing_is_named(format: str, tmp_path: Path) -> None:
    assert read(sound.SOUND[format](tmp_path / "set"), format).unread == ()


@pytest.mark.parametrize("to", WRITERS)
@pytest.mark.parametrize("format", SAID)
def test_whoever_writes_says_what_is_not_there(format: str, to: str, tmp_path: Path) -> None:
    make, said = SAID[format]
    index = FORMATS[format](make(tmp_path / "set"))
    if to not in GOING_WITH[type(index.annotations)]:
        return
    lost = WRITERS[to](index, tmp_path / ("new.csv" if to == "csv" else "new"))
    named = {f"Not read, so not written: {what}." for what in said}
    assert named & set(lost) == (set() if to == format in KEPT else named)


def test_a_repaired_copy_lists_what_it_does_not_have(tmp_path: Path) -> None:
    fixed = check(yolo(tmp_path / "set"), fixed=tmp_path / "fixed")["fixed"]
    line = "Not read, so not written: key points, outlines of 1 object."
    assert line in fixed["lost"]
    with (tmp_path / "fixed.changes.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {
        "kind": "whole copy",
        "where": "fixed",
        "change": line,
        "why": "it is written in the format yolo",
    } in rows
