"""The formulas of the development kits, written down once more, and a published example."""

import numpy as np
import pytest
import torch

from sightline.metrics.average_precision import AveragePrecision
from sightline.metrics.voc_precision import voc_average_precision
from sightline.structures import DetectionPrediction, DetectionTarget
from tests.metrics.detection_pairs import detection_pair

# 7 pictures with 15 people and 24 detections (Padilla et al. 2020, "A survey on performance metrics for object-detection
# algorithms", and github.com/rafaelpadilla/Object-Detection-Metrics): left, top, width, height of pixels; scores first.
PEOPLE = [
    [(25, 16, 38, 56), (129, 123, 41, 62)],
    [(123, 11, 43, 55), (38, 132, 59, 45)],
    [(16, 14, 35, 48), (123, 30, 49, 44), (99, 139, 47, 47)],
    [(53, 42, 40, 52), (154, 43, 31, 34)],
    [(59, 31, 44, 51), (48, 128, 34, 52)],
    [(36, 89, 52, 76), (62, 58, 44, 67)],
    [(28, 31, 55, 63), (58, 67, 50, 58)],
]
GUESSES = [
    [(0.88, 5, 67, 31, 48), (0.70, 119, 111, 40, 67), (0.80, 124, 9, 49, 67)],
    [(0.71, 64, 111, 64, 58), (0.54, 26, 140, 60, 47), (0.74, 19, 18, 43, 35)],
    [
        (0.18, 109, 15, 77, 39),
        (0.67, 86, 63, 46, 45),
        (0.38, 160, 62, 36, 53),
        (0.91, 105, 131, 47, 47),
        (0.44, 18, 148, 40, 44),
    ],
    [(0.35, 83, 28, 28, 26), (0.78, 28, 68, 42, 67), (0.45, 87, 89, 25, 39), (0.14, 10, 155, 60, 26)],
    [(0.62, 50, 38, 28, 46), (0.44, 95, 11, 53, 28), (0.95, 29, 131, 72, 29), (0.23, 29, 163, 72, 29)],
    [(0.45, 43, 48, 74, 38), (0.84, 17, 155, 29, 35), (0.43, 95, 110, 25, 42)],
    [(0.48, 16, 20, 101, 88), (0.95, 33, 116, 37, 49)],
]


def _edges(boxes):
    """Its boxes go from the first pixel, at left and top, to the last, at left + width and top + height."""
    wide = torch.tensor(boxes, dtype=torch.float32)
    return torch.cat([wide[:, :2], wide[:, :2] + wide[:, 2:] + 1], dim=1)


def test_the_published_example():
    metric = AveragePrecision(["person"])
    for people, guesses in zip(PEOPLE, GUESSES, strict=True):
        prediction = DetectionPrediction(
            boxes=_edges([guess[1:] for guess in guesses]),
            scores=torch.tensor([guess[0] for guess in guesses]),
            labels=torch.zeros(len(guesses), dtype=torch.int64),
        )
        metric.update([prediction], [DetectionTarget.of(_edges(people), torch.zeros(len(people), dtype=torch.int64))])
    eleven, area = voc_average_precision(*metric.ordered(), num_classes=1, iou_threshold=0.3)[0]
    assert f"{eleven:.2%}" == "26.84%"
    assert area == pytest.approx(0.2456867, abs=1e-7)  # printed as 24.56 % in one place and as 24.57 % in another


def _overlap(box, others):
    """In the kit's pixels: right and bottom are those of the last pixel, so every length is one more than a difference."""
    left, top = np.maximum(box[0], others[:, 0]), np.maximum(box[1], others[:, 1])
    right, bottom = np.minimum(box[2], others[:, 2]), np.minimum(box[3], others[:, 3])
    shared = np.clip(right - left + 1, 0, None) * np.clip(bottom - top + 1, 0, None)
    own = (box[2] - box[0] + 1) * (box[3] - box[1] + 1)
    return shared / (own + (others[:, 2] - others[:, 0] + 1) * (others[:, 3] - others[:, 1] + 1) - shared)


def _transcribed(pairs, label):
    """The kits' loop over all detections of one class by falling score, and both of their formulas."""
    objects, claimed, guesses = [], [], []
    for image, (prediction, target) in enumerate(pairs):
        own = (target.labels == label).numpy()
        pixels = target.boxes.double().numpy()[own] - [0, 0, 1, 1]
        objects.append((pixels, (target.crowd | target.difficult).numpy()[own]))
        claimed.append(np.zeros(own.sum(), bool))
        for box, score, guessed in zip(prediction.boxes, prediction.scores, prediction.labels, strict=True):
            if guessed == label:
                guesses.append((float(score), image, box.double().numpy() - [0, 0, 1, 1]))
    wanted = sum(int((~difficult).sum()) for _, difficult in objects)
    right, wrong = [], []
    for _, image, box in sorted(guesses, key=lambda guess: -guess[0]):
        boxes, difficult = objects[image]
        overlaps = _overlap(box, boxes)
        best = int(overlaps.argmax()) if len(overlaps) else -1
        hit = best >= 0 and overlaps[best] >= 0.5
        if hit and difficult[best]:
            right.append(0), wrong.append(0)
            continue
        new = hit and not claimed[image][best]
        right.append(int(new)), wrong.append(int(not new))
        if new:
            claimed[image][best] = True
    if not wanted:
        return None
    hits, misses = np.cumsum(right), np.cumsum(wrong)
    recall, precision = hits / wanted, hits / np.maximum(hits + misses, 1)
    eleven = sum(precision[recall >= point].max(initial=0.0) for point in np.arange(0.0, 1.1, 0.1)) / 11
    recall, precision = np.array([0.0, *recall, 1.0]), np.array([0.0, *precision, 0.0])
    for place in range(len(precision) - 2, -1, -1):
        precision[place] = max(precision[place], precision[place + 1])
    steps = np.flatnonzero(recall[1:] != recall[:-1]) + 1
    return eleven, float(((recall[steps] - recall[steps - 1]) * precision[steps]).sum())


def test_the_formulas_of_the_development_kits():
    compared = 0
    for start in range(0, 400, 10):
        pairs = []
        for seed in range(start, start + start % 9 + 1):
            prediction, target = detection_pair(seed, num_classes=3)
            coarse = (prediction.scores * 10).round() / 10  # many are equal
            pairs.append((DetectionPrediction(boxes=prediction.boxes, scores=coarse, labels=prediction.labels), target))
        metric = AveragePrecision(["a", "b", "c"])
        metric.update([prediction for prediction, _ in pairs], [target for _, target in pairs])
        ours = voc_average_precision(*metric.ordered(), num_classes=3)
        for label in range(3):
            theirs = _transcribed(pairs, label)
            if theirs is None:
                assert np.isnan(ours[label]).all()
            else:
                assert ours[label].tolist() == pytest.approx(theirs, rel=0, abs=1e-12)
                compared += 0 < theirs[0] < 1
    assert compared > 50


def _figures(prediction, target):
    metric = AveragePrecision(["cat"], voc=True)
    metric.update([prediction], [target])
    return metric.compute()


@pytest.mark.parametrize("flag", ["crowd", "difficult"])
def test_any_number_of_detections_of_what_is_not_asked_for_is_left_out(flag):
    boxes = torch.tensor([[0.0, 0.0, 40.0, 40.0], [100.0, 0.0, 140.0, 40.0]])
    no, first = torch.tensor([False, False]), torch.tensor([True, False])
    flags = {"crowd": no, "difficult": no, flag: first}
    target = DetectionTarget(boxes=boxes, labels=torch.zeros(2, dtype=torch.int64), areas=torch.ones(2), **flags)
    prediction = DetectionPrediction(
        boxes=boxes[[0, 0, 0, 1]], scores=torch.tensor([0.9, 0.8, 0.7, 0.6]), labels=torch.zeros(4, dtype=torch.int64)
    )
    result = _figures(prediction, target)
    assert (result["voc07"], result["voc10"]) == (1.0, 1.0)


def test_a_detection_belongs_to_the_object_that_it_overlaps_most_taken_or_not():
    near, far = [0.0, 0.0, 40.0, 40.0], [0.0, 0.0, 40.0, 30.0]
    target = DetectionTarget.of(torch.tensor([near, far]), torch.zeros(2, dtype=torch.int64))
    prediction = DetectionPrediction(
        boxes=torch.tensor([near, near]), scores=torch.tensor([0.9, 0.8]), labels=torch.zeros(2, dtype=torch.int64)
    )
    result = _figures(prediction, target)
    assert (result["voc10"], result["AP50"]) == (0.5, 1.0)  # COCO gives the second one the object that is left
