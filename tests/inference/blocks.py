"""A classifier whose every number can be said in advance: the mean colour of blocks of 8 x 8 pixels, averaged."""

import torch
from torch import nn

from sightline.checkpoint import Header
from sightline.inference.predictor import Predictor
from sightline.models.backbone import Backbone
from sightline.structures import Preprocessing
from sightline.tasks.classification import ClassificationTask

COLOURS = ("red", "green", "blue")


class Blocks(Backbone):
    """The logit of a colour is the mean of the map's channel; a cell of the map is the mean of a block of 8 x 8 pixels."""

    stages = ("blocks",)
    first = "convolution"
    head = "fc"

    def __init__(self) -> None:
        super().__init__()
        self.channels, self.strides, self.in_channels = {"blocks": 3}, {"blocks": 8}, 3
        self.convolution = nn.Conv2d(3, 3, kernel_size=8, stride=8, bias=False)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(3, 3)
        with torch.no_grad():
            self.convolution.weight.copy_(torch.eye(3)[:, :, None, None].expand(3, 3, 8, 8) / 64)
            self.fc.weight.copy_(torch.eye(3))
            self.fc.bias.zero_()

    def parts(self, stage: str) -> tuple[nn.Module, ...]:
        return (self.convolution,)

    def head_pooling(self) -> tuple[nn.Module, ...]:
        return (self.pool,)

    def head_layers(self) -> tuple[nn.Module, ...]:
        return (self.fc,)


def predictor_of(model: Backbone, resize: int, crop: int, class_names: tuple[str, ...] = COLOURS) -> Predictor:
    """`model` with pictures of values 0..1 as its input."""
    header = Header(
        architecture=type(model).__name__,
        arguments={},
        task="classification",
        class_names=class_names,
        preprocessing=Preprocessing(resize=resize, crop=crop, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0)),
    )
    return Predictor(model.eval(), ClassificationTask(class_names), header, torch.device("cpu"), "float32")
