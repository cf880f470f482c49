"""Made-up predictions with the truth beside them, a pure function of a seed."""

import torch

from sightline.structures import DetectionPrediction, DetectionTarget


def detection_pair(seed: int, num_classes: int = 4) -> tuple[DetectionPrediction, DetectionTarget]:
    """One image: up to five objects, a crowd or a difficult one among them now and then, and up to twelve detections.

    Some detections lie on objects, some beside, some have the wrong class. Scores are equal within an image and between
    images of one seed only, so that the order of images changes no figure.
    """
    generator = torch.Generator().manual_seed(seed)
    count, found = (int(torch.randint(0, most, (), generator=generator)) for most in (6, 13))
    corners = torch.rand(count, 2, generator=generator) * 150
    boxes = torch.cat([corners, corners + 10 + torch.rand(count, 2, generator=generator) * 120], dim=1)
    labels = torch.randint(0, num_classes, (count,), generator=generator)
    flags = torch.rand(2, count, generator=generator) < 0.1
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(dim=1) * 0.8
    target = DetectionTarget(boxes=boxes, labels=labels, crowd=flags[0], difficult=flags[1], areas=areas)

    corners = torch.rand(found, 2, generator=generator) * 150
    guesses = torch.cat([corners, corners + 10 + torch.rand(found, 2, generator=generator) * 120], dim=1)
    guessed = torch.randint(0, num_classes, (found,), generator=generator)
    if count:
        near = torch.randint(0, count, (found,), generator=generator)
        close, same = torch.rand(2, found, generator=generator) < 0.7
        moved = boxes[near] + torch.randn(found, 4, generator=generator) * 4
        guesses = torch.where(close[:, None], moved, guesses)
        guessed = torch.where(close & same, labels[near], guessed)
    scores = torch.rand(found, generator=generator).sort(descending=True).values
    return DetectionPrediction(boxes=guesses, scores=scores, labels=guessed), target
