"""Losses as pure functions. Shape letters: `N` batch, `K` classes, `A` anchors or proposals of a picture."""

import torch
from torch import Tensor
from torch.nn import functional as F


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


def smooth_l1(predicted: Tensor, target: Tensor, chosen: Tensor, beta: float) -> Tensor:
    """Smooth L1 of box offsets, summed over the boxes chosen; a scalar, float32.

    `predicted` and `target` (..., 4); `chosen` (...) bool. Of a difference d it is d ** 2 / (2 * beta) below `beta` and
    |d| - beta / 2 above; with `beta` 0 it is |d|. Girshick 2015, arXiv:1504.08083, equation 3, has beta 1; the published
    detectors 1 / 9. What is not chosen may be anything, also infinite: it changes neither the loss nor a gradient. 0 if
    nothing is chosen. To be divided by how many boxes the loss looks at, not by how many are chosen here.

    >>> smooth_l1(torch.tensor([[0.5, 3.0, 0.0, 0.0]]), torch.zeros(1, 4), torch.tensor([True]), beta=1.0)
    tensor(2.6250)
    """
    # The difference is cut out, not its loss: 0 times an infinite slope would be no number.
    difference = torch.where(chosen[..., None], predicted.float() - target.float(), 0.0)
    return F.smooth_l1_loss(difference, torch.zeros_like(difference), reduction="sum", beta=beta)


def objectness(logits: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
    """Mean binary cross entropy between sigmoid(`logits`) and "here is an object", over the anchors drawn; float32.

    `logits` (N, A); `positive` and `negative` (N, A) bool, the anchors drawn on objects and on background, as
    `matching.sample` gives them. 0 if none is drawn.

    >>> objectness(torch.zeros(1, 3), torch.tensor([[True, False, False]]), torch.tensor([[False, True, False]])).exp()
    tensor(2.)
    """
    drawn = positive | negative
    loss = F.binary_cross_entropy_with_logits(logits.float(), positive.float(), drawn.float(), reduction="sum")
    return loss / drawn.sum().clamp(min=1)


def region_cross_entropy(logits: Tensor, labels: Tensor, drawn: Tensor) -> Tensor:
    """Mean cross entropy between softmax(`logits`) and the regions' classes, over the regions drawn; float32.

    `logits` (..., K), background being one of the K; `labels` (...) int64, 0..K-1, also where nothing is drawn; `drawn`
    (...) bool. 0 if none is drawn.

    >>> region_cross_entropy(torch.zeros(2, 4), torch.tensor([3, 0]), torch.tensor([True, False])).exp()
    tensor(4.)
    """
    hit = logits.float().log_softmax(dim=-1).gather(-1, labels[..., None])[..., 0]
    return -torch.where(drawn, hit, 0.0).sum() / drawn.sum().clamp(min=1)
