"""Losses as pure functions. Shape letters: `N` batch, `K` classes."""

from torch import Tensor


def cross_entropy(
    logits: Tensor,
    labels: Tensor,
    second_labels: Tensor | None = None,
    shares: Tensor | None = None,
    label_smoothing: float = 0.0,
) -> Tensor:
    """Mean cross entropy between softmax(`logits`) and the true classes; a scalar, in nats, float32.

    `logits` (N, K) in any float type; `labels` (N,) int64 in 0..K-1. Mixed images (mixup, cutmix) have a second class:
    `second_labels` (N,) and `shares` (N,) in 0..1, the weight of `labels`; the second class has 1 - share.
    `label_smoothing` in 0..1 moves that much of the target evenly onto all K classes (Szegedy et al. 2015,
    arXiv:1512.00567, section 7). Raises `ValueError` if only one of `second_labels` and `shares` is given, or N is 0.

    >>> import torch
    >>> cross_entropy(torch.zeros(2, 4), torch.tensor([0, 3])).exp()
    tensor(4.)
    """
    if (second_labels is None) != (shares is None):
        raise ValueError("second_labels and shares belong together: give both or neither")
    if logits.ndim != 2 or labels.shape != logits.shape[:1] or len(labels) == 0:
        raise ValueError(
            f"expected logits (N, K) and labels (N,), N > 0; got {tuple(logits.shape)}, {tuple(labels.shape)}"
        )
    log_probabilities = logits.float().log_softmax(dim=1)  # (N, K)
    hit = log_probabilities.gather(1, labels[:, None])[:, 0]  # (N,)
    if second_labels is not None and shares is not None:
        second = log_probabilities.gather(1, second_labels[:, None])[:, 0]
        hit = shares * hit + (1.0 - shares) * second
    if label_smoothing:
        hit = (1.0 - label_smoothing) * hit + label_smoothing * log_probabilities.mean(dim=1)
    return -hit.mean()
