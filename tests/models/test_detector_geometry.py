"""Where a detector's reference boxes lie, and pictures of different sizes: neither padding nor a small side may matter."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from sightline.data.loader import collate_padded
from sightline.inference.proposals import propose
from sightline.models import BACKBONES, create_backbone, create_model
from sightline.models.detector_settings import Objects
from sightline.models.faster_rcnn import FasterRCNN
from sightline.ops.images import normalise
from sightline.structures import DetectionTarget, Sample
from sightline.tasks.detection import DetectionTask

FAST = {"alexnet", "resnet18"}  # one that pads little, one that pads
every_backbone = pytest.mark.parametrize(
    "name", [name if name in FAST else pytest.param(name, marks=pytest.mark.slow) for name in BACKBONES]
)


def _narrow(name: str, **arguments) -> FasterRCNN:
    """With few numbers in its head, and none yet in memory."""
    with torch.device("meta"):
        return FasterRCNN(create_backbone(name), num_classes=2, **{"hidden": 8, **arguments})


def _filled(model: nn.Module, fill) -> nn.Module:
    """In memory; each weight as `fill` leaves it, biases 0, batch norms that change nothing."""
    model.to_empty(device="cpu")
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.reset_running_stats()
                module.reset_parameters()
            elif isinstance(module, nn.Conv2d | nn.Linear):
                fill(module.weight)
                if module.bias is not None:
                    module.bias.zero_()
    return model


@every_backbone
def test_reference_boxes_are_centred_where_their_cell_looks(name, monkeypatch) -> None:
    """With means for weights and for maxima a network is linear and even: the gradient of a cell lies evenly around its centre."""

    def mean_pool(x, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False):
        return nn.functional.avg_pool2d(x, kernel_size, stride, padding, ceil_mode)

    monkeypatch.setattr(nn.functional, "max_pool2d", mean_pool)
    model = _narrow(name)
    features = _filled(model.backbone, lambda weight: weight.fill_(1 / weight[0].numel())).eval()
    picture = torch.ones(1, 3, 80, 720, requires_grad=True)  # a strip: across is as down
    (seen,) = features(picture).values()
    column = seen.shape[3] // 2
    (gradient,) = torch.autograd.grad(seen[..., column].sum(), picture)
    looked = gradient.sum((0, 1, 2))
    centre = float((looked * (torch.arange(720) + 0.5)).sum() / looked.sum())
    boxes = model.rpn.anchors([seen]).view(*seen.shape[2:], -1, 4)[0, column]
    placed = float(boxes[0, ::2].mean())
    if name.startswith("vgg"):  # their pools move them by half a cell: boxes stay where they have always been
        assert centre - placed == pytest.approx(model.rpn.strides[0] / 2, abs=0.1)
    else:
        assert centre == pytest.approx(placed, abs=1)


def test_networks_that_pad_keep_their_places_and_each_level_has_its_own() -> None:
    for name in ("resnet18", "vgg11"):
        for neck in ("none", "fpn"):
            assert set(_narrow(name, neck=neck).rpn.offsets) == {0.0}
    model = _narrow("alexnet", neck="fpn")
    assert model.rpn.offsets == (3, 7, 15, 15)
    assert model.roi_heads.offsets == [3, 7, 15]


@pytest.mark.parametrize("pooling", ["align", "pool"])
def test_regions_are_read_where_they_are(pooling) -> None:
    """From a map whose numbers are the places of their cells."""
    model = _narrow("alexnet", judging=None)
    model.roi_heads.settings = type(model.roi_heads.settings)(pooling=pooling)
    model.roi_heads.grid = 1
    across = (15.0 + 16 * torch.arange(20)).expand(1, 1, 20, 20)
    regions = torch.tensor([[[100.0, 100.0, 196.0, 150.0]]])
    expected = 148.0 if pooling == "align" else 15 + 16 * 11  # the largest of the cells from 5.3 to 11.3
    assert model.roi_heads.pool([across], regions).item() == pytest.approx(expected)


@every_backbone
def test_a_picture_smaller_than_the_classifier_takes_is_found_in_and_learned_from(name) -> None:
    torch.manual_seed(0)
    model = _filled(_narrow(name, proposing=None), lambda weight: nn.init.normal_(weight, std=0.02))
    assert isinstance(model, FasterRCNN)
    images, sizes = torch.randn(1, 3, 20, 30), torch.tensor([[20, 30]])
    objects = Objects(
        torch.tensor([[[2.0, 3.0, 18.0, 15.0]]]), torch.zeros(1, 1, dtype=torch.int64), torch.ones(1, 1) > 0
    )
    losses = model.train()(images, sizes, objects).losses
    assert all(loss.isfinite() for loss in losses.values())
    assert losses["objectness"] > 0
    (seen,) = propose(model.eval(), images, sizes)
    assert seen.proposed > 0
    assert (seen.boxes[:, 2:] <= torch.tensor([30, 20])).all()


def _sample(height: int, width: int, boxes: list[list[float]], seed: int) -> Sample:
    generator = torch.Generator().manual_seed(seed)
    count = len(boxes)
    target = DetectionTarget(
        boxes=torch.tensor(boxes),
        labels=torch.arange(count) % 2,
        crowd=torch.zeros(count, dtype=torch.bool),
        difficult=torch.zeros(count, dtype=torch.bool),
        areas=torch.ones(count),
    )
    return Sample(
        torch.randint(256, (3, height, width), generator=generator, dtype=torch.uint8), target, seed, seed=seed
    )


@pytest.mark.slow
@pytest.mark.parametrize("in_padding", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_a_picture_is_learned_from_alike_alone_and_beside_a_larger_one(in_padding) -> None:
    """Each has 56 pixels of padding at least, more than a cell of the map sees: where the map ends does not matter."""
    torch.manual_seed(0)
    model = create_model(
        "faster_rcnn",
        num_classes=2,
        backbone="resnet18",
        stages=["c2"],
        hidden=16,
        proposing={"sizes": [[12, 24]], "samples": 32, "candidates": [4000, 4000], "in_padding": in_padding},
        judging={"samples": 16},
    )
    assert isinstance(model, FasterRCNN)
    model.freeze("c2")
    model.train()
    with torch.no_grad():
        model.rpn.head.cls_logits.weight.mul_(50)
        model.rpn.head.bbox_pred.weight.mul_(20)
    task = DetectionTask(("a", "b"))
    samples = [_sample(40, 40, [[5, 5, 20, 30], [20, 10, 32, 22]], 1), _sample(100, 130, [[30, 40, 60, 60]], 2)]
    batches = [collate_padded(part, 96) for part in (samples, samples[:1], samples[1:])]
    batches = [replace(batch, images=normalise(batch.images, [0.5] * 3, [0.25] * 3)) for batch in batches]
    assert [tuple(batch.images.shape[2:]) for batch in batches] == [(192, 192), (96, 96), (192, 192)]
    together, *alone = [task.loss(model, batch) for batch in batches]
    # As many are drawn from each picture, so that the loss of a batch is the mean of theirs.
    alike = [torch.allclose(loss, (alone[0][name] + alone[1][name]) / 2, rtol=1e-4) for name, loss in together.items()]
    assert all(alike) is not in_padding
    with torch.no_grad():
        both, one = (model.eval()(batch.images, batch.sizes) for batch in batches[:2])
    regions = [found.regions[0][found.valid[0]] for found in (both, one)]
    same = regions[0].shape == regions[1].shape and torch.allclose(*regions, atol=1e-3)
    assert same is not in_padding
