"""Cases that are worked out by hand. Boxes are 40 pixels wide and high; what is shifted by 20 has an IoU of 1/3."""

import numpy as np
import pytest
import torch

from sightline.metrics.average_precision import AveragePrecision
from sightline.metrics.detection_errors import DetectionErrors, explain
from sightline.structures import DetectionPrediction, DetectionTarget
from tests.metrics.detection_pairs import detection_pair

CAT, DOG = 0, 1


def _boxes(columns):
    left = torch.tensor(columns, dtype=torch.float32)[:, None]
    return torch.cat([left, torch.zeros_like(left), left + 40, torch.full_like(left, 40.0)], dim=1)


def _errors(found, there, *, difficult=(), crowd=()):
    """`found`: score, label, left edge; `there`: label, left edge."""
    labels = torch.tensor([row[0] for row in there], dtype=torch.int64)
    places = torch.arange(len(there))
    target = DetectionTarget(
        boxes=_boxes([row[1] for row in there]),
        labels=labels,
        crowd=torch.isin(places, torch.tensor(crowd)),
        difficult=torch.isin(places, torch.tensor(difficult)),
        areas=torch.full((len(there),), 1600.0),
    )
    prediction = DetectionPrediction(
        boxes=_boxes([row[2] for row in found]),
        scores=torch.tensor([row[0] for row in found], dtype=torch.float32),
        labels=torch.tensor([row[1] for row in found], dtype=torch.int64),
    )
    metric = DetectionErrors(["cat", "dog"])
    metric.update([prediction], [target])
    return metric.compute()["errors"]


def _counts(*arguments, **options):
    return {kind: row["count"] for kind, row in _errors(*arguments, **options).items() if row["count"]}


def test_one_error_of_each_kind():
    there = [(CAT, 0), (CAT, 100), (CAT, 200), (CAT, 300), (DOG, 400)]
    found = [
        (0.9, CAT, 0),  # right
        (0.8, CAT, 0),  # duplicate
        (0.7, DOG, 100),  # class
        (0.6, DOG, 420),  # box
        (0.5, CAT, 420),  # both
        (0.4, CAT, 600),  # background
        (0.3, CAT, 200),  # right; the cat at 300 is missed
    ]
    errors = _errors(found, there)
    assert {row["count"] for row in errors.values()} == {1}
    gained = {kind: row["ap50_gained"] * 202 for kind, row in errors.items()}  # 101 points of recall, two classes
    # Cats: right, wrong, wrong, wrong, right of 4: precision 1 at 26 points, 2/5 at 25, and 0. Dogs: nothing.
    now = 26 + 25 * 2 / 5
    less = 26 + 25 * 2 / 4 - now
    assert gained["duplicate"] == gained["both"] == gained["background"] == pytest.approx(less)
    assert gained["class"] == pytest.approx(26 + 25 * 2 / 3 + 25 * 3 / 6 - now)
    assert gained["box"] == pytest.approx(101 / 2)  # the one dog, found behind a wrong one
    assert gained["missed"] == pytest.approx(34 + 33 * 2 / 5 - now)  # 3 cats


@pytest.mark.parametrize(
    ("found", "kind"),
    [
        ([(0.9, CAT, 400)], "background"),
        ([(0.9, CAT, 33)], "background"),  # an IoU of 7/73
        ([(0.9, CAT, 32)], "box"),  # 1/9
        ([(0.9, CAT, 14)], "box"),  # 13/27
        ([(0.9, DOG, 13)], "class"),  # 27/53
        ([(0.9, DOG, 14)], "both"),
        ([(0.9, DOG, 32)], "both"),
        ([(0.9, DOG, 33)], "background"),
    ],
)
def test_the_borders_between_the_kinds(found, kind):
    counts = _counts(found, [(CAT, 0)])
    assert counts.pop(kind) == 1
    assert counts == ({} if kind in ("box", "class") else {"missed": 1})


def test_a_poor_box_comes_before_a_wrong_class():
    assert _counts([(0.9, CAT, 0)], [(DOG, 0), (CAT, 20)]) == {"box": 1, "missed": 1}


def test_a_wrong_class_comes_before_a_duplicate():
    assert _counts([(0.9, CAT, 0), (0.8, CAT, 0)], [(CAT, 0), (DOG, 0)]) == {"class": 1}


def test_an_object_that_was_found_needs_no_fixed_detection():
    errors = _errors([(0.9, CAT, 0), (0.8, DOG, 0), (0.7, DOG, 100)], [(CAT, 0), (DOG, 100)])
    assert errors["class"] == {"count": 1, "ap50_gained": 0.25}  # the dog at 0 is gone, and the one at 100 stands first


def test_of_several_detections_at_one_object_the_best_by_score_finds_it():
    found = [(0.9, CAT, 20), (0.8, DOG, 0), (0.7, CAT, 20)]
    errors = _errors(found, [(CAT, 0)])
    assert {kind: row["count"] for kind, row in errors.items() if row["count"]} == {"box": 2, "class": 1}
    assert (errors["box"]["ap50_gained"], errors["class"]["ap50_gained"]) == (1.0, 0.0)
    errors = _errors([(0.7, CAT, 20), (0.9, DOG, 0)], [(CAT, 0)])
    assert (errors["box"]["ap50_gained"], errors["class"]["ap50_gained"]) == (0.0, 1.0)


def test_what_lies_on_difficult_objects_and_in_crowds_is_no_error():
    assert _counts([(0.9, CAT, 0)], [(CAT, 0)], difficult=[0]) == {}
    assert _counts([(0.9, CAT, 0), (0.8, CAT, 5)], [(CAT, 0)], crowd=[0]) == {}
    assert _counts([(0.9, DOG, 0)], [(CAT, 0)], crowd=[0]) == {"background": 1}


def test_a_class_of_which_all_was_missed_counts_one_when_fixed_unless_something_was_found_in_it():
    errors = _errors([(0.9, CAT, 0)], [(CAT, 0), (DOG, 100)])
    assert errors["missed"] == {"count": 1, "ap50_gained": 0.5}
    errors = _errors([(0.9, CAT, 0), (0.8, DOG, 300)], [(CAT, 0), (DOG, 100)])
    assert errors["missed"] == {"count": 1, "ap50_gained": 0.0}


def test_without_objects_there_is_nothing_to_gain():
    errors = _errors([(0.9, CAT, 0)], [])
    assert errors["background"] == {"count": 1, "ap50_gained": None}


def test_every_detection_and_every_object_has_one_explanation():
    pairs = [detection_pair(seed) for seed in range(60)]
    metric, precision = DetectionErrors("abcd"), AveragePrecision("abcd")
    for each in (metric, precision):
        each.update([prediction for prediction, _ in pairs], [target for _, target in pairs])
    found, truth = metric.ordered()
    explained = explain(found, truth)
    kinds = ["", "ignored", "class", "box", "both", "duplicate", "background"]
    assert min((explained.kinds == kind).sum() for kind in kinds) > 3
    assert np.isin(explained.kinds, kinds).all()
    fixable = np.unique(explained.objects[np.isin(explained.kinds, ["box", "class"])])
    assert not explained.missed[fixable].any()
    unmissed = (explained.asked & ~explained.missed).sum()
    assert unmissed == (explained.kinds == "").sum() + explained.wins.sum()  # found now, or once fixed
    errors, now = metric.compute()["errors"], precision.compute()["AP50"]
    assert explained.ap50(found, truth, None) == pytest.approx(now, abs=1e-12)
    assert all(0.0 < row["ap50_gained"] < 1.0 - now for row in errors.values())
