"""U-Net: Ronneberger, Fischer, Brox, "U-Net: Convolutional Networks for Biomedical Image Segmentation", 2015
(arXiv:1505.04597).

A contracting path that sees ever more of the picture ever more coarsely, and an expanding path that goes back up and gets,
at each step, the map of equal size from the other side: the cross connections (Figure 1). Two forms:

                     `unet_2015`, the paper's               `unet`, the everyday form
    contracting      five pairs of 3x3 convolutions,        the same, or the stages of any of our classifiers
                     64 to 1024 channels, 2x2 max pools
    a step up        2x2 up-convolution                     1x1 convolution, each cell repeated 2 x 2
    3x3 convolutions valid: each loses a border pixel       padded, each with batch normalisation
    dropout          0.5 at the end of the contracting path none
    image, logits    a side of 12 + 16 n loses 184 pixels   a multiple of the coarsest stride keeps its size

`raw` is the bare network with this arithmetic. `forward` takes pictures of any size and gives logits of the same size: it
mirrors the picture at its borders as far as is needed, and cuts the logits back. The paper's form needs 92 pixels at each
side, mirrored as in section 1 and Figure 2. Tiles at steps of a multiple of 16, with 92 pixels of the picture itself around
each, give with `raw` what one piece gives.

Where this departs from the paper, or the paper leaves a choice:
- Dropout is as in the authors' released network: half of the two coarsest maps.
- `skip` "add" adds the map from the other side, through a 1x1 convolution where the channels differ; "none" leaves it out.
- In the everyday form a 2x2 kernel before two 3x3 ones would cost four times the 1x1 and reach no further than they do.
- A classifier that pads little (AlexNet, Inception) loses cells at all borders. The map that comes up is set in the middle
  of the finer one, and its outermost cells are repeated around it: every cell stays over its pixels, to half a cell.
  Interpolation would stretch the map, and move its cells by another amount at each place and in each size of picture.

Shape letters: `N` batch, `C` channels, `H W` pixels, `h w` cells, `K` classes.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sightline.errors import InputError, UnknownNameError
from sightline.models.backbone import Backbone, check_count
from sightline.ops.images import mirrored

SKIPS = ("concat", "add", "none")


class Contracting(Backbone):
    """The left side of Figure 1, as a backbone without a classifier: stages "1" to "5" at strides 1, 2, 4, 8, 16."""

    first = "blocks.0.0"

    def __init__(self, in_channels: int, width: int, valid: bool) -> None:
        super().__init__()
        self.in_channels = in_channels
        widths = [width * 2**level for level in range(5)]
        self.blocks = nn.ModuleList(_pair(*ends, valid) for ends in zip([in_channels, *widths], widths, strict=False))
        self.pool = nn.MaxPool2d(kernel_size=2, stride=2)
        self.dropout = nn.Dropout(0.5) if valid else nn.Identity()
        self.stages = ("1", "2", "3", "4", "5")
        self.channels = dict(zip(self.stages, widths, strict=True))
        self.strides = {stage: 2**level for level, stage in enumerate(self.stages)}
        self.apply(_initialise)

    def parts(self, stage: str) -> tuple[nn.Module, ...]:
        """See `Backbone.parts`. Sides are those of the paper's form for 572 x 572 pixels, as in its figure."""
        return {
            "1": (self.blocks[0],),  # (N, 64, 568, 568)
            "2": (self.pool, self.blocks[1]),  # (N, 128, 280, 280)
            "3": (self.pool, self.blocks[2]),  # (N, 256, 136, 136)
            "4": (self.pool, self.blocks[3], self.dropout),  # (N, 512, 64, 64)
            "5": (self.pool, self.blocks[4], self.dropout),  # (N, 1024, 28, 28)
        }[stage]

    def head_pooling(self) -> tuple[nn.Module, ...]:
        """None: there is no classifier."""
        return ()

    head_layers = head_pooling


class Step(nn.Module):
    """One step of the expanding path: twice the cells, the map from the other side (if any), two 3x3 convolutions."""

    def __init__(self, in_channels: int, out_channels: int, fine_channels: int, skip: str, valid: bool) -> None:
        super().__init__()
        self.valid = valid
        self.skip = skip
        self.up: nn.Module
        if valid:
            self.up = nn.ConvTranspose2d(in_channels, out_channels, kernel_size=2, stride=2)
        else:  # reducing and repeating can change places, and this way round it is done on a quarter of the cells
            self.up = nn.Sequential(nn.Conv2d(in_channels, out_channels, 1), nn.Upsample(scale_factor=2))
        differs = skip == "add" and fine_channels not in (0, out_channels)
        self.project = nn.Conv2d(fine_channels, out_channels, 1) if differs else nn.Identity()
        self.convs = _pair(out_channels + (fine_channels if skip == "concat" else 0), out_channels, valid)

    def forward(self, coarse: Tensor, fine: Tensor | None, size: tuple[int, int]) -> Tensor:
        """(N, in_channels, h, w) and (N, fine_channels, *size) to (N, out_channels, *size).

        The paper's form looks at the middle of `fine` alone, and gives four cells less than 2 h and 2 w.
        """
        x = self.up(coarse)  # (N, out_channels, 2 h, 2 w)
        if not self.valid:
            x = _centred(x, *size)
        if fine is not None:
            fine = self.project(_centred(fine, *x.shape[2:]))
            x = torch.cat([fine, x], dim=1) if self.skip == "concat" else x + fine
        return self.convs(x)  # type: ignore[no-any-return]


class UNet(nn.Module):
    """Pictures to a map of logits of their own size; see the table above.

    Without a `backbone` the contracting path begins with `width` channels and the expanding path mirrors it. A `backbone`
    loses its classifier; the expanding path has 4 * `width` channels at its first step and half as many at each further
    one, down to `width` / 4. Of stages with one stride the last is connected; finer than all stages, none is.

    Raises `UnknownNameError` for an unknown `skip`, `InputError` for a count below 1 or for `in_channels` that are not
    the backbone's.

    >>> from sightline.models.resnet import resnet18
    >>> model = UNet(num_classes=3, backbone=resnet18(), skip="add").eval()
    >>> model(torch.zeros(1, 3, 50, 75)).shape
    torch.Size([1, 3, 50, 75])
    """

    margin: int
    """Pixels of context that `raw` loses at each side of a picture."""
    smallest: int
    """The least side of a picture that needs no padding beyond the margin, in pixels."""
    multiple: int
    """By how much such sides grow."""
    auxiliary_parts: tuple[str, ...] = ()
    """There are none; see `Backbone.auxiliary_parts`."""

    def __init__(
        self,
        *,
        num_classes: int,
        backbone: Backbone | None = None,
        in_channels: int = 3,
        skip: str = "concat",
        width: int = 64,
        valid: bool = False,
    ) -> None:
        super().__init__()
        for name, count in (("num_classes", num_classes), ("in_channels", in_channels), ("width", width)):
            check_count(name, count)
        if skip not in SKIPS:
            raise UnknownNameError("skip", str(skip), SKIPS)
        if backbone is not None and in_channels not in (3, backbone.in_channels):
            raise InputError(f"in_channels is {in_channels}, but the backbone was built for {backbone.in_channels}.")
        body = backbone or Contracting(in_channels, width, valid)
        if backbone:
            body.keep_stages(body.stages[-1])
        self.num_classes, self.in_channels, self.skip, self.valid = num_classes, body.in_channels, skip, valid
        self.backbone = body
        coarsest = body.stages[-1]
        channels, stride = body.channels[coarsest], body.strides[coarsest]
        self.multiple = stride
        # Two cells a side at least, so that batch normalisation has something to average in a batch of one.
        self.smallest = 4 if valid else -(-(body.smallest + stride) // self.multiple) * self.multiple
        self.margin = 92 if valid else 0
        stage_at = {body.strides[stage]: stage for stage in body.stages}
        self._fine: dict[int, str | None] = {}  # stride of each step, coarsest first, and the stage that is connected
        self.expanding = nn.ModuleList()
        while stride > 1:
            stride //= 2
            halved = max(1, width // 4, 4 * width // 2 ** len(self.expanding))
            out_channels = halved if backbone else body.channels[stage_at[stride]]
            fine = self._fine[stride] = None if skip == "none" else stage_at.get(stride)
            self.expanding.append(Step(channels, out_channels, body.channels[fine] if fine else 0, skip, valid))
            channels = out_channels
        self.output = nn.Conv2d(channels, num_classes, kernel_size=1)
        self.expanding.apply(_initialise)
        self.output.apply(_initialise)

    def forward(self, images: Tensor) -> Tensor:
        """Normalised float images (N, C, H, W) of any size to logits (N, K, H, W). Raises `InputError` for another shape."""
        if images.ndim != 4 or images.shape[1] != self.in_channels or 0 in images.shape[2:]:
            raise InputError(f"UNet expects images (N, {self.in_channels}, H, W), got {tuple(images.shape)}.")
        height, width = images.shape[2:]
        below, right = self.size_for(height) - height, self.size_for(width) - width
        around = self.margin
        logits = self.raw(mirrored(images, (around, around + below), (around, around + right)))
        return logits[:, :, :height, :width]

    def raw(self, images: Tensor) -> Tensor:
        """The bare network: images (N, C, H, W) to logits (N, K, H - 2 * margin, W - 2 * margin).

        Raises `InputError` unless each side, less the margins, is one that `size_for` gives.
        """
        height, width = (side - 2 * self.margin for side in images.shape[2:])
        if (self.size_for(height), self.size_for(width)) != (height, width):
            least, got = self.smallest + 2 * self.margin, tuple(images.shape[2:])
            raise InputError(
                f"The bare network takes sides of {least} pixels and any multiple of {self.multiple} more, got {got}. "
                "Call the network itself for pictures of any size."
            )
        coarsest = self.backbone.stages[-1]
        maps = self.backbone.forward_features(images, [*filter(None, self._fine.values()), coarsest])
        x = maps[coarsest]
        for step, (stride, stage) in zip(self.expanding, self._fine.items(), strict=True):
            fine = maps[stage] if stage else None
            cells = (height // stride, width // stride) if fine is None else (fine.shape[2], fine.shape[3])
            x = step(x, fine, cells)
        return self.output(_centred(x, height, width))  # type: ignore[no-any-return]

    def size_for(self, side: int) -> int:
        """The nearest side of a picture, not shorter than `side`, that needs no padding beyond the margin, in pixels."""
        return self.smallest + -(-max(side - self.smallest, 0) // self.multiple) * self.multiple

    @property
    def replaceable(self) -> tuple[str, ...]:
        """Names of the layers whose shape depends on the stem, the images' channels or the number of classes."""
        return (f"backbone.{self.backbone.first}", "output")

    def freeze(self, stage: str) -> None:
        """Fix the contracting path up to and including `stage`; see `Backbone.freeze`."""
        self.backbone.freeze(stage)


def unet_2015(*, num_classes: int, in_channels: int = 3, skip: str = "concat") -> UNet:
    """The network of the paper: 31,030,658 parameters for 1 channel and 2 classes, 27,897,218 without concatenation."""
    return UNet(num_classes=num_classes, in_channels=in_channels, skip=skip, valid=True)


def unet(
    *, num_classes: int, backbone: Backbone | None = None, in_channels: int = 3, skip: str = "concat", width: int = 64
) -> UNet:
    """The everyday form, on any of our classifiers or with a contracting path of its own; see `UNet` for the arguments."""
    return UNet(num_classes=num_classes, backbone=backbone, in_channels=in_channels, skip=skip, width=width)


def _pair(in_channels: int, out_channels: int, valid: bool) -> nn.Sequential:
    """Two 3x3 convolutions, each with its ReLU."""
    layers: list[nn.Module] = []
    for channels in (in_channels, out_channels):
        layers.append(nn.Conv2d(channels, out_channels, 3, padding=0 if valid else 1, bias=valid))
        layers += [nn.ReLU(inplace=True)] if valid else [nn.BatchNorm2d(out_channels), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)


def _initialise(module: nn.Module) -> None:
    """Normal weights of variance 2 / N, N the inputs of a unit (section 3); of an up-convolution, without ReLU, 1 / N."""
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.kaiming_normal_(module.weight, mode="fan_in", nonlinearity="relu")
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def _centred(x: Tensor, height: int, width: int) -> Tensor:
    """(N, C, h, w) to (N, C, height, width): the middle of it, or it in the middle with its outermost cells repeated."""
    more = height - x.shape[2], width - x.shape[3]
    if more == (0, 0):
        return x
    above, left = (cells // 2 for cells in more)
    return F.pad(x, (left, more[1] - left, above, more[0] - above), mode="replicate")
