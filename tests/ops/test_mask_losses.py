"""Losses of masks: against torch, against sums written out, and where nothing or almost nothing is there to be learned."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from sightline.ops.mask_losses import focal, pixel_cross_entropy, soft_dice
from sightline.structures import IGNORED

LOSSES = {
    "cross_entropy": pixel_cross_entropy,
    "dice": soft_dice,
    "sum": lambda logits, masks: pixel_cross_entropy(logits, masks) + soft_dice(logits, masks),
    "weighted": lambda logits, masks: pixel_cross_entropy(
        logits,
        masks,
        torch.tensor([0.5, 2.0, 3.0], device=logits.device),
        torch.ones(masks.shape, device=logits.device),
    ),
    "focal": focal,
    "focal, gamma 0.5": lambda logits, masks: focal(logits, masks, gamma=0.5),
}
every_loss = pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)


def _one_pixel():
    mask = torch.full((2, 4, 5), IGNORED, dtype=torch.uint8)
    mask[0, 1, 2] = 1
    return mask


MASKS = {
    "all background": torch.zeros(2, 4, 5, dtype=torch.uint8),
    "all ignored": torch.full((2, 4, 5), IGNORED, dtype=torch.uint8),
    "one pixel is known": _one_pixel(),
    "one pixel is foreground": _one_pixel() % IGNORED,
    "last class only": torch.full((2, 4, 5), 2, dtype=torch.uint8),
}


def _logits(scale=3.0, shape=(2, 3, 4, 5)):
    return scale * torch.randn(shape, generator=torch.Generator().manual_seed(0))


def _masks(shape=(2, 4, 5), classes=3):
    """Any class, and the second picture half ignored."""
    masks = torch.randint(0, classes, shape, generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
    masks[1:, :, : shape[2] // 2] = IGNORED
    return masks


@every_loss
@pytest.mark.parametrize("masks", MASKS.values(), ids=MASKS)
@pytest.mark.parametrize("scale", [0.0, 1.0, 1e4])
def test_values_and_gradients_are_finite(loss, masks, scale):
    logits = _logits(scale).requires_grad_()
    value = loss(logits, masks)
    value.backward()
    assert value.isfinite()
    assert logits.grad.isfinite().all()


@every_loss
def test_a_network_that_is_right_for_sure_has_no_loss_and_a_finite_gradient(loss):
    masks = _masks()
    logits = torch.zeros(2, 3, 4, 5).scatter_(1, masks[:, None].clamp(max=2).long(), 1e3).requires_grad_()
    value = loss(logits, masks)
    value.backward()
    assert value.item() == pytest.approx(0.0, abs=1e-6)
    assert logits.grad.isfinite().all()


@every_loss
def test_what_is_ignored_changes_nothing(loss):
    masks = _masks()
    logits, other = _logits().requires_grad_(), _logits()
    other = torch.where((masks == IGNORED)[:, None], -other + 5, other)
    value = loss(logits, masks)
    assert torch.equal(value, loss(other, masks))
    value.backward()
    assert not logits.grad.movedim(1, -1)[masks == IGNORED].any()
    assert logits.grad.movedim(1, -1)[masks != IGNORED].any()


@every_loss
def test_nothing_known_is_no_loss(loss):
    assert loss(_logits(), MASKS["all ignored"]).item() == 0.0


@every_loss
def test_a_batch_in_parts_has_the_mean_of_their_losses(loss):
    """As several processes and parts of a batch add them up, however much is ignored in each."""
    logits, masks = _logits(shape=(4, 3, 4, 5)), _masks(shape=(4, 4, 5))
    masks[3] = IGNORED
    parts = torch.stack([loss(logits[:2], masks[:2]), loss(logits[2:], masks[2:])])
    torch.testing.assert_close(loss(logits, masks), parts.mean())


@every_loss
def test_half_precision_is_reduced_in_float32_and_double_stays_double(loss):
    logits, masks = _logits(shape=(1, 3, 64, 64)).bfloat16(), _masks(shape=(1, 64, 64))
    low = loss(logits, masks)
    assert low.dtype == torch.float32
    exact = loss(logits.double(), masks)
    assert exact.dtype == torch.float64
    assert low.item() == pytest.approx(exact.item(), rel=1e-5)


@pytest.mark.slow
@every_loss
def test_gradients_are_those_of_the_value(loss):
    logits = _logits(1.0).double().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: loss(x, _masks()), logits)


@every_loss
def test_no_value_is_asked_for_on_the_way(loss):
    """A GPU would have to be waited for. Tensors without values have none to give, and cannot be indexed by flags."""
    logits = _logits().to("meta").requires_grad_()
    loss(logits, _masks().to("meta")).backward()
    assert logits.grad.shape == logits.shape


def test_cross_entropy_of_one_picture_agrees_with_torch():
    logits, masks = _logits(shape=(1, 3, 4, 5)), _masks(shape=(1, 4, 5))
    masks[0, 0] = IGNORED
    expected = F.cross_entropy(logits, masks.long(), ignore_index=IGNORED)
    torch.testing.assert_close(pixel_cross_entropy(logits, masks), expected)


def test_weights_of_pixels_are_added_to_those_of_classes_and_the_known_pixels_counted():
    logits, masks = _logits(), _masks()
    of_classes, of_pixels = (
        torch.tensor([0.5, 2.0, 3.0]),
        torch.rand(2, 4, 5, generator=torch.Generator().manual_seed(2)),
    )
    log_p = logits.log_softmax(dim=1)
    pictures = []
    for n in range(2):
        total, known = 0.0, 0
        for y, x in np.ndindex(4, 5):
            if (label := int(masks[n, y, x])) != IGNORED:
                total -= float((of_classes[label] + of_pixels[n, y, x]) * log_p[n, label, y, x])
                known += 1
        pictures.append(total / known)
    of_pixels[masks == IGNORED] = torch.inf
    ours = pixel_cross_entropy(logits, masks, of_classes, of_pixels)
    assert ours.item() == pytest.approx(np.mean(pictures), rel=1e-5)
    nothing_added = pixel_cross_entropy(logits, masks, of_classes, torch.zeros(2, 4, 5))
    torch.testing.assert_close(nothing_added, pixel_cross_entropy(logits, masks, of_classes))
    torch.testing.assert_close(
        pixel_cross_entropy(logits, masks, None, torch.ones(2, 4, 5)), 2 * pixel_cross_entropy(logits, masks)
    )


def test_dice_is_the_mean_over_the_classes_that_a_picture_has():
    logits, masks = _logits(), _masks()
    masks[0][masks[0] == 2] = 0  # the first picture has no third class
    probabilities = logits.softmax(dim=1).numpy()
    pictures = []
    for n in range(2):
        true = masks[n].numpy()
        known = true != IGNORED
        scores = []
        for k in np.unique(true[known]):
            p, g = probabilities[n, k][known], (true == k)[known]
            scores.append(2 * (p * g).sum() / (p.sum() + g.sum()))
        pictures.append(1 - np.mean(scores))
    assert soft_dice(logits, masks).item() == pytest.approx(np.mean(pictures), rel=1e-5)


def test_dice_of_labels_for_sure_is_that_of_the_pixels():
    masks = torch.tensor([[[0, 0, 0, 1, 1, 1]]], dtype=torch.uint8)
    found = torch.tensor([[[0, 0, 1, 1, 1, 0]]])
    logits = 1e4 * F.one_hot(found, 2).movedim(-1, 1).float()
    assert soft_dice(logits, masks).item() == pytest.approx(1 - 2 / 3)  # 4 / 6 for both classes


@pytest.mark.parametrize("gamma", [0.5, 1.0, 2.0, 5.0])
def test_focal_follows_its_definition(gamma):
    logits, masks = _logits(1.0, (1, 3, 4, 5)), _masks(shape=(1, 4, 5))
    weights = torch.tensor([0.25, 1.0, 4.0])
    p = logits.softmax(dim=1).gather(1, masks[:, None].long())[:, 0]
    expected = (-weights[masks.long()] * (1 - p) ** gamma * p.log()).mean()
    torch.testing.assert_close(focal(logits, masks, gamma, weights), expected)


def test_focal_with_gamma_0_is_cross_entropy():
    weights = torch.tensor([0.25, 1.0, 4.0])
    ours = focal(_logits(), _masks(), 0.0, weights)
    torch.testing.assert_close(ours, pixel_cross_entropy(_logits(), _masks(), weights))


def test_what_does_not_fit_is_refused():
    logits, masks = _logits(), _masks()
    for loss in (pixel_cross_entropy, soft_dice, focal):
        with pytest.raises(ValueError, match=r"expected logits \(N, K, H, W\) and uint8 masks .* torch.int64"):
            loss(logits, masks.long())
        with pytest.raises(ValueError, match=r"\(2, 4, 4\)"):
            loss(logits, masks[:, :, :4])
        with pytest.raises(ValueError, match="N > 0"):
            loss(logits[:0], masks[:0])
    with pytest.raises(ValueError, match="expected 3 class weights"):
        pixel_cross_entropy(logits, masks, torch.ones(2))
    with pytest.raises(ValueError, match="expected a weight a pixel"):
        pixel_cross_entropy(logits, masks, None, torch.ones(4, 5))
    with pytest.raises(ValueError, match="gamma: expected 0 or more, got -1"):
        focal(logits, masks, -1.0)
