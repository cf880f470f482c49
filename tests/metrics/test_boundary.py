"""Outlines: against distances measured pixel by pixel, and by hand."""

import math

import numpy as np
import pytest
import torch

from sightline.metrics.boundary import BoundaryScore, near, outlines
from sightline.structures import IGNORED, SegmentationPrediction, SegmentationTarget
from tests.metrics.segmentation_pairs import segmentation_pair


def _pair(predicted, true):
    return SegmentationPrediction(predicted, torch.ones(predicted.shape)), SegmentationTarget(true)


def _measured(*pairs, names=("ground", "cell"), tolerance=0.0075):
    metric = BoundaryScore(names, tolerance)
    metric.update([p for p, _ in pairs], [t for _, t in pairs])
    return metric.compute()


def _square(top=10, left=10, side=10):
    mask = torch.zeros(30, 40, dtype=torch.uint8)  # its diagonal is 50 pixels
    mask[top : top + side, left : left + side] = 1
    return mask


def _brute(points, others, distance):
    """Every point against every other one."""
    found = []
    for y, x in zip(*np.nonzero(points != IGNORED), strict=True):
        rows, columns = np.nonzero(others == points[y, x])
        if len(rows) and np.hypot(rows - y, columns - x).min() <= distance:
            found.append(points[y, x])
    return found


@pytest.mark.parametrize("distance", [0, 1, 2, 5, 40])
@pytest.mark.parametrize("seed", range(3))
def test_near_is_within_a_straight_line_of_the_same_class(seed, distance):
    prediction, target = segmentation_pair(seed)
    other = segmentation_pair(seed + 50)[0].labels.numpy()[: target.mask.shape[0], : target.mask.shape[1]]
    points = outlines(prediction.labels.numpy()[: other.shape[0], : other.shape[1]])
    assert sorted(near(points, outlines(other), distance)) == sorted(_brute(points, outlines(other), distance))


def test_the_outline_of_a_square_is_its_rim():
    found = outlines(_square().numpy())
    rim = _square()
    rim[11:19, 11:19] = 0
    assert np.array_equal(found == 1, rim.numpy() == 1)
    assert (found == 0).sum() == 40  # and the pixels around it, corners apart


def test_the_edges_of_the_image_and_of_what_is_ignored_are_no_outline():
    mask = torch.zeros(4, 4, dtype=torch.uint8)
    mask[1:3] = IGNORED
    mask[3] = 1
    assert (outlines(mask.numpy()) == IGNORED).all()
    assert (outlines(np.ones((3, 3), np.uint8)) == IGNORED).all()


@pytest.mark.parametrize(
    ("shift", "tolerance", "expected"),
    [(1, 0.0075, 1.0), (1, 0.0, 18 / 36), (2, 0.0075, 20 / 36), (2, 0.03, 1.0)],
)
def test_a_square_that_is_off_to_the_right(shift, tolerance, expected):
    """36 pixels of rim. One off, none allowed: 9 of top and bottom each. Two off, one allowed: these, and both ends of a side."""
    result = _measured(_pair(_square(left=10 + shift), _square()), tolerance=tolerance)
    assert result["boundary_f"] == pytest.approx(expected)


def test_precision_and_recall_are_both_in_it():
    """One of two squares is found: all of the outline found is right, half of the true one is found."""
    two = _square(top=2, left=2) | _square(top=2, left=25)
    assert _measured(_pair(_square(top=2, left=2), two))["boundary_f"] == pytest.approx(2 * 0.5 / 1.5)
    assert _measured(_pair(two, _square(top=2, left=2)))["boundary_f"] == pytest.approx(2 * 0.5 / 1.5)


def test_the_tolerance_is_rounded_up_to_whole_pixels():
    distance = math.ceil(0.0075 * 50)
    assert distance == 1
    assert _measured(_pair(_square(left=11), _square()))["boundary_f"] == 1.0


def test_classes_without_an_outline_are_left_out_of_the_mean():
    result = _measured(_pair(_square(), _square()), names=("ground", "cell", "rim"))
    assert result["boundary_f"] == 1.0
    assert [row["boundary_f"] for row in result["boundary_per_class"]] == [1.0, 1.0, None]


def test_an_outline_on_one_side_only_is_0_and_on_none_is_none():
    empty = torch.zeros_like(_square())
    assert _measured(_pair(empty, _square()))["boundary_f"] == 0.0
    assert _measured(_pair(_square(), empty))["boundary_f"] == 0.0
    assert _measured(_pair(empty, empty))["boundary_f"] is None


def test_counts_of_all_images_are_put_together():
    """36 pixels right in one image, 4 of another not found: not the mean of 1 and 0."""
    empty = torch.zeros_like(_square())
    result = _measured(_pair(_square(), _square()), _pair(empty, _square(side=2)))
    assert result["boundary_f"] == pytest.approx(2 * (36 / 40) / (1 + 36 / 40))
