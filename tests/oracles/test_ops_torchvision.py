"""torchvision's operators and the parts of its detectors give the same, or the same up to rounding."""

import pytest
import torch
import torchvision
from torch import Tensor
from torch.nn import functional as F
from torchvision.models.detection import anchor_utils, roi_heads
from torchvision.models.detection import rpn as their_rpn
from torchvision.models.detection._utils import BalancedPositiveNegativeSampler, BoxCoder, Matcher
from torchvision.models.detection.image_list import ImageList
from torchvision.ops import poolers

from sightline.ops import boxes as B
from sightline.ops.anchors import grid, reference_boxes
from sightline.ops.losses import objectness, region_cross_entropy, smooth_l1
from sightline.ops.matching import match, sample
from sightline.ops.nms import batched_nms, nms
from sightline.ops.roi_align import assign_levels, multilevel_roi_align, roi_align, roi_pool


def _seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _boxes(*shape: int, seed: int = 0, extent: float = 300, largest: float = 4) -> Tensor:
    """(*shape, 4) of all sizes, some of them partly or wholly outside of 0..extent."""
    generator = _seeded(seed)
    centre = torch.rand(*shape, 2, generator=generator) * extent * 1.3 - 0.15 * extent
    sides = torch.exp(torch.rand(*shape, 2, generator=generator) * largest) * extent / 100
    return torch.cat((centre - sides / 2, centre + sides / 2), dim=-1)


def test_overlaps_are_theirs():
    boxes, others = _boxes(50), _boxes(60, seed=1)
    assert torch.equal(B.iou(boxes, others), torchvision.ops.box_iou(boxes, others))
    assert torch.equal(B.area(boxes), torchvision.ops.box_area(boxes))


def test_clipping_and_small_boxes_are_theirs():
    boxes = _boxes(200)
    clipped = torchvision.ops.clip_boxes_to_image(boxes, (200, 250))
    assert torch.equal(B.clip(boxes, torch.tensor([200, 250])), clipped)
    assert 0 < B.large_enough(clipped, 5.0).sum() < 200
    kept = torch.where(B.large_enough(clipped, 5.0))[0]
    assert torch.equal(kept, torchvision.ops.remove_small_boxes(clipped, 5.0))


@pytest.mark.parametrize("order", ["cxcywh", "xywh"])
def test_conversions_are_theirs(order):
    boxes = _boxes(50)
    there = getattr(B, f"xyxy_to_{order}")(boxes)
    torch.testing.assert_close(there, torchvision.ops.box_convert(boxes, "xyxy", order))
    back = getattr(B, f"{order}_to_xyxy")(there)
    torch.testing.assert_close(back, torchvision.ops.box_convert(there, order, "xyxy"))


@pytest.mark.parametrize("weights", [(1.0, 1.0, 1.0, 1.0), (10.0, 10.0, 5.0, 5.0)])
def test_coding_is_theirs(weights):
    coder, boxes, references = BoxCoder(weights), _boxes(50), _boxes(50, seed=1)
    torch.testing.assert_close(B.encode(boxes, references, weights), coder.encode_single(boxes, references))
    # Also offsets beyond what a side may grow by.
    offsets = 8 * torch.randn(50, 7, 4, generator=_seeded(2))
    ours = B.decode(offsets, references[:, None], weights)
    torch.testing.assert_close(ours.flatten(1), coder.decode_single(offsets.flatten(1), references))


PUBLISHED_ANCHORS = [
    ([(32,), (64,), (128,), (256,), (512,)], (0.5, 1.0, 2.0)),
    ([(32, 64, 128, 256, 512)] * 2, (0.5, 1.0, 2.0)),
    ([(16, 31, 33.5)], (0.25, 0.4, 1.0, 3.0)),
]


@pytest.mark.parametrize(("sizes", "heights_by_widths"), PUBLISHED_ANCHORS)
def test_anchors_are_theirs_in_their_order(sizes, heights_by_widths):
    generator = anchor_utils.AnchorGenerator(tuple(sizes), (heights_by_widths,) * len(sizes))
    cells = [(20 // (k + 1), 26 // (k + 1)) for k in range(len(sizes))]
    maps = [torch.zeros(1, 1, *size) for size in cells]
    images = ImageList(torch.zeros(1, 3, 160, 208), [(160, 208)])
    ours = [
        grid(
            reference_boxes(s, [1 / ratio for ratio in heights_by_widths], rounded=True),
            size,
            (160 // size[0], 208 // size[1]),
        )
        for s, size in zip(sizes, cells, strict=True)
    ]
    assert torch.equal(torch.cat(ours), generator(images, maps)[0])


@pytest.mark.parametrize(
    ("foreground", "background", "low_quality"), [(0.7, 0.3, True), (0.5, 0.5, False), (0.6, 0.1, True)]
)
def test_matches_are_theirs(foreground, background, low_quality):
    matcher = Matcher(foreground, background, low_quality)
    kinds = set()
    for seed in range(40):
        # Boxes on a grid, objects on it and objects that are boxes: there are ties of both.
        boxes = torch.cat((_boxes(60, seed=seed), grid(reference_boxes([40], [1.0]), (6, 6), (50, 50))))
        near = grid(reference_boxes([60], [1.0]), (2, 2), (100, 100))
        objects = torch.cat((boxes[::15], boxes[::15], _boxes(2, seed=seed + 1), near))
        # Of an object that no box overlaps theirs calls all boxes that overlap nothing the best; ours none.
        objects = objects[torchvision.ops.box_iou(objects, boxes).amax(dim=1) > 0]
        real = torch.arange(len(objects) + 3)[None] < len(objects)
        padded = F.pad(objects, (0, 0, 0, 3))[None]
        ours = match(boxes, padded, real, foreground=foreground, background=(0.0, background), low_quality=low_quality)
        assert torch.equal(ours[0], matcher(torchvision.ops.box_iou(objects, boxes)))
        kinds |= set(ours.clamp(max=0).unique().tolist())
    assert kinds == ({0, -1, -2} if foreground > background else {0, -1})


@pytest.mark.parametrize(("count", "share"), [(256, 0.5), (64, 0.25), (1000, 0.5)])
def test_as_many_are_sampled_as_theirs(count, share):
    matches = torch.randint(-40, 10, (6, 500), generator=_seeded(0)).clamp(min=-2)
    matches[4], matches[5] = -1, 3
    labels = torch.where(matches == -2, -1, (matches >= 0).long())
    torch.manual_seed(0)
    theirs = BalancedPositiveNegativeSampler(count, share)(list(labels))
    for ours, expected in zip(sample(matches, count, share, _seeded(1)), theirs, strict=True):
        assert torch.equal(ours.sum(dim=1), torch.stack(expected).sum(dim=1))


def _tied(generator: torch.Generator, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """Boxes with whole corners and few scores: scores are tied, and IoUs are often exactly the threshold."""
    start = torch.randint(0, 12, (count, 2), generator=generator)
    boxes = torch.cat((start, start + torch.randint(0, 8, (count, 2), generator=generator)), dim=1).float()
    scores = torch.randint(0, 10, (count,), generator=generator) / 10
    return boxes, scores, torch.randint(0, 5, (count,), generator=generator)


@pytest.mark.slow
def test_nms_is_theirs_on_1000_cases_with_ties():
    generator, suppressed = _seeded(0), 0
    for case in range(1000):
        boxes, scores, groups = _tied(generator, case % 40)
        threshold = (0.0, 0.25, 0.3, 0.5, 0.7)[case % 5]
        kept = nms(boxes, scores, threshold)
        assert torch.equal(kept, torchvision.ops.nms(boxes, scores, threshold))
        in_groups = batched_nms(boxes, scores, groups, threshold)
        assert torch.equal(in_groups, torchvision.ops.batched_nms(boxes, scores, groups, threshold))
        suppressed += len(boxes) > len(in_groups) > len(kept)
    assert suppressed > 300


@pytest.mark.parametrize(("count", "groups"), [(900, 3), (900, 60), (1500, 3), (1500, 90)])
def test_many_boxes_in_groups_are_theirs(count, groups):
    # Theirs changes its algorithm at 1,000 boxes; there it does not say which of equal scores comes first.
    boxes = _boxes(count, extent=100, largest=4.5).round() + 200
    scores = torch.rand(count, generator=_seeded(1))
    group = torch.randint(0, groups, (count,), generator=_seeded(2))
    assert scores.unique().numel() == count
    theirs = torchvision.ops.batched_nms(boxes, scores, group, 0.4)
    assert torch.equal(batched_nms(boxes, scores, group, 0.4), theirs)
    assert len(theirs) < count


def _regions(batch: int, count: int) -> Tensor:
    """(count, 5), some partly or wholly outside, with whole corners, without an area, and turned around."""
    boxes = _boxes(count, extent=250, largest=5)
    boxes[:5] = boxes[:5].round()
    boxes[5:8, 2:] = boxes[5:8, :2]
    boxes[8:10] = boxes[8:10].flip(-1)
    boxes[10] = torch.tensor([-16.0, -16.0, 256.0, 208.0])
    picture = torch.randint(0, batch, (count, 1), generator=_seeded(3))
    return torch.cat((picture, boxes), dim=1)


@pytest.mark.parametrize("aligned", [True, False])
@pytest.mark.parametrize("sampling_ratio", [0, 1, 2, 3])
@pytest.mark.parametrize("output_size", [(7, 7), (1, 3)])
def test_roi_align_is_theirs_with_its_gradient(aligned, sampling_ratio, output_size):
    features, regions = torch.randn(2, 5, 13, 17, generator=_seeded(0)), _regions(2, 120)
    ours, theirs = (features.clone().requires_grad_() for _ in range(2))
    got = roi_align(ours, regions, output_size, spatial_scale=1 / 16, sampling_ratio=sampling_ratio, aligned=aligned)
    expected = torchvision.ops.roi_align(theirs, regions, output_size, 1 / 16, sampling_ratio, aligned)
    torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-5)
    weights = torch.randn(expected.shape, generator=_seeded(1))
    got.backward(weights)
    expected.backward(weights)
    torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-5, atol=2e-5)


@pytest.mark.parametrize("aligned", [True, False])
@pytest.mark.parametrize("sampling_ratio", [0, 1, 2])
def test_roi_align_in_bfloat16_is_theirs_in_float32_up_to_its_rounding(aligned, sampling_ratio):
    # Theirs has no bfloat16. Features, weights and result have 8 bits each: of values up to 4, a few parts in 100.
    features = torch.randn(2, 5, 13, 17, generator=_seeded(0)).bfloat16()
    regions = _regions(2, 120)
    ours, theirs = features.clone().requires_grad_(), features.float().requires_grad_()
    got = roi_align(ours, regions, (7, 7), spatial_scale=1 / 16, sampling_ratio=sampling_ratio, aligned=aligned)
    expected = torchvision.ops.roi_align(theirs, regions, (7, 7), 1 / 16, sampling_ratio, aligned)
    assert got.dtype == torch.bfloat16
    torch.testing.assert_close(got.float(), expected, rtol=2**-7, atol=2**-7)
    weights = torch.randn(expected.shape, generator=_seeded(1)).bfloat16()
    got.backward(weights)
    expected.backward(weights.float())
    torch.testing.assert_close(ours.grad.float(), theirs.grad, rtol=2**-6, atol=2**-5)


@pytest.mark.parametrize("sampling_ratio", [0, 2])
def test_roi_align_of_no_regions_is_theirs(sampling_ratio):
    features, none = torch.randn(2, 5, 13, 17), torch.zeros(0, 5)
    expected = torchvision.ops.roi_align(features, none, (7, 7), 1 / 16, sampling_ratio)
    got = roi_align(features, none, (7, 7), spatial_scale=1 / 16, sampling_ratio=sampling_ratio)
    assert got.shape == expected.shape


def test_roi_pool_is_theirs_with_its_gradient():
    features, regions = torch.randn(2, 5, 13, 17, generator=_seeded(0)), _regions(2, 60)[10:]
    ours, theirs = (features.clone().requires_grad_() for _ in range(2))
    got = roi_pool(ours, regions, (7, 7), spatial_scale=1 / 16)
    expected = torchvision.ops.roi_pool(theirs, regions, (7, 7), 1 / 16)
    assert torch.equal(got, expected)
    got.square().sum().backward()
    expected.square().sum().backward()
    assert torch.equal(ours.grad, theirs.grad)


def test_levels_are_theirs():
    boxes = _boxes(2000, extent=900, largest=5)
    sides = torch.arange(1.0, 1200.0)
    squares = torch.stack((torch.zeros(1199), torch.zeros(1199), sides, sides), dim=1)
    for some in (boxes, squares):
        theirs = poolers.LevelMapper(2, 5)([some])
        assert torch.equal(assign_levels(some, finest=2, coarsest=5) - 2, theirs)
        assert len(theirs.unique()) == 4


def test_roi_align_over_a_pyramid_is_theirs():
    size = (256, 320)
    maps = [torch.randn(2, 4, size[0] // s, size[1] // s, generator=_seeded(s)) for s in (4, 8, 16, 32)]
    boxes = [_boxes(70, extent=400), _boxes(30, seed=1, extent=1500)]
    pooler = torchvision.ops.MultiScaleRoIAlign(["0", "1", "2", "3"], output_size=7, sampling_ratio=2)
    theirs = pooler({str(level): features for level, features in enumerate(maps)}, boxes, [size, size])
    ours = multilevel_roi_align(maps, boxes, (7, 7), spatial_scales=[1 / 4, 1 / 8, 1 / 16, 1 / 32])
    assert set(assign_levels(torch.cat(boxes), 2, 5).tolist()) == {2, 3, 4, 5}
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)


def test_losses_of_proposals_are_theirs():
    logits, offsets = torch.randn(2, 50, generator=_seeded(0)), torch.randn(2, 50, 4, generator=_seeded(1))
    targets = torch.randn(2, 50, 4, generator=_seeded(2))
    matches = torch.randint(-2, 2, (2, 50), generator=_seeded(3))
    positive, negative = sample(matches, 20, 0.5, _seeded(4))
    network = their_rpn.RegionProposalNetwork(None, None, 0.7, 0.3, 20, 0.5, {}, {}, 0.7)
    network.fg_bg_sampler = lambda _: (list(positive), list(negative))
    expected = network.compute_loss(
        logits.flatten()[:, None], offsets.flatten(0, 1), list((matches >= 0).float()), list(targets)
    )
    drawn = (positive | negative).sum()
    ours = objectness(logits, positive, negative), smooth_l1(offsets, targets, positive, 1 / 9) / drawn
    torch.testing.assert_close(ours, tuple(expected))


def test_losses_of_regions_are_theirs():
    logits = torch.randn(40, 6, generator=_seeded(0))
    offsets, targets = torch.randn(40, 6, 4, generator=_seeded(1)), torch.randn(40, 4, generator=_seeded(2))
    labels, drawn = torch.randint(0, 6, (40,), generator=_seeded(3)), torch.arange(40) < 30
    expected = roi_heads.fastrcnn_loss(logits[:30], offsets[:30].flatten(1), [labels[:30]], [targets[:30]])
    own_class = offsets[torch.arange(40), labels]
    ours = (
        region_cross_entropy(logits, labels, drawn),
        smooth_l1(own_class, targets, drawn & (labels > 0), 1 / 9) / drawn.sum(),
    )
    torch.testing.assert_close(ours, expected)
    torch.testing.assert_close(
        smooth_l1(own_class, targets, drawn, 0.0), F.l1_loss(own_class[:30], targets[:30], reduction="sum")
    )
