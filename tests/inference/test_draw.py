import numpy as np
import pytest
import torch

from sightline.inference.draw import GAP, PICTURE, TEXT_HEIGHT, Tile, clipped, contact_sheet
from sightline.inference.lettering import typeface

STEP_X, STEP_Y = PICTURE + GAP, PICTURE + TEXT_HEIGHT + GAP
COLOURS = [(250, 0, 0), (0, 250, 0), (0, 0, 250), (250, 250, 0), (0, 250, 250)]


def plain(colour: tuple[int, int, int], height: int = 40, width: int = 40) -> torch.Tensor:
    return torch.tensor(colour, dtype=torch.uint8).view(3, 1, 1).expand(3, height, width)


def centre(sheet, number: int, columns: int) -> tuple[int, ...]:
    row, column = divmod(number, columns)
    return sheet.getpixel((GAP + column * STEP_X + PICTURE // 2, GAP + row * STEP_Y + PICTURE // 2))


def test_tiles_stand_in_rows_in_their_order() -> None:
    sheet = contact_sheet([Tile(plain(colour), "title", "detail") for colour in COLOURS], columns=2)
    assert sheet.size == (2 * STEP_X + GAP, 3 * STEP_Y + GAP)
    assert [centre(sheet, number, 2) for number in range(5)] == COLOURS
    assert centre(sheet, 5, 2) == (255, 255, 255)


@pytest.mark.parametrize("count", [1, 2, 3, 7, 30, 60, 200])
def test_sheets_are_wider_than_high_and_hold_all(count) -> None:
    sheet = contact_sheet([Tile(plain(COLOURS[0], 4, 4), "t")] * count)
    columns, rows = (sheet.width - GAP) // STEP_X, (sheet.height - GAP) // STEP_Y
    assert (rows - 1) * columns < count <= rows * columns
    assert columns >= rows
    assert columns <= 3 * rows + 1
    assert centre(sheet, count - 1, columns) == COLOURS[0]


@pytest.mark.parametrize(("height", "width"), [(1, 1), (3, 500), (500, 3), (40, 40), (1000, 700), (145, 144)])
def test_pictures_of_any_shape_are_whole_and_inside(height, width) -> None:
    image = plain(COLOURS[2], height, width)
    pixels = np.asarray(contact_sheet([Tile(image, "")]))
    blue = (pixels == COLOURS[2]).all(-1)
    rows, columns = np.flatnonzero(blue.any(1)), np.flatnonzero(blue.any(0))
    assert rows.min() >= GAP
    assert rows.max() < GAP + PICTURE
    assert columns.max() < GAP + PICTURE
    seen = (rows.max() - rows.min() + 1) / (columns.max() - columns.min() + 1)
    assert seen == pytest.approx(height / width, rel=0.5 if max(height, width) > 200 else 0.05)


def test_small_pictures_keep_their_pixels() -> None:
    image = torch.zeros(3, 2, 2, dtype=torch.uint8)
    image[:, 0, 0] = 255
    colours = np.unique(np.asarray(contact_sheet([Tile(image, "")]))[GAP : GAP + PICTURE, GAP : GAP + PICTURE])
    assert set(colours) == {0, 255}


def test_the_bar_has_the_colour_asked_for() -> None:
    below = (GAP + 5, GAP + PICTURE + 1)
    assert contact_sheet([Tile(plain(COLOURS[0]), "", colour="#d9822b")]).getpixel(below) == (0xD9, 0x82, 0x2B)
    assert contact_sheet([Tile(plain(COLOURS[0]), "")]).getpixel(below) == (255, 255, 255)


def test_long_texts_do_not_reach_the_next_tile() -> None:
    tile = Tile(plain(COLOURS[0]), "a title that goes on and on" * 5, "and_a_file_name_without_end" * 5)
    pixels = np.asarray(contact_sheet([tile], columns=1))
    assert (pixels[GAP + PICTURE + 4 :, GAP + PICTURE + 1 :] == 255).all()
    assert (pixels[GAP + PICTURE + 4 :, :GAP] == 255).all()


def test_clipping() -> None:
    assert clipped("short", 12, 100) == "short"
    assert clipped("two\nlines", 12, 100) == "two lines"
    long = clipped("x" * 10_000, 12, 100)
    assert long.endswith("x...")
    assert 80 < typeface(12).getlength(long) <= 100
    assert clipped("anything", 12, 1) == "..."


@pytest.mark.parametrize("text", ["Straße, Größe", "zażółć", "кошка", "γάτα", "“dog” – 5 °C"])
def test_names_in_any_alphabet_have_letters(text: str) -> None:
    """A letter that a font does not have is drawn as the same box as any other one."""
    box = bytes(typeface(40).getmask("\U000f0000"))
    assert all(bytes(typeface(40, text).getmask(letter)) != box for letter in text)


def test_nothing_to_draw_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one tile"):
        contact_sheet([])
    with pytest.raises(ValueError, match="at least one column"):
        contact_sheet([Tile(plain(COLOURS[0]), "")], columns=0)
