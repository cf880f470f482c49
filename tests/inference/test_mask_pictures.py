"""Masks over pictures: each class in its colour, errors where they are, names on the regions."""

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw
from scipy import ndimage

from sightline.inference.colours import CLASS_COLOURS, class_colour, rgb
from sightline.inference.mask_pictures import (
    MISSED,
    TOO_MUCH,
    UNKNOWN,
    MaskedPicture,
    errors,
    mask_sheet,
    overlay,
    with_names,
)
from sightline.structures import IGNORED

NAMES = ("ground", "cell", "rim")


@pytest.fixture
def grey() -> torch.Tensor:
    return torch.full((3, 40, 60), 100, dtype=torch.uint8)


@pytest.fixture
def mask() -> torch.Tensor:
    labels = torch.zeros(40, 60, dtype=torch.uint8)
    labels[5:25, 10:30] = 1
    labels[30:38, 40:58] = 2
    labels[:, 59] = IGNORED
    return labels


def test_the_ground_is_left_and_rims_have_the_colour_of_their_class(grey: torch.Tensor, mask: torch.Tensor) -> None:
    drawn = overlay(grey, mask)
    assert drawn.getpixel((0, 0)) == (100, 100, 100)
    assert drawn.getpixel((10, 5)) == rgb(class_colour(0))
    assert drawn.getpixel((40, 30)) == rgb(class_colour(1))
    mixed = tuple(round((100 + value) / 2) for value in rgb(class_colour(0)))
    assert np.abs(np.subtract(drawn.getpixel((20, 15)), mixed)).max() <= 1


def test_errors_are_what_is_too_much_and_what_is_missed(grey: torch.Tensor, mask: torch.Tensor) -> None:
    said = mask.clone()
    said[5:25, 10] = 0  # missed
    said[0, 0] = 1  # too much
    said[30:38, 40] = 1  # another class
    said[10, 59] = 2  # not known
    drawn = errors(grey, said, mask)
    assert [drawn.getpixel(place) for place in ((10, 6), (0, 0), (40, 31))] == [rgb(MISSED), rgb(TOO_MUCH), rgb(MISSED)]
    assert drawn.getpixel((20, 15)) == (100, 100, 100)


def test_names_stand_on_their_regions_only_where_classes_are_to_be_told_apart(
    grey: torch.Tensor, mask: torch.Tensor
) -> None:
    plain = overlay(grey, mask).resize((360, 240))
    named = with_names(plain.copy(), mask, NAMES)
    changed = (np.asarray(named) != np.asarray(plain)).any(-1)
    rows, columns = np.nonzero(changed)
    regions = mask.repeat_interleave(6, 0).repeat_interleave(6, 1).numpy()
    assert set(regions[rows, columns].tolist()) <= {0, 1, 2}
    assert {1, 2} <= set(regions[rows, columns].tolist())
    assert with_names(plain.copy(), mask.clamp(max=1), NAMES[:2]).tobytes() == plain.tobytes()


def test_names_are_placed_within_their_regions_boxes_as_in_the_whole_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the largest region, farthest from its rim; with many classes the whole picture would be gone over for each."""
    generator = np.random.default_rng(0)
    mask = np.repeat(np.repeat(generator.integers(0, 9, (6, 8)), 10, 0), 10, 1).astype(np.uint8)
    mask[generator.random(mask.shape) < 0.02] = 3
    mask[:, 75:] = IGNORED
    placed: dict[str, tuple[float, float]] = {}
    looked_at: list[int] = []
    distances = ndimage.distance_transform_edt

    def looking(region: np.ndarray) -> np.ndarray:
        looked_at.append(region.size)
        return distances(region)

    monkeypatch.setattr(ndimage, "distance_transform_edt", looking)
    monkeypatch.setattr(ImageDraw.ImageDraw, "text", lambda _, place, text, **others: placed.update({text: place}))
    with_names(Image.new("RGB", (160, 120)), torch.from_numpy(mask), [str(label) for label in range(9)])
    expected = {}
    for label in range(1, 9):
        parts, _ = ndimage.label(np.pad(mask == label, 1))
        inside = distances(parts == 1 + np.bincount(parts.ravel())[1:].argmax())
        y, x = np.unravel_index(int(inside.argmax()), inside.shape)
        expected[str(label)] = ((x - 0.5) * 2, (y - 0.5) * 2)
    assert placed == expected
    assert max(looked_at) < mask.size / 2


def test_the_legend_has_the_grey_of_what_is_not_known(grey: torch.Tensor, mask: torch.Tensor) -> None:
    def grey_squares(truth: torch.Tensor) -> int:
        row = MaskedPicture(image=grey, labels=mask.clamp(max=2), truth=truth, title="a")
        legend = np.asarray(mask_sheet([row], NAMES))[16:36]
        return int((legend == rgb(UNKNOWN)).all(-1).sum())

    assert grey_squares(mask) == 15 * 15
    assert grey_squares(mask.clamp(max=2)) == 0


def test_a_sheet_has_four_panels_where_the_truth_is_known(grey: torch.Tensor, mask: torch.Tensor) -> None:
    rows = [MaskedPicture(image=grey, labels=mask, truth=truth, title="a") for truth in (None, mask)]
    assert mask_sheet(rows[:1], NAMES).width * 2 == pytest.approx(mask_sheet(rows, NAMES).width, abs=40)
    with pytest.raises(ValueError, match="at least one"):
        mask_sheet([], NAMES)


def test_twenty_four_classes_have_colours_of_their_own() -> None:
    assert len({class_colour(label) for label in range(24)}) == 3 * len(CLASS_COLOURS)
