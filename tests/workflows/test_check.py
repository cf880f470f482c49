"""Repaired copies train: one of each format, and every one of the table of faults where SIGHTLINE_EVERY_COPY=1 says so."""

import os
from pathlib import Path
from typing import Any

import pytest

from sightline.data.findings import KINDS
from sightline.errors import DataError
from sightline.workflows.check import check
from sightline.workflows.train import train
from tests.data.faults import FAULTS, Fault
from tests.data.sound import SOUND
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


def test_an_address_that_cannot_be_read_is_named_as_it_was_given() -> None:
    (finding,) = check("http://127.0.0.1:9/birds")["findings"]
    assert finding["where"] == "http://127.0.0.1:9/birds"
