"""Local response normalisation: Krizhevsky, Sutskever, Hinton, "ImageNet Classification with Deep Convolutional Neural
Networks", 2012, section 3.3. AlexNet and GoogLeNet use it; later networks found that it helps little.

Shape letters: `N` batch, `C` channels, `H W` cells.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class LocalResponseNorm(nn.Module):
    """Each channel i divided by how active it and its neighbours are, at the same cell:

        b_i = a_i / (k + alpha * sum of a_j ** 2 over j from i - size // 2 to i + size // 2) ** beta

    with the paper's constants as defaults. The sum is a sum: `torch.nn.LocalResponseNorm` takes the mean over `size`
    channels there, so that its alpha is `size` times this one. Computed in float32 at least, since in bfloat16 the sum
    would vanish beside k.

    >>> LocalResponseNorm(size=3, alpha=1.0, beta=1.0, k=2.0)(torch.ones(1, 4, 1, 1)).flatten()
    tensor([0.2500, 0.2000, 0.2000, 0.2500])
    """

    def __init__(self, size: int = 5, alpha: float = 1e-4, beta: float = 0.75, k: float = 2.0) -> None:
        super().__init__()
        self.size = size
        self.alpha = alpha
        self.beta = beta
        self.k = k

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to the same shape and type."""
        channels, reach = x.shape[1], self.size // 2
        values = x if x.dtype == torch.float64 else x.float()
        squares = F.pad(values.square(), (0, 0, 0, 0, reach, reach))  # (N, C + 2 * reach, H, W)
        total = torch.zeros_like(values)
        for offset in range(2 * reach + 1):
            total += squares[:, offset : offset + channels]
        return (values * (self.k + self.alpha * total).pow(-self.beta)).to(x.dtype)

    def extra_repr(self) -> str:
        """The constants, for printing."""
        return f"size={self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}"
