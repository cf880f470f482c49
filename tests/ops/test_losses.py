import numpy as np
import pytest
import torch

from sightline.ops.losses import cross_entropy


def _in_numpy(logits, labels, second, shares, smoothing):
    """The definition written out: targets as a distribution, then minus the expected log probability."""
    n, k = logits.shape
    target = np.zeros((n, k))
    for i in range(n):
        target[i, labels[i]] += shares[i]
        target[i, second[i]] += 1 - shares[i]
    target = (1 - smoothing) * target + smoothing / k
    shifted = logits - logits.max(axis=1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return -(target * log_p).sum(axis=1).mean()


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(0)
    return {
        "logits": 10 * torch.randn(6, 5, generator=generator),
        "labels": torch.tensor([0, 1, 2, 3, 4, 4]),
        "second": torch.tensor([0, 0, 1, 2, 3, 4]),
        "shares": torch.tensor([1.0, 0.7, 0.0, 0.5, 0.25, 0.9]),
    }


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 1.0])
def test_mixed_targets_follow_the_definition(batch, smoothing):
    ours = cross_entropy(batch["logits"], batch["labels"], batch["second"], batch["shares"], smoothing)
    expected = _in_numpy(
        *(t.double().numpy() if t.is_floating_point() else t.numpy() for t in batch.values()), smoothing
    )
    assert ours.item() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_hard_targets_agree_with_torch_in_value_and_gradient(batch, smoothing):
    ours_in, theirs_in = (batch["logits"].clone().requires_grad_() for _ in range(2))
    ours = cross_entropy(ours_in, batch["labels"], label_smoothing=smoothing)
    theirs = torch.nn.functional.cross_entropy(theirs_in, batch["labels"], label_smoothing=smoothing)
    torch.testing.assert_close(ours, theirs)
    ours.backward()
    theirs.backward()
    torch.testing.assert_close(ours_in.grad, theirs_in.grad)


def test_a_share_of_one_is_the_hard_target(batch):
    ones = torch.ones(6)
    mixed = cross_entropy(batch["logits"], batch["labels"], batch["second"], ones)
    torch.testing.assert_close(mixed, cross_entropy(batch["logits"], batch["labels"]))


def test_half_precision_logits_are_reduced_in_float32():
    logits = torch.tensor([[300.0, 0.0]], dtype=torch.bfloat16)
    loss = cross_entropy(logits, torch.tensor([1]))
    assert loss.dtype == torch.float32
    assert loss.item() == 300.0


def test_an_empty_batch_is_refused_instead_of_giving_nan():
    with pytest.raises(ValueError, match="N > 0"):
        cross_entropy(torch.zeros(0, 3), torch.zeros(0, dtype=torch.int64))


def test_a_share_without_a_second_label_is_refused(batch):
    with pytest.raises(ValueError, match="belong together"):
        cross_entropy(batch["logits"], batch["labels"], shares=batch["shares"])
