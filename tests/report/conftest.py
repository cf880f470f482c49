import functools

import pytest
import torch

from sightline.models import BACKBONES, create_model
from sightline.models.backbone import Backbone
from sightline.report.architecture import Architecture, trace

# One of each kind: groups, batch norm, branches with auxiliary classifiers, bypasses. The others hold to the same, a
# second at a time: the fast set leaves them to the whole one.
FAST = {"alexnet_2012", "vgg11_bn", "googlenet_2014", "resnet18"}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """`backbone` is every name in the table."""
    if "backbone" in metafunc.fixturenames:
        names = [name if name in FAST else pytest.param(name, marks=pytest.mark.slow) for name in BACKBONES]
        metafunc.parametrize("backbone", names)


@functools.cache
def _built(name: str) -> Backbone:
    with torch.device("meta"):
        return create_model(name).eval()


@functools.cache
def _traced(name: str) -> Architecture:
    return trace(_built(name), 299 if name == "inception_v3" else 224)


@pytest.fixture
def built():
    """A network by its name, without memory."""
    return _built


@pytest.fixture
def traced():
    """The architecture of a network by its name."""
    return _traced
