"""scikit-learn computes the same scores."""

import numpy as np
import pytest
import sklearn.metrics
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sightline.metrics.accuracy import Accuracy
from sightline.metrics.confusion import Confusion
from sightline.structures import ClassificationPrediction, ClassificationTarget


def _filled(metric, probabilities, true):
    rows = torch.from_numpy(probabilities).float()
    metric.update([ClassificationPrediction(r) for r in rows], [ClassificationTarget(int(t)) for t in true])
    return metric.compute()


@pytest.mark.parametrize("classes", [3, 7, 40])
def test_top_1_and_top_5(classes):
    generator = np.random.default_rng(classes)
    probabilities = generator.dirichlet(np.ones(classes), 300)
    true = generator.integers(classes, size=300)
    ours = _filled(Accuracy(), probabilities, true)
    assert ours["top1"] == sklearn.metrics.accuracy_score(true, probabilities.argmax(1))
    if classes > 5:
        theirs = sklearn.metrics.top_k_accuracy_score(true, probabilities, k=5, labels=np.arange(classes))
        assert ours["top5"] == pytest.approx(theirs, abs=1e-12)
    else:
        assert ours["top5"] == 1.0


@pytest.mark.slow
@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=30))
def test_confusion_and_scores_of_each_class(pairs):
    true, predicted = (np.array(column) for column in zip(*pairs, strict=True))
    ours = _filled(Confusion([str(i) for i in range(5)]), np.eye(5)[predicted], true)
    assert ours["confusion"] == sklearn.metrics.confusion_matrix(true, predicted, labels=range(5)).tolist()
    present = sorted(set(true.tolist()))
    theirs = sklearn.metrics.precision_recall_fscore_support(true, predicted, labels=present, zero_division=0)
    for label, *expected in zip(present, *(column.tolist() for column in theirs), strict=True):
        scores = ours["per_class"][label]
        assert [scores[k] for k in ("precision", "recall", "f1", "images")] == pytest.approx(expected, abs=1e-12)
    for label in set(range(5)) - set(present):
        assert ours["per_class"][label]["f1"] is None
    macro = sklearn.metrics.precision_recall_fscore_support(
        true, predicted, labels=present, average="macro", zero_division=0
    )
    assert [ours["macro"][k] for k in ("precision", "recall", "f1")] == pytest.approx(list(macro[:3]), abs=1e-12)
    assert ours["macro"]["classes"] == len(present)
