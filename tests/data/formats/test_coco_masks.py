"""Outlines become the masks that pycocotools makes of them, and each one that cannot be used is named."""

import json
import pickle
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from pycocotools import mask as oracle

from sightline.data.checks import check
from sightline.data.formats import coco_masks, read
from sightline.data.index import Index
from sightline.data.masks import Masks
from sightline.data.outlines import Outlines
from sightline.errors import DataError, ImageError

CATEGORIES = [{"id": 3, "name": "dog"}, {"id": 1, "name": "cat"}]
SQUARE = [[4, 5, 8, 5, 8, 9, 4, 9]]
ONE = {"id": 7, "image_id": 1, "category_id": 1, "bbox": [4, 5, 4, 4], "iscrowd": 0, "segmentation": SQUARE}
FILE = "annotations/instances_train2017.json"

MakeCoco = Callable[..., Path]

# What pycocotools does itself.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")


def image(identity: int, width: Any = 40, height: Any = 30) -> dict[str, Any]:
    return {"id": identity, "file_name": f"{identity}.jpg", "width": width, "height": height}


@pytest.fixture
def make_coco(tmp_path: Path, make_picture: Callable[..., Path]) -> MakeCoco:
    """The given annotations of the given images; the pictures have 40 x 30 pixels, whatever the images say."""

    def make(annotations: list[Any], images: list[Any] | None = None, categories: list[Any] | None = None) -> Path:
        images = images or [image(1), image(2)]
        for one in images:
            make_picture(tmp_path / "set/train2017" / one["file_name"])
        content = {"images": images, "annotations": annotations, "categories": categories or CATEGORIES}
        (tmp_path / "set/annotations").mkdir(exist_ok=True)
        (tmp_path / "set" / FILE).write_text(json.dumps(content))
        return tmp_path / "set"

    return make


def mask(index: Index, position: int = 0) -> np.ndarray:
    return index.annotations.target(position).mask.numpy()


def blob(generator: np.random.Generator) -> np.ndarray:
    """(P, 2) a polygon around a place near a picture of 60 x 50 pixels."""
    points = generator.integers(3, 30)
    angle = np.sort(generator.uniform(0, 2 * np.pi, points))
    radius = generator.uniform(2, 30) * (1 + 0.5 * generator.uniform(-1, 1, points))
    corners = generator.uniform(0, [60, 50]) + radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], 1)
    return np.round(corners, 2)


def distances(polygon: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(H, W) how far each pixel's centre is from the polygon's nearest edge."""
    rows, columns = np.mgrid[: size[0], : size[1]] + 0.5
    centre = np.stack([columns, rows], -1)[..., None, :]
    way = np.roll(polygon, -1, 0) - polygon
    along = np.clip(((centre - polygon) * way).sum(-1) / np.maximum((way**2).sum(-1), 1e-9), 0, 1)
    return np.linalg.norm(centre - polygon - along[..., None] * way, axis=-1).min(-1)


def test_polygons_differ_from_pycocotools_on_the_rim_alone() -> None:
    generator, different, every = np.random.default_rng(0), 0, 0
    for _ in range(60):
        polygon = blob(generator)
        theirs = oracle.decode(oracle.frPyObjects([polygon.ravel().tolist()], 50, 60))[..., 0].astype(bool)
        outlines = Outlines()
        top, left, inside = outlines.cutout(outlines.add_polygons([polygon]), (50, 60))
        ours = np.zeros((50, 60), bool)
        ours[top : top + inside.shape[0], left : left + inside.shape[1]] = inside
        # It rounds corners to fifths of a pixel, and the lines between them as well.
        assert distances(polygon, (50, 60))[ours != theirs].max(initial=0) < 0.3
        different, every = different + (ours != theirs).sum(), every + theirs.sum()
    assert every > 20_000
    assert different < 0.01 * every


def test_corners_on_the_grid_are_as_in_pycocotools(make_coco: MakeCoco) -> None:
    # Two parts that overlap are one object; one that crosses itself is hollow there.
    parts = [
        [2, 3, 12, 3, 12, 10, 2, 10],
        [8, 6, 20, 6, 20, 14, 8, 14],
        [25, 5, 35, 5, 35, 15, 28, 15, 28, 8, 32, 8, 32, 12, 25, 12],
    ]
    theirs = oracle.decode(oracle.merge(oracle.frPyObjects([[float(x) for x in part] for part in parts], 30, 40)))
    assert mask(read(make_coco([{**ONE, "segmentation": parts}]), "coco masks")).tolist() == theirs.tolist()


@pytest.mark.slow
def test_run_lengths_are_those_of_pycocotools(make_coco: MakeCoco) -> None:
    generator, masks, images, rows = np.random.default_rng(0), [], [], []
    for number in range(1, 41):
        size = generator.integers(1, 40, 2) if number < 37 else np.array([700, 900])
        drawn = np.repeat(generator.random(size) < generator.random(), generator.integers(1, 4), axis=0).astype(
            np.uint8
        )
        drawn = np.zeros_like(drawn) if number == 40 else drawn
        drawn[0, 0] |= number % 2  # the first run may be empty
        drawn[-1, -1] = 1
        packed = oracle.encode(np.asfortranarray(drawn))
        flat = drawn.T.ravel()
        runs = np.diff(np.flatnonzero(np.diff(flat, prepend=1 - flat[0], append=2))).tolist()
        height, width = drawn.shape
        outline = {"size": [height, width], "counts": packed["counts"].decode()}
        runs = {"size": [height, width], "counts": [0, *runs] if flat[0] else runs}
        assert (oracle.decode(oracle.frPyObjects(runs, height, width)) == drawn).all()
        for identity, segmentation in ((number, outline), (100 + number, runs)):
            images.append(image(identity, width, height))
            rows.append({"id": identity, "image_id": identity, "category_id": 1, "segmentation": segmentation})
        masks += [drawn, drawn]
    index = read(make_coco(rows, images), "coco masks")
    assert (index.faults.lines, len(index)) == ((), 80)
    for position, drawn in enumerate(masks):
        assert (mask(index, position) == drawn).all()


def test_classes_and_what_is_on_top(make_coco: MakeCoco) -> None:
    large, small = [[0, 0, 20, 0, 20, 20, 0, 20]], [[5, 5, 9, 5, 9, 9, 5, 9]]
    crowd = {"counts": [30 * 30, 5, 30 * 10 - 5], "size": [30, 40]}
    rows = [
        {**ONE, "id": 1, "segmentation": small},
        {**ONE, "id": 2, "category_id": 3, "segmentation": large},
        {**ONE, "id": 3, "category_id": 3, "segmentation": crowd, "iscrowd": 1},
        {**ONE, "id": 4, "category_id": 8, "segmentation": [[0, 25, 3, 25, 3, 28, 0, 28]]},
        {**ONE, "id": 5, "category_id": 9, "segmentation": [[6, 6, 7, 6, 7, 7, 6, 7]]},
    ]
    index = read(
        make_coco(rows, categories=[*CATEGORIES, {"id": 8, "name": "cat"}, {"id": 9, "name": "background"}]),
        "coco masks",
    )
    assert (index.format, index.class_names) == ("coco masks", ("background", "cat", "dog"))
    expected = np.zeros((30, 40), np.uint8)
    expected[:20, :20], expected[5:9, 5:9], expected[:5, 30], expected[25:28, :3], expected[6, 6] = 2, 1, 2, 1, 0
    assert mask(index).tolist() == expected.tolist()
    assert not mask(index, 1).any()
    assert index.faults.lines == ()
    assert "the category 'cat' has several ids" in str(index.notes)
    assert index.class_counts() == {"background": 1200 + 1200 - 400 - 5 - 9 + 1, "cat": 16 + 9 - 1, "dog": 384 + 5}


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "no outline": ({"segmentation": None}, "it has no outline"),
    "no polygon": ({"segmentation": []}, "it has no outline"),
    "a number": ({"segmentation": 5}, "expected polygons or run lengths as its segmentation, got 5"),
    "flat": ({"segmentation": SQUARE[0]}, "expected a list of numbers as a polygon, got 4"),
    "text": ({"segmentation": [["4", 5, 8, 5, 8, 9]]}, "expected a list of numbers as a polygon, got ['4', 5, 8, 5, 8, 9]"),
    "nested": ({"segmentation": [[[4, 5], [8, 5], [8, 9]]]}, "expected a list of numbers as a polygon, got [[4, 5], [8, 5], [8, 9]]"),
    "pairs that differ": ({"segmentation": [[[4, 5], [8]]]}, "expected a list of numbers as a polygon, got [[4, 5], [8]]"),
    "huge": ({"segmentation": [[10**400, 5, 8, 5, 8, 9.5]]}, f"expected a list of numbers as a polygon, got [1{'0' * 58} ..."),
    "two points": ({"segmentation": [*SQUARE, [4, 5, 8, 9]]}, "a polygon has 2 points, and 3 are the least"),
    "odd": ({"segmentation": [[4, 5, 8, 5, 8, 9, 4]]}, "a polygon has an odd number of coordinates, 7"),
    "nan": ({"segmentation": [[4, 5, float("nan"), 5, 8, 9]]}, "a coordinate of a polygon is not finite"),
    "beyond float32": ({"segmentation": [[4, 5, 1e300, 5, 8, 9]]}, "a coordinate of a polygon is not finite"),
    "no area": ({"segmentation": [[4, 5, 8, 5, 9, 5]]}, "its polygon has no area"),
    "outside": ({"segmentation": [[40, 5, 48, 5, 48, 9]]}, "it lies outside its picture of 40 x 30 pixels"),
    "above": ({"segmentation": [[4, -5, 8, -5, 8, 0]]}, "it lies outside its picture of 40 x 30 pixels"),
    "sum": ({"segmentation": {"counts": [5, 5], "size": [30, 40]}}, "its run lengths add up to 10, and its size of 40 x 30 to 1200"),
    "too long": ({"segmentation": {"counts": [2**62, 2**62], "size": [30, 40]}}, "its run lengths add up to 9223372036854775808, and"),
    "below 0": ({"segmentation": {"counts": [-5, 1205], "size": [30, 40]}}, "its run lengths are below 0"),
    "parts": ({"segmentation": {"counts": [5.5, 1194.5], "size": [30, 40]}}, "expected whole numbers as its run lengths"),
    "no runs": ({"segmentation": {"counts": [], "size": [30, 40]}}, "its run lengths add up to 0, and its size of 40 x 30 to 1200"),
    "no counts": ({"segmentation": {"size": [30, 40]}}, "expected a list of numbers as its run lengths, got None"),
    "nothing inside": ({"segmentation": {"counts": [1200, 0], "size": [30, 40]}}, "its run lengths hold no pixel"),
    "turned": ({"segmentation": {"counts": [5, 1195], "size": [40, 30]}}, "its run lengths are of 30 x 40 pixels, and"),
    "no size": ({"segmentation": {"counts": [5, 1195]}}, "expected a height and a width as the size of its run lengths, got None"),
    "cut short": ({"segmentation": {"counts": "5Q", "size": [30, 40]}}, "its packed run lengths are cut short, or are none"),
    "empty text": ({"segmentation": {"counts": "", "size": [30, 40]}}, "its packed run lengths are cut short, or are none"),
    "no such character": ({"segmentation": {"counts": "5 5", "size": [30, 40]}}, "its packed run lengths are cut short, or are none"),
    "long number": ({"segmentation": {"counts": "PPPPPPPPPP1", "size": [30, 40]}}, "a number of its packed run lengths has 11 characters"),
    "unknown class": ({"category_id": 2}, "its category_id 2 is none of the categories"),
    "unknown picture": ({"image_id": 9}, "its image_id 9 is none of the images"),
    "id twice": ({"id": 6}, "the id is there twice"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_a_bad_outline_is_left_out_and_its_picture_stays(make_coco: MakeCoco, case: str) -> None:
    change, text = BAD[case]
    index = read(make_coco([{**ONE, "id": 6}, {**ONE, **change}]), "coco masks")
    (line,) = index.faults.lines
    assert line.startswith(f"{FILE}: annotation {change.get('id', 7)} is left out: {text}")
    assert (index.faults.boxes, index.faults.bad_boxes, index.faults.pictures, index.faults.bad_pictures) == (
        2,
        1,
        2,
        0,
    )
    assert (mask(index).sum(), mask(index)[5:9, 4:8].sum()) == (16, 16)
    with pytest.raises(DataError, match=r"^1 of 2 outlines \(50\.00%\) bad; 1\.00% may be lost\."):
        index.faults.require_few()


def test_an_annotation_that_is_a_box_alone(make_coco: MakeCoco) -> None:
    box = {key: value for key, value in ONE.items() if key != "segmentation"}
    assert read(make_coco([box]), "coco masks").faults.lines == (
        f"{FILE}: annotation 7 is left out: it has no outline.",
    )


def test_what_reaches_over_the_edge_is_cut_and_counted(make_coco: MakeCoco) -> None:
    outside = [[-9, -9, 90, -9, 90, 90, -9, 90]]
    index = read(make_coco([{**ONE, "segmentation": outside}, {**ONE, "id": 8, "segmentation": SQUARE}]), "coco masks")
    assert (mask(index) == 1).all()
    assert index.notes == ("1 outline reaches over the edge of its picture by more than 1 px, and is cut there.",)


def test_a_picture_of_another_size_is_named_when_it_is_looked_at(make_coco: MakeCoco) -> None:
    index = read(make_coco([ONE], [image(1, 30, 40), image(2)]), "coco masks")
    report = check(index)
    assert [(fault.position, fault.name) for fault in report.faults] == [(0, f"{FILE}: image 1")]
    assert report.faults[0].reason.startswith(
        "the mask has 30 x 40 pixels, and its picture train2017/1.jpg has 40 x 30 (exchanged: masks refer to the upright picture)."
    )


def test_sizes_that_the_file_does_not_give(make_coco: MakeCoco) -> None:
    images = [image(1, None, 0), image(2, None, None), image(3, 10**6, 10**6)]
    folder = make_coco([ONE, {**ONE, "id": 8, "image_id": 2}], images)
    (folder / "train2017/2.jpg").write_bytes(b"")
    index = read(folder, "coco masks")
    assert (mask(index).shape, mask(index).sum()) == ((30, 40), 16)
    assert index.annotations.source.name(0) == f"{FILE}: train2017/1.jpg"
    with pytest.raises(ImageError, match=r"json: train2017/2\.jpg: no mask can be drawn .*; it is not known\."):
        mask(index, 1)
    with pytest.raises(ImageError, match=r"image 3: no mask .* 1000000 x 1000000 pixels is none of a picture\."):
        mask(index, 2)


def test_a_hundred_categories_too_many(make_coco: MakeCoco) -> None:
    def categories(number: int) -> list[dict[str, Any]]:
        return [{"id": identity, "name": f"class {identity}"} for identity in range(1, number + 1)]

    last = {**ONE, "category_id": 254}
    assert mask(read(make_coco([last], categories=categories(254)), "coco masks")).max() == 254
    with pytest.raises(DataError, match="has 255 categories; masks can tell 254 apart, beside the background"):
        read(make_coco([last], categories=categories(255)), "coco masks")


def test_digests_tell_outlines_apart(make_coco: MakeCoco) -> None:
    moved = [[4, 5, 8, 5, 8, 9, 4, 9.5]]
    changes: list[dict[str, Any]] = [
        {},
        {"category_id": 3},
        {"segmentation": moved},
        {"segmentation": [*SQUARE, *SQUARE]},
    ]
    prints = {read(make_coco([{**ONE, **change}]), "coco masks").fingerprint() for change in changes}
    assert len(prints) == len(changes)
    index = read(make_coco([ONE]), "coco masks")
    assert index.fingerprint() == read(make_coco([{**ONE, "id": 70, "bbox": None}]), "coco masks").fingerprint()
    again = pickle.loads(pickle.dumps(index.annotations))  # as it goes to a worker that loads pictures
    assert isinstance(again, Masks)
    assert (again.target(0).mask == index.annotations.target(0).mask).all()
    assert again.digest(0) == index.annotations.digest(0)


@pytest.mark.slow
def test_corners_are_no_objects_in_memory(make_coco: MakeCoco) -> None:
    numbers = 400
    outline = [[float(number % 29) + 0.5 for number in range(numbers)]]
    folder = make_coco([{**ONE, "id": number, "segmentation": outline} for number in range(500)])
    tracemalloc.start()
    try:
        index = read(folder, "coco masks")
        held, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 2 * 4 * numbers * 500
    assert peak < 5 * (folder / FILE).stat().st_size
    assert index.faults.lines == ()


def test_without_a_name_boxes_are_read_and_the_way_to_masks_is_said(make_coco: MakeCoco) -> None:
    folder = make_coco([ONE])
    index = read(folder)
    assert index.format == "coco"
    assert (
        index.notes[0] == "The outlines of 1 object are not read; boxes are. For masks of them: --format 'coco masks'."
    )
    alone = read(folder / FILE, "coco masks")
    assert (alone.format, len(alone), alone.splits["train"].tolist()) == ("coco masks", 2, [0, 1])
    with pytest.raises(DataError, match="holds no COCO data set"):
        coco_masks.read(folder / "train2017")


def test_a_real_set_has_the_masks_that_lie_beside_it(real_set: Callable[..., Path]) -> None:
    folder = real_set("coco_cc", "det")
    ours, theirs = read(folder, "coco masks"), read(folder, "mask folder")
    assert {split: len(held) for split, held in ours.splits.items()} == {"train": 26, "val": 27}
    assert (len(ours.class_names), ours.faults.lines, ours.faults.boxes) == (81, (), 355)
    names = yaml.safe_load((folder / "semantic_config.yaml").read_text())["classes"].values()
    assert theirs.class_names == tuple(names)
    things = np.array([ours.class_names.index(name) if name in ours.class_names else 0 for name in theirs.class_names])
    where = {theirs.source.name(position): position for position in range(len(theirs))}
    for position in range(0, len(ours), 6):
        beside = mask(theirs, where[ours.source.name(position)])
        assert (mask(ours, position) == things[beside]).all()
