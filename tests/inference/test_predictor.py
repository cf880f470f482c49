"""Whole pictures: VGG's dense evaluation against classifying windows one by one."""

import pytest
import torch

from sightline.data.transforms import eval_transform
from sightline.models import create_model
from sightline.structures import Batch, ClassificationTarget
from tests.inference.blocks import Blocks, predictor_of

LARGE = ("alexnet", "vgg11_bn", "googlenet")


def noise(height: int, width: int) -> torch.Tensor:
    return torch.randint(0, 256, (3, height, width), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def dense(predictor, picture: torch.Tensor) -> torch.Tensor:
    """(K,) probabilities of `evaluate --crops dense`."""
    whole = predictor.for_whole_pictures()
    views = eval_transform(predictor.header.preprocessing, "dense")(picture)
    batch = whole.prepare(Batch(views[None], [ClassificationTarget(0)], [0]))
    with torch.inference_mode():
        return whole.task.predict(whole.model, batch)[0].probabilities


def test_scores_are_averaged_over_windows_and_probabilities_over_mirrors() -> None:
    predictor, picture = predictor_of(Blocks(), resize=32, crop=16), noise(32, 56)
    torch.manual_seed(0)
    torch.nn.init.normal_(predictor.classifier()[0].convolution.weight)  # a block and its mirror image differ then
    halves = []
    for image in (picture, picture.flip(-1)):
        windows = torch.stack([image[:, y : y + 16, x : x + 16] for y in range(0, 17, 8) for x in range(0, 41, 8)])
        with torch.inference_mode():
            halves.append(predictor.model(predictor.inputs(windows)).mean(0).softmax(0))
    torch.testing.assert_close(dense(predictor, picture), (halves[0] + halves[1]) / 2)
    assert not torch.allclose(halves[0], halves[1], atol=0.01)


@pytest.mark.parametrize("name", ["resnet18", *(pytest.param(n, marks=pytest.mark.slow) for n in LARGE)])
def test_a_square_picture_without_a_border_is_classified_as_it_is(name) -> None:
    torch.manual_seed(0)
    predictor = predictor_of(create_model(name, num_classes=3, stem="small"), resize=32, crop=32)
    picture = noise(40, 40)
    image = eval_transform(predictor.header.preprocessing)(picture)
    once, mirrored = predictor.predict_images(torch.stack([image, image.flip(-1)]))
    torch.testing.assert_close(
        dense(predictor, picture), (once.probabilities + mirrored.probabilities) / 2, rtol=1e-4, atol=1e-5
    )
