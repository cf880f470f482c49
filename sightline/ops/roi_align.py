"""Features of regions in a fixed size: RoIAlign (He et al. 2017, arXiv:1703.06870, section 3), RoIPool (Girshick 2015,
arXiv:1504.08083, section 2.1) and the choice among the maps of a pyramid (Lin et al. 2017, arXiv:1612.03144, equation 1).

RoIAlign divides a region into bins, reads the map at some points of each bin, between cells bilinearly, and takes the
mean. That makes an output cell a weighted sum of cells of the map: one row of a sparse matrix times the table of all
cells, (cells, channels), which is `embedding_bag`. The gradient is the transposed matrix times the gradient of the
output, `embedding_bag` again. All maps of a pyramid are one table, so that no shape depends on where the regions are.

Chosen by measurement (`benchmarks/detection_ops.py`): on a CPU torchvision's operator takes five times as long and more,
also with fitted points and with the gradient, and has no bfloat16. On a GPU this was not measured; there torchvision's
gradient differs from run to run, and this one does not.

Shape letters: `N` pictures, `C` channels, `h w` cells of a map, `L` maps, `R` regions, `p q` bins down and across,
`B` = R * p * q bins in all, `T` taps: cells with their weights.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
import torchvision
from torch import Tensor
from torch.nn import functional as F

from sightline.ops.boxes import area, exact

# Taps laid out at once where their number is not fixed; some hundred megabytes.
_AT_ONCE = 4_000_000

Boxes = Tensor | Sequence[Tensor]
"""(R, 5) picture, left, top, right, bottom; or (N, n, 4), as many for each picture; or one (n, 4) a picture."""


def roi_align(
    features: Tensor,
    boxes: Boxes,
    output_size: tuple[int, int],
    *,
    spatial_scale: float,
    sampling_ratio: int = 2,
    aligned: bool = False,
) -> Tensor:
    """RoIAlign: (N, C, h, w) and `Boxes` to (R, C, p, q), in the type of the features; channels_last in and out is fastest.

    `spatial_scale` cells a pixel (1 / stride). `sampling_ratio` points a bin, down and across; 0 takes as many as the bin
    has cells, rounded up, which needs a look at the numbers and cannot be compiled. With `aligned` cell i is centred at
    i + 0.5. Without, at i, half a cell off, and regions are at least one cell wide and high: so torchvision's published
    detectors were trained. Points more than a cell outside the map count as 0. Differentiable for the features, not for
    the boxes. Raises `ValueError` for boxes in another form.

    >>> ramp = torch.arange(4.0).expand(1, 1, 4, 4)
    >>> roi_align(ramp, torch.tensor([[0.0, 0.0, 0.0, 4.0, 4.0]]), (1, 2), spatial_scale=1.0, aligned=True)
    tensor([[[[0.5000, 2.5000]]]])
    """
    regions = _regions(boxes, len(features))
    levels = torch.zeros(len(regions), dtype=torch.int64, device=regions.device)
    return _align([features], [spatial_scale], regions, levels, output_size, (sampling_ratio, aligned))


def multilevel_roi_align(
    maps: Sequence[Tensor],
    boxes: Boxes,
    output_size: tuple[int, int],
    *,
    spatial_scales: Sequence[float],
    sampling_ratio: int = 2,
    aligned: bool = False,
    offsets: Sequence[float] | None = None,
) -> Tensor:
    """RoIAlign of each region on the map that fits its size: L maps (N, C, h, w), finest first, to (R, C, p, q).

    `spatial_scales` cells a pixel of each map, powers of two, each half of the one before. `offsets` pixels by which the
    cells of each map lie further to the right and below; 0 where not given. The rest as in `roi_align`; the map is chosen
    by `assign_levels`.

    >>> maps = [torch.full((1, 1, 56 // s, 56 // s), float(s)) for s in (1, 2)]
    >>> boxes = [torch.tensor([[0.0, 0.0, 100.0, 100.0], [0.0, 0.0, 224.0, 224.0]])]
    >>> multilevel_roi_align(maps, boxes, (1, 1), spatial_scales=[1 / 8, 1 / 16]).flatten()
    tensor([1., 2.])
    """
    if len(maps) != len(spatial_scales) or not maps:
        raise ValueError(f"expected one scale a map, got {len(maps)} maps and scales {list(spatial_scales)}")
    regions = _regions(boxes, len(maps[0]))
    finest = -round(math.log2(spatial_scales[0]))
    levels = assign_levels(regions[:, 1:], finest, finest + len(maps) - 1) - finest
    if offsets is not None and any(offsets):
        shifts = torch.tensor(offsets, dtype=regions.dtype, device=regions.device)[levels, None]
        regions = torch.cat((regions[:, :1], regions[:, 1:] - shifts), dim=1)
    return _align(maps, spatial_scales, regions, levels, output_size, (sampling_ratio, aligned))


def assign_levels(boxes: Tensor, finest: int, coarsest: int) -> Tensor:
    """The pyramid level of each box, (..., 4) to (...) int64: that with stride 2 ** level, within `finest`..`coarsest`.

    A box of 224 x 224 pixels, the size that the backbone was trained on, is on level 4; one of half the side one lower.

    >>> assign_levels(torch.tensor([[0, 0, 224, 224], [0, 0, 223, 224], [0, 0, 9, 9]]), finest=2, coarsest=5)
    tensor([4, 3, 2])
    """
    level = torch.floor(4 + torch.log2(area(boxes).sqrt() / 224) + 1e-6)
    return level.nan_to_num(finest).clamp(finest, coarsest).to(torch.int64)


def roi_pool(features: Tensor, boxes: Boxes, output_size: tuple[int, int], *, spatial_scale: float) -> Tensor:
    """RoIPool, the first form: region and bins are rounded to whole cells, and the maximum of each bin is taken.

    Shapes as in `roi_align`. It is torchvision's operator, which knows no bfloat16: that is computed in float32.

    >>> ramp = torch.arange(4.0).expand(1, 1, 4, 4)
    >>> roi_pool(ramp, torch.tensor([[0.0, 0.0, 0.0, 3.0, 3.0]]), (1, 2), spatial_scale=1.0)
    tensor([[[[1., 3.]]]])
    """
    values = exact(features)
    regions = _regions(boxes, len(features)).to(values)
    pooled: Tensor = torchvision.ops.roi_pool(values, regions, output_size, spatial_scale)
    return pooled.to(features.dtype)


class _Axis(NamedTuple):
    """Regions along one axis of their maps, in cells."""

    start: Tensor
    """(R,)"""
    length: Tensor
    """(R,)"""
    cells: Tensor
    """(R,) of the map."""
    bins: int

    def points(self, each: Tensor, most: int) -> tuple[Tensor, Tensor]:
        """Where the map is read, (R, bins, most), with `each` (R, 1, 1) points a bin; and which of the points count."""
        number = torch.arange(most, device=self.start.device)
        bin_length = (self.length / self.bins)[:, None, None]
        bin_start = self.start[:, None, None] + torch.arange(self.bins, device=number.device)[:, None] * bin_length
        place = bin_start + (number + 0.5) * bin_length / each.clamp(min=1)
        cells = self.cells[:, None, None]
        counts = (place >= -1) & (place <= cells) & (number < each)
        # A place in the map also for those that do not count, even if it is no number.
        return torch.where(counts, torch.minimum(place.clamp(min=0), cells - 1), 0.0), counts

    def taps(self, points: int) -> tuple[Tensor, Tensor]:
        """Cells and weights with a fixed number of points a bin: (R, bins, 2 * points), two cells a point."""
        place, counts = self.points(self.cells.new_full((1, 1, 1), points), points)
        low = place.floor()
        cell = torch.stack((low, torch.minimum(low + 1, self.cells[:, None, None] - 1)), dim=-1)
        share = torch.stack((1 - (place - low), place - low), dim=-1) * counts[..., None] / points
        return cell.flatten(2).long(), share.flatten(2)

    def fitted_points(self) -> Tensor:
        """(R, 1, 1) as many points a bin as it has cells, rounded up."""
        return (self.length / self.bins).ceil().nan_to_num(0.0, 0.0, 0.0)[:, None, None]

    def fitted_sizes(self) -> tuple[int, int]:
        """The most points that a bin has, and how many cells they reach: at most one apart, k points reach k + 1 cells."""
        if len(self.start) == 0:
            return 1, 1
        most = max(1, int(self.fitted_points().amax()))
        return most, min(most + 1, int(self.cells.amax()))

    def fitted_taps(self, most: int, reach: int) -> tuple[Tensor, Tensor]:
        """The same with `fitted_points`, (R, bins, reach), one tap a cell: points share them. Those off the map weigh 0."""
        each = self.fitted_points()
        place, counts = self.points(each, most)
        cell = place[..., :1].long() + torch.arange(reach, device=place.device)
        share = (1 - (place[..., None] - cell[:, :, None]).abs()).clamp(min=0) * counts[..., None]
        return cell, share.sum(dim=2) / each.clamp(min=1)

    def part(self, rows: slice) -> "_Axis":
        """Some of the regions."""
        return _Axis(self.start[rows], self.length[rows], self.cells[rows], self.bins)


def _align(
    maps: Sequence[Tensor],
    scales: Sequence[float],
    regions: Tensor,
    levels: Tensor,
    output_size: tuple[int, int],
    sampling: tuple[int, bool],
) -> Tensor:
    """Regions (R, 5) in pixels, each on the map of its level (R,), to (R, C, p, q)."""
    points, aligned = sampling
    channels, device = maps[0].shape[1], regions.device
    table = torch.cat([m.permute(0, 2, 3, 1).reshape(-1, channels) for m in maps])  # (cells of all maps, C)
    sizes = torch.tensor([(*m.shape[2:], m.shape[0] * m.shape[2] * m.shape[3]) for m in maps], device=device)
    first = sizes[:, 2].cumsum(0) - sizes[:, 2]  # (L,) row of the table where each map begins
    height, width = sizes[levels, 0], sizes[levels, 1]  # (R,)
    before = first[levels] + regions[:, 0].long() * height * width
    scale = torch.tensor(scales, dtype=regions.dtype, device=device)[levels, None]
    left, top, right, bottom = (regions[:, 1:] * scale - (0.5 if aligned else 0.0)).unbind(1)
    shortest = -torch.inf if aligned else 1.0
    down = _Axis(top, (bottom - top).clamp(min=shortest), height, output_size[0])
    across = _Axis(left, (right - left).clamp(min=shortest), width, output_size[1])
    if points > 0:
        rows, weights = _crossed(down.taps(points), across.taps(points), before, width)  # (B, taps of a bin)
        offsets = torch.arange(rows.shape[0], device=device) * rows.shape[1]
    else:
        rows, weights, offsets = _fitted(down, across, before)
    sums = _weighted_sums(table, rows.flatten().int(), weights.flatten().to(table.dtype), offsets.int())  # (B, C)
    return sums.view(len(regions), *output_size, channels).permute(0, 3, 1, 2)


def _crossed(
    down: tuple[Tensor, Tensor], across: tuple[Tensor, Tensor], before: Tensor, width: Tensor
) -> tuple[Tensor, Tensor]:
    """Each tap down with each across: rows of the table and weights, (B, taps of a bin)."""
    (y, y_share), (x, x_share) = down, across
    row_start = before[:, None, None] + y * width[:, None, None]  # (R, p, taps down)
    rows = row_start[:, :, None, :, None] + x[:, None, :, None, :]  # (R, p, q, taps down, taps across)
    weights = y_share[:, :, None, :, None] * x_share[:, None, :, None, :]
    return rows.flatten(3).flatten(0, 2), weights.flatten(3).flatten(0, 2)


def _fitted(down: _Axis, across: _Axis, before: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Rows of the table and weights, (T,) each, and where each bin begins, (B,), with as many points as a bin has cells."""
    down_sizes, across_sizes = down.fitted_sizes(), across.fitted_sizes()
    step = max(1, _AT_ONCE // (down.bins * across.bins * down_sizes[1] * across_sizes[1]))
    found, counts = [(before[:0], down.start[:0])], [before[:0]]
    for begin in range(0, len(before), step):
        part = slice(begin, begin + step)
        taps = down.part(part).fitted_taps(*down_sizes), across.part(part).fitted_taps(*across_sizes)
        rows, weights = _crossed(*taps, before[part], across.cells[part])
        used = weights > 0
        found.append((rows[used], weights[used]))
        counts.append(used.sum(dim=1))
    all_rows, all_weights = (torch.cat(column) for column in zip(*found, strict=True))
    number = torch.cat(counts)
    return all_rows, all_weights, number.cumsum(0) - number


def _weighted_sums(table: Tensor, rows: Tensor, weights: Tensor, offsets: Tensor) -> Tensor:
    """Sums of rows of the table (cells, C): of `rows` (T,) times `weights` (T,) from each offset to the next. (B, C)."""
    if table.requires_grad and table.device.type == "cpu":
        sums: Tensor = _WeightedSums.apply(table, rows, weights, offsets)
        return sums
    return F.embedding_bag(rows, table, offsets, mode="sum", per_sample_weights=weights)


class _WeightedSums(torch.autograd.Function):
    """`embedding_bag` whose gradient is one, too: the transposed matrix, its taps sorted by row of the table.

    On a CPU that takes about half the time of the gradient that comes with it, and adds up bfloat16 in float32.
    """

    @staticmethod
    def forward(ctx: Any, table: Tensor, rows: Tensor, weights: Tensor, offsets: Tensor) -> Tensor:
        ctx.save_for_backward(rows, weights, offsets)
        ctx.cells = len(table)
        return F.embedding_bag(rows, table.detach(), offsets, mode="sum", per_sample_weights=weights)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        rows, weights, offsets = ctx.saved_tensors
        order = rows.argsort(stable=True)
        ends = torch.cat((offsets[1:], offsets.new_full((1,), len(rows))))[: len(offsets)]
        numbers = torch.arange(len(offsets), dtype=rows.dtype, device=rows.device)
        bins = numbers.repeat_interleave(ends - offsets, output_size=len(rows))  # (T,) that each tap is of
        cells = torch.arange(ctx.cells, dtype=rows.dtype, device=rows.device)
        begins = torch.searchsorted(rows[order], cells, out_int32=True)  # (cells,) the first tap of each
        table_gradient = F.embedding_bag(
            bins[order], gradient.contiguous(), begins, mode="sum", per_sample_weights=weights[order]
        )
        return table_gradient, None, None, None


def _regions(boxes: Boxes, batch: int) -> Tensor:
    """(R, 5) picture, left, top, right, bottom, from each of the three forms."""
    if isinstance(boxes, Tensor) and boxes.ndim == 2 and boxes.shape[1] == 5:
        return exact(boxes)
    if len(boxes) != batch or any(rows.ndim != 2 or rows.shape[1] != 4 for rows in boxes):
        shapes = [tuple(rows.shape) for rows in ([boxes] if isinstance(boxes, Tensor) else boxes)]
        raise ValueError(f"expected boxes (R, 5), ({batch}, n, 4) or {batch} times (n, 4); got {shapes}")
    if isinstance(boxes, Tensor):
        picture = torch.arange(batch, device=boxes.device)[:, None, None].expand(-1, boxes.shape[1], 1)
        return torch.cat((picture.to(exact(boxes)), exact(boxes)), dim=2).flatten(0, 1)
    return torch.cat([F.pad(exact(rows), (1, 0), value=float(number)) for number, rows in enumerate(boxes)])
