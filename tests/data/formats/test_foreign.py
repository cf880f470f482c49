import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sightline.data.formats import read
from sightline.errors import DataError

REGION = {"shape_attributes": {"name": "rect", "x": 1}, "region_attributes": {"l": "cat"}}


@pytest.mark.parametrize(
    ("content", "tool"),
    [
        ({"version": "5", "shapes": [{"label": "cat"}], "imagePath": "1.jpg"}, "labelme"),
        ({"1.jpg123": {"filename": "1.jpg", "regions": [REGION]}}, "the VGG Image Annotator"),
        ([{"image": "1.jpg", "annotations": [{"label": "cat", "coordinates": {"x": 1}}]}], "CreateML"),
        ([{"id": 1, "data": {"image": "/data/upload/1.jpg"}, "annotations": []}], "Label Studio"),
        ({"objects": [{"classTitle": "cat", "points": {}}]}, "Supervisely"),
        ("<?xml version='1.0'?>\n<annotations>\n<version>1.1</version></annotations>", "CVAT"),
    ],
)
@pytest.mark.parametrize("folder", ["", "train"])
def test_files_of_other_tools_are_named(make_folder: Callable[..., Path], folder: str, content: Any, tool: str) -> None:
    path = make_folder("train/1.jpg", "train/2.jpg")
    xml = isinstance(content, str)
    file = path / folder / ("annotations.xml" if xml else "1.json")
    file.write_text(content if xml else json.dumps(content))
    with pytest.raises(
        DataError,
        match=rf"^{path} is no data set .*: {file} is of {tool}.* not read\. Export .* as COCO, VOC or YOLO\.$",
    ):
        read(path)


def test_other_json_is_of_no_tool(make_folder: Callable[..., Path]) -> None:
    path = make_folder("train/1.jpg", "info.json")
    (path / "info.json").write_text('{"data": 3, "objects": [], "annotations": []}')
    with pytest.raises(DataError, match="one class only") as caught:
        read(path)
    assert "Export" not in str(caught.value)
