"""Each kind of mask file is read as the values in it, and each that cannot be used says why, what is in it, and what to do."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sightline.data.mask_files import Coding, MaskFiles
from sightline.errors import ImageError
from sightline.structures import IGNORED

VALUES = np.array([[0, 1, 2], [2, 1, 255]], np.uint8)
INDEX = Coding({0: 0, 1: 1, 2: 2, 255: IGNORED})
COLOURS = Coding({}, {(0, 0, 0): 0, (200, 0, 0): 1, (0, 90, 0): 1, (1, 2, 3): IGNORED})


def labels(path: Path, coding: Coding = INDEX) -> list[list[int]]:
    return MaskFiles(path.parent, [path.name], coding).mask(0).tolist()


def with_palette(values: np.ndarray) -> Image.Image:
    image = Image.fromarray(values)
    image.putpalette([(7 * number + 3) % 256 for number in range(768)])
    return image


KINDS = {
    "index": Image.fromarray(VALUES),
    "palette": with_palette(VALUES),
    "16 bits": Image.fromarray(VALUES.astype(np.uint16)),
    "grey as RGB": Image.fromarray(VALUES).convert("RGB"),
    "grey with transparency": Image.fromarray(VALUES).convert("LA"),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("ending", ["png", "tif"])
def test_values(kind: str, ending: str, tmp_path: Path) -> None:
    KINDS[kind].save(tmp_path / f"a.{ending}")
    assert labels(tmp_path / f"a.{ending}") == VALUES.tolist()


def test_few_bits_are_not_spread(tmp_path: Path) -> None:
    Image.fromarray(np.array([[True, False]])).save(tmp_path / "1.png")
    assert labels(tmp_path / "1.png") == [[1, 0]]
    with_palette(np.array([[0, 1, 2]], np.uint8)).save(tmp_path / "p.png", bits=2)
    assert labels(tmp_path / "p.png") == [[0, 1, 2]]
    for bits in (2, 4):
        (tmp_path / "grey.png").write_bytes(write_grey([[0, 1, 2, 2]], bits))
        assert labels(tmp_path / "grey.png") == [[0, 1, 2, 2]]


def write_grey(rows: list[list[int]], bits: int) -> bytes:
    """A grey PNG of few bits a pixel, which Pillow does not write."""
    import struct
    import zlib

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    lines = b"".join(
        b"\0" + int("".join(f"{value:0{bits}b}" for value in row), 2).to_bytes(len(row) * bits // 8, "big")
        for row in rows
    )
    header = struct.pack(">IIBBBBB", len(rows[0]), len(rows), bits, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b"")


def test_ids_of_16_bits(tmp_path: Path) -> None:
    Image.fromarray(np.array([[300, 40000]], np.uint16)).save(tmp_path / "a.png")
    assert labels(tmp_path / "a.png", Coding({300: 0, 40000: 1})) == [[0, 1]]


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P"])
def test_colours(mode: str, tmp_path: Path) -> None:
    pixels = np.array([[(0, 0, 0), (200, 0, 0)], [(0, 90, 0), (1, 2, 3)]], np.uint8)
    image = Image.fromarray(pixels)
    (image.quantize(8) if mode == "P" else image.convert(mode)).save(tmp_path / "a.png")
    assert labels(tmp_path / "a.png", COLOURS) == [[0, 1], [1, IGNORED]]


BAD = {
    "value": (Image.fromarray(np.array([[0, 7, 9, 9]], np.uint8)), INDEX,
              r"a\.png: the values 7, 9 \(3 pixels\) mean no class; expected 0\.\.2, or 255 for pixels to ignore\. Correct the mask"),
    "two classes": (Image.fromarray(np.array([[0, 128]], np.uint8)), Coding({0: 0, 255: 1}, hint=" (smooth)"),
                    r"the value 128 \(1 pixel\) means no class; expected 0, 255\. Correct the mask \(smooth\)\."),
    "16 bits": (Image.fromarray(np.array([[0, 300]], np.uint16)), INDEX, r"the value 300 \(1 pixel\) means no class"),
    "colours without a table": (Image.fromarray(np.array([[(1, 2, 3), (9, 9, 9)]], np.uint8)), INDEX,
                                r"a\.png: the mask has colours, \(1 2 3\), \(9 9 9\), and nothing .*classes\.csv"),
    "unknown colour": (Image.fromarray(np.array([[(0, 0, 0), (9, 8, 7)]], np.uint8)), COLOURS,
                       r"the colour \(9 8 7\) \(1 pixel\) means no class; expected \(0 0 0\), \(200 0 0\), "),
    "16 bits and a table": (Image.fromarray(np.array([[0, 300]], np.uint16)), COLOURS, "16 bits of grey, and the table"),
    "inks": (Image.new("CMYK", (2, 1)), INDEX, "the mask has the mode CMYK; expected a PNG"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_masks_that_cannot_be_used(case: str, tmp_path: Path) -> None:
    image, coding, text = BAD[case]
    image.save(tmp_path / "a.png", "TIFF" if image.mode == "CMYK" else "PNG")
    with pytest.raises(ImageError, match=text):
        labels(tmp_path / "a.png", coding)


@pytest.mark.parametrize(("kind", "shown"), [("JPEG", "a JPEG"), ("WEBP", "a WebP file")])
def test_lossy_files_are_refused_whatever_they_are_called(kind: str, shown: str, tmp_path: Path) -> None:
    Image.fromarray(np.full((8, 8), 2, np.uint8)).save(tmp_path / "a.png", kind)
    with pytest.raises(ImageError, match=rf"a\.png: the mask is {shown} .* \(values found: \d.*Save masks as PNG"):
        labels(tmp_path / "a.png")


def test_files_that_are_no_masks(tmp_path: Path) -> None:
    KINDS["index"].save(tmp_path / "a.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "a.png").read_bytes()[:50])
    (tmp_path / "empty.png").touch()
    (tmp_path / "text.png").write_text("no picture")
    for name, reason in {
        "cut": "damaged or incomplete",
        "empty": "is empty",
        "text": "begins with",
        "no": "No such",
    }.items():
        with pytest.raises(ImageError, match=rf"{name}\.png: .*{reason}"):
            labels(tmp_path / f"{name}.png")


def test_another_meaning_is_another_digest(tmp_path: Path) -> None:
    KINDS["index"].save(tmp_path / "a.png")
    digests = [MaskFiles(tmp_path, ["a.png"], coding).digest(0) for coding in (INDEX, INDEX, COLOURS)]
    assert digests[0] == digests[1] != digests[2]
    with pytest.raises(ImageError, match=r"b\.png: the file cannot be read"):
        MaskFiles(tmp_path, ["b.png"], INDEX).digest(0)
