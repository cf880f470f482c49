"""Faster R-CNN: the lecture's counts, the classifier's own head, every form and switch, images without objects."""

from types import SimpleNamespace

import pytest
import torch

from sightline.errors import InputError, UnknownNameError
from sightline.models import create_model
from sightline.models.detector_settings import Judging, Proposing
from sightline.models.faster_rcnn import FasterRCNN, Found, Objects, Predictor, ProposalHead, RegionHeads, TwoLinear

SIZES = torch.tensor([[64, 90], [50, 96]])


def _small(name: str = "resnet18", **arguments) -> FasterRCNN:
    """Under a pyramid the stem that leaves few cells, and what follows is narrow."""
    torch.manual_seed(0)
    pyramid = "neck" in arguments and arguments["neck"] != "none"
    narrow = {
        "width": 32,
        "hidden": 64,
        "proposing": Proposing(candidates=(200, 100), proposals=(60, 30)),
        "judging": Judging(samples=32),
    }
    stem = "imagenet" if pyramid and name != "alexnet" else "small"
    return FasterRCNN(create_model(name, stem=stem), num_classes=3, **{**(narrow if pyramid else {}), **arguments})


def _objects() -> Objects:
    """Two in the first image, none in the second."""
    boxes = torch.tensor([[[5.0, 5.0, 40.0, 40.0], [30.0, 20.0, 80.0, 60.0]], [[0.0] * 4] * 2])
    return Objects(boxes, torch.tensor([[0, 2], [0, 0]]), torch.tensor([[True, True], [False, False]]))


def test_the_lectures_detector_has_the_parameters_that_it_should():
    """VGG-16, 20 classes and background, nine reference boxes, one logit each."""
    with torch.device("meta"):
        model = FasterRCNN(create_model("vgg16"), num_classes=20, proposing=Proposing(sizes=((64, 128, 256),)))
    assert sum(parameter.numel() for parameter in model.parameters()) == 137_073_622
    assert model.backbone.stages == ("conv5",)
    assert model.rpn.strides == (16,)


@pytest.mark.parametrize(("name", "layers"), [("alexnet", (1, 4)), ("alexnet_2012", (0, 3))])
def test_a_head_of_two_linear_layers_is_the_classifiers_own(name, layers):
    with torch.device("meta"):
        classifier = create_model(name, stem="small")
        fc6, fc7 = (classifier.classifier[layer].weight for layer in layers)
        model = FasterRCNN(classifier, num_classes=3)
    assert model.roi_heads.box_head.fc6.weight is fc6
    assert model.roi_heads.box_head.fc7.weight is fc7
    assert not any("classifier" in name for name, _ in model.named_parameters())


@pytest.mark.parametrize(
    ("name", "stage"), [("vgg16", "conv3"), ("vgg16", "conv4"), ("alexnet", "conv1"), ("alexnet", "conv2")]
)
def test_a_map_that_the_classifiers_layers_did_not_read_gets_a_head_of_its_own(name, stage):
    with torch.device("meta"):
        classifier = create_model(name)
        own = [layer.weight for layer in classifier.head_layers() if isinstance(layer, torch.nn.Linear)]
        heads = FasterRCNN(classifier, num_classes=3, stages=[stage]).roi_heads
        assert not any(parameter is weight for parameter in heads.parameters() for weight in own)
        maps = torch.zeros(1, classifier.channels[stage], 9, 9)
        logits, _ = heads([maps], torch.zeros(1, 2, 4))
    assert logits.shape == (1, 2, 4)


def test_new_layers_begin_as_the_papers_say_and_the_classifiers_own_keep_their_dropout():
    """Ren et al., section 3.1.3: deviation 0.01; Girshick, section 2.3: 0.01 for classes and 0.001 for offsets."""
    torch.manual_seed(0)
    proposing, predictor = ProposalHead(64, 9, depth=1), Predictor(1024, 20)
    expected = {proposing.conv[0][0]: 0.01, proposing.cls_logits: 0.01, proposing.bbox_pred: 0.01}
    expected |= {predictor.cls_score: 0.01, predictor.bbox_pred: 0.001}
    for layer, deviation in expected.items():
        assert layer.weight.std().item() == pytest.approx(deviation, rel=0.1)
        assert not layer.bias.any()
    with torch.device("meta"):
        models = [FasterRCNN(create_model("alexnet"), num_classes=3, hidden=hidden) for hidden in (None, 8)]
    assert [model.roi_heads.box_head.dropout for model in models] == [0.5, 0.0]
    head = TwoLinear(torch.nn.Linear(4, 1000), torch.nn.Linear(1000, 1000), dropout=0.5)
    silent = [(head.train(mode)(torch.ones(1, 4)) == 0).float().mean() for mode in (False, True)]
    assert silent[1] > silent[0] + 0.1


def _drawn(settings: Judging) -> tuple[int, set[float]]:
    """How many of twelve regions on an object are drawn beside it, and the lefts of the background that is."""
    heads = RegionHeads(torch.nn.Identity(), Predictor(4, 1), ((16,), (0.0,)), 7, settings)
    objects = Objects(torch.tensor([[[0.0, 0.0, 20.0, 10.0]]]), torch.tensor([[0]]), torch.tensor([[True]]))
    lefts = torch.tensor([0.0] * 11 + [12.0, 14.0, 19.0, 200.0])  # the last four overlap it by 0.25, 0.18, 0.03 and 0
    regions = objects.boxes + lefts[:, None] * torch.tensor([1.0, 0.0, 1.0, 0.0])
    rows, drawn, labels, _ = heads.draw(regions, torch.ones(1, 15) > 0, objects, torch.Generator().manual_seed(0))
    return int((labels == 1).sum()), set(rows[drawn & (labels == 0)][:, 0].tolist())


def test_the_papers_numbers_decide_which_regions_teach():
    assert _drawn(Judging(samples=16)) == (4, {12.0, 14.0, 19.0, 200.0})
    assert _drawn(Judging(samples=16, positive_share=0.5))[0] == 8
    assert _drawn(Judging(samples=16, background_iou=(0.1, 0.5)))[1] == {12.0, 14.0}
    assert _drawn(Judging(samples=16, background_iou=(0.0, 0.2)))[1] == {14.0, 19.0, 200.0}
    assert _drawn(Judging(samples=16, positive_iou=0.2, background_iou=(0.0, 0.1)))[1] == {19.0, 200.0}


def test_as_many_detections_are_given_as_the_settings_say_the_best_first():
    regions = torch.arange(0.0, 200.0, 20.0)[:, None] + torch.tensor([0.0, 0.0, 10.0, 10.0])
    logits = torch.stack((torch.zeros(10), torch.arange(10.0)), dim=1)
    found = Found(regions[None], torch.ones(1, 10) > 0, logits[None], torch.zeros(1, 10, 2, 4), {})
    for most, threshold, expected in ((3, 0.05, [180, 160, 140]), (100, 0.99, [180, 160, 140, 120, 100])):
        heads = SimpleNamespace(settings=Judging(detections=most, score_threshold=threshold))
        ((boxes, _, _),) = FasterRCNN.detections(
            SimpleNamespace(roi_heads=heads, num_classes=1), found, torch.tensor([[300, 300]])
        )
        assert boxes[:, 0].tolist() == expected


# Without a neck the head of a network that has none of its own is a hundred million parameters: AlexNet stands for all.
FORMS = [("alexnet", "none"), ("alexnet", "fpn"), ("resnet18", "fpn"), ("googlenet", "fpn"), ("vgg11", "fpn_v2")]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "neck"), FORMS)
def test_every_family_carries_a_detector_and_every_parameter_learns(name, neck):
    model = _small(name, neck=neck).train()
    losses = model(torch.rand(2, 3, 64, 96), SIZES, _objects()).losses
    assert set(losses) == {"objectness", "proposal_box", "class", "region_box"}
    assert all(loss.isfinite() for loss in losses.values())
    torch.stack(list(losses.values())).sum().backward()
    assert [name for name, p in model.named_parameters() if p.grad is None] == []


@pytest.mark.slow
@pytest.mark.parametrize("switch", [Judging(pooling="pool"), Judging(background_iou=(0.1, 0.5), samples=128)])
def test_the_papers_switches(switch):
    model = _small(
        "alexnet", judging=switch, proposing=Proposing(cross_boundary=False, sizes=((16, 32, 48),), candidates=(50, 20))
    )
    found = model(torch.rand(2, 3, 64, 96), SIZES, _objects())
    assert all(loss.isfinite() for loss in found.losses.values())
    assert found.regions.shape[1] == switch.samples


@pytest.mark.slow
def test_boxes_over_the_edge_teach_nothing_when_they_shall_not():
    """With reference boxes larger than the image none is left, and the loss of the proposals is 0."""
    model = _small("alexnet", proposing=Proposing(cross_boundary=False, sizes=((300, 400, 500),)))
    losses = model(torch.rand(2, 3, 64, 96), SIZES, _objects()).losses
    assert losses["objectness"].item() == losses["proposal_box"].item() == 0
    model = _small("alexnet", proposing=Proposing(sizes=((300, 400, 500),)))
    assert model(torch.rand(2, 3, 64, 96), SIZES, _objects()).losses["objectness"].item() > 0


@pytest.mark.slow
def test_a_batch_without_any_object_trains():
    model = _small(neck="fpn").train()
    nothing = Objects(torch.zeros(2, 1, 4), torch.zeros(2, 1, dtype=torch.int64), torch.zeros(2, 1, dtype=torch.bool))
    losses = model(torch.rand(2, 3, 64, 96), SIZES, nothing).losses
    assert losses["proposal_box"].item() == losses["region_box"].item() == 0
    torch.stack(list(losses.values())).sum().backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())


@pytest.mark.slow
def test_what_lies_in_the_padding_changes_nothing():
    model = _small(neck="fpn").eval()
    images = torch.rand(2, 3, 64, 96)
    other = images.clone()
    other[0, :, :, 90:] = 9.0
    other[1, :, 50:] = -9.0
    with torch.inference_mode():
        first, second = model(images, SIZES), model(other, SIZES)
        detections = model.detections(first, SIZES)
    assert torch.equal(first.logits, second.logits)
    for (boxes, scores, labels), (height, width) in zip(detections, SIZES.tolist(), strict=True):
        assert len(boxes) == len(scores) == len(labels)
        assert (boxes >= 0).all()
        assert (boxes[:, 2] <= width).all()
        assert (boxes[:, 3] <= height).all()
        assert torch.equal(scores, scores.sort(descending=True).values)
        assert ((labels >= 0) & (labels < 3)).all()


@pytest.mark.slow
def test_the_same_generator_draws_the_same_samples():
    model = _small(neck="fpn", judging=Judging(samples=16)).eval()
    images = torch.rand(2, 3, 64, 96)
    drawn = [model(images, SIZES, _objects(), torch.Generator().manual_seed(seed)).regions for seed in (1, 1, 2)]
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])


def test_what_cannot_be_built_is_refused():
    with torch.device("meta"):
        with pytest.raises(UnknownNameError, match="neck"):
            _small(neck="fnp")
        with pytest.raises(InputError, match="need a pyramid"):
            _small(stages=["c4", "c5"])
        with pytest.raises(InputError, match="sizes of reference boxes for 1 levels"):
            _small(proposing=Proposing(sizes=((32,), (64,))))


@pytest.mark.slow
def test_the_losses_of_two_images_fall_when_they_are_trained_on():
    model = _small(neck="fpn")
    images, objects = torch.rand(2, 3, 64, 96) * 0.1, _objects()
    images[0, 0, 5:40, 5:40] += 1
    images[0, 1, 20:60, 30:80] += 1
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    totals = []
    for _ in range(8):
        total = torch.stack(list(model(images, SIZES, objects).losses.values())).sum()
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        totals.append(total.item())
    assert totals[-1] < 0.8 * totals[0]
