"""Reference boxes, "anchors": what the region proposal network predicts offsets from. Ren et al. 2015, arXiv:1506.01497,
section 3.1.1.

A *size* is the side of a square of the same area, in pixels of the picture that the network is given. A *ratio* is
width : height, as in the paper. Published detectors write height : width; the same boxes in the same order are the
reciprocals here, so their (0.5, 1, 2) is (2, 1, 0.5).

Shape letters: `S` sizes, `T` ratios, `A` = T * S anchors a cell, `h w` cells, `n` boxes.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from sightline.ops.boxes import area, iou

# Of fitting: the shapes come to rest well before so many rounds, and more boxes would move them by less than a pixel.
_ROUNDS, _ENOUGH = 50, 20_000


def reference_boxes(sizes: Sequence[float], ratios: Sequence[float], *, rounded: bool = False) -> Tensor:
    """All combinations of sizes and ratios, centred at 0: (A, 4) xyxy float32 on the CPU, for each ratio all sizes.

    `rounded` moves the sides to whole pixels; published detectors were trained with such boxes. Raises `ValueError` if
    there is no size or no ratio, or one is not above 0.

    >>> reference_boxes([32], [2.0, 1.0], rounded=True)
    tensor([[-23., -11.,  23.,  11.],
            [-16., -16.,  16.,  16.]])
    """
    if not sizes or not ratios or min(*sizes, *ratios) <= 0:
        raise ValueError(f"expected sizes and ratios above 0, got sizes {list(sizes)} and ratios {list(ratios)}")
    # On the CPU whatever torch's default device is: a network built without memory gets its weights later, but not these.
    side = torch.tensor(sizes, dtype=torch.float32, device="cpu")
    stretch = torch.tensor(ratios, dtype=torch.float32, device="cpu").reciprocal().sqrt()  # (T,) height by size
    width = (side / stretch[:, None]).flatten()  # (A,)
    height = (side * stretch[:, None]).flatten()
    boxes = torch.stack((-width, -height, width, height), dim=1) / 2
    return boxes.round() if rounded else boxes


def grid(references: Tensor, cells: tuple[int, int], strides: tuple[float, float], *, offset: float = 0.0) -> Tensor:
    """The reference boxes around every cell of a feature map: (h * w * A, 4), by row, then column, then anchor.

    `references` (A, 4) centred at 0; `cells` (h, w); `strides` pixels from one cell to the next, down and across. The
    first cell is centred `offset` strides from the corner: 0 as in published detectors, 0.5 for the middle of its square.

    >>> grid(reference_boxes([2], [1.0]), (1, 2), (16, 16))
    tensor([[-1., -1.,  1.,  1.],
            [15., -1., 17.,  1.]])
    """
    (rows, columns), (down, across) = cells, strides
    y = (torch.arange(rows, dtype=references.dtype, device=references.device) + offset) * down
    x = (torch.arange(columns, dtype=references.dtype, device=references.device) + offset) * across
    across_all, down_all = x.repeat(rows), y.repeat_interleave(columns)
    centres = torch.stack((across_all, down_all, across_all, down_all), dim=1)  # (h * w, 4)
    return (centres[:, None] + references).view(-1, 4)


def centred_inside(anchors: Tensor, sizes: Tensor) -> Tensor:
    """Which anchors (A, 4) are centred in pictures of `sizes` (N, 2: height, width), not in their padding: (N, A) bool.

    The first row and column always count, however small the picture is.

    >>> centred_inside(grid(reference_boxes([32], [1.0]), (1, 3), (16, 16)), torch.tensor([[9, 33], [9, 16]]))
    tensor([[ True,  True,  True],
            [ True, False, False]])
    """
    centres = (anchors[:, :2] + anchors[:, 2:]) / 2  # (A, 2) x, y
    if len(anchors) == 0:
        return centres.new_zeros(len(sizes), 0, dtype=torch.bool)
    ends = torch.maximum(sizes.flip(-1).to(centres), centres.amin(dim=0) + 1)  # (N, 2)
    return (centres < ends[:, None]).all(dim=-1)


def fit(boxes: Tensor, num_sizes: int, num_ratios: int) -> tuple[list[float], list[float]]:
    """Sizes and ratios whose combinations are close to the boxes of a data set: two rising lists.

    k-means with IoU as nearness, all at one centre, and one mean a size and a ratio instead of one a combination. It
    starts at the quantiles and draws nothing, so that the same boxes give the same anchors. `boxes` (n, 4), in pixels
    of the pictures as the network is given them. Sizes come in tenths of a pixel, ratios in hundredths; they repeat if
    the boxes have fewer. Raises `ValueError` if there is no box, or one without an area.

    >>> fit(torch.tensor([[0, 0, 10, 10], [5, 5, 45, 45], [0, 0, 20, 5], [0, 0, 80, 20]]), 2, 2)
    ([10.0, 40.0], [1.0, 4.0])
    """
    if len(boxes) == 0 or not bool((area(boxes) > 0).all()):
        raise ValueError(f"expected at least one box, each with an area; got {len(boxes)} boxes")
    few = boxes[:: -(-len(boxes) // _ENOUGH)]
    sides = (few[:, 2:] - few[:, :2]).double()  # (n, 2)
    log_size, log_ratio = sides.log().mean(dim=1), sides[:, 0].log() - sides[:, 1].log()
    size, ratio = _quantiles(log_size, num_sizes), _quantiles(log_ratio, num_ratios)
    best, best_score = (size, ratio), -1.0
    for _ in range(_ROUNDS):
        overlap = _centred_iou(sides, size, ratio)  # (n, T * S)
        nearest = overlap.max(dim=1)
        score = float(nearest.values.mean())
        if score > best_score:
            best, best_score = (size, ratio), score
        size = _means(log_size, nearest.indices % num_sizes, size)
        ratio = _means(log_ratio, nearest.indices // num_sizes, ratio)
    sizes, ratios = (values.exp().sort().values.tolist() for values in best)
    return [max(0.1, round(value, 1)) for value in sizes], [max(0.01, round(value, 2)) for value in ratios]


def distinct(values: Sequence[float]) -> list[float]:
    """Rising sizes or ratios without those that are less than 5 % above one that stays: boxes of the two are about the same.

    >>> distinct([1.0, 1.0, 1.04, 1.5])
    [1.0, 1.5]
    """
    kept: list[float] = []
    for value in values:
        if not kept or value >= 1.05 * kept[-1]:
            kept.append(value)
    return kept


def fit_levels(boxes: Tensor, ratios: Sequence[float], strides: Sequence[float]) -> list[float]:
    """One size a level of a pyramid, the same multiple of each level's stride, that comes nearest to the boxes.

    `boxes` (n, 4) in pixels of the pictures as the network is given them. Of the multiples 2 to 16, a third of an octave
    apart, the one whose boxes overlap the most of these by 0.5; published detectors take 8.

    >>> fit_levels(torch.tensor([[8, 8, 24, 24], [0, 0, 32, 32]]), [1.0], [4, 8])
    [20.2, 40.3]
    """
    multiples = [2 * 2 ** (step / 3) for step in range(10)]
    reached = [recall(boxes, [m * stride for stride in strides], ratios, strides) for m in multiples]
    best = max(range(len(multiples)), key=lambda i: (round(reached[i], 3), -abs(math.log(multiples[i] / 8))))
    return [round(multiples[best] * stride, 1) for stride in strides]


def recall(
    boxes: Tensor, sizes: Sequence[float], ratios: Sequence[float], strides: Sequence[float], threshold: float = 0.5
) -> float:
    """The share of boxes, 0..1, that overlap some anchor with an IoU of at least `threshold`.

    `boxes` (n, 4) in pixels of the pictures as the network is given them; `strides` of the map that each size is used
    on, one a size. The anchors are centred at the cell next to the box's centre, as `grid` places them without an
    offset: no other cell's overlap more. Raises `ValueError` if there is no box, or not one stride a size.

    >>> recall(torch.tensor([[0, 0, 32, 32], [0, 0, 320, 320]]), [32], [1.0], strides=[16])
    0.5
    """
    if len(boxes) == 0 or len(strides) != len(sizes):
        raise ValueError(f"expected boxes and one stride a size; got {len(boxes)} boxes, {len(strides)} strides")
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2  # (n, 2)
    best = centres.new_zeros(len(boxes))
    for size, stride in zip(sizes, strides, strict=True):
        cell = (centres / stride).round() * stride
        anchors = reference_boxes([size], ratios) + cell.repeat(1, 2)[:, None]  # (n, T, 4)
        best = torch.maximum(best, iou(boxes[:, None], anchors).amax(dim=(1, 2)))
    return float((best >= threshold).double().mean())


def _quantiles(values: Tensor, count: int) -> Tensor:
    """(count,) the middles of equally filled drawers."""
    return values.quantile((torch.arange(count, dtype=values.dtype) + 0.5) / count)


def _centred_iou(sides: Tensor, log_size: Tensor, log_ratio: Tensor) -> Tensor:
    """(n, T * S) IoU of boxes with all combinations, if their centres were the same."""
    half = log_ratio[:, None] / 2
    shapes = torch.stack((log_size + half, log_size - half), dim=-1).flatten(0, 1).exp()  # (T * S, 2)
    shared = torch.minimum(sides[:, None], shapes).prod(dim=2)
    return shared / (sides.prod(dim=1)[:, None] + shapes.prod(dim=1) - shared)


def _means(values: Tensor, drawer: Tensor, before: Tensor) -> Tensor:
    """(k,) mean of the values in each drawer; what was there before where a drawer is empty."""
    count = torch.bincount(drawer, minlength=len(before))
    total = torch.bincount(drawer, weights=values, minlength=len(before))
    return torch.where(count > 0, total / count.clamp(min=1), before)
