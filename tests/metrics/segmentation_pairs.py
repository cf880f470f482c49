"""Made-up masks with a prediction beside them, a pure function of a seed."""

import torch

from sightline.structures import IGNORED, SegmentationPrediction, SegmentationTarget


def pair_of(predicted: list[list[int]], true: list[list[int]]) -> tuple[SegmentationPrediction, SegmentationTarget]:
    """What is written out, as a metric takes it."""
    labels = torch.tensor(predicted, dtype=torch.uint8)
    return SegmentationPrediction(labels, torch.ones(labels.shape)), SegmentationTarget(
        torch.tensor(true, dtype=torch.uint8)
    )


def segmentation_pair(seed: int, num_classes: int = 4) -> tuple[SegmentationPrediction, SegmentationTarget]:
    """One image of a size of its own: patches of any class, a fifth of the pixels found wrong, a tenth not known."""
    generator = torch.Generator().manual_seed(seed)
    height, width = torch.randint(4, 30, (2,), generator=generator).tolist()
    coarse = torch.randint(0, num_classes, (5, 5), generator=generator, dtype=torch.uint8)
    true = coarse[torch.arange(height)[:, None] // 7, torch.arange(width) // 7]
    noise = torch.randint(0, num_classes, (height, width), generator=generator, dtype=torch.uint8)
    wrong, ignored = torch.rand(2, height, width, generator=generator) < torch.tensor([0.2, 0.1])[:, None, None]
    predicted = torch.where(wrong, noise, true)
    scores = torch.rand(height, width, generator=generator)
    return SegmentationPrediction(predicted, scores), SegmentationTarget(true.masked_fill(ignored, IGNORED))
