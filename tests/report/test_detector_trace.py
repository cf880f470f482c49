"""The layers and the costs of detectors: what the content of a picture does not change, and one region."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from sightline.models import create_model
from sightline.models.faster_rcnn import FasterRCNN
from sightline.report.architecture import trace
from sightline.report.blocks import parts
from sightline.report.summary import grouped

CASES = [
    ("resnet18", {}),
    pytest.param("vgg11", {"judging": {"pooling": "pool"}}, marks=pytest.mark.slow),
    ("resnet18", {"neck": "fpn"}),
    pytest.param("resnet18", {"neck": "fpn_v2", "proposing": {"objectness": "softmax"}}, marks=pytest.mark.slow),
]


def counted(model: FasterRCNN, side: int) -> tuple[int, int]:
    """Torch's operations of everything before the head, and of the head for one region."""
    fixed, head = FlopCounterMode(display=False), FlopCounterMode(display=False)
    with fixed:
        maps = model.backbone(torch.empty(1, 3, side, side, device="meta"))
        for features in maps.values():
            model.rpn.head(features)
    heads = model.roi_heads
    channels = next(iter(maps.values())).shape[1]
    with head:
        heads.box_predictor(heads.box_head(torch.empty(1, channels, heads.grid, heads.grid, device="meta")))
    return fixed.get_total_flops(), head.get_total_flops()


@pytest.mark.slow
@pytest.mark.parametrize(("body", "arguments"), CASES)
def test_costs_are_those_that_torch_counts_with_one_region(body, arguments) -> None:
    with torch.device("meta"):
        model = create_model("faster_rcnn", num_classes=3, backbone=body, **arguments).eval()
        architecture = trace(model, 96)
    fixed, head = counted(model, 96)
    assert 2 * architecture.multiply_adds() == fixed + head
    assert 2 * architecture.multiply_adds_of_region() == head > 0
    assert architecture.parameters() == sum(parameter.numel() for parameter in model.parameters())
    assert architecture.parameters(auxiliary=True) == architecture.multiply_adds(auxiliary=True) == 0
    assert architecture.regions == model.rpn.settings.proposals[1]
    rows = grouped(architecture)
    assert sum(row.multiply_adds for row in rows) == architecture.multiply_adds()
    assert sum(row.parameters for row in rows) == architecture.parameters()


def test_each_level_is_told_with_what_it_reads() -> None:
    with torch.device("meta"):
        architecture = trace(create_model("faster_rcnn", num_classes=3, backbone="resnet18", neck="fpn"), 64)
    rows = grouped(architecture)
    neck = [(row.name, row.what, row.output) for row in rows if row.name.startswith("backbone.fpn")]
    assert neck[:3] == [
        ("backbone.fpn.inner_blocks.3", "1x1 conv, 256", "256 x 2 x 2"),
        ("backbone.fpn.inner_blocks.2", "stage c4 > 1x1 conv, 256", "256 x 4 x 4"),
        ("backbone.fpn", "inner_blocks.2.0 + upsample", "256 x 4 x 4"),
    ]
    objectness = [row for row in rows if row.name == "rpn.head.cls_logits"]
    assert [row.output for row in objectness] == [f"3 x {side} x {side}" for side in (16, 8, 4, 2, 1)]
    assert [bool(row.parameters) for row in objectness] == [True, False, False, False, False]  # one head for all levels
    (region,) = (row for row in rows if row.name == "roi_heads")
    assert (region.what, region.output) == ("RoIAlign, to 7x7", "256 x 7 x 7")
    assert next(layer.kind for layer in architecture.layers if layer.per_region) == "RoIAlign"


def test_what_is_no_chain_of_blocks_is_not_taken_for_one() -> None:
    with torch.device("meta"):
        architecture = trace(create_model("unet", width=4), 32)
    with pytest.raises(ValueError, match="read at several places"):
        parts(architecture)
