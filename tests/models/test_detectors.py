"""The detectors by name: their counts, published files old and new, settings as a recipe has them."""

import re
from pathlib import Path

import pytest
import torch
import torchvision
from torch import nn

from sightline.errors import InputError, UnknownNameError, WeightsError
from sightline.models import DETECTORS, create_model
from sightline.models.weights import PUBLISHED, find, is_published, load_file

PEERS = ["fasterrcnn_resnet50_fpn", "fasterrcnn_resnet50_fpn_v2"]


@pytest.mark.parametrize(("objectness", "parameters"), [("sigmoid", 137_073_622), ("softmax", 137_078_239)])
def test_the_lectures_detector_by_name(objectness: str, parameters: int) -> None:
    proposing = {"sizes": [[64, 128, 256]], "ratios": [0.5, 1.0, 1.5], "objectness": objectness}
    with torch.device("meta"):
        model = create_model("faster_rcnn", num_classes=20, backbone="vgg16", proposing=proposing)
    assert sum(parameter.numel() for parameter in model.parameters()) == parameters


def test_two_ways_and_one_say_the_same_of_what_they_are_told() -> None:
    """The sigmoid of one logit is the softmax over it and a constant 0."""
    torch.manual_seed(0)
    arguments = {"backbone": "resnet18", "neck": "fpn", "width": 16, "hidden": 16}
    one = create_model("faster_rcnn", num_classes=2, **arguments).rpn.head
    two = create_model("faster_rcnn", num_classes=2, **arguments, proposing={"objectness": "softmax"}).rpn.head
    state = one.state_dict()
    for kind in ("weight", "bias"):
        logit = state[f"cls_logits.{kind}"]
        state[f"cls_logits.{kind}"] = torch.stack([torch.zeros_like(logit), logit], dim=1).flatten(0, 1)
    two.load_state_dict(state)
    features = torch.randn(2, 16, 5, 7)
    assert torch.allclose(one(features)[0], two(features)[0])


@pytest.mark.slow
@pytest.mark.parametrize("name", PEERS)
def test_a_published_state_loads_whole_under_new_names_and_old(name: str) -> None:
    with torch.device("meta"):
        theirs = torchvision.models.get_model(name, weights=None, weights_backbone=None).state_dict()
        ours = create_model(name)
    old = {}
    for key, value in theirs.items():
        key = re.sub(r"^rpn\.head\.conv\.0\.0\.", "rpn.head.conv.", key)
        key = re.sub(r"(backbone\.fpn\.(?:inner|layer)_blocks\.\d)\.0\.", r"\1.", key)
        old[key] = value
    for state in (theirs, old) if name == PEERS[0] else (theirs,):
        ours.load_state_dict(state, strict=True, assign=True)
    assert set(theirs) == set(ours.state_dict())


@pytest.mark.slow
def test_a_file_for_other_classes_leaves_the_last_layers_new(tmp_path: Path) -> None:
    arguments = {"backbone": "resnet18", "neck": "fpn", "width": 16, "hidden": 16}
    torch.manual_seed(0)
    source = create_model("faster_rcnn", num_classes=5, **arguments)
    torch.save(source.state_dict(), tmp_path / "five.pth")
    model = create_model("faster_rcnn", num_classes=3, **arguments)
    report = load_file(model, tmp_path / "five.pth")
    assert {name.rpartition(".")[0] for name in report.new} == {
        "roi_heads.box_predictor.cls_score",
        "roi_heads.box_predictor.bbox_pred",
    }
    assert torch.equal(model.rpn.head.cls_logits.weight, source.rpn.head.cls_logits.weight)
    with pytest.raises(WeightsError, match="is not for this FasterRCNN"):
        load_file(create_model("faster_rcnn", num_classes=3, **{**arguments, "width": 8}), tmp_path / "five.pth")


def test_the_first_published_detector_adds_nothing_to_the_variance() -> None:
    with torch.device("meta"):
        model = create_model(PEERS[0], norm_eps=0.0)
    assert model.norm_eps == 0.0
    assert {m.eps for m in model.backbone.body.modules() if isinstance(m, nn.BatchNorm2d)} == {0.0}


def test_published_detectors_are_found_by_name() -> None:
    assert {name for name in PUBLISHED if name in DETECTORS} == set(PEERS)
    assert find(PEERS[0], "coco").reported == {"AP": 37.0}
    assert find(PEERS[1], "coco-v1").file.endswith("coco-dd69338a.pth")
    assert is_published("coco-v1")
    with pytest.raises(UnknownNameError, match="published weights"):
        find(PEERS[0], "imagenet")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"proposing": {"size": [[8]]}}, r"proposing\.size: there is no such setting\. Known here: sizes, ratios"),
        ({"judging": {"pooling": "max"}}, "pooling: expected 'align' or 'pool', got 'max'"),
        ({"judging": {"nms_iou": 3}}, "nms_iou: expected 0..1, got 3"),
        ({"proposing": {"sizes": [[8, -1]]}}, "Expected sizes and ratios above 0"),
        ({"proposing": {"objectness": "both"}}, "objectness: expected 'sigmoid' or 'softmax'"),
        ({"neck": "fpn", "judging": {"pooling": "pool"}}, "RoIPool reads a single map"),
        ({"proposing": {"candidates": [100]}}, r"candidates: expected 2 whole numbers of at least 1, got \[100\]"),
        ({"proposing": {"samples": 2.5}}, "samples: expected 1 whole numbers of at least 1"),
        ({"proposing": {"positive_iou": 0.2}}, "Expected 0 < negative_iou <= positive_iou, got 0.3 and 0.2"),
        ({"proposing": {"sizes": [32]}}, "proposing: a value is of another kind than expected"),
        ({"proposing": 3}, "proposing: expected a table of settings, got 3"),
        ({"judging": {"background_iou": [0.5, 0.1]}}, r"background_iou: expected two overlaps, .* got \[0.5, 0.1\]"),
        ({"judging": {"score_threshold": 2}}, "score_threshold: expected 0..1, got 2"),
        (
            {"neck": "fpn", "stages": ["c3", "c5"]},
            "each of twice the stride of the one before; c3, c5 have the strides 8, 32",
        ),
        ({"neck": "fpn", "stages": ["c4", "c3"]}, "expected maps finest first"),
        ({"neck": "fpn", "stages": ["c9"]}, "Unknown stage of ResNet 'c9'"),
        ({"neck": "fpn", "stages": "c4"}, "stages: expected a list of names"),
        ({"depth": 3}, "It takes: .*backbone_arguments"),
        ({"width": 0}, "width: expected a whole number of at least 1"),
    ],
)
def test_wrong_settings_are_named(arguments: dict[str, object], text: str) -> None:
    with torch.device("meta"), pytest.raises(InputError, match=text):
        create_model("faster_rcnn", num_classes=2, backbone="resnet18", **arguments)


def test_an_unknown_backbone_is_named() -> None:
    with pytest.raises(UnknownNameError, match="Unknown classifier 'resnet17'"):
        create_model("faster_rcnn", num_classes=2, backbone="resnet17")
