"""Repaired copies train: one of each format, and every one of the table of faults where SIGHTLINE_EVERY_COPY=1 says so."""

import csv
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sightline.data.findings import KINDS
from sightline.errors import DataError
from sightline.training.runlog import Silence
from sightline.workflows.check import check
from sightline.workflows.train import train
from tests.data.faults import FAULTS, Fault
from tests.data.sound import SOUND, picture
from tests.workflows.discs import QUICK as DETECTION

CLASSIFICATION: dict[str, Any] = {
    "model": {"name": "resnet18", "arguments": {"stem": "imagenet"}},
    "training": {"epochs": 1, "batch_size": 4, "precision": "float32"},
    "data": {"image_size": 16, "workers": 0},
}
SEGMENTATION: dict[str, Any] = {
    "model": {"name": "unet", "arguments": {"width": 4}},
    "training": {"epochs": 1, "batch_size": 2, "precision": "float32"},
    "data": {"image_size": 16, "workers": 0, "passes": 1},
}
QUICK = {"classification": CLASSIFICATION, "detection": DETECTION, "segmentation": SEGMENTATION}
CHOSEN = ("a picture in two splits", "a corrupt picture", "a box without area", "bytes of no picture")


def of_format(format: str) -> Fault:
    own = [fault for fault in FAULTS if fault.format == format and fault.broken in CHOSEN]
    return own[-1]


EVERY = [fault for fault in FAULTS if not fault.owner]
COPIES = EVERY if os.environ.get("SIGHTLINE_EVERY_COPY") == "1" else [of_format(format) for format in SOUND]


@pytest.mark.slow
@pytest.mark.parametrize("fault", COPIES, ids=str)
def test_a_repaired_copy_trains(fault: Fault, tmp_path: Path) -> None:
    result = check(fault.make(tmp_path / "set"), format=fault.format, fixed=tmp_path / "fixed")
    fixed = result["fixed"]
    assert (result["errors"] > 0) == (KINDS[fault.kind].level == "error")
    assert fixed["errors"] == 0
    quick = QUICK[result["task"]]
    sections = {**quick, "data": {**quick["data"], "format": fixed["format"], "max_bad": 0.0}}
    assert train(fixed["path"], name="run", out=tmp_path, **sections).finished


def test_the_broken_one_does_not(tmp_path: Path) -> None:
    data = of_format("image folder").make(tmp_path / "set")
    (data / "train/cat/1.png").write_bytes(b"")
    with pytest.raises(DataError, match="1 of 17 pictures"):
        train(data, name="run", out=tmp_path, **CLASSIFICATION)


class Heard(Silence):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)


@pytest.mark.slow
def test_of_a_table_one_row_in_a_hundred_may_be_left_out(tmp_path: Path) -> None:
    rows = ["path,label,split", *(f"{n}.png,{('cat', 'dog')[n % 2]},{'train' if n > 9 else 'val'}" for n in range(99))]
    for number in range(99):
        picture(tmp_path / f"{number}.png", number)
    data = tmp_path / "set.csv"
    data.write_text("\n".join([*rows, "later.png,,train"]))
    listener = Heard()
    assert train(data, name="run", out=tmp_path, listener=listener, **CLASSIFICATION).finished
    assert "set.csv line 101: the label is empty; it is left out." in listener.lines
    data.write_text("\n".join([*rows, "later.png,,train", "more.png,cat,train"]))
    with pytest.raises(DataError, match=r"2 of 101 pictures \(1\.98%\) bad; 1\.00% may be lost"):
        train(data, name="again", out=tmp_path, **CLASSIFICATION)


def test_an_address_that_cannot_be_read_is_named_as_it_was_given() -> None:
    (finding,) = check("http://127.0.0.1:9/birds")["findings"]
    assert finding["where"] == "http://127.0.0.1:9/birds"


def no_area(table: dict[str, Any]) -> None:
    for row in table["annotations"][:3]:
        row["bbox"][2] = 0


def no_category(table: dict[str, Any]) -> None:
    for row in table["annotations"][:3]:
        row["category_id"] = 9


def no_outline(table: dict[str, Any]) -> None:
    for row in table["annotations"][:3]:
        row["segmentation"] = [[1, 2]]


@pytest.mark.parametrize("change", [no_area, no_category, no_outline])
def test_pictures_whose_boxes_were_all_faulty_are_named_as_background(
    change: Callable[[dict[str, Any]], None], tmp_path: Path
) -> None:
    format = "coco masks" if change is no_outline else "coco"
    data = SOUND[format](tmp_path / "set", change)  # type: ignore[call-arg]
    fixed = check(data, format=format, fixed=tmp_path / "fixed")["fixed"]
    said = (
        "1 picture stays without objects, since all that they had were faulty: train/1.png. "
        "Take out those that do show some."
    )
    assert said in fixed["lost"]
    with (tmp_path / "fixed.changes.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["kind"] == "no objects"]
    assert [(row["where"], row["change"]) for row in rows] == [("train/1.png", "it stays as a picture without objects")]


def test_pictures_without_boxes_that_never_had_one_are_not(tmp_path: Path) -> None:
    data = SOUND["yolo"](tmp_path / "set")
    (data / "labels/train/1.txt").write_text("")
    (data / "labels/train/2.txt").write_text("nothing\n")
    (data / "labels/train/3.txt").write_text("nothing\n0 .5 .5 .2 .2\n")
    lost = check(data, fixed=tmp_path / "fixed")["fixed"]["lost"]
    assert [line.partition(": ")[2] for line in lost if "without objects" in line] == [
        "images/train/2.png. Take out those that do show some."
    ]
