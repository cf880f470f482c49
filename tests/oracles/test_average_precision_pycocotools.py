"""pycocotools computes the same figures."""

import contextlib
import io

import numpy as np
import pytest
import torch
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from sightline.metrics import matching
from sightline.metrics.average_precision import AveragePrecision
from sightline.structures import DetectionPrediction, DetectionTarget

FIGURES = ("AP", "AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10", "AR100", "ARs", "ARm", "ARl")


class Evaluation(COCOeval):
    """Overwrites the flag `ignore` by `iscrowd`, like its parent, and then sets it for difficult objects."""

    def _prepare(self):
        super()._prepare()
        for objects in self._gts.values():
            for one in objects:
                one["ignore"] = one["iscrowd"] or one["difficult"]


def _boxes(generator, count, step, *, degenerate):
    """Corners on a grid of `step` pixels, so that overlaps and areas are often equal and often exactly at a threshold."""
    corners = generator.integers(0, 160 // step, (count, 2)) * step
    sides = np.where(generator.random((count, 1)) < 0.5, generator.integers(1, 5, (count, 2)) * step, [[32, 32]])
    sides = np.where(generator.random((count, 1)) < 0.2, [[96, 96]], sides)
    if degenerate:
        sides = np.where(generator.random((count, 2)) < 0.05, generator.integers(-1, 1, (count, 2)) * step, sides)
    return np.concatenate([corners, corners + sides], axis=1)


def _image(generator, classes, step, crowded):
    """Objects and detections of one image; many detections are an object's box, moved a little."""
    count = int(generator.integers(0, 8)) if generator.random() < 0.8 else 0
    boxes = _boxes(generator, count, step, degenerate=False)
    labels = generator.integers(0, max(1, classes - 1), count)  # the last class of several has no objects
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]) * generator.choice([1.0, 1.0, 0.4], count)
    target = DetectionTarget(
        boxes=torch.from_numpy(boxes).float(),
        labels=torch.from_numpy(labels),
        crowd=torch.from_numpy(generator.random(count) < 0.15),
        difficult=torch.from_numpy(generator.random(count) < 0.15),
        areas=torch.from_numpy(areas).float(),
    )
    found = int(generator.choice([0, 3, 20, 250 if crowded else 12]))
    guesses = _boxes(generator, found, step, degenerate=True)
    guessed = generator.integers(0, classes, found)
    if count:
        near = generator.integers(0, count, found)
        moved = boxes[near] + generator.integers(-1, 2, (found, 4)) * step // 2
        close = generator.random(found) < 0.6
        guesses, guessed = np.where(close[:, None], moved, guesses), np.where(close, labels[near], guessed)
    if step == 4:  # some data sets without a grid
        guesses = guesses + generator.uniform(-1, 1, guesses.shape)
    scores = torch.from_numpy(generator.integers(0, 30, found) / 32).float()
    prediction = DetectionPrediction(
        boxes=torch.from_numpy(guesses).float(), scores=scores, labels=torch.from_numpy(guessed)
    )
    return prediction, target


def _data(seed):
    """Up to five images; every sixth data set has some with more than 100 detections of a class."""
    generator = np.random.default_rng(seed)
    classes, step = int(generator.integers(1, 4)), int(generator.choice([4, 8, 16]))
    images = int(generator.integers(1, 6))
    return classes, [_image(generator, classes, step, crowded=seed % 6 == 0) for _ in range(images)]


def _wide(boxes):
    exact = boxes.double()
    return torch.cat([exact[:, :2], exact[:, 2:] - exact[:, :2]], dim=1).tolist()


def _coco(classes, images, annotations):
    data = COCO()
    data.dataset = {
        "images": [{"id": image} for image in range(images)],
        "categories": [{"id": label} for label in range(classes)],
        "annotations": [own | {"id": number} for number, own in enumerate(annotations, start=1)],
    }
    data.createIndex()
    return data


def _theirs(classes, pairs):
    truth, results = [], []
    for image, (prediction, target) in enumerate(pairs):
        columns = target.labels, target.areas, target.crowd, target.difficult
        for box, label, area, crowd, difficult in zip(_wide(target.boxes), *(c.tolist() for c in columns), strict=True):
            own = {"image_id": image, "category_id": label, "bbox": box, "area": area}
            truth.append(own | {"iscrowd": int(crowd), "difficult": difficult})
        columns = prediction.labels, prediction.scores
        for box, label, score in zip(_wide(prediction.boxes), *(c.tolist() for c in columns), strict=True):
            own = {"image_id": image, "category_id": label, "bbox": box, "area": box[2] * box[3]}
            results.append(own | {"score": score, "iscrowd": 0})
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation = Evaluation(_coco(classes, len(pairs), truth), _coco(classes, len(pairs), results), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    precision = evaluation.eval["precision"][..., 0, 2]  # (T, R, K) for all areas and 100 detections
    each = [[own.mean(), own[0].mean()] for own in np.moveaxis(precision, 2, 0)]
    return evaluation.stats.tolist(), np.array(each).ravel().tolist()


def _ours(classes, pairs):
    metric = AveragePrecision([str(label) for label in range(classes)])
    for prediction, target in pairs:
        metric.update([prediction], [target])
    result = metric.compute()
    each = [row[name] for row in result["per_class"] for name in ("ap", "ap50")]
    return [result[name] for name in FIGURES], each


def _check(seed):
    classes, pairs = _data(seed)
    for ours, theirs in zip(_ours(classes, pairs), _theirs(classes, pairs), strict=True):
        assert [-1.0 if value is None else value for value in ours] == pytest.approx(theirs, rel=0, abs=1e-12), seed


@pytest.mark.slow
@pytest.mark.parametrize("part", range(3))
def test_thirty_random_data_sets(part):
    for seed in range(10 * part, 10 * part + 10):
        _check(seed)


@pytest.mark.slow
def test_300_random_data_sets():
    for seed in range(100, 400):
        _check(seed)


def test_slices_of_a_few_pairs(monkeypatch):
    monkeypatch.setattr(matching, "SLICE", 7)
    for seed in range(6):
        _check(seed)
