"""Bins of adaptive pooling, against torch."""

import pytest
import torch
from torch.nn.functional import adaptive_avg_pool2d, avg_pool2d

from sightline.ops.pooling import equal_bins


@pytest.mark.parametrize("grid", [1, 2, 6, 7])
def test_equal_bins_average_what_adaptive_pooling_does(grid: int) -> None:
    for side in range(1, 30):
        cells = torch.rand(1, 2, side, side)
        size, step = equal_bins(side, grid)
        if size:
            torch.testing.assert_close(avg_pool2d(cells, size, step), adaptive_avg_pool2d(cells, grid))
        else:
            assert grid > 1
            assert side % grid


def test_whole_and_overlapping_bins_are_known() -> None:
    assert [side for side in range(1, 30) if equal_bins(side, 6)[0]] == [6, 7, 12, 13, 18, 19, 24, 25]
