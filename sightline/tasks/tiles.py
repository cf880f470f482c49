"""Pictures that are too large for one piece: a segmenter goes over them in overlapping tiles.

The paper's network (Ronneberger, Fischer, Brox 2015, arXiv:1505.04597, section 1, Figure 2) loses a margin at each border, so its
tiles, cut with that margin around them, give what one piece would give. A padded network sees zeros where a tile ends and the
picture does not; its tiles overlap, and in the middle of the overlap, far from either end, the probabilities of one tile pass
into those of the next.

Shape letters: `N` batch, `C` channels, `H W` pixels, `K` classes.
"""

import torch
from torch import Tensor, nn

from sightline.models.unet import UNet
from sightline.ops.images import mirrored

TILE, OVERLAP = 1280, 512
"""Side of a tile, and how much of it its neighbour has too at least, in pixels. An Inception-v3 is moved by what is far away."""
LARGEST = TILE**2
"""Pixels of a picture up to which it is one piece: one or two gigabytes of maps."""
_STEEPNESS = 8
"""The power of the distance that counts: a place an eighth further from the end of one tile than from that of the other counts 2.6 times
as much in the one."""


def in_tiles(model: nn.Module) -> nn.Module:
    """A `UNet` so that it takes large pictures too; another network as it is."""
    return Tiled(model) if isinstance(model, UNet) else model


class Tiled(nn.Module):
    """`network`, which takes pictures of any size, in tiles of `tile` pixels where they have more than `largest` pixels.

    >>> from sightline.models.unet import unet
    >>> torch.manual_seed(0)
    <...>
    >>> whole = unet(num_classes=2, width=4).eval()
    >>> picture = torch.rand(1, 3, 400, 200)
    >>> with torch.inference_mode():
    ...     difference = whole(picture).softmax(1) - Tiled(whole, tile=256, overlap=192, largest=1)(picture).softmax(1)
    >>> float(difference.abs().mean()) < 1e-3
    True
    """

    def __init__(self, network: UNet, tile: int = TILE, overlap: int = OVERLAP, largest: int = LARGEST) -> None:
        super().__init__()
        if not 0 <= overlap < tile:
            raise ValueError(f"expected 0 <= overlap < tile, got overlap {overlap} and tile {tile}")
        self.network, self.tile, self.overlap, self.largest = network, tile, overlap, largest

    def forward(self, images: Tensor) -> Tensor:
        """Normalised images (N, C, H, W) to logits (N, K, H, W), of which the softmax is that of the mixed probabilities."""
        height, width = images.shape[2:]
        if height * width <= self.largest:
            return self.network(images)  # type: ignore[no-any-return]
        total = self.network.size_for(height), self.network.size_for(width)
        around = self.network.margin
        padded = mirrored(
            images, (around, around + total[0] - height), (around, around + total[1] - width)
        )  # (N, C, *total), with the margin around it
        tile = self.network.size_for(self.tile)
        sides = [min(side, tile) for side in total]
        mixed = images.new_zeros(len(images), self.network.num_classes, *total, dtype=torch.float32)
        weights = images.new_zeros(total, dtype=torch.float32)
        for top in self._starts(total[0], sides[0]):
            for left in self._starts(total[1], sides[1]):
                cut = padded[:, :, top : top + sides[0] + 2 * around, left : left + sides[1] + 2 * around]
                place = slice(top, top + sides[0]), slice(left, left + sides[1])
                down, across = self._ramp(top, sides[0], total[0]), self._ramp(left, sides[1], total[1])
                share = (down[:, None] * across).to(images.device)
                mixed[:, :, *place] += self.network.raw(cut).float().softmax(dim=1) * share
                weights[place] += share
        return (mixed / weights)[:, :, :height, :width].clamp(min=1e-30).log()

    def _starts(self, total: int, side: int) -> list[int]:
        """Where tiles begin: at multiples of the network's own step, so that their cells are those of the whole picture."""
        unit, last = self.network.multiple, total - side
        step = max(unit, (side - self.overlap) // unit * unit)
        steps = -(-last // step)
        # At equal distances, so that all overlap as much as they can.
        return [last * number // (steps * unit) * unit for number in range(steps)] + [last]

    def _ramp(self, start: int, side: int, total: int) -> Tensor:
        """(side,) how much a tile's pixels count: the more the further they are from an end beyond which the picture goes on."""
        if self.network.margin:
            return torch.ones(side)  # all tiles say the same of a pixel
        pixel = torch.arange(side) + 0.5
        ends = [*([pixel] if start > 0 else []), *([side - pixel] if start + side < total else [])]
        if not ends:
            return torch.ones(side)
        return (torch.stack(ends).amin(0) / side).pow(_STEEPNESS).clamp(min=1e-12)
