import numpy as np
import pytest

from sightline.data.annotation_faults import AnnotationFaults
from sightline.data.annotations import ClassLabels, Objects
from sightline.errors import DataError


def objects(right: float = 4) -> Objects:
    return Objects.of([np.array([[0, 0, right, 2], [1, 1, 3, 3]]), np.empty((0, 4))], [np.array([1, 0]), np.array([])])


def test_summaries_name_the_classes_and_tell_boxes_apart() -> None:
    assert ClassLabels(np.array([1, 0])).summary(0, ("cat", "dog")) == "dog"
    one = objects().summary(0, ("cat", "dog"))
    assert one.startswith("1 cat, 1 dog, boxes ")
    assert one == objects().summary(0, ("cat", "dog"))
    assert one != objects(right=4.25).summary(0, ("cat", "dog"))
    assert objects().summary(1, ("cat", "dog")) == "no objects"


def test_boxes_without_an_area_are_refused() -> None:
    with pytest.raises(DataError, match="object 0 has a box without an area"):
        objects(right=0)


@pytest.mark.parametrize(
    ("faults", "text"),
    [
        (AnnotationFaults(boxes=200, bad_boxes=3), r"^3 of 200 boxes \(1\.50%\) bad; 1\.00% may be lost\..* data\.max_bad=0\.02:$"),
        (AnnotationFaults(boxes=9, pictures=50, bad_pictures=1), r"^1 of 50 pictures \(2\.00%\) bad"),
        (AnnotationFaults(boxes=9, bad_boxes=1, pictures=3, bad_pictures=1), r"^1 of 9 boxes \(11.*\) and 1 of 3 pictures .*=0\.34:$"),
        (AnnotationFaults(boxes=2, bad_boxes=2), r"^2 of 2 boxes \(100\.00%\) bad; 1\.00% may be lost\. Repair the annotations:$"),
    ],
)  # fmt: skip
def test_too_many_faults_stop(faults: AnnotationFaults, text: str) -> None:
    with pytest.raises(DataError, match=text):
        faults.require_few(0.01)
    with pytest.raises(DataError, match=r"Repair the annotations:$"):
        faults.require_few(0.01, settable=False)


def test_few_faults_do_not_stop() -> None:
    AnnotationFaults().require_few(0.0)
    AnnotationFaults(lines=("a", "b"), boxes=200, bad_boxes=2, pictures=10).require_few(0.01)


def test_the_first_lines_are_named_and_the_others_counted() -> None:
    lines = tuple(f"line {number}" for number in range(25))
    with pytest.raises(DataError) as caught:
        AnnotationFaults(lines=lines, boxes=25, bad_boxes=25).require_few()
    assert str(caught.value).splitlines()[1:] == [*lines[:20], "... and 5 more"]
