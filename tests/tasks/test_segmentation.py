"""The segmentation task: masks to the network's form, logits back to pictures."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from sightline.errors import ConfigError, InputError, SightlineError
from sightline.models.unet import unet
from sightline.ops.mask_losses import focal, pixel_cross_entropy, soft_dice
from sightline.structures import (
    IGNORED,
    Batch,
    ClassificationTarget,
    SegmentationPrediction,
    SegmentationTarget,
)
from sightline.tasks.segmentation import SegmentationConfig, SegmentationTask
from sightline.tasks.task import evaluate, scores
from sightline.tasks.tiles import TILE

TASK = SegmentationTask(("ground", "cell", "rim"))


class Giving(nn.Module):
    """Gives the logits that it was made with."""

    def __init__(self, logits):
        super().__init__()
        self.logits = nn.Parameter(logits)

    def forward(self, images):
        return self.logits


def _logits(*shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


def _mask(*shape, classes=3):
    return torch.randint(0, classes, shape, generator=torch.Generator().manual_seed(1), dtype=torch.uint8)


def _batch(*masks, size=(6, 8), **others):
    targets = tuple(SegmentationTarget(mask) for mask in masks)
    return Batch(torch.zeros(len(masks), 3, *size), targets, range(10, 10 + len(masks)), **others)


def test_the_losses_are_named_and_smaller_masks_are_filled_up_with_what_is_ignored():
    logits, small = _logits(2, 3, 6, 8), _mask(4, 5)
    filled = F.pad(small, (0, 3, 0, 2), value=IGNORED)
    losses = TASK.loss(Giving(logits), _batch(_mask(6, 8), small))
    masks = torch.stack([_mask(6, 8), filled])
    assert losses == {"cross_entropy": pixel_cross_entropy(logits, masks), "dice": soft_dice(logits, masks)}


def test_other_losses_and_class_weights():
    logits, mask, weights = _logits(1, 3, 6, 8), _mask(6, 8), torch.tensor([0.5, 1.0, 2.0])
    for names, expected in (
        ("focal", {"focal": focal(logits, mask[None], class_weights=weights)}),
        ("cross_entropy", {"cross_entropy": pixel_cross_entropy(logits, mask[None], weights)}),
        ("dice", {"dice": soft_dice(logits, mask[None])}),
    ):
        task = SegmentationTask(TASK.class_names, losses=names, class_weights=(0.5, 1.0, 2.0))
        assert task.loss(Giving(logits), _batch(mask)) == expected


def test_background_between_objects_counts_more_where_that_is_asked_for():
    logits, mask = _logits(1, 3, 6, 8), _mask(4, 5)
    near = torch.randint(0, 256, (4, 5), generator=torch.Generator().manual_seed(2), dtype=torch.uint8)
    task = SegmentationTask(TASK.class_names, losses="cross_entropy", touching=10.0)
    batch = Batch(torch.zeros(1, 3, 6, 8), (SegmentationTarget(mask, near),), [0])
    filled = F.pad(mask, (0, 3, 0, 2), value=IGNORED)[None]
    expected = pixel_cross_entropy(logits, filled, None, F.pad(near * (10 / 255), (0, 3, 0, 2))[None])
    torch.testing.assert_close(task.loss(Giving(logits), batch)["cross_entropy"], expected)
    with pytest.raises(InputError, match="does not say where"):
        task.loss(Giving(logits), _batch(mask))


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"balance": 1.5}, "balance: expected 0..1"),
        ({"touching": -1.0}, "touching: expected 0 or more"),
        ({"touching_sigma": 0.0}, "touching_sigma: expected a number above 0"),
        ({"touching": 1.0, "losses": "focal"}, "for cross entropy, which is not among"),
        ({"balance": 0.5, "class_weights": (1.0, 2.0)}, "leave it or class_weights out"),
        ({"losses": "cross entropy"}, "segmentation.losses: expected some of"),
        ({"losses": "dice", "balance": 1.0}, "not for Dice alone"),
    ],
)
def test_settings_that_make_no_sense_are_refused(values, text):
    with pytest.raises(ConfigError, match=text):
        SegmentationConfig(**values)


def test_a_prediction_is_the_most_probable_class_with_its_probability():
    logits = _logits(2, 3, 6, 8)
    first, second = TASK.predict(Giving(logits.bfloat16()), _batch(_mask(6, 8), _mask(6, 8)))
    probabilities, labels = logits.bfloat16().float().softmax(dim=1).max(dim=1)
    assert torch.equal(first.labels, labels[0].to(torch.uint8))
    assert torch.equal(second.labels, labels[1].to(torch.uint8))
    torch.testing.assert_close(second.scores, probabilities[1])


def test_padding_is_cut_off():
    logits = _logits(2, 3, 6, 8)
    sizes = torch.tensor([[6, 5], [3, 8]])
    first, second = TASK.predict(Giving(logits), _batch(_mask(6, 5), _mask(3, 8), sizes=sizes))
    labels = logits.argmax(dim=1)
    assert first.labels.tolist() == labels[0, :, :5].tolist()
    assert second.labels.tolist() == labels[1, :3].tolist()


@pytest.mark.parametrize("classes", [3, 70])
def test_probabilities_not_classes_go_back_to_the_size_of_the_picture(classes):
    """More classes than are resized at once give the same as all in one piece."""
    task = SegmentationTask(tuple(str(label) for label in range(classes)))
    logits = 3 * _logits(1, classes, 6, 8)
    batch = _batch(_mask(9, 11), sizes=torch.tensor([[6, 5]]), original_sizes=torch.tensor([[9, 11]]))
    [found] = task.predict(Giving(logits), batch)
    large = F.interpolate(logits[:, :, :, :5].softmax(dim=1), size=(9, 11), mode="bilinear")[0]
    torch.testing.assert_close(found.scores, large.max(dim=0).values)
    assert torch.equal(found.labels, large.argmax(dim=0).to(torch.uint8))
    assert found.scores.max() <= 1.0


def test_a_network_that_is_right_has_the_best_scores():
    mask = _mask(6, 8, classes=2)
    task = SegmentationTask(("ground", "cell"))
    logits = 100 * torch.stack([mask == 0, mask == 1])[None].float()
    result = scores(evaluate(task, Giving(logits), [_batch(mask)]))
    assert result[task.headline] == result["dice"] == result["boundary_f"] == result["recall"] == 1.0
    assert (result["merged_objects"], result["split_objects"], result["images"]) == (0, 0, 1)
    assert result["objects"] > 1
    assert set(TASK.metrics()) == {"overlap", "boundary"}


def test_a_few_steps_learn_a_mask():
    torch.manual_seed(0)
    images = torch.rand(2, 3, 8, 8)
    masks = (images[:, 0] > 0.5).to(torch.uint8)
    batch = Batch(images, [SegmentationTarget(mask) for mask in masks], [0, 1])
    task, model = SegmentationTask(("dark", "red")), nn.Conv2d(3, 2, kernel_size=1)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.3)
    for _ in range(40):
        torch.stack(list(task.loss(model, batch).values())).sum().backward()
        optimizer.step()
        optimizer.zero_grad()
    assert scores(evaluate(task, model, [batch]))["mIoU"] > 0.9


def test_an_output_that_is_not_a_number_names_its_image():
    logits = _logits(2, 3, 6, 8)
    logits[1, 0, 2, 2] = torch.nan
    with pytest.raises(SightlineError, match="image at index 11 is not a number"):
        TASK.predict(Giving(logits), _batch(_mask(6, 8), _mask(6, 8)))


def test_masks_that_do_not_fit_are_refused():
    model = Giving(_logits(2, 3, 6, 8))
    wrong = _mask(6, 8)
    wrong[0, :3] = torch.tensor([7, 200, IGNORED])
    with pytest.raises(InputError, match=r"classes 0\.\.2 or 255 \(not known\) in the mask .* index 11, got 7, 200\."):
        TASK.loss(model, _batch(_mask(6, 8), wrong))
    with pytest.raises(InputError, match="index 11 has 6 x 9 pixels, its image only 6 x 8"):
        TASK.loss(model, _batch(_mask(6, 8), _mask(6, 9)))
    with pytest.raises(InputError, match="with a mask each"):
        TASK.loss(model, Batch(torch.zeros(1, 3, 6, 8), [ClassificationTarget(0)], [0]))


def test_a_model_that_does_not_fit_is_refused():
    with pytest.raises(InputError, match="for the task's 3 classes"):
        TASK.loss(Giving(_logits(1, 4, 6, 8)), _batch(_mask(6, 8)))
    with pytest.raises(InputError, match="for the task's 3 classes"):
        TASK.predict(Giving(_logits(1, 3)), _batch(_mask(6, 8)))
    with pytest.raises(ValueError, match=r"the images' size, \(6, 8\), got \(3, 4\)"):
        TASK.predict(Giving(_logits(1, 3, 3, 4)), _batch(_mask(6, 8)))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"losses": "dice+iou"}, "cross_entropy, dice, focal, .* got 'dice.iou'"),
        ({"losses": "dice+dice"}, "got 'dice.dice'"),
        ({"losses": ""}, "got ''"),
        ({"class_weights": (1.0,)}, "expected 2 numbers"),
        ({"class_weights": (1.0, -1.0)}, "of 0 or more"),
        ({"class_weights": (1.0, float("nan"))}, "of 0 or more"),
    ],
)
def test_settings_that_do_not_fit_are_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        SegmentationTask(("ground", "cell"), **arguments)


def test_names_are_checked():
    with pytest.raises(InputError, match="at least one class"):
        SegmentationTask(())
    with pytest.raises(InputError, match="at most 255 classes fit, got 256"):
        SegmentationTask(tuple(str(label) for label in range(256)))
    assert isinstance(TASK.predict(Giving(_logits(1, 3, 6, 8)), _batch(_mask(6, 8)))[0], SegmentationPrediction)


def test_a_large_picture_is_measured_in_tiles_in_training_too(monkeypatch):
    """Whoever measures has no more memory at the end of an epoch than in use."""
    network, pieces = unet(num_classes=3, width=1).eval(), []
    raw = network.raw
    monkeypatch.setattr(network, "raw", lambda images: pieces.append(tuple(images.shape[2:])) or raw(images))
    size = (TILE + 20, TILE)
    evaluate(TASK, network, [_batch(_mask(*size), size=size)])
    assert pieces == [(TILE, TILE)] * 2
    pieces.clear()
    evaluate(TASK, network, [_batch(_mask(40, 50), size=(40, 50))])
    assert pieces == [(48, 64)]
