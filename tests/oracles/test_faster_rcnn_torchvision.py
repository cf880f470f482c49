"""torchvision's detectors as oracle: the same weights give the same boxes, scores, labels and losses."""

import sys

import pytest
import torch
import torchvision
from torch import Tensor
from torchvision.models.detection import fasterrcnn_resnet50_fpn, fasterrcnn_resnet50_fpn_v2

from sightline.models import detectors
from sightline.models.detector_settings import Judging
from sightline.models.faster_rcnn import FasterRCNN, Objects
from sightline.models.resnet import resnet50

OURS = {"fpn": detectors.fasterrcnn_resnet50_fpn, "fpn_v2": detectors.fasterrcnn_resnet50_fpn_v2}
PEERS = {"fpn": fasterrcnn_resnet50_fpn, "fpn_v2": fasterrcnn_resnet50_fpn_v2}
SIZES = ((64, 96), (96, 64), (64, 80))  # shorter side 64: the peer resizes nothing
MEAN, STD = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])


@pytest.fixture(scope="module", params=PEERS)
def pair(request):
    """Ours and theirs, one after the other in evaluation and in training: they are changed alike."""
    neck = request.param
    torch.manual_seed(0)
    peer = PEERS[neck](
        weights=None,
        weights_backbone=None,
        num_classes=5,
        min_size=64,
        max_size=96,
        box_batch_size_per_image=256,
    )
    ours = OURS[neck](num_classes=4, judging={"samples": 256})
    for module in peer.modules():  # random statistics, so that a wrong eps or a missing norm shows
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.running_var, 0.5, 1.5)
            torch.nn.init.normal_(module.running_mean, std=0.1)
    ours.load_state_dict(peer.state_dict(), strict=True)
    return ours, peer


def _images() -> tuple[list[Tensor], Tensor, Tensor]:
    """As torchvision takes them, as we do, and their sizes."""
    pictures = [torch.rand(3, height, width) for height, width in SIZES]
    batch = torch.full((len(SIZES), 3, 96, 96), 7.0)  # what is in the padding must not matter
    for image, picture in zip(batch, pictures, strict=True):
        image[:, : picture.shape[1], : picture.shape[2]] = (picture - MEAN[:, None, None]) / STD[:, None, None]
    return pictures, batch, torch.tensor(SIZES)


@pytest.mark.slow
@pytest.mark.parametrize("neck", PEERS)
def test_names_and_shapes_are_the_published_ones(neck):
    with torch.device("meta"):
        ours = FasterRCNN(resnet50(), num_classes=90, neck=neck).state_dict()
        theirs = PEERS[neck](weights=None, weights_backbone=None).state_dict()
    assert {n: t.shape for n, t in ours.items()} == {n: t.shape for n, t in theirs.items()}


@pytest.mark.slow
def test_the_same_weights_find_the_same(pair):
    ours, peer = pair
    ours.eval()
    peer.eval()
    peer.roi_heads.score_thresh = 0.2  # one in five is what an untrained network says of everything
    ours.roi_heads.settings = Judging(score_threshold=0.2, samples=256)
    pictures, batch, sizes = _images()
    with torch.inference_mode():
        expected = peer(pictures)
        found = ours.detections(ours(batch, sizes), sizes)
    assert sum(len(labels) for _, _, labels in found) > 50
    for (boxes, scores, labels), right in zip(found, expected, strict=True):
        assert torch.equal(labels + 1, right["labels"])
        torch.testing.assert_close(boxes, right["boxes"], atol=1e-2, rtol=0)
        torch.testing.assert_close(scores, right["scores"], atol=1e-4, rtol=0)


def _first(positive: Tensor, negative: Tensor, count: int, share: float) -> tuple[Tensor, Tensor]:
    """Of (A,) bool each: the first positives up to their share, the first negatives that fill up."""
    most = int(count * share)
    positive = positive & (positive.cumsum(0) <= most)
    return positive, negative & (negative.cumsum(0) <= count - positive.sum())


@pytest.mark.slow
def test_the_same_samples_give_the_same_losses(pair, monkeypatch):
    ours, peer = pair
    ours.train()
    peer.train()

    def their_sampler(self, labels):
        drawn = [_first(row >= 1, row == 0, self.batch_size_per_image, self.positive_fraction) for row in labels]
        return [p.to(torch.uint8) for p, _ in drawn], [n.to(torch.uint8) for _, n in drawn]

    def our_sampler(matches, count, share, generator):
        drawn = [_first(row >= 0, row == -1, count, share) for row in matches]
        return torch.stack([p for p, _ in drawn]), torch.stack([n for _, n in drawn])

    sampler = torchvision.models.detection._utils.BalancedPositiveNegativeSampler
    monkeypatch.setattr(sampler, "__call__", their_sampler)
    monkeypatch.setattr(sys.modules[FasterRCNN.__module__], "sample", our_sampler)
    pictures, batch, sizes = _images()
    boxes = torch.tensor(
        [[[4.0, 6.0, 50.0, 60.0], [30.0, 20.0, 90.0, 60.0]], [[10.0, 10.0, 60.0, 90.0], [0.0] * 4], [[0.0] * 4] * 2]
    )
    labels = torch.tensor([[0, 3], [2, 0], [0, 0]])
    real = torch.tensor([[True, True], [True, False], [False, False]])  # the last has no object
    targets = [{"boxes": b[r], "labels": c[r] + 1} for b, c, r in zip(boxes, labels, real, strict=True)]
    expected = peer(pictures, targets)
    losses = ours(batch, sizes, Objects(boxes, labels, real)).losses
    names = {
        "objectness": "loss_objectness",
        "proposal_box": "loss_rpn_box_reg",
        "class": "loss_classifier",
        "region_box": "loss_box_reg",
    }
    for name, theirs in names.items():
        torch.testing.assert_close(losses[name], expected[theirs], atol=1e-4, rtol=0)
    assert losses["region_box"].item() > 0
