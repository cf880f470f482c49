"""U-Net: the paper's counts and shapes, any size of picture, tiles, connections on and off, every family below it."""

import random

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from sightline.errors import InputError, UnknownNameError
from sightline.models import BACKBONES, create_backbone
from sightline.models.unet import Contracting, UNet, _centred, unet, unet_2015
from sightline.ops.images import mirrored

SKIPS = ["concat", "add", "none"]
FAMILIES = {"alexnet_2012", "vgg11", "resnet18"}
every_backbone = pytest.mark.parametrize(
    "name", [name if name in FAMILIES else pytest.param(name, marks=pytest.mark.slow) for name in BACKBONES]
)


def _narrow(**arguments):
    """The paper's form in the thinnest of networks, in float64: what should be exact can be told from rounding."""
    torch.manual_seed(0)
    return UNet(num_classes=2, in_channels=1, width=2, valid=True, **arguments).double().eval()


def _on(name, *, stem="small", in_channels=3, **arguments):
    with torch.device("meta"):
        backbone = create_backbone(name, num_classes=2, stem=stem, in_channels=in_channels)
        return unet(num_classes=3, backbone=backbone, **arguments).eval()


def _count(model):
    return sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize(("skip", "parameters"), [("concat", 31_030_658), ("none", 27_897_218), ("add", 27_897_218)])
def test_the_papers_network_has_its_parameters(skip, parameters):
    with torch.device("meta"):
        assert _count(unet_2015(num_classes=2, in_channels=1, skip=skip)) == parameters


def test_every_stage_has_the_shape_of_figure_1():
    with torch.device("meta"):
        model = unet_2015(num_classes=2, in_channels=1).eval()
        seen = []
        for module in model.modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.MaxPool2d):
                module.register_forward_hook(lambda _, __, out: seen.append(tuple(out.shape[1:3])))
        logits = model.raw(torch.rand(1, 1, 572, 572))
    down = [(64, 570), (64, 568), (64, 284), (128, 282), (128, 280), (128, 140), (256, 138), (256, 136), (256, 68)]
    bottom = [(512, 66), (512, 64), (512, 32), (1024, 30), (1024, 28)]
    up = [(512, 56), (512, 54), (512, 52), (256, 104), (256, 102), (256, 100), (128, 200), (128, 198), (128, 196)]
    assert seen == [*down, *bottom, *up, (64, 392), (64, 390), (64, 388), (2, 388)]
    assert logits.shape == (1, 2, 388, 388)
    concatenated = [step.convs[0].in_channels for step in model.expanding]
    assert concatenated == [1024, 512, 256, 128]


def test_weights_start_as_in_section_3():
    torch.manual_seed(0)
    model = UNet(num_classes=2, in_channels=1, width=16, valid=True)
    for name, module in model.named_modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d) and module.weight.numel() > 4000:
            up = isinstance(module, nn.ConvTranspose2d)
            inputs = module.in_channels * (2 if up else 9)
            assert module.weight.std().item() == pytest.approx((2 / inputs) ** 0.5, rel=0.05), name
            assert not module.bias.any()


def test_dropout_is_at_the_end_of_the_contracting_path_and_in_training_alone():
    body = Contracting(1, 2, valid=True)
    dropping = [stage for stage in body.stages if any(isinstance(part, nn.Dropout) for part in body.parts(stage))]
    assert dropping == ["4", "5"]
    model = _narrow()
    images = torch.rand(1, 1, 188, 188, dtype=torch.float64)
    assert torch.equal(model.raw(images), model.raw(images))
    model.train()
    assert not torch.equal(model.raw(images), model.raw(images))
    assert not any(isinstance(module, nn.Dropout) for module in unet(num_classes=2, width=1).modules())


@pytest.mark.slow
@every_backbone
def test_logits_have_the_size_of_the_picture_on_every_classifier(name):
    draws = random.Random(name)
    for stem, skip in (("imagenet", "concat"), ("small", draws.choice(["add", "none"]))):
        model = _on(name, stem=stem, skip=skip)
        for size in [(17, 23), (draws.randint(17, 1500), draws.randint(17, 1100))]:
            assert model(torch.rand(1, 3, *size, device="meta")).shape == (1, 3, *size)
    body = model.backbone
    coarsest = body.forward_features(torch.rand(1, 3, model.smallest, model.smallest, device="meta"))[body.stages[-1]]
    assert min(coarsest.shape[2:]) >= 2  # a batch norm cannot learn from one cell
    assert model.size_for(1) == model.smallest
    assert model.size_for(model.smallest + 1) == model.smallest + model.multiple


@pytest.mark.parametrize("valid", [False, True])
def test_logits_have_the_size_of_the_picture_without_one(valid):
    draws = random.Random(0)
    with torch.device("meta"):
        model = UNet(num_classes=2, width=4, valid=valid).eval()
        for size in [(1, 1), (17, 23), *((draws.randint(17, 1500), draws.randint(17, 1100)) for _ in range(3))]:
            assert model(torch.rand(2, 3, *size)).shape == (2, 2, *size)
        assert [model.size_for(side) for side in (4, 5, 388, 389)] == (
            [4, 20, 388, 404] if valid else [32, 32, 400, 400]
        )


@pytest.mark.parametrize("skip", SKIPS)
def test_moving_the_picture_by_the_stride_moves_the_bare_networks_logits(skip):
    model = _narrow(skip=skip)
    images = torch.rand(1, 1, 188 + 32, 188 + 32, dtype=torch.float64)
    with torch.inference_mode():
        whole = model.raw(images)
        torch.testing.assert_close(model.raw(images[:, :, 16:204, 32:]), whole[:, :, 16:20, 32:], rtol=0, atol=1e-12)
        moved_by_one = model.raw(images[:, :, 1:189, 1:189])
    assert not torch.allclose(moved_by_one, whole[:, :, 1:5, 1:5])  # the pools stand elsewhere


def test_tiles_with_their_context_give_what_one_piece_gives():
    """Figure 2: a picture with mirrored borders, cut into overlapping inputs whose outputs lie side by side."""
    model = _narrow()
    picture = torch.rand(1, 1, 52, 70, dtype=torch.float64)
    context, tile = model.margin, 20
    around = mirrored(picture, (context, context), (context, context))
    with torch.inference_mode():
        whole = model(picture)
        for top in range(0, 52 - tile + 1, 16):
            for left in range(0, 70 - tile + 1, 16):
                piece = around[:, :, top : top + tile + 184, left : left + tile + 184]
                expected = whole[:, :, top : top + tile, left : left + tile]
                torch.testing.assert_close(model.raw(piece), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("skip", SKIPS)
@pytest.mark.parametrize("form", ["plain", "2015", "alexnet"])
def test_what_passes_by_the_coarsest_map_passes_through_connections_alone(form, skip):
    if form == "alexnet":
        model = _on("alexnet", skip=skip, width=4).to_empty(device="cpu")
        for parameter in model.parameters():
            nn.init.uniform_(parameter, 0, 0.01)
    else:
        model = UNet(num_classes=2, width=2, valid=form == "2015", skip=skip).eval()
    body = model.backbone
    body.parts(body.stages[-1])[-1].register_forward_hook(lambda _, __, out: out.detach())
    model(torch.rand(1, 3, 20, 20)).sum().backward()
    assert (body.get_submodule(body.first).weight.grad is not None) is (skip != "none")
    assert all(step.up.weight.grad is not None for step in model.expanding if isinstance(step.up, nn.ConvTranspose2d))


@pytest.mark.parametrize("valid", [False, True])
def test_what_the_finest_connection_carries_arrives_at_its_own_pixel(valid):
    model = UNet(num_classes=2, in_channels=1, width=1, valid=valid).eval()
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.zeros_(module.weight)
    with torch.no_grad():
        for module in [*model.backbone.blocks[0], *model.expanding[-1].convs, model.output]:
            if isinstance(module, nn.Conv2d):
                middle = module.kernel_size[0] // 2
                module.weight[0, 0, middle, middle] = 1.0  # passes its first channel on
        picture = torch.rand(1, 1, 37, 22)
        torch.testing.assert_close(model(picture)[:, :1], picture, rtol=1e-4, atol=0)


def test_connections_are_to_the_last_stage_of_each_stride():
    assert _on("resnet18")._fine == {4: "c4", 2: "c3", 1: "c2"}
    assert _on("vgg11")._fine == {8: "conv4", 4: "conv3", 2: "conv2", 1: "conv1"}
    assert _on("alexnet", stem="imagenet")._fine == {8: "conv2", 4: "conv1", 2: None, 1: None}
    assert set(_on("resnet18", skip="none")._fine.values()) == {None}


def test_adding_needs_a_projection_only_where_the_channels_differ():
    kinds = [type(step.project) for step in _on("resnet18", skip="add").expanding]
    assert kinds == [nn.Identity, nn.Identity, nn.Identity]  # 256, 128, 64 on both sides
    kinds = [type(step.project) for step in _on("resnet18", skip="add", width=32).expanding]
    assert kinds == [nn.Conv2d, nn.Conv2d, nn.Conv2d]
    assert {type(step.project) for step in UNet(num_classes=2, skip="add", width=2).expanding} == {nn.Identity}


@pytest.mark.parametrize(
    "name", ["alexnet", *(pytest.param(name, marks=pytest.mark.slow) for name in ("googlenet", "inception_v3"))]
)
def test_maps_that_come_up_stay_over_their_pixels(name, monkeypatch):
    """Of a ramp of columns, averaging instead of learned weights makes the column in the middle of what a cell sees."""

    def average(x, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False):
        return F.avg_pool2d(x, kernel_size, stride, padding, ceil_mode)

    monkeypatch.setattr(F, "max_pool2d", average)
    body = _on(name, stem="imagenet", in_channels=1, width=1).to_empty(device="cpu").backbone
    for module in body.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.constant_(module.weight, 1 / module.weight[0].numel())
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.BatchNorm2d):
            module.reset_running_stats()
            module.reset_parameters()
            module.eps = 0.0
    columns = 1504  # so many that the zeros around the picture are out of sight from the middle
    ramp = torch.arange(columns, dtype=torch.float32).expand(1, 1, 96, columns)
    with torch.inference_mode():
        maps = body.forward_features(torch.cat([ramp, torch.ones_like(ramp)]))
    seen = {stage: (cells[:1, :1] / cells[1:, :1]) for stage, cells in maps.items()}
    stages = list(maps)
    for coarse, fine in zip(stages[1:], stages, strict=False):
        height, width = seen[fine].shape[2:]
        up = _centred(F.interpolate(seen[coarse], scale_factor=2.0), height, width)
        middle = slice(width // 2 - 2, width // 2 + 2)
        off = (up - seen[fine])[0, 0, height // 2, middle].mean().item() / body.strides[fine]
        assert abs(off) <= 0.5 + 1e-2, (coarse, fine, off)


def test_the_named_layers_alone_depend_on_channels_and_classes():
    shapes = []
    for classes, channels in ((2, 3), (5, 1)):
        with torch.device("meta"):
            model = unet(num_classes=classes, backbone=create_backbone("resnet18", in_channels=channels))
        shapes.append({name: tensor.shape for name, tensor in model.state_dict().items()})
        assert (model.num_classes, model.in_channels, model.auxiliary_parts) == (classes, channels, ())
    differ = {name.rpartition(".")[0] for name in shapes[0] if shapes[0][name] != shapes[1][name]}
    assert differ == set(model.replaceable) == {"backbone.conv1", "output"}
    assert not any(name.startswith("backbone.fc") for name in shapes[0])
    assert not any("aux" in name for name, _ in _on("googlenet").named_parameters())


def test_freezing_reaches_the_contracting_path():
    model = UNet(num_classes=2, width=2)
    model.freeze("2")
    model.train()
    fixed = {name for name, parameter in model.named_parameters() if not parameter.requires_grad}
    assert fixed == {
        name for name, _ in model.named_parameters() if name.startswith(("backbone.blocks.0", "backbone.blocks.1"))
    }
    assert not model.backbone.blocks[1].training
    assert model.backbone.blocks[2].training
    with pytest.raises(UnknownNameError, match="stage of Contracting"):
        model.freeze("c1")


def test_one_small_picture_is_a_batch_to_train_on():
    model = UNet(num_classes=2, width=2).train()
    model(torch.rand(1, 3, 17, 23)).sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


@pytest.mark.slow
@pytest.mark.parametrize("name", ["alexnet_2012", "vgg11", "googlenet", "inception_v3", "resnet50"])
def test_every_parameter_learns(name):
    model = unet(num_classes=3, backbone=create_backbone(name, num_classes=2, stem="small"), skip="add").train()
    model(torch.rand(1, 3, 30, 41)).logsumexp(1).sum().backward()
    assert [name for name, parameter in model.named_parameters() if parameter.grad is None] == []


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: unet(num_classes=2, skip="cat"), UnknownNameError, "Unknown skip 'cat'. Did you mean 'concat'"),
        (lambda: unet(num_classes=0), InputError, "num_classes: expected a whole number of at least 1, got 0"),
        (lambda: unet(num_classes=2, width=0), InputError, "width: expected"),
        (lambda: unet(num_classes=2, backbone=create_backbone("resnet18"), in_channels=1), InputError, "built for 3"),
        (lambda: unet(num_classes=2)(torch.rand(3, 32, 32)), InputError, r"expects images \(N, 3, H, W\), got \(3, 32"),
        (lambda: unet(num_classes=2)(torch.rand(1, 1, 32, 32)), InputError, r"got \(1, 1, 32, 32\)"),
        (lambda: unet(num_classes=2)(torch.rand(1, 3, 0, 32)), InputError, r"got \(1, 3, 0, 32\)"),
        (lambda: unet(num_classes=2)(torch.zeros(1, 3, 32, 32).byte()), InputError, "normalised floats, got torch.uint8"),
        (lambda: unet_2015(num_classes=2).raw(torch.rand(1, 3, 190, 204)), InputError, "sides of 188 pixels and any"),
        (lambda: unet(num_classes=2).raw(torch.rand(1, 3, 32, 40)), InputError, "sides of 32 pixels"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused(make, error, text):
    with torch.device("meta"), pytest.raises(error, match=text):
        make()


@pytest.mark.slow
def test_eight_pictures_are_learned_by_heart():
    torch.manual_seed(0)
    model = UNet(num_classes=2, in_channels=1, width=4)
    images = F.interpolate(torch.randn(8, 1, 4, 4), (16, 16))
    masks = F.interpolate(torch.randint(0, 2, (8, 1, 4, 4)).float(), (16, 16))[:, 0].long()  # nothing to do with them
    optimiser = torch.optim.AdamW(model.parameters(), lr=2e-2)
    for _ in range(100):
        loss = F.cross_entropy(model(images), masks)
        if loss.item() < 0.3:  # guessing gives 0.69
            break
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    else:
        pytest.fail(f"the loss is {loss.item():.2f} after 100 steps")


@pytest.mark.slow
@pytest.mark.parametrize("form", ["2015", "alexnet"])
def test_one_exported_network_takes_pictures_of_all_sizes(form):
    backbone = create_backbone("alexnet", stem="small") if form == "alexnet" else None
    model = UNet(num_classes=2, backbone=backbone, width=2, valid=form == "2015").eval()
    some = torch.export.Dim.DYNAMIC
    exported = torch.export.export(
        model, (torch.rand(2, 3, 101, 77),), dynamic_shapes={"images": {0: some, 2: some, 3: some}}, strict=False
    ).module()
    for size in [(101, 77), (145, 93)]:
        images = torch.rand(3, 3, *size)
        torch.testing.assert_close(exported(images), model(images))
