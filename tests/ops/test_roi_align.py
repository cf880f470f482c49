import pytest
import torch

from sightline.ops import roi_align as module
from sightline.ops.roi_align import assign_levels, multilevel_roi_align, roi_align, roi_pool


def _map(*shape, seed=0, dtype=torch.float32):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def _boxes(count, extent, seed=0):
    """(count, 4) of all sizes, some beyond the picture."""
    generator = torch.Generator().manual_seed(seed)
    centre = torch.rand(count, 2, generator=generator) * extent * 1.2 - 0.1 * extent
    sides = torch.exp(torch.rand(count, 2, generator=generator) * 4) * extent / 50
    return torch.cat((centre - sides / 2, centre + sides / 2), dim=1)


@pytest.mark.parametrize("sampling_ratio", [0, 1, 2, 3])
def test_a_ramp_is_read_at_the_middle_of_each_bin(sampling_ratio):
    # Pixel i of the picture is worth i + 0.5 at its centre, so position x is worth x, wherever it is read.
    ramp = (torch.arange(20.0) + 0.5).expand(1, 1, 20, 20) + 100 * (torch.arange(20.0) + 0.5)[:, None]
    region = torch.tensor([[0, 2.3, 4.1, 14.3, 16.1]])
    values = roi_align(ramp, region, (4, 3), spatial_scale=1.0, sampling_ratio=sampling_ratio, aligned=True)
    x, y = 2.3 + 4 * torch.tensor([0.5, 1.5, 2.5]), 4.1 + 3 * torch.tensor([0.5, 1.5, 2.5, 3.5])
    torch.testing.assert_close(values[0, 0], 100 * y[:, None] + x)
    unaligned = roi_align(ramp, region, (4, 3), spatial_scale=1.0, sampling_ratio=sampling_ratio)
    torch.testing.assert_close(unaligned, values + 50.5)


@pytest.mark.slow
@pytest.mark.parametrize("sampling_ratio", [0, 2])
def test_it_is_differentiable(sampling_ratio):
    maps = [_map(1, 2, 4, 5, dtype=torch.double), _map(1, 2, 2, 3, seed=1, dtype=torch.double)]
    boxes = _boxes(5, 200).double()[None]

    def both(*maps):
        return multilevel_roi_align(
            maps, boxes, (2, 3), spatial_scales=[1 / 32, 1 / 64], sampling_ratio=sampling_ratio, aligned=True
        )

    assert torch.autograd.gradcheck(both, [m.requires_grad_() for m in maps])


def test_the_gradient_is_that_of_the_library():
    features, weights = _map(2, 7, 12, 9), _map(10, 7, 3, 3, seed=1)
    gradients = []
    for train in (True, False):
        leaf = features.clone().requires_grad_()
        table = leaf.permute(0, 2, 3, 1).reshape(-1, 7)
        rows = torch.randint(0, len(table), (90 * 16,), generator=torch.Generator().manual_seed(2), dtype=torch.int32)
        shares, offsets = _map(90 * 16, seed=3), torch.arange(90, dtype=torch.int32) * 16
        if train:
            sums = module._weighted_sums(table, rows, shares, offsets)
        else:
            sums = torch.nn.functional.embedding_bag(rows, table, offsets, mode="sum", per_sample_weights=shares)
        (sums * weights.view(90, 7)).sum().backward()
        gradients.append(leaf.grad)
    torch.testing.assert_close(*gradients)


def test_gradients_in_bfloat16_are_added_up_in_float32():
    # 500 regions on one cell, each adds 1: in bfloat16 the sum would stop at 256.
    features = torch.ones(1, 2, 1, 1, dtype=torch.bfloat16, requires_grad=True)
    region = torch.tensor([[0.0, 0.0, 0.0, 1.0, 1.0]]).repeat(500, 1)
    roi_align(features, region, (1, 1), spatial_scale=1.0).sum().backward()
    assert features.grad.flatten().tolist() == [500, 500]


def test_the_three_forms_of_boxes_are_the_same():
    features, boxes = _map(2, 3, 10, 10), _boxes(6, 160).view(2, 3, 4)
    numbered = torch.cat((torch.tensor([0.0, 0, 0, 1, 1, 1])[:, None], boxes.flatten(0, 1)), dim=1)
    results = [roi_align(features, form, (2, 2), spatial_scale=1 / 16) for form in (boxes, list(boxes), numbered)]
    assert torch.equal(results[0], results[1])
    assert torch.equal(results[0], results[2])
    ragged = roi_align(features, [boxes[0], boxes[1, :0]], (2, 2), spatial_scale=1 / 16)
    assert torch.equal(ragged, results[0][:3])


@pytest.mark.parametrize(
    "boxes", [torch.zeros(3, 4), torch.zeros(1, 3, 4), [torch.zeros(3, 4)], [torch.zeros(3, 5)] * 2]
)
def test_other_forms_are_refused(boxes):
    with pytest.raises(ValueError, match=r"expected boxes \(R, 5\), \(2, n, 4\) or 2 times \(n, 4\)"):
        roi_align(_map(2, 3, 4, 4), boxes, (2, 2), spatial_scale=1.0)


@pytest.mark.parametrize("sampling_ratio", [0, 2])
def test_each_region_is_read_from_the_map_of_its_level(sampling_ratio):
    maps = [_map(2, 3, 40 // s, 48 // s, seed=s) for s in (1, 2, 4)]
    scales = [1 / 8, 1 / 16, 1 / 32]
    boxes = _boxes(60, 1200).view(2, 30, 4)
    together = multilevel_roi_align(maps, boxes, (3, 3), spatial_scales=scales, sampling_ratio=sampling_ratio)
    levels = assign_levels(boxes.flatten(0, 1), finest=3, coarsest=5)
    assert levels.unique().tolist() == [3, 4, 5]
    for level, (features, scale) in enumerate(zip(maps, scales, strict=True), start=3):
        alone = roi_align(features, boxes, (3, 3), spatial_scale=scale, sampling_ratio=sampling_ratio)
        torch.testing.assert_close(together[levels == level], alone[levels == level])


def test_maps_and_scales_must_be_as_many():
    with pytest.raises(ValueError, match="one scale a map"):
        multilevel_roi_align([_map(1, 1, 4, 4)], torch.zeros(1, 1, 4), (2, 2), spatial_scales=[1.0, 0.5])


def test_levels_double_the_side_and_end_at_the_last():
    sides = torch.tensor([0.0, 1.0, 56.0, 111.9, 112.0, 223.9, 224.0, 447.9, 448.0, 5000.0, torch.nan])
    boxes = torch.stack((torch.zeros(11), torch.zeros(11), sides, sides), dim=1)
    assert assign_levels(boxes, finest=2, coarsest=5).tolist() == [2, 2, 2, 2, 3, 3, 4, 4, 5, 5, 2]


@pytest.mark.parametrize("sampling_ratio", [0, 2])
def test_regions_of_nothing_and_of_no_number_read_nothing(sampling_ratio):
    features = _map(1, 2, 5, 5).requires_grad_()
    odd = torch.tensor(
        [[0.0, torch.nan, 0, 1, 1], [0, torch.nan, torch.nan, torch.nan, torch.nan], [0, 90, 90, 99, 99]]
    )
    values = roi_align(features, odd, (2, 2), spatial_scale=1.0, sampling_ratio=sampling_ratio)
    assert not values.any()
    none = roi_align(features, torch.zeros(0, 5), (2, 2), spatial_scale=1.0, sampling_ratio=sampling_ratio)
    assert none.shape == (0, 2, 2, 2)
    (values.sum() + none.sum()).backward()
    assert not features.grad.any()


@pytest.mark.parametrize("sampling_ratio", [0, 2])
def test_the_layout_of_the_features_does_not_matter(sampling_ratio):
    features, boxes = _map(2, 8, 10, 10), _boxes(6, 160).view(2, 3, 4)
    last = features.contiguous(memory_format=torch.channels_last)
    results = [
        roi_align(f, boxes, (7, 7), spatial_scale=1 / 16, sampling_ratio=sampling_ratio) for f in (features, last)
    ]
    assert torch.equal(*results)
    assert results[1].is_contiguous(memory_format=torch.channels_last)


def test_regions_are_laid_out_in_parts_if_they_are_many(monkeypatch):
    features, boxes = _map(1, 3, 30, 30), _boxes(50, 400)[None]
    whole = roi_align(features, boxes, (7, 7), spatial_scale=1 / 16, sampling_ratio=0)
    monkeypatch.setattr(module, "_AT_ONCE", 10_000)
    assert torch.equal(roi_align(features, boxes, (7, 7), spatial_scale=1 / 16, sampling_ratio=0), whole)


def test_roi_pool_takes_the_largest_and_keeps_the_type():
    features = torch.arange(16.0).view(1, 1, 4, 4)
    region = torch.tensor([[0.0, 0.0, 0.0, 3.0, 3.0]])
    assert roi_pool(features, region, (2, 2), spatial_scale=1.0).flatten().tolist() == [5, 7, 13, 15]
    assert roi_pool(features.bfloat16(), [region[:, 1:]], (2, 2), spatial_scale=1.0).dtype == torch.bfloat16


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")  # by the compiler of torch 2.11
def test_a_fixed_number_of_points_is_compiled_in_one_piece():
    maps = [_map(2, 3, 16, 16).requires_grad_(), _map(2, 3, 8, 8).requires_grad_()]
    boxes = _boxes(8, 120).view(2, 4, 4)

    def pooled(maps, boxes):
        return multilevel_roi_align(maps, boxes, (3, 3), spatial_scales=[1 / 8, 1 / 16])

    compiled = torch.compile(pooled, backend="aot_eager", fullgraph=True)(maps, boxes)
    torch.testing.assert_close(compiled, pooled(maps, boxes))
    compiled.sum().backward()
    gradients = [m.grad.clone() for m in maps]
    for m in maps:
        m.grad = None
    pooled(maps, boxes).sum().backward()
    torch.testing.assert_close(gradients, [m.grad for m in maps])
