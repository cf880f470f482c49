"""Cases that are worked out by hand; `tests/oracles` compares with pycocotools."""

import pytest
import torch

from sightline.metrics.average_precision import AveragePrecision
from sightline.structures import DetectionPrediction, DetectionTarget

HERE, THERE, ELSEWHERE = (0.0, 0.0, 40.0, 40.0), (100.0, 0.0, 140.0, 40.0), (200.0, 0.0, 240.0, 40.0)
HALF = (0.0, 0.0, 40.0, 20.0)  # an IoU of exactly 0.5 with HERE


def found(*rows):
    """Rows of score, label and box."""
    return DetectionPrediction(
        boxes=torch.tensor([row[2] for row in rows]).reshape(-1, 4),
        scores=torch.tensor([row[0] for row in rows], dtype=torch.float32),
        labels=torch.tensor([row[1] for row in rows], dtype=torch.int64),
    )


def there(*rows, crowd=(), difficult=(), areas=None):
    """Rows of label and box; `crowd` and `difficult` are positions."""
    boxes = torch.tensor([row[1] for row in rows]).reshape(-1, 4)
    plain = DetectionTarget.of(boxes, torch.tensor([row[0] for row in rows], dtype=torch.int64))
    places = torch.arange(len(rows))
    return DetectionTarget(
        boxes=boxes,
        labels=plain.labels,
        crowd=torch.isin(places, torch.tensor(crowd)),
        difficult=torch.isin(places, torch.tensor(difficult)),
        areas=plain.areas if areas is None else torch.tensor(areas),
    )


def computed(*pairs, names=("cat", "dog"), **options):
    metric = AveragePrecision(names, **options)
    for prediction, target in pairs:
        metric.update([prediction], [target])
    return metric.compute()


def test_precision_is_read_at_101_points_of_recall():
    guesses = found((0.9, 0, HERE), (0.8, 0, ELSEWHERE), (0.7, 0, THERE))
    result = computed((guesses, there((0, HERE), (0, THERE))))
    assert result["AP50"] == pytest.approx((51 * 1 + 50 * 2 / 3) / 101, abs=1e-12)
    assert result["AR1"] == 0.5
    assert result["AR10"] == result["AR100"] == 1.0


def test_the_iou_may_be_the_threshold_itself():
    result = computed((found((0.9, 0, HALF)), there((0, HERE))))
    assert (result["AP50"], result["AP75"], result["AP"]) == (1.0, 0.0, pytest.approx(0.1))


def test_the_better_detection_chooses_first_and_the_other_takes_what_is_left():
    left, both = (0.0, 0.0, 40.0, 20.0), (0.0, 0.0, 40.0, 40.0)
    objects = there((0, both), (0, (0.0, 0.0, 40.0, 22.0)))
    assert computed((found((0.9, 0, left), (0.8, 0, left)), objects))["AP50"] == 1.0
    wanted = found((0.9, 0, both), (0.8, 0, both))  # the second one overlaps the other object with 22 / 40
    assert computed((wanted, objects))["AP50"] == 1.0


def test_of_objects_that_overlap_equally_the_later_one_is_taken():
    objects = there((0, (0.0, 0.0, 40.0, 40.0)), (0, (10.0, 0.0, 50.0, 40.0)))
    between, later, earlier = (5.0, 0.0, 45.0, 40.0), (20.0, 0.0, 60.0, 40.0), (-10.0, 0.0, 30.0, 40.0)
    assert computed((found((0.9, 0, between), (0.8, 0, later)), objects))["AR100"] < 0.5
    assert computed((found((0.9, 0, between), (0.8, 0, earlier)), objects))["AP50"] == 1.0


@pytest.mark.parametrize("label", [0, 1])
def test_classes_without_objects_are_left_out_of_the_mean(label):
    result = computed((found((0.9, label, HERE)), there((label, HERE))))
    assert result["AP"] == 1.0
    assert result["per_class"][label] == {"name": ("cat", "dog")[label], "ap": 1.0, "ap50": 1.0, "objects": 1}
    other = result["per_class"][1 - label]
    assert (other["ap"], other["ap50"], other["objects"]) == (None, None, 0)


def test_a_class_that_is_there_and_never_found_counts_zero():
    result = computed((found((0.9, 0, HERE)), there((0, HERE), (1, THERE))))
    assert (result["AP"], result["AR100"]) == (0.5, 0.5)


def test_without_images_and_without_objects_there_is_no_figure():
    empty = computed(voc=True)
    assert empty.pop("images") == 0
    assert [row.pop("name") for row in empty["per_class"]] == ["cat", "dog"]
    assert {value for row in empty.pop("per_class") for value in row.values()} == {None, 0}
    assert set(empty.values()) == {None}
    wrong = computed((found((0.9, 0, HERE)), there()))
    assert (wrong["AP"], wrong["AR100"], wrong["images"]) == (None, None, 1)


def test_what_lies_in_a_crowd_is_neither_right_nor_wrong():
    inside = [(0.9 - place / 10, 0, (80.0 + place, 0.0, 90.0 + place, 10.0)) for place in range(3)]
    guesses = found(*inside, (0.1, 0, HERE))
    crowd = (60.0, 0.0, 160.0, 60.0)
    assert computed((guesses, there((0, HERE), (0, crowd), crowd=[1])))["AP50"] == 1.0
    assert computed((guesses, there((0, HERE), (0, crowd))))["AP50"] < 0.2
    assert computed((guesses, there((0, HERE), (1, crowd), crowd=[1])))["AP50"] == 0.25  # another class's crowd


def test_a_difficult_object_takes_one_detection_out_of_the_count():
    once, twice = found((0.9, 0, HERE), (0.5, 0, THERE)), found((0.9, 0, HERE), (0.8, 0, HERE), (0.5, 0, THERE))
    objects = there((0, HERE), (0, THERE), difficult=[0])
    assert computed((once, objects))["AP50"] == 1.0
    assert computed((once, objects))["per_class"][0]["objects"] == 1
    assert computed((twice, objects))["AP50"] == 0.5


def test_sizes_go_by_the_area_of_the_object_and_else_by_the_box():
    small, large = (0.0, 0.0, 20.0, 20.0), (100.0, 0.0, 220.0, 120.0)
    guesses = found((0.9, 0, large), (0.8, 0, (300.0, 0.0, 420.0, 120.0)), (0.7, 0, small))
    result = computed((guesses, there((0, small), (0, large))))
    assert (result["APs"], result["APm"], result["APl"]) == (1.0, None, 1.0)
    assert (result["ARs"], result["ARm"], result["ARl"]) == (1.0, None, 1.0)
    assert result["AP50"] == pytest.approx((51 + 50 * 2 / 3) / 101)
    outlined = computed((guesses, there((0, small), (0, large), areas=[400.0, 5000.0])))
    assert (outlined["APm"], outlined["APl"]) == (1.0, None)


def test_an_object_on_the_border_of_two_sizes_belongs_to_both():
    square = (0.0, 0.0, 32.0, 32.0)
    result = computed((found((0.9, 0, square)), there((0, square))))
    assert (result["APs"], result["APm"]) == (1.0, 1.0)


def test_the_hundred_and_first_of_a_class_does_not_count():
    beside = [(0.9, 0, ELSEWHERE)] * 100
    objects = there((0, HERE))
    assert computed((found(*beside[1:], (0.1, 0, HERE)), objects))["AR100"] == 1.0
    assert computed((found(*beside, (0.1, 0, HERE)), objects))["AR100"] == 0.0
    assert computed((found(*beside, (0.1, 1, HERE)), there((1, HERE))))["AR100"] == 1.0
    assert computed((found(*beside, (0.1, 0, HERE)), objects), voc=True)["voc10"] == pytest.approx(1 / 101)


def test_equal_scores_keep_their_order_in_an_image_and_between_images():
    right, wrong = (0.5, 0, HERE), (0.5, 0, ELSEWHERE)
    assert computed((found(right, wrong), there((0, HERE))))["AP50"] == 1.0
    assert computed((found(wrong, right), there((0, HERE))))["AP50"] == 0.5
    assert computed((found(right), there((0, HERE))), (found(wrong), there()))["AP50"] == 1.0
    assert computed((found(wrong), there()), (found(right), there((0, HERE))))["AP50"] == 0.5


def test_scores_need_not_fall():
    assert computed((found((0.1, 0, ELSEWHERE), (0.9, 0, HERE)), there((0, HERE))))["AP50"] == 1.0


def test_boxes_without_an_area_find_nothing():
    lines = [(0.9, 0, (0.0, 0.0, 0.0, 40.0)), (0.8, 0, (40.0, 40.0, 0.0, 0.0))]
    result = computed((found(*lines, (0.7, 0, HERE)), there((0, HERE))))
    assert result["AP50"] == pytest.approx(1 / 3)


def test_voc_figures_stand_beside_the_others_on_request():
    pair = found((0.9, 0, HERE), (0.8, 0, ELSEWHERE), (0.7, 0, THERE)), there((0, HERE), (0, THERE))
    result = computed(pair, voc=True)
    assert result["voc07"] == pytest.approx((6 + 5 * 2 / 3) / 11)
    assert result["voc10"] == pytest.approx((1 + 2 / 3) / 2)
    assert (result["per_class"][0]["voc10"], result["per_class"][1]["voc10"]) == (result["voc10"], None)
    assert not {"voc07", "voc10"} & (computed(pair).keys() | computed(pair)["per_class"][0].keys())
