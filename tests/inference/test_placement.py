"""The cells of a map are where the gradient says that they look."""

import pytest
import torch

from sightline.inference.placement import placed_features, spread
from sightline.models import create_model
from sightline.ops.cells import Cells
from tests.inference.blocks import Blocks

NETWORKS = [
    ("resnet18", "c2", 64),
    ("resnet18", "c3", 64),
    pytest.param("resnet50_2015", "c3", 64, marks=pytest.mark.slow),
    ("alexnet", "conv2", 96),
    ("vgg11_bn", "conv3", 48),
    ("googlenet", "3b", 64),
    pytest.param("googlenet_2014", "3b", 64, marks=pytest.mark.slow),
]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "stage", "side"), NETWORKS)
def test_cells_are_centred_where_their_gradient_is(name, stage, side) -> None:
    """The energy of the gradient of a cell in the middle, averaged over noise, has its centre at the cell's place."""
    torch.manual_seed(0)
    with torch.device("meta"):
        model = create_model(name, num_classes=2)
    kept = {part for s in model.stages[: model.stages.index(stage) + 1] for p in model.parts(s) for part in p.modules()}
    for module in kept:  # the stages asked about alone: a VGG's linear layers would take longer than all else
        module.to_empty(device="cpu", recurse=False)
        if hasattr(module, "weight"):
            torch.nn.init.ones_(module.weight) if module.weight.ndim == 1 else torch.nn.init.kaiming_normal_(
                module.weight
            )
        if getattr(module, "bias", None) is not None:
            torch.nn.init.zeros_(module.bias)
        if isinstance(module, torch.nn.BatchNorm2d):
            module.reset_running_stats()
    model.eval()
    images = torch.randn(8, 3, side, side + 16).requires_grad_()
    features, down, across = placed_features(model, images, stage)
    row, column = features.shape[2] // 2, features.shape[3] // 2
    for cells, seen, axes, place in (
        (down, features[:, :, row], (0, 1, 3), row),
        (across, features[..., column], (0, 1, 2), column),
    ):
        (gradient,) = torch.autograd.grad((seen * torch.randn_like(seen)).sum(), images, retain_graph=True)
        energy = gradient.pow(2).sum(axes)
        centre = float((energy * (torch.arange(len(energy)) + 0.5)).sum() / energy.sum())
        assert centre == pytest.approx(cells.first + cells.step * place, abs=0.12 * model.strides[stage])
        assert cells.step == model.strides[stage]


def test_a_resnet_s_cells_are_left_of_the_middle_of_their_stride() -> None:
    """Drawn by stretching the map they would be at 16, 48, ...: half a cell too far to the right and down."""
    with torch.device("meta"):
        model = create_model("resnet18", num_classes=2).eval()
        _, down, across = placed_features(model, torch.zeros(1, 3, 224, 192), "c5")
    assert down == across == Cells(0.5, 32.0)
    assert not any(module._forward_hooks for module in model.modules())


def test_layers_that_cannot_be_followed_give_a_grid_in_the_middle() -> None:
    class Strange(Blocks):
        def forward_features(self, images, stages=None):
            return {"blocks": torch.nn.functional.avg_pool2d(images, 8)}

    _, down, across = placed_features(Strange(), torch.zeros(1, 3, 16, 28), "blocks")
    assert (down, across) == (Cells(4.0, 8.0), Cells(6.0, 8.0))


def test_a_map_is_spread_as_torch_does_where_cells_balance() -> None:
    """Cells of 4 pixels that begin at the edge: torch's bilinear resizing by 4."""
    values = torch.rand(3, 5, generator=torch.Generator().manual_seed(0))
    theirs = torch.nn.functional.interpolate(values[None, None], scale_factor=4, mode="bilinear")[0, 0]
    torch.testing.assert_close(spread(values, Cells(2.0, 4.0), Cells(2.0, 4.0), (12, 20)), theirs)


def test_one_cell_covers_everything() -> None:
    assert (spread(torch.ones(1, 1), Cells(0.5, 32.0), Cells(0.5, 32.0), (5, 7)) == torch.ones(5, 7)).all()
