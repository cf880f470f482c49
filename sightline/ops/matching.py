"""Which anchor or proposal learns which object, and which of them are drawn for the loss. Ren et al. 2015,
arXiv:1506.01497, section 3.1.2; Girshick 2015, arXiv:1504.08083, section 2.3.

Pictures have different numbers of objects: their boxes are padded to the largest number, and a mask says which are real.
Everything has a fixed shape and nothing is copied to the CPU, so a batch is a few calls and can be compiled.

Shape letters: `N` batch, `A` anchors or proposals of a picture, `G` objects of a picture, padded.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from sightline.ops.boxes import iou

BACKGROUND = -1
"""What `match` says of a box that is on no object."""
IGNORED = -2
"""What `match` says of a box that is neither clearly on an object nor clearly on none."""


# Pairs of a box and an object that are compared at once: a picture has millions with a pyramid, and a batch would fill memory.
_PAIRS = 8_000_000


@torch.no_grad()
def match(
    boxes: Tensor,
    objects: Tensor,
    real: Tensor,
    *,
    foreground: float,
    background: tuple[float, float],
    low_quality: bool = False,
    usable: Tensor | None = None,
) -> Tensor:
    """The object of each box: (N, A) int64, 0..G-1, or `BACKGROUND`, or `IGNORED`.

    `boxes` (A, 4), the same for all pictures, or (N, A, 4); `objects` (N, G, 4); `real` (N, G) bool, False for padding.
    A box is on the object with which its IoU is highest if that is at least `foreground`. It is background if the
    highest is within `background`: at least the first and below the second number; without objects it is 0. With
    `low_quality` every object that any box overlaps keeps its best boxes, all of them if several are equally good,
    however low the IoU; such a box is on the object that it overlaps most, which may be another. Boxes that are not
    `usable`, (A,) or (N, A) bool, are ignored and are nobody's best.

    Published values. Region proposals: foreground 0.7, background (0, 0.3), low_quality. Regions: 0.5 and (0, 0.5); the
    first detectors used (0.1, 0.5). Raises `ValueError` for thresholds that are not in this order.

    >>> boxes = torch.tensor([[0.0, 0.0, 4.0, 4.0], [0.0, 0.0, 4.0, 3.0], [0.0, 0.0, 4.0, 2.0], [9.0, 9.0, 12.0, 12.0]])
    >>> match(boxes, boxes[None, :1], torch.tensor([[True]]), foreground=0.8, background=(0.0, 0.6))
    tensor([[ 0, -2, -1, -1]])
    """
    low, high = background
    if not 0 <= low <= high <= foreground or foreground <= 0:
        raise ValueError(
            f"expected 0 <= background <= foreground and foreground > 0, got background {low} to {high} and "
            f"foreground {foreground}"
        )
    batch, boxes_each = len(objects), boxes.shape[-2]
    if objects.shape[1] == 0:  # a maximum needs an object, if only padding
        objects, real = objects.new_zeros(batch, 1, 4), real.new_zeros(batch, 1)
    usable = boxes.new_ones(boxes_each, dtype=torch.bool) if usable is None else usable
    boxes, usable = boxes.expand(batch, -1, 4), usable.expand(batch, -1)
    # What is not there has no area, and so overlaps nothing.
    objects, boxes = torch.where(real[..., None], objects, 0.0), torch.where(usable[..., None], boxes, 0.0)
    step = max(1, _PAIRS // max(1, objects.shape[1] * boxes_each))
    found = [boxes.new_zeros(0, boxes_each, dtype=torch.int64)]
    for begin in range(0, batch, step):
        overlap = iou(objects[begin : begin + step], boxes[begin : begin + step])
        found.append(_best_of(overlap, foreground, background, low_quality))
    return torch.where(usable, torch.cat(found), IGNORED)


Draws = torch.Generator | Sequence[torch.Generator]
"""Where random numbers come from: one generator for all pictures, or one for each."""


@torch.no_grad()
def sample(matches: Tensor, count: int, positive_share: float, generator: Draws) -> tuple[Tensor, Tensor]:
    """Draw the boxes of each picture that the loss looks at: which are on an object, which are background.

    `matches` (N, A) from `match`. Of each picture at most `count` boxes, of which at most `positive_share` (0..1) are on
    an object; background fills up what those leave. Every box of a kind is as likely as the others. Two (N, A) bool.
    The draw depends on `generator` and the shape alone, on its device; it may be another than that of the boxes. With one
    generator a picture (on the CPU), that of a picture depends on no other: neither on their number nor on rows that are
    ignored; and each generator moves on by one number, whatever the shape, so that the draw after it does not either.

    Published values: 256 and 0.5 for region proposals; 512, or 128 in the paper, and 0.25 for regions.

    >>> positive, negative = sample(torch.tensor([[0, -1, -2, -1, -1]]), 4, 0.5, torch.Generator().manual_seed(0))
    >>> positive.sum(), negative.sum()
    (tensor(1), tensor(3))
    """
    if isinstance(generator, torch.Generator):
        keys = torch.rand(matches.shape, generator=generator, device=generator.device).to(matches.device)
    else:
        keys = torch.stack([_keys(matches.shape[1], g) for g in generator])
        rank = (matches != IGNORED).cumsum(dim=1) - 1
        keys = keys.to(matches.device).gather(1, rank.clamp(min=0))
    positive = _first(keys, matches >= 0, int(count * positive_share))
    left = count - positive.sum(dim=1, keepdim=True)
    return positive, _first(keys, matches == BACKGROUND, count, left)


def positions(mask: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Where a mask is True, in a fixed shape: (N, A) bool to (N, count) int64, rising, and (N, count) bool, which count.

    If a row has fewer, the rest are 0 and False; if it has more, the last are left out.

    >>> positions(torch.tensor([[False, True, True], [False, False, True]]), 2)
    (tensor([[1, 2],
            [2, 0]]), tensor([[ True,  True],
            [ True, False]]))
    """
    rank = mask.cumsum(dim=1) - 1
    # What has no place is written to one more column, which is cut off.
    place = torch.where(mask & (rank < count), rank, count)
    columns = torch.arange(mask.shape[1], device=mask.device).expand_as(mask)
    found = columns.new_zeros(mask.shape[0], count + 1).scatter(1, place, columns)[:, :count]
    filled = torch.arange(count, device=mask.device) < mask.sum(dim=1, keepdim=True)
    return torch.where(filled, found, 0), filled


def _best_of(overlap: Tensor, foreground: float, background: tuple[float, float], low_quality: bool) -> Tensor:
    """(N, G, A) IoU to (N, A): the object of each box, or what it is otherwise."""
    best, index = overlap.max(dim=1)
    matches = torch.where(best >= foreground, index, IGNORED)
    matches = torch.where((best >= background[0]) & (best < background[1]), BACKGROUND, matches)
    if low_quality and overlap.shape[2] > 0:
        highest = overlap.amax(dim=2, keepdim=True)  # (N, G, 1)
        # An object that no box overlaps would have all boxes as its best; no overlap is 2.
        kept = (overlap == torch.where(highest > 0, highest, 2.0)).any(dim=1)
        matches = torch.where(kept, index, matches)
    return matches


def _keys(count: int, generator: torch.Generator) -> Tensor:
    """(count,) in 0..1, from a generator of their own that takes one number from the given one as its seed."""
    seed = int(torch.randint(2**62, (1,), generator=generator, device=generator.device))
    own = torch.Generator(generator.device).manual_seed(seed)
    return torch.rand(count, generator=own, device=own.device)


def _first(keys: Tensor, members: Tensor, most: int, count: Tensor | None = None) -> Tensor:
    """(N, A) bool: the `most` members with the smallest keys, or all if there are fewer; of those, `count` (N, 1)."""
    most = min(most, keys.shape[1])
    # Those that are no members come last, and are not taken.
    chosen = torch.where(members, keys, 2.0).topk(most, dim=1, largest=False)
    taken = chosen.values < 2.0
    if count is not None:
        taken = taken & (torch.arange(most, device=keys.device) < count)
    return torch.zeros_like(members).scatter(1, chosen.indices, taken)
