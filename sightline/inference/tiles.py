"""Pictures that are too large for one piece: a segmenter goes over them in overlapping tiles.

The paper's network (Ronneberger, Fischer, Brox 2015, arXiv:1505.04597, section 2, Figure 2) loses a margin at each border, so its
tiles, cut with that margin around them, give what one piece would give. A padded network sees less at the border of a tile
than in the middle of the picture; there tiles overlap, and where they do their probabilities are mixed, each the less the
nearer its border is.

Shape letters: `N` batch, `C` channels, `H W` pixels, `K` classes.
"""

import torch
from torch import Tensor, nn

from sightline.models.unet import UNet
from sightline.ops.images import mirrored

LARGEST = 2**21
"""Pixels of a picture up to which it is one piece: 1,448 x 1,448, a few gigabytes of maps."""
TILE, OVERLAP = 768, 256
"""Side of a tile, and how much of it its neighbour has too, in pixels."""


class Tiled(nn.Module):
    """`network`, which takes pictures of any size, in tiles of `tile` pixels where they have more than `largest` pixels.

    >>> from sightline.models.unet import unet
    >>> torch.manual_seed(0)
    <...>
    >>> whole = unet(num_classes=2, width=4).eval()
    >>> picture = torch.rand(1, 3, 300, 200)
    >>> with torch.inference_mode():
    ...     difference = whole(picture).softmax(1) - Tiled(whole, tile=128, overlap=96, largest=1)(picture).softmax(1)
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
        share = self._ramp(sides[0], images.device)[:, None] * self._ramp(sides[1], images.device)
        for top in self._starts(total[0], sides[0]):
            for left in self._starts(total[1], sides[1]):
                cut = padded[:, :, top : top + sides[0] + 2 * around, left : left + sides[1] + 2 * around]
                place = slice(top, top + sides[0]), slice(left, left + sides[1])
                mixed[:, :, *place] += self.network.raw(cut).float().softmax(dim=1) * share
                weights[place] += share
        return (mixed / weights)[:, :, :height, :width].clamp(min=1e-30).log()

    def _starts(self, total: int, side: int) -> list[int]:
        """Where tiles begin: at multiples of the network's own step, so that their cells are those of the whole picture."""
        unit = self.network.multiple
        step = max(unit, (side - self.overlap) // unit * unit)
        last = total - side
        return [*range(0, last, step), last]

    def _ramp(self, side: int, device: torch.device) -> Tensor:
        """(side,) from little at both ends to 1 in the middle, over the width of the overlap."""
        if self.network.margin:
            return torch.ones(side, device=device)  # all tiles say the same of a pixel
        distance = torch.arange(side, device=device, dtype=torch.float32)
        distance = torch.minimum(distance, side - 1 - distance) + 0.5
        # Nothing is known at the very border; it counts where there is nothing else.
        return (distance / max(1, self.overlap / 2)).clamp(max=1.0) ** 2
