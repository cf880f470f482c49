"""Grad-CAM and the class map against networks whose maps are known, direct sums, and the class activation map."""

import dataclasses

import numpy as np
import pytest
import torch

from sightline.data.transforms import eval_transform
from sightline.errors import ImageError, InputError, UnknownNameError
from sightline.inference.explain import class_map, grad_cam
from sightline.inference.overlay import cam_over, cells_over
from sightline.models import create_model
from tests.inference.blocks import Blocks, predictor_of

LARGE = ("alexnet", "vgg11")
TABLE = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, axis=1)


def black(height: int, width: int) -> torch.Tensor:
    return torch.zeros(3, height, width, dtype=torch.uint8)


def noise(height: int, width: int, seed: int = 0) -> torch.Tensor:
    return torch.randint(0, 256, (3, height, width), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


def test_the_map_of_a_known_network_is_known() -> None:
    """The logit is the mean of 4 x 4 cells: each cell's share is a sixteenth of its colour."""
    predictor, picture = predictor_of(Blocks(), resize=32, crop=32), black(32, 32)
    picture[1, 8:16, 16:24] = 255
    picture[1, 24:32, 0:4] = 255
    cam = grad_cam(predictor, picture)
    expected = torch.zeros(4, 4)
    expected[1, 2], expected[3, 0] = 1 / 16, 0.5 / 16
    assert (cam.label, cam.stage) == (1, "blocks")
    torch.testing.assert_close(cam.values, expected)
    assert not grad_cam(predictor, picture, label=0).values.any()


@pytest.mark.parametrize("scale", [1, 2, 3])
@pytest.mark.parametrize(("height", "width"), [(40, 72), (72, 40), (40, 40)])
def test_the_heat_lies_on_what_the_network_saw_to_the_pixel(height, width, scale) -> None:
    """A block that one cell looks at, in a picture that is reduced by `scale` and cropped from 40 to 32."""
    top, left = (height - 32) // 2, (width - 32) // 2
    y, x = top + 8, left + 16  # where the block begins, before enlarging
    picture = black(height * scale, width * scale)
    picture[0, y * scale : (y + 8) * scale, x * scale : (x + 8) * scale] = 255
    cam = grad_cam(predictor_of(Blocks(), resize=40, crop=32), picture)
    assert cam.values[1, 2] > 0.9 * cam.values.sum() > 0  # reducing blurs the edges of the block a little
    assert cam.seen == (left * scale, top * scale, (left + 32) * scale, (top + 32) * scale)

    white = np.full((height * scale, width * scale, 3), 255, dtype=np.uint8)
    over = cam_over(white, cam, TABLE)[..., 0].astype(int)
    inside = np.zeros(over.shape, dtype=bool)
    inside[top * scale : (top + 32) * scale, left * scale : (left + 32) * scale] = True
    assert (over[~inside] == 255).all()
    assert (over[inside] < 255).all()
    heat = np.where(inside, over, 0)
    rows, columns = np.nonzero(heat == heat.max())
    assert rows.mean() + 0.5 == (y + 4) * scale
    assert columns.mean() + 0.5 == (x + 4) * scale


def test_hiding_the_strongest_cell_costs_the_most() -> None:
    """Occlusion as the oracle, on a picture that is reduced and cropped."""
    predictor, picture = predictor_of(Blocks(), resize=40, crop=32), noise(80, 120)
    picture[:, 24:40, 68:84] = 255
    cam = grad_cam(predictor, picture, label=2)
    row, column = divmod(int(cam.values.argmax()), 4)

    def logit(image: torch.Tensor) -> float:
        crop = eval_transform(predictor.header.preprocessing)(image)[None]
        with torch.inference_mode():
            return float(predictor.model(predictor.inputs(crop))[0, 2])

    losses = {}
    for y in range(4):
        for x in range(4):
            hidden = picture.clone()
            centre_y, centre_x = (int(cells.first + n * cells.step) for cells, n in ((cam.down, y), (cam.across, x)))
            hidden[:, centre_y - 8 : centre_y + 8, centre_x - 8 : centre_x + 8] = 0
            losses[y, x] = logit(picture) - logit(hidden)
    assert max(losses, key=losses.__getitem__) == (row, column)


def test_at_the_last_map_of_a_resnet_it_is_the_class_activation_map() -> None:
    """Zhou et al. 2016: the head's weights for the class times the map; and all parts together are the logit."""
    torch.manual_seed(0)
    model = create_model("resnet18", num_classes=3, stem="small").eval()
    predictor, picture = predictor_of(model, resize=32, crop=32), noise(32, 32)
    cam = grad_cam(predictor, picture, label=2)
    with torch.inference_mode():
        features = model.forward_features(predictor.inputs(picture[None]), ("c5",))["c5"]
        parts = torch.einsum("c,chw->hw", model.fc.weight[2], features[0]) / features[0, 0].numel()
        torch.testing.assert_close(cam.values, parts.relu())
        torch.testing.assert_close(parts.sum() + model.fc.bias[2], model.classify(features)[0, 2])


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["resnet18", *(pytest.param(n, marks=pytest.mark.slow) for n in ("googlenet_2014", *LARGE))]
)
def test_every_stage_against_a_backward_through_the_whole_network(name) -> None:
    torch.manual_seed(0)
    model = create_model(name, num_classes=3, stem="small").eval()
    predictor, picture = predictor_of(model, resize=32, crop=32), noise(40, 32)
    crop = predictor.inputs(eval_transform(predictor.header.preprocessing)(picture)[None])
    for stage in model.stages:
        cam = grad_cam(predictor, picture, 1, stage)
        assert all(parameter.grad is None for parameter in model.parameters())
        kept = []
        last = model.parts(stage)[-1]
        hook = last.register_forward_hook(lambda module, inputs, output, kept=kept: kept.append(output))
        logit = model(crop)[0, 1]
        hook.remove()
        (gradient,) = torch.autograd.grad(logit, kept[0])
        expected = (kept[0] * gradient.mean((2, 3), keepdim=True)).sum(1)[0].relu()
        torch.testing.assert_close(cam.values, expected.detach(), rtol=1e-4, atol=1e-6)


def test_the_class_map_is_the_classifier_on_each_window() -> None:
    """A network without padding sees nothing but the window: the same numbers, and windows where they are said to be."""
    predictor, picture = predictor_of(Blocks(), resize=16, crop=16), noise(32, 48)
    found = class_map(predictor, picture, size=32)
    assert found.probabilities.shape == (3, 3, 5)
    assert found.window == (16, 16)
    for row in range(3):
        for column in range(5):
            y, x = found.down.first + row * found.down.step, found.across.first + column * found.across.step
            window = picture[:, int(y) - 8 : int(y) + 8, int(x) - 8 : int(x) + 8]
            (alone,) = predictor.predict([window])
            torch.testing.assert_close(found.probabilities[:, row, column], alone.probabilities)


def test_windows_are_placed_in_the_pixels_of_the_picture_itself() -> None:
    predictor, picture = predictor_of(Blocks(), resize=16, crop=16), black(20, 30)
    found = class_map(predictor, picture)
    assert (found.size, found.probabilities.shape) == (32, (3, 3, 5))
    assert found.window == (10, 10)
    assert (found.down.first, found.down.step, found.across.first) == (5, 5, 5)
    assert found.prediction.probabilities.tolist() == predictor.predict([picture])[0].probabilities.tolist()


def test_cells_are_drawn_where_they_are_and_nowhere_else() -> None:
    """Windows of 16 in 32 x 48 pixels, 8 apart: middles 8, 16, 24 down and 8, ..., 40 across, blocks of 8 around them."""
    found = class_map(predictor_of(Blocks(), resize=16, crop=16), black(32, 48), size=32)
    colours = np.zeros((3, 5, 3), dtype=np.uint8)
    colours[1, 3] = 200
    over = cells_over(np.full((32, 48, 3), 255, dtype=np.uint8), found.down, found.across, colours)[..., 0]
    assert (over == 255).sum() == 32 * 48 - 24 * 40
    assert (over[4:28, 4:44] < 255).all()
    rows, columns = np.nonzero(over == over[4:28, 4:44].max())
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (12, 19, 28, 35)


def test_what_cannot_be_explained_is_refused() -> None:
    predictor = predictor_of(Blocks(), resize=16, crop=16)
    with pytest.raises(UnknownNameError, match=r"Unknown stage of Blocks 'block'. Did you mean 'blocks'\?"):
        grad_cam(predictor, black(16, 16), stage="block")
    with pytest.raises(ImageError, match=r"none\.png"):
        grad_cam(predictor, "none.png")
    with pytest.raises(InputError, match=r"size: expected at least 16 pixels, .* got 15"):
        class_map(predictor, black(16, 16), size=15)
    with pytest.raises(InputError, match="a picture of 1000 x 10 would be enlarged to more than 4,194,304 pixels"):
        class_map(predictor, black(10, 1000), size=256)
    other = dataclasses.replace(predictor, model=torch.nn.Conv2d(3, 3, 1))
    for ask in (grad_cam, class_map):
        with pytest.raises(InputError, match="Only a classifier can be read this way"):
            ask(other, black(16, 16))


def test_a_head_that_is_no_convolution_at_this_size_is_named() -> None:
    with torch.device("meta"):
        model = create_model("alexnet", num_classes=3, stem="small")
    with pytest.raises(InputError, match=r"cannot be read as a convolution"):
        class_map(predictor_of(model, resize=48, crop=48), black(48, 48))
