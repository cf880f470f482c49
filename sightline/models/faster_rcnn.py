"""Faster R-CNN: Ren, He, Girshick, Sun, "Faster R-CNN: Towards Real-Time Object Detection with Region Proposal Networks",
2015 (arXiv:1506.01497).

A classifier's feature map; a small network that slides over it and proposes regions, relative to reference boxes of several
sizes and shapes (section 3.1); a head that looks at each region and says what is in it and where it really ends (Fast R-CNN,
Girshick 2015, arXiv:1504.08083). Two forms in one file:

    neck      features                          reference boxes a cell      head
    none      one stage of a classifier,        3 sizes x 3 ratios          two linear layers of 4096, the classifier's
              stride 16: the paper's form                                   own where it has them
    fpn       every stage from stride 4 on,     1 size a level x 3 ratios   two linear layers of 1024
              merged (`fpn.py`)
    fpn_v2    the same with batch norms; two    the same                    four convolutions with batch norms, one linear
              3x3 layers propose (Li 2021)                                  layer of 1024

Names of parameters are those of torchvision's published detectors.

Where this departs from the paper:
- Training is joint and end to end (the paper's section 3.2 alternates four steps, and names this as the simpler way).
- Objectness is one logit a reference box; `objectness="softmax"` is the paper's two-way softmax.
- Regions are read by RoIAlign (He et al. 2017, arXiv:1703.06870); `pooling="pool"` is the paper's RoIPool.
- Reference boxes lie at multiples of the stride: on a VGG half a stride before the middles of its cells, where the paper has
  them. With networks that pad less they lie in the middles (`Features.offsets`). Those in a batch's padding take no part.
- Both terms of equation 1 are means over the boxes drawn, and not weighed; the rest is in `detector_settings.py`.

Shape letters: `N` images, `C` channels, `H W` pixels, `h w` cells, `A` reference boxes of all levels, `P` proposals an image,
`G` objects an image, `K` classes; class 0 inside this file is background.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sightline.errors import InputError, UnknownNameError
from sightline.models.backbone import Backbone, check_count
from sightline.models.detector_settings import BETA, REGION_WEIGHTS, Found, Judging, Objects, Proposing, default_sizes
from sightline.models.fpn import EXTRA, FeaturePyramid, Features, default_stages
from sightline.ops.anchors import centred_inside, grid, reference_boxes
from sightline.ops.boxes import clip, decode, encode, large_enough, padded
from sightline.ops.images import blank_padding
from sightline.ops.losses import objectness, region_cross_entropy, smooth_l1
from sightline.ops.matching import Draws, match, positions, sample
from sightline.ops.nms import batched_nms
from sightline.ops.roi_align import multilevel_roi_align, roi_pool

NECKS = ("none", "fpn", "fpn_v2")


class ProposalHead(nn.Module):
    """Slides over every map with the same weights: 3x3, then objectness and offsets for each reference box (Figure 3)."""

    def __init__(self, channels: int, boxes: int, depth: int, ways: int = 1) -> None:
        super().__init__()
        self.ways = ways
        convs = [nn.Conv2d(channels, channels, 3, padding=1) for _ in range(depth)]
        self.conv = nn.Sequential(*(nn.Sequential(conv, nn.ReLU(inplace=True)) for conv in convs))
        self.cls_logits = nn.Conv2d(channels, boxes * ways, 1)
        self.bbox_pred = nn.Conv2d(channels, boxes * 4, 1)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.normal_(module.weight, std=0.01)  # section 3.1.3
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """One map (N, C, h, w) to objectness (N, A) and offsets (N, A, 4), by row, column, reference box."""
        features = self.conv(features)
        logits = self.cls_logits(features).permute(0, 2, 3, 1).flatten(1)
        if self.ways == 2:  # the sigmoid of the difference is the softmax: of background first, as in the paper's code
            logits = logits.unflatten(1, (-1, 2)).diff(dim=2)[..., 0]
        return logits, self.bbox_pred(features).permute(0, 2, 3, 1).reshape(*logits.shape, 4)


class RegionProposalNetwork(nn.Module):
    """Section 3.1: where there might be an object, whatever it is."""

    def __init__(
        self, channels: int, strides: Sequence[int], offsets: Sequence[float], settings: Proposing, depth: int = 1
    ) -> None:
        super().__init__()
        sizes = settings.sizes or default_sizes(strides)
        if len(sizes) != len(strides) or len({len(level) for level in sizes}) > 1:
            raise InputError(
                f"Expected sizes of reference boxes for {len(strides)} levels, as many on each; got {sizes}."
            )
        self.settings = settings
        self.strides, self.offsets = tuple(strides), tuple(offsets)
        self.references = [reference_boxes(level, settings.ratios, rounded=settings.rounded) for level in sizes]
        ways = 2 if settings.objectness == "softmax" else 1
        self.head = ProposalHead(channels, len(settings.ratios) * len(sizes[0]), depth, ways)

    def forward(
        self, maps: Sequence[Tensor], sizes: Tensor, objects: Objects | None, generator: Draws
    ) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """Regions (N, P, 4) best first, which of them are valid (N, P), and with objects two losses."""
        outputs = [self.head(features) for features in maps]
        logits = torch.cat([level for level, _ in outputs], dim=1)  # (N, A)
        offsets = torch.cat([level for _, level in outputs], dim=1)  # (N, A, 4)
        anchors = self.anchors(maps)
        usable = self.usable(anchors, sizes)
        counts = [level.shape[1] for level, _ in outputs]
        scores = logits.detach().masked_fill(~usable, -torch.inf)
        regions, valid = self.propose(scores, offsets.detach(), anchors, counts, sizes)
        if objects is None:
            return regions, valid, {}
        if not self.settings.cross_boundary:
            usable = usable & (clip(anchors, sizes) == anchors).all(dim=-1)
        return regions, valid, self.losses(logits, offsets, anchors, usable, objects, generator)

    def anchors(self, maps: Sequence[Tensor]) -> Tensor:
        """(A, 4) the reference boxes around every cell of all levels."""
        levels = zip(self.references, maps, self.strides, self.offsets, strict=True)
        return torch.cat(
            [
                grid(boxes.to(m.device), (m.shape[2], m.shape[3]), (stride, stride), offset=offset / stride)
                for boxes, m, stride, offset in levels
            ]
        )

    def usable(self, anchors: Tensor, sizes: Tensor) -> Tensor:
        """(N, A) bool: which reference boxes take part in each image."""
        return centred_inside(anchors, sizes) | self.settings.in_padding

    def propose(
        self, logits: Tensor, offsets: Tensor, anchors: Tensor, counts: Sequence[int], sizes: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The best of each level, moved by their offsets, without the worse of those that overlap; none of logit -inf."""
        in_use = 0 if self.training else 1
        chosen, levels, start = [], [], 0
        for number, count in enumerate(counts):
            best = logits[:, start : start + count].topk(min(self.settings.candidates[in_use], count), dim=1).indices
            chosen.append(best + start)
            levels += [number] * best.shape[1]
            start += count
        index = torch.cat(chosen, dim=1)  # (N, B)
        moved = decode(offsets.gather(1, index[..., None].expand(-1, -1, 4)), anchors[index])
        boxes, best_logits = clip(moved, sizes), logits.gather(1, index).float()
        scores, usable = best_logits.sigmoid(), large_enough(boxes, 1e-3) & (best_logits > -torch.inf)
        level = torch.tensor(levels, device=boxes.device)
        kept = []
        for image in range(len(boxes)):
            rows = usable[image].nonzero()[:, 0]
            stay = batched_nms(boxes[image, rows], scores[image, rows], level[rows], self.settings.nms_iou)
            kept.append(boxes[image, rows[stay[: self.settings.proposals[in_use]]]])
        return padded(kept)

    def losses(
        self,
        logits: Tensor,
        offsets: Tensor,
        anchors: Tensor,
        usable: Tensor,
        objects: Objects,
        generator: Draws,
    ) -> dict[str, Tensor]:
        """Equation 1, over a few of the `usable` (N, A) reference boxes, drawn from each image."""
        matches = match(
            anchors,
            objects.boxes,
            objects.real,
            foreground=self.settings.positive_iou,
            background=(0.0, self.settings.negative_iou),
            low_quality=True,
            usable=usable,
        )
        positive, negative = sample(matches, self.settings.samples, 0.5, generator)
        targets = encode(_of_matched(objects.boxes, matches), anchors)
        drawn = (positive | negative).sum().clamp(min=1)
        return {
            "objectness": objectness(logits, positive, negative),
            "proposal_box": smooth_l1(offsets, targets, positive, BETA) / drawn,
        }


class TwoLinear(nn.Module):
    """The head of the paper: two linear layers on the pooled region, with dropout where they are the classifier's own."""

    def __init__(self, fc6: nn.Linear, fc7: nn.Linear, dropout: float) -> None:
        super().__init__()
        self.fc6, self.fc7, self.dropout = fc6, fc7, dropout

    def forward(self, pooled: Tensor) -> Tensor:
        """(R, C, k, k) to (R, width)."""
        x = F.dropout(F.relu(self.fc6(pooled.flatten(1))), self.dropout, self.training)
        return F.dropout(F.relu(self.fc7(x)), self.dropout, self.training)


class ConvHead(nn.Sequential):
    """The head of the second version: four 3x3 convolutions on the pooled region, one linear layer."""

    def __init__(self, channels: int, hidden: int) -> None:
        convs = [
            nn.Sequential(
                nn.Conv2d(channels, 256, 3, padding=1, bias=False), nn.BatchNorm2d(256), nn.ReLU(inplace=True)
            )
            for channels in (channels, 256, 256, 256)
        ]
        super().__init__(*convs, nn.Flatten(), nn.Linear(256 * 7 * 7, hidden), nn.ReLU(inplace=True))


class Predictor(nn.Module):
    """Two output layers side by side: the class with background, and an offset for each class."""

    def __init__(self, width: int, num_classes: int) -> None:
        super().__init__()
        self.cls_score = nn.Linear(width, num_classes + 1)
        self.bbox_pred = nn.Linear(width, 4 * (num_classes + 1))
        nn.init.normal_(self.cls_score.weight, std=0.01)  # Girshick 2015, section 2.3
        nn.init.normal_(self.bbox_pred.weight, std=0.001)
        nn.init.zeros_(self.cls_score.bias)
        nn.init.zeros_(self.bbox_pred.bias)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(R, width) to logits (R, K + 1) and offsets (R, K + 1, 4)."""
        return self.cls_score(x), self.bbox_pred(x).unflatten(1, (-1, 4))


class RegionHeads(nn.Module):
    """Fast R-CNN: what is in a region, and where it really ends."""

    def __init__(
        self,
        box_head: nn.Module,
        box_predictor: Predictor,
        places: tuple[Sequence[int], Sequence[float]],
        grid: int,
        settings: Judging,
    ) -> None:
        super().__init__()
        self.box_head = box_head
        self.box_predictor = box_predictor
        self.strides, self.offsets = places
        self.grid, self.settings = grid, settings

    def forward(self, maps: Sequence[Tensor], regions: Tensor) -> tuple[Tensor, Tensor]:
        """Regions (N, P, 4) to logits (N, P, K + 1) and offsets (N, P, K + 1, 4)."""
        images, count = regions.shape[:2]
        pooled = self.pool(maps, regions)
        logits, offsets = self.box_predictor(self.box_head(pooled))
        return logits.unflatten(0, (images, count)), offsets.unflatten(0, (images, count))

    def pool(self, maps: Sequence[Tensor], regions: Tensor) -> Tensor:
        """(N, P, 4) to (N * P, C, grid, grid)."""
        size = (self.grid, self.grid)
        if self.settings.pooling == "pool":
            return roi_pool(maps[0], regions - self.offsets[0], size, spatial_scale=1 / self.strides[0])
        scales = [1 / stride for stride in self.strides]
        return multilevel_roi_align(maps, regions, size, spatial_scales=scales, offsets=self.offsets)

    def draw(
        self, regions: Tensor, valid: Tensor, objects: Objects, generator: Draws
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Regions to learn from (N, S, 4), which of them are real (N, S), their classes (N, S) and true boxes (N, S, 4)."""
        # The objects themselves are regions too: early on, nothing else overlaps them.
        regions, valid = torch.cat([regions, objects.boxes], dim=1), torch.cat([valid, objects.real], dim=1)
        matches = match(
            regions,
            objects.boxes,
            objects.real,
            foreground=self.settings.positive_iou,
            background=self.settings.background_iou,
            usable=valid,
        )
        positive, negative = sample(matches, self.settings.samples, self.settings.positive_share, generator)
        index, drawn = positions(positive | negative, self.settings.samples)
        matches = matches.gather(1, index)
        labels = torch.where(matches >= 0, objects.labels.gather(1, matches.clamp(min=0)) + 1, 0)
        rows = regions.gather(1, index[..., None].expand(-1, -1, 4))
        return rows, drawn, torch.where(drawn, labels, 0), _of_matched(objects.boxes, matches)

    def losses(
        self, found: tuple[Tensor, Tensor], regions: Tensor, drawn: Tensor, labels: Tensor, boxes: Tensor
    ) -> dict[str, Tensor]:
        """Girshick 2015, equation 1, over the regions drawn."""
        logits, offsets = found
        of_class = offsets.gather(2, labels[..., None, None].expand(-1, -1, 1, 4))[:, :, 0]
        targets = encode(boxes, regions, REGION_WEIGHTS)
        moved = smooth_l1(of_class, targets, drawn & (labels > 0), BETA)
        return {
            "class": region_cross_entropy(logits, labels, drawn),
            "region_box": moved / drawn.sum().clamp(min=1),
        }


class FasterRCNN(nn.Module):
    """A detector on a classifier's feature maps; see the table above.

    `backbone` is the classifier. `stages` are the maps that are used, finest first; more than one needs a neck. On the
    last map of a classifier with two hidden linear layers (VGG, AlexNet), without a neck, the head takes them over as they are.
    `width` is the number of channels of a pyramid, `hidden` that of the head's linear layers, where they are new.

    >>> from sightline.models.resnet import resnet18
    >>> model = FasterRCNN(resnet18(), num_classes=3, neck="fpn").eval()
    >>> found = model(torch.zeros(1, 3, 64, 96), torch.tensor([[64, 90]]))
    >>> found.logits.shape[2], found.offsets.shape[2:], found.losses
    (4, torch.Size([4, 4]), {})
    """

    def __init__(
        self,
        backbone: Backbone,
        *,
        num_classes: int,
        stages: Sequence[str] | None = None,
        neck: str = "none",
        width: int = 256,
        hidden: int | None = None,
        proposing: Proposing | None = None,
        judging: Judging | None = None,
    ) -> None:
        super().__init__()
        if neck not in NECKS:
            raise UnknownNameError("neck", str(neck), NECKS)
        check_count("width", width)
        check_count("hidden", 1 if hidden is None else hidden)
        proposing, judging = proposing or Proposing(), judging or Judging()
        pyramid, second = neck != "none", neck == "fpn_v2"
        if pyramid and judging.pooling == "pool":
            raise InputError("RoIPool reads a single map: with a pyramid, neck='fpn', take pooling='align'.")
        stages = tuple(stages or default_stages(backbone, pyramid))
        if len(stages) > 1 and not pyramid:
            raise InputError(f"Several stages ({', '.join(stages)}) need a pyramid over them: neck='fpn'.")
        self.in_channels, self.num_classes = backbone.in_channels, num_classes
        strides = [backbone.strides[stage] for stage in stages]
        channels = width if pyramid else backbone.channels[stages[0]]
        box_head, grid, features = _head(backbone, stages[-1], channels, neck, hidden)
        fpn = FeaturePyramid([backbone.channels[stage] for stage in stages], channels, norm=second) if pyramid else None
        backbone.keep_stages(stages[-1])
        self.backbone = Features(backbone, stages, fpn)
        offsets = self.backbone.offsets()
        levels = ([*strides, 2 * strides[-1]], [*offsets, offsets[-1]]) if pyramid else (strides, offsets)
        self.rpn = RegionProposalNetwork(channels, *levels, proposing, depth=2 if second else 1)
        self.roi_heads = RegionHeads(box_head, Predictor(features, num_classes), (strides, offsets), grid, judging)

    def forward(
        self,
        images: Tensor,
        sizes: Tensor,
        targets: Objects | None = None,
        generator: Draws | None = None,
    ) -> Found:
        """Normalised images (N, C, H, W), padded at the right and bottom, of which `sizes` (N, 2: height, width) are pictures.

        With `targets` there are losses too, over boxes drawn by `generator`: one, or one an image (torch's default one when not given).
        """
        generator = generator or torch.default_generator
        images = blank_padding(images, sizes)
        maps = self.backbone(images)
        regions, valid, losses = self.rpn(list(maps.values()), sizes, targets, generator)
        fine = [features for name, features in maps.items() if name != EXTRA]
        if targets is None:
            logits, offsets = self.roi_heads(fine, regions)
            return Found(regions, valid, logits, offsets, losses)
        regions, drawn, labels, boxes = self.roi_heads.draw(regions, valid, targets, generator)
        logits, offsets = self.roi_heads(fine, regions)
        losses = {**losses, **self.roi_heads.losses((logits, offsets), regions, drawn, labels, boxes)}
        return Found(regions, drawn, logits, offsets, losses)

    @property
    def auxiliary_parts(self) -> tuple[str, ...]:
        """There are none; see `Backbone.auxiliary_parts`."""
        return ()

    @property
    def norm_eps(self) -> float | None:
        """What the classifier's batch norms add to the variance; None without any."""
        return next((m.eps for m in self.backbone.body.modules() if isinstance(m, nn.BatchNorm2d)), None)

    @property
    def replaceable(self) -> tuple[str, ...]:
        """Names of the layers whose shape depends on the classes, the reference boxes, the stem or the images' channels."""
        body = self.backbone.body
        own = (
            "rpn.head.cls_logits",
            "rpn.head.bbox_pred",
            "roi_heads.box_predictor.cls_score",
            "roi_heads.box_predictor.bbox_pred",
        )
        return (*(f"backbone.body.{name}" for name in (body.first, *body.stem_layers)), *own)

    def freeze(self, stage: str) -> None:
        """Fix the classifier up to and including `stage`; see `Backbone.freeze`."""
        self.backbone.body.freeze(stage)

    @torch.no_grad()
    def detections(self, found: Found, sizes: Tensor) -> list[tuple[Tensor, Tensor, Tensor]]:
        """For each image boxes (m, 4), scores (m,) falling and labels (m,) in 0..K-1."""
        settings = self.roi_heads.settings
        boxes = decode(found.offsets[:, :, 1:], found.regions[:, :, None], REGION_WEIGHTS)  # (N, P, K, 4)
        boxes = clip(boxes.flatten(1, 2), sizes)  # (N, P * K, 4)
        scores = found.logits.float().softmax(dim=2)[:, :, 1:]
        scores = torch.where(found.valid[..., None], scores, 0.0).flatten(1)
        usable = (scores > settings.score_threshold) & large_enough(boxes, 1e-2)
        results = []
        for image in range(len(boxes)):
            rows = usable[image].nonzero()[:, 0]
            labels = rows % self.num_classes
            kept = batched_nms(boxes[image, rows], scores[image, rows], labels, settings.nms_iou)[: settings.detections]
            results.append((boxes[image, rows[kept]], scores[image, rows[kept]], labels[kept]))
        return results


def _head(backbone: Backbone, stage: str, channels: int, neck: str, hidden: int | None) -> tuple[nn.Module, int, int]:
    """The head, the side of the grid that it reads, and its width."""
    if neck == "fpn_v2":
        return ConvHead(channels, hidden or 1024), 7, hidden or 1024
    paper = neck == "none"
    linear = [layer for layer in backbone.head_layers() if isinstance(layer, nn.Linear)]
    if paper and stage == backbone.stages[-1] and len(linear) == 3 and hidden is None:
        grid = round((linear[0].in_features / channels) ** 0.5)
        return TwoLinear(linear[0], linear[1], dropout=0.5), grid, linear[1].out_features
    width = hidden or (4096 if paper else 1024)
    return TwoLinear(nn.Linear(channels * 7 * 7, width), nn.Linear(width, width), dropout=0.0), 7, width


def _of_matched(boxes: Tensor, matches: Tensor) -> Tensor:
    """(N, G, 4) and (N, A) to (N, A, 4): each one's object, any where there is none."""
    return boxes.gather(1, matches.clamp(min=0)[..., None].expand(-1, -1, 4))
