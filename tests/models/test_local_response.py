import numpy as np
import pytest
import torch
from torch import nn

from sightline.models.local_response import LocalResponseNorm


def by_the_formula(a: np.ndarray, n: int, alpha: float, beta: float, k: float) -> np.ndarray:
    """Section 3.3 of the paper, one cell after the other: a is (kernels, x, y)."""
    kernels, width, height = a.shape
    b = np.empty_like(a)
    for i in range(kernels):
        for x in range(width):
            for y in range(height):
                first, last = max(0, i - n // 2), min(kernels - 1, i + n // 2)
                total = sum(a[j, x, y] ** 2 for j in range(first, last + 1))
                b[i, x, y] = a[i, x, y] / (k + alpha * total) ** beta
    return b


@pytest.mark.parametrize("scale", [1.0, 300.0])
@pytest.mark.parametrize("kernels", [2, 5, 11])
def test_it_is_the_papers_formula(kernels, scale):
    images = scale * torch.randn(2, kernels, 3, 4, dtype=torch.float64)
    expected = np.stack([by_the_formula(a, n=5, alpha=1e-4, beta=0.75, k=2.0) for a in images.numpy()])
    torch.testing.assert_close(LocalResponseNorm()(images), torch.from_numpy(expected))


def test_other_constants_are_taken():
    images = torch.randn(1, 6, 2, 2, dtype=torch.float64)
    expected = by_the_formula(images[0].numpy(), n=3, alpha=0.5, beta=1.5, k=0.1)
    got = LocalResponseNorm(size=3, alpha=0.5, beta=1.5, k=0.1)(images)[0]
    torch.testing.assert_close(got, torch.from_numpy(expected))


def test_torch_takes_the_mean_where_the_paper_has_the_sum():
    images = 100 * torch.randn(2, 8, 3, 3)
    ours = LocalResponseNorm()(images)
    torch.testing.assert_close(ours, nn.LocalResponseNorm(5, alpha=5e-4, beta=0.75, k=2.0)(images))
    assert not torch.allclose(ours, nn.LocalResponseNorm(5, alpha=1e-4, beta=0.75, k=2.0)(images), rtol=1e-2)


def test_its_gradient_is_the_formulas():
    images = 30 * torch.randn(1, 6, 2, 2, dtype=torch.float64)
    assert torch.autograd.gradcheck(LocalResponseNorm(), images.requires_grad_())


def test_half_precision_is_rounded_once_at_the_end():
    images = (30 * torch.randn(2, 16, 3, 3)).bfloat16()
    got = LocalResponseNorm()(images)
    assert got.dtype == torch.bfloat16
    assert torch.equal(got, LocalResponseNorm()(images.float()).bfloat16())


def test_channels_last_stays_channels_last():
    images = torch.randn(2, 8, 3, 3).contiguous(memory_format=torch.channels_last)
    assert LocalResponseNorm()(images).is_contiguous(memory_format=torch.channels_last)
