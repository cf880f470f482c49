import pytest
import torch

from sightline.ops.anchors import fit, grid, recall, reference_boxes
from sightline.ops.boxes import area, iou


def _scattered(shapes, count, seed, jitter=0.05, extent=800):
    """Boxes (count * shapes, 4) of about these widths and heights, anywhere."""
    generator = torch.Generator().manual_seed(seed)
    sides = torch.tensor(shapes, dtype=torch.float32).repeat(count, 1)
    sides = sides * torch.exp(jitter * torch.randn(sides.shape, generator=generator))
    start = torch.rand(sides.shape, generator=generator) * (extent - sides).clamp(min=0)
    return torch.cat((start, start + sides), dim=1)


def test_sizes_are_roots_of_areas_and_ratios_are_width_by_height():
    sizes, ratios = [64.0, 128.0, 256.0], [0.5, 1.0, 1.5]
    boxes = reference_boxes(sizes, ratios)
    width, height = (boxes[:, 2:] - boxes[:, :2]).unbind(1)
    torch.testing.assert_close(width / height, torch.tensor(ratios).repeat_interleave(3))
    torch.testing.assert_close(area(boxes).sqrt(), torch.tensor(sizes).repeat(3))
    torch.testing.assert_close(boxes[:, :2], -boxes[:, 2:])


def test_reference_boxes_exist_in_a_network_that_is_built_without_memory():
    with torch.device("meta"):
        boxes = reference_boxes([8.0], [1.0])
    assert boxes.tolist() == [[-4, -4, 4, 4]]


@pytest.mark.parametrize(("sizes", "ratios"), [([], [1.0]), ([32], []), ([32, 0], [1.0]), ([32], [-1.0])])
def test_sizes_and_ratios_that_make_no_box_are_refused(sizes, ratios):
    with pytest.raises(ValueError, match="above 0"):
        reference_boxes(sizes, ratios)


def test_the_grid_goes_by_row_then_column_then_anchor():
    references = torch.tensor([[-1.0, -2.0, 1.0, 2.0], [-3.0, -3.0, 3.0, 3.0]])
    boxes = grid(references, (2, 3), (10, 100)).view(2, 3, 2, 4)
    for row in range(2):
        for column in range(3):
            for anchor in range(2):
                shift = torch.tensor([100.0 * column, 10.0 * row]).repeat(2)
                assert torch.equal(boxes[row, column, anchor], references[anchor] + shift)


def test_an_offset_moves_the_grid_by_a_part_of_the_stride():
    references = reference_boxes([8], [1.0])
    moved = grid(references, (2, 2), (16, 32), offset=0.5) - grid(references, (2, 2), (16, 32))
    assert torch.equal(moved, torch.tensor([16.0, 8.0, 16.0, 8.0]).expand(4, 4))


def test_an_empty_map_has_no_anchors():
    assert grid(reference_boxes([8], [1.0]), (0, 4), (16, 16)).shape == (0, 4)


def test_planted_shapes_are_found():
    shapes = [(s * r**0.5, s / r**0.5) for s in (20, 60, 180) for r in (0.5, 1.0, 2.0)]
    sizes, ratios = fit(_scattered(shapes, 40, seed=0), 3, 3)
    assert sizes == pytest.approx([20, 60, 180], rel=0.03)
    assert ratios == pytest.approx([0.5, 1.0, 2.0], rel=0.05)


def test_rare_shapes_are_found_although_no_quantile_is_near():
    many, few = _scattered([(40, 20), (20, 40)], 100, seed=0), _scattered([(100, 200), (200, 100)], 5, seed=1)
    sizes, ratios = fit(torch.cat((many, few)), 2, 2)
    assert sizes == pytest.approx([28.3, 141.4], rel=0.03)
    assert ratios == pytest.approx([0.5, 2.0], rel=0.05)
    sizes, _ = fit(_scattered([(20, 20)] * 12 + [(200, 200)], 20, seed=2, jitter=0), 3, 1)
    assert sizes == [20, 20, 200]


def test_fitted_shapes_reach_more_boxes_than_others():
    generator = torch.Generator().manual_seed(1)
    log_size, log_ratio = (
        (0.8 * torch.randn(300, generator=generator) + 3.5),
        0.4 * torch.randn(300, generator=generator),
    )
    shapes = torch.stack((log_size + log_ratio / 2, log_size - log_ratio / 2), dim=1).exp().tolist()
    boxes = _scattered(shapes, 1, seed=2)
    strides = [4] * 5
    sizes, ratios = fit(boxes, 5, 3)
    reached = recall(boxes, sizes, ratios, strides)
    assert reached > 0.9
    assert reached > recall(boxes, [32, 64, 128, 256, 512], [0.5, 1, 2], strides)
    assert reached > recall(boxes, [size * 1.5 for size in sizes], ratios, strides)
    assert reached > recall(boxes, sizes, [ratio * 2 for ratio in ratios], strides)


def test_fitting_draws_nothing_and_does_not_depend_on_the_order():
    boxes = _scattered([(30, 20), (90, 100)], 50, seed=3)
    state = torch.get_rng_state()
    assert fit(boxes, 2, 2) == fit(boxes, 2, 2) == fit(boxes.flip(0), 2, 2)
    assert torch.equal(torch.get_rng_state(), state)


def test_fewer_shapes_than_asked_for_repeat():
    assert fit(torch.tensor([[0.0, 0.0, 40.0, 20.0]]), 3, 2) == ([28.3] * 3, [2.0] * 2)


def test_boxes_without_an_area_are_refused():
    with pytest.raises(ValueError, match="each with an area"):
        fit(torch.tensor([[0.0, 0.0, 40.0, 0.0]]), 3, 2)
    with pytest.raises(ValueError, match="got 0 boxes"):
        fit(torch.zeros(0, 4), 3, 2)


def test_recall_is_that_of_all_cells():
    boxes = _scattered([(40, 20), (70, 90), (150, 60)], 40, seed=4, jitter=0.4, extent=300)
    sizes, ratios, strides = [32, 128], [0.5, 1.0, 2.0], [8, 32]
    every = torch.cat(
        [
            grid(reference_boxes([size], ratios), (300 // stride + 2, 300 // stride + 2), (stride, stride))
            for size, stride in zip(sizes, strides, strict=True)
        ]
    )
    for threshold in (0.4, 0.5, 0.7):
        expected = (iou(boxes, every).amax(dim=1) >= threshold).double().mean().item()
        assert 0 < expected < 1
        assert recall(boxes, sizes, ratios, strides, threshold) == expected


def test_recall_needs_boxes_and_a_stride_for_each_size():
    with pytest.raises(ValueError, match="one stride a size"):
        recall(torch.tensor([[0.0, 0.0, 4.0, 4.0]]), [4, 8], [1.0], strides=[4])


def test_boxes_as_thin_as_a_hair_have_a_ratio_above_0():
    sizes, ratios = fit(torch.tensor([[0.0, 0.0, 0.3, 90.0]] * 3), 1, 3)
    assert min(sizes) > 0
    assert min(ratios) > 0
