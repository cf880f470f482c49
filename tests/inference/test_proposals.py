"""What a detector proposes: the network's own numbers, told where they come from."""

import pytest
import torch

from sightline.errors import ImageError, InputError
from sightline.inference.proposals import proposals, propose
from sightline.models.faster_rcnn import FasterRCNN
from tests.inference.blocks import Blocks, predictor_of
from tests.inference.planted import detector, detector_predictor

SIZES = torch.tensor([[64, 90], [50, 96]])


@pytest.fixture(scope="module")
def model() -> FasterRCNN:
    model = detector()
    with torch.no_grad():
        model.rpn.head.cls_logits.weight.mul_(100)
        model.rpn.head.bbox_pred.weight.mul_(20)
    return model


@pytest.mark.slow
def test_the_numbers_are_those_of_the_network(model) -> None:
    images = torch.rand(2, 3, 64, 96)
    with torch.no_grad():
        found = model(images, SIZES)
        usual = model.detections(found, SIZES)
    for row, seen in enumerate(propose(model, images, SIZES, count=7)):
        assert torch.equal(seen.boxes, found.regions[row, :7])
        assert seen.proposed == int(found.valid[row].sum())
        said = seen.detections
        assert all(torch.equal(a, b) for a, b in zip((said.boxes, said.scores, said.labels), usual[row], strict=True))
        assert torch.equal(seen.objectness, seen.objectness.sort(descending=True).values)
        assert len(set(map(tuple, seen.origins.tolist()))) == 7
        for likely, (level, down, across, reference) in zip(seen.objectness, seen.origins.tolist(), strict=True):
            assert likely == seen.levels[level].objectness[down, across].flatten()[reference]
    assert not model.backbone._forward_hooks
    assert not model.rpn.head._forward_hooks


def test_a_planted_object_is_told_from_its_reference_box() -> None:
    planted = {(1, 3, 5, 2): 3.0, (0, 9, 4, 1): 2.0, (2, 3, 5, 3): 1.0}
    (seen,) = propose(detector(planted), torch.rand(1, 3, 64, 96), torch.tensor([[64, 96]]), count=3)
    assert seen.origins.tolist() == [list(place) for place in planted]
    assert seen.objectness.tolist() == pytest.approx(torch.tensor([3.0, 2.0, 1.0]).sigmoid().tolist())
    assert (seen.place, seen.centre) == ((1, 3, 5), (24.0, 40.0))
    # Reference box 2 of a cell: the second ratio, height twice the width, and the first size, 16 pixels.
    half = 16 / 2**0.5 / 2
    there = [40 - half, 24 - 2 * half, 40 + half, 24 + 2 * half]
    assert seen.boxes[0].tolist() == pytest.approx(there)
    assert [level.name for level in seen.levels] == ["c4", "c5", "pool"]
    assert [tuple(level.objectness.shape) for level in seen.levels] == [(16, 24, 2, 2), (8, 12, 2, 2), (4, 6, 2, 2)]
    assert seen.levels[1].best()[3, 5] == seen.objectness[0]
    every = seen.references_there()
    assert every[1][1, 0].tolist() == pytest.approx(there)
    middles = [(boxes[0, 0, :2] + boxes[0, 0, 2:]) / 2 for boxes in every]
    assert [middle.tolist() for middle in middles] == [
        [40, 24],
        [40, 24],
        [32, 32],
    ]  # 40 / 16 and 24 / 16 are between cells
    wide = seen.scaled(1.0, 2.0)
    assert (wide.size, wide.centre) == ((64, 192), (24, 80))
    assert wide.boxes[0].tolist() == pytest.approx([2 * there[0], there[1], 2 * there[2], there[3]])
    assert torch.allclose(wide.references_there()[1][1, 0], wide.boxes[0])


def test_a_cell_in_the_padding_is_no_place() -> None:
    planted = {(0, 15, 2, 0): 5.0, (0, 2, 23, 0): 4.0, (0, 12, 22, 0): 1.0}
    (seen,) = propose(detector(planted), torch.rand(1, 3, 64, 96), torch.tensor([[50, 90]]))
    assert seen.place == (0, 12, 22)


def test_a_picture_is_explained_in_its_own_pixels() -> None:
    """A picture of 96 x 144 pixels is given to the network with 64 x 96, padded."""
    predictor = detector_predictor({(1, 3, 5, 2): 3.0})
    seen = proposals(predictor, torch.zeros(3, 96, 144, dtype=torch.uint8), count=1)
    assert seen.size == (96, 144)
    assert seen.centre == (36, 60)
    half = 1.5 * 16 / 2**0.5 / 2
    assert seen.boxes[0].tolist() == pytest.approx([60 - half, 36 - 2 * half, 60 + half, 36 + 2 * half])
    assert seen.references_there()[1][1, 0].tolist() == pytest.approx(seen.boxes[0].tolist())
    (usual,) = predictor.predict([torch.zeros(3, 96, 144, dtype=torch.uint8)])
    assert torch.allclose(seen.detections.boxes, usual.boxes)
    assert torch.equal(seen.detections.scores, usual.scores)


def test_none_may_be_asked_for() -> None:
    (seen,) = propose(detector({}), torch.rand(1, 3, 64, 96), torch.tensor([[64, 96]]), count=0)
    assert (len(seen.boxes), seen.origins.shape, seen.proposed) == (0, (0, 4), 40)


def test_other_networks_and_torn_pictures_are_refused(tmp_path) -> None:
    with pytest.raises(InputError, match="Only a detector proposes regions, and Blocks was trained for classification"):
        proposals(predictor_of(Blocks(), 16, 16), torch.zeros(3, 16, 16, dtype=torch.uint8))
    (tmp_path / "torn.png").write_bytes(b"\x89PNG")
    with pytest.raises(ImageError, match=r"torn\.png"):
        proposals(detector_predictor(), tmp_path / "torn.png")
