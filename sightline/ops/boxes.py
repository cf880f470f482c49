"""Boxes as plain tensors: how large, how much of each other they cover, and as offsets from reference boxes.

A box is four numbers in its last dimension: left, top, right, bottom in pixels (xyxy), where right and bottom are where
the object ends, so that a side is a plain difference. Another order shows in a name (`cxcywh`, `xywh`). Every function
takes any leading dimensions, so a whole batch is one call. It computes in float32, or in float64 where that is given: in
bfloat16 a pixel at the right edge of a photograph is four pixels wide.

Shape letters: `N` batch, `n m` boxes.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

LARGEST_GROWTH = math.log(1000 / 16)
"""Decoding lets no side grow by more than the exponential of this; without a limit a wild guess would overflow."""

Weights = tuple[float, float, float, float]
"""What the offsets of x, y, width and height are multiplied by."""


def exact(values: Tensor) -> Tensor:
    """`values` as float32, or float64 where they are."""
    return values if values.dtype == torch.float64 else values.float()


def area(boxes: Tensor) -> Tensor:
    """(..., 4) to (...): square pixels; 0 for a box whose right or bottom is not beyond its left or top.

    >>> area(torch.tensor([[0, 0, 4, 2], [3, 3, 1, 1]]))
    tensor([8., 0.])
    """
    left, top, right, bottom = exact(boxes).unbind(-1)
    return (right - left).clamp(min=0) * (bottom - top).clamp(min=0)


def intersection(boxes: Tensor, others: Tensor) -> Tensor:
    """(..., n, 4) and (..., m, 4) to (..., n, m): square pixels that each pair shares."""
    return _overlap(boxes, others, 0).mul_(_overlap(boxes, others, 1))


def iou(boxes: Tensor, others: Tensor) -> Tensor:
    """Intersection over union of each pair: (..., n, 4) and (..., m, 4) to (..., n, m), 0..1.

    Leading dimensions are broadcast: (N, n, 4) with (m, 4) gives (N, n, m). A box without an area shares nothing: 0.
    The longer set is best given second, where its numbers lie side by side in memory.

    >>> iou(torch.tensor([[0, 0, 2, 2]]), torch.tensor([[1, 0, 3, 2], [5, 5, 6, 6]]))
    tensor([[0.3333, 0.0000]])
    """
    shared = intersection(boxes, others)
    # Where both areas are 0 the quotient would be no number; beside a real area the added one vanishes.
    rest = area(others).clamp(min=torch.finfo(shared.dtype).tiny)
    union = (area(boxes)[..., :, None] + rest[..., None, :]).sub_(shared)
    return shared.div_(union)


def coverage(boxes: Tensor, others: Tensor) -> Tensor:
    """The share of each box's own area that lies in each other: (..., n, 4) and (..., m, 4) to (..., n, m), 0..1.

    What COCO compares with crowds: a detection of one person is fully covered by the box around the crowd, whose own
    area is much larger. 0 for a box without an area.

    >>> coverage(torch.tensor([[0, 0, 2, 2]]), torch.tensor([[0, 0, 100, 100], [1, 0, 9, 9]]))
    tensor([[1.0000, 0.5000]])
    """
    shared = intersection(boxes, others)
    return shared.div_(area(boxes).clamp(min=torch.finfo(shared.dtype).tiny)[..., :, None])


def clip(boxes: Tensor, sizes: Tensor) -> Tensor:
    """The parts of boxes that lie in their pictures: (..., n, 4) and sizes (..., 2), height and width in pixels.

    A box outside ends as one without an area, at the nearest edge; `large_enough` finds it.

    >>> clip(torch.tensor([[-5.0, 2.0, 50.0, 9.0]]), torch.tensor([8, 20]))
    tensor([[ 0.,  2., 20.,  8.]])
    """
    values = exact(boxes)
    limits = torch.cat([sizes.flip(-1)] * 2, dim=-1).to(values)  # width, height, width, height
    return torch.minimum(values.clamp(min=0), limits[..., None, :])


def large_enough(boxes: Tensor, smallest: float) -> Tensor:
    """(..., 4) to (...) bool: whether both sides are at least `smallest` pixels.

    >>> large_enough(torch.tensor([[0, 0, 4, 2], [0, 0, 4, 1]]), smallest=2)
    tensor([ True, False])
    """
    left, top, right, bottom = exact(boxes).unbind(-1)
    return (right - left >= smallest) & (bottom - top >= smallest)


def encode(boxes: Tensor, references: Tensor, weights: Weights = (1.0, 1.0, 1.0, 1.0)) -> Tensor:
    """Where boxes are, seen from reference boxes: (..., 4) offsets, x, y, width, height.

        x: weight * (difference of the centres) / width of the reference     width: weight * log(width / its width)

    and y, height alike; Ren et al. 2015, arXiv:1506.01497, equation 2. `boxes` and `references` are (..., 4) and
    broadcast. A side of 0 gives an infinite or undefined offset: such boxes must not reach the loss.

    >>> encode(torch.tensor([2.0, 0.0, 6.0, 2.0]), torch.tensor([0.0, 0.0, 4.0, 2.0]))
    tensor([0.5000, 0.0000, 0.0000, 0.0000])
    """
    there, here = _centred(boxes), _centred(references)
    wx, wy, ww, wh = weights
    return torch.stack(
        (
            wx * (there.x - here.x) / here.width,
            wy * (there.y - here.y) / here.height,
            ww * (there.width / here.width).log(),
            wh * (there.height / here.height).log(),
        ),
        dim=-1,
    )


def decode(offsets: Tensor, references: Tensor, weights: Weights = (1.0, 1.0, 1.0, 1.0)) -> Tensor:
    """Boxes from their offsets, what `encode` undoes: (..., 4) and (..., 4), broadcast, to (..., 4) xyxy.

    Offsets for each class (R, K, 4) go with references (R, 1, 4). No side grows beyond 1000 / 16 times the reference's.

    >>> decode(torch.tensor([0.5, 0.0, 0.0, 100.0]), torch.tensor([0.0, 0.0, 4.0, 2.0]))
    tensor([  2.0000, -61.5000,   6.0000,  63.5000])
    """
    here = _centred(references)
    dx, dy, dw, dh = (part / weight for part, weight in zip(exact(offsets).unbind(-1), weights, strict=True))
    x, y = dx * here.width + here.x, dy * here.height + here.y
    half_width = 0.5 * (dw.clamp(max=LARGEST_GROWTH).exp() * here.width)
    half_height = 0.5 * (dh.clamp(max=LARGEST_GROWTH).exp() * here.height)
    return torch.stack((x - half_width, y - half_height, x + half_width, y + half_height), dim=-1)


def padded(boxes: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Different numbers of boxes, (n_i, 4) each, as one tensor (N, n, 4), and which of its rows are real, (N, n) bool.

    >>> padded([torch.ones(2, 4), torch.ones(1, 4)])[1]
    tensor([[ True,  True],
            [ True, False]])
    """
    together = torch.nn.utils.rnn.pad_sequence(list(boxes), batch_first=True)
    counts = torch.tensor([len(rows) for rows in boxes], device=together.device)
    return together, torch.arange(together.shape[1], device=together.device) < counts[:, None]


def xyxy_to_cxcywh(boxes: Tensor) -> Tensor:
    """(..., 4) left, top, right, bottom to centre x, centre y, width, height.

    >>> xyxy_to_cxcywh(torch.tensor([0, 0, 4, 2]))
    tensor([2., 1., 4., 2.])
    """
    return torch.stack(_centred(boxes), dim=-1)


def cxcywh_to_xyxy(boxes_cxcywh: Tensor) -> Tensor:
    """(..., 4) centre x, centre y, width, height to left, top, right, bottom.

    >>> cxcywh_to_xyxy(torch.tensor([2, 1, 4, 2]))
    tensor([0., 0., 4., 2.])
    """
    x, y, width, height = exact(boxes_cxcywh).unbind(-1)
    return torch.stack((x - 0.5 * width, y - 0.5 * height, x + 0.5 * width, y + 0.5 * height), dim=-1)


def xyxy_to_xywh(boxes: Tensor) -> Tensor:
    """(..., 4) left, top, right, bottom to left, top, width, height, as COCO writes boxes.

    >>> xyxy_to_xywh(torch.tensor([1, 1, 4, 2]))
    tensor([1., 1., 3., 1.])
    """
    left, top, right, bottom = exact(boxes).unbind(-1)
    return torch.stack((left, top, right - left, bottom - top), dim=-1)


def xywh_to_xyxy(boxes_xywh: Tensor) -> Tensor:
    """(..., 4) left, top, width, height to left, top, right, bottom.

    >>> xywh_to_xyxy(torch.tensor([1, 1, 3, 1]))
    tensor([1., 1., 4., 2.])
    """
    left, top, width, height = exact(boxes_xywh).unbind(-1)
    return torch.stack((left, top, left + width, top + height), dim=-1)


class _Centred(NamedTuple):
    """A box by its centre; each (...)."""

    x: Tensor
    y: Tensor
    width: Tensor
    height: Tensor


def _centred(boxes: Tensor) -> _Centred:
    left, top, right, bottom = exact(boxes).unbind(-1)
    width, height = right - left, bottom - top
    return _Centred(left + 0.5 * width, top + 0.5 * height, width, height)


def _overlap(boxes: Tensor, others: Tensor, axis: int) -> Tensor:
    """(..., n, m): pixels that each pair shares along x (axis 0) or y (1)."""
    # Columns side by side: the last dimension of the result is walked without gaps.
    start, end, other_start, other_end = (
        exact(values)[..., corner].contiguous() for values in (boxes, others) for corner in (axis, axis + 2)
    )
    # In place, since a batch of photographs has some ten million pairs.
    shared = torch.minimum(end[..., :, None], other_end[..., None, :])
    return shared.sub_(torch.maximum(start[..., :, None], other_start[..., None, :])).clamp_(min=0)
