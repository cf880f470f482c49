"""Non-maximum suppression: of boxes that overlap too much, the one with the highest score stays.

Chosen by measurement (`benchmarks/detection_ops.py`). On a CPU torchvision's operator is faster than the same in tensor
operations, in blocks or over the whole matrix of overlaps. But it compares every box that stays with all that follow, of
other groups too, so groups are cut into pieces of some hundred boxes. A piece holds whole groups, moved apart so that
they do not overlap. On a GPU, where this was not measured, all are one piece, since each call waits for the device.

Shape letters: `N` batch, `A` boxes of a picture, padded; `n` boxes, `k` of them kept.
"""

import torch
import torchvision
from torch import Tensor
from torch.nn import functional as F

from sightline.ops.boxes import exact

# Boxes that are worth a call of their own.
_PIECE = 500

# The groups of a piece are laid out in rows of so many: in one long row float32 would round the boxes far from the origin.
_ROW = 16


@torch.no_grad()
def nms(boxes: Tensor, scores: Tensor, threshold: float) -> Tensor:
    """Which boxes stay: (k,) int64, by falling score, of equal scores the earlier first.

    `boxes` (n, 4) xyxy, `scores` (n,). From the highest score down, a box stays unless its IoU with one that stays is
    above `threshold`. Compared in float32 at least.

    >>> boxes = torch.tensor([[0.0, 0.0, 4.0, 4.0], [0.0, 0.0, 4.0, 3.0], [8.0, 8.0, 9.0, 9.0]])
    >>> nms(boxes, torch.tensor([0.5, 0.9, 0.1]), threshold=0.5)
    tensor([1, 2])
    """
    values = exact(boxes)
    kept: Tensor = torchvision.ops.nms(values, scores.to(values), threshold)
    return kept


@torch.no_grad()
def batched_nms(boxes: Tensor, scores: Tensor, groups: Tensor, threshold: float) -> Tensor:
    """The same within each group, as of classes or pictures: boxes of different groups leave each other alone.

    `boxes` (n, 4), `scores` (n,), `groups` (n,) integers. (k,) int64, by falling score over all groups, of equal scores
    the earlier first.

    >>> same = torch.tensor([[0.0, 0.0, 4.0, 4.0]]).repeat(3, 1)
    >>> batched_nms(same, torch.tensor([0.5, 0.9, 0.1]), torch.tensor([0, 0, 1]), threshold=0.5)
    tensor([1, 2])
    """
    if len(boxes) == 0:
        return torch.zeros(0, dtype=torch.int64, device=boxes.device)
    by_score = scores.argsort(descending=True, stable=True)
    order = by_score[groups[by_score].argsort(stable=True)]  # by group, then by score
    values, ranked = exact(boxes)[order], scores[order]
    named = groups[order]
    rank = F.pad(named[1:] != named[:-1], (1, 0)).cumsum(0)  # 0, 1, ... for the groups that there are
    sizes = rank.bincount().tolist() if boxes.device.type == "cpu" else [len(boxes)]
    stays = torch.zeros_like(order, dtype=torch.bool)
    begin = 0
    for length in _pieces(sizes):
        piece = slice(begin, begin + length)
        kept = nms(_apart(values[piece], rank[piece]), ranked[piece], threshold)
        stays[order[piece][kept]] = True
        begin += length
    return by_score[stays[by_score]]


@torch.no_grad()
def suppress(
    boxes: Tensor, scores: Tensor, threshold: float, real: Tensor | None = None, groups: Tensor | None = None
) -> Tensor:
    """`batched_nms` of a whole batch in a fixed shape: which boxes of each picture stay, (N, A) bool.

    `boxes` (N, A, 4), `scores` (N, A), `real` (N, A) bool, False for padding, which neither stays nor suppresses;
    `groups` (N, A) integers, as of classes or of the maps that proposals are from.

    >>> same = torch.tensor([0.0, 0.0, 4.0, 4.0]).expand(2, 2, 4)
    >>> suppress(same, torch.tensor([[0.1, 0.2], [0.3, 0.2]]), threshold=0.5)
    tensor([[False,  True],
            [ True, False]])
    """
    batch = scores.shape[0]
    group = torch.arange(batch, device=boxes.device)[:, None].expand_as(scores)
    if groups is not None:
        group = groups * batch + group
    among = torch.ones_like(scores, dtype=torch.bool) if real is None else real
    kept = batched_nms(boxes[among], scores[among], group[among], threshold)
    stays = torch.zeros_like(among)
    rows = among.flatten().nonzero()[:, 0]
    return stays.view(-1).index_fill_(0, rows[kept], True).view_as(stays)


def _pieces(sizes: list[int]) -> list[int]:
    """Lengths of the pieces that groups of these sizes are put together to.

    >>> _pieces([300, 100, 200, 900, 10])
    [400, 200, 900, 10]
    """
    lengths: list[int] = []
    for size in sizes:
        if lengths and lengths[-1] + size <= _PIECE:
            lengths[-1] += size
        else:
            lengths.append(size)
    return lengths


def _apart(boxes: Tensor, rank: Tensor) -> Tensor:
    """(n, 4) boxes moved so that those of different rank (n,), rising, do not touch; those of the first stay in place."""
    step = boxes.amax() - boxes.amin() + 1
    place = rank - rank[0]
    x, y = place % _ROW * step, place // _ROW * step
    return boxes + torch.stack((x, y, x, y), dim=1)
