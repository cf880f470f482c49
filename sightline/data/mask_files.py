"""Mask files: what is in them, and which class each value or colour means.

What counts is the value in the file: the index of a palette PNG, not its colour; the 0..15 of a PNG of 4 bits, not the grey that
viewers show. Shape letters: `H`, `W` of a mask, `K` classes.
"""

import hashlib
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from sightline.data.counted import counted
from sightline.data.decode import DEFAULT_LIMITS, opened
from sightline.data.names import Names
from sightline.errors import ImageError
from sightline.structures import IGNORED

Colour = tuple[int, int, int]

_LOSSY = {"JPEG": "a JPEG", "MPO": "a JPEG", "WEBP": "a WebP file"}
"""Kinds of files whose pixels are not those that were saved."""
_LOSSY_TIFF = ("jpeg", "tiff_jpeg", "webp")
_UNKNOWN = -1


class Coding:
    """Which class each value, or each colour, of mask files means.

    `values` are value (0..65535) -> label; `colours`, where given, count instead of them. A label is 0..K-1 or `IGNORED`.
    `hint` ends the error about a value that means nothing.

    >>> Coding({0: 0, 255: 1}).labels(Image.fromarray(np.array([[0, 255]], np.uint8)), "a.png").tolist()
    [[0, 1]]
    """

    def __init__(self, values: Mapping[int, int], colours: Mapping[Colour, int] | None = None, hint: str = "") -> None:
        self.values = dict(values)
        self.colours = None if colours is None else dict(colours)
        self.hint = hint
        table = self.values if colours is None else {_packed(colour): label for colour, label in colours.items()}
        self._keys = np.array(sorted(table), np.int64)
        self._labels = np.array([table[key] for key in sorted(table)], np.uint8)
        self._of_value = np.full(2**16, _UNKNOWN, np.int16)
        if colours is None:
            self._of_value[self._keys] = self._labels

    def labels(self, image: Image.Image, name: str) -> NDArray[np.uint8]:
        """(H, W) uint8, 0..K-1 or `IGNORED`, of a decoded mask; raises `ImageError` with the values that mean nothing."""
        if self.colours is None:
            found: NDArray[np.integer] = values_of(image, name)
            labels: NDArray[np.integer] = self._of_value[found]
            unknown = labels < 0
        else:
            found = _colours_of(image, name)
            places = np.searchsorted(self._keys, found).clip(max=len(self._keys) - 1)
            labels, unknown = self._labels[places], self._keys[places] != found
        if unknown.any():
            raise ImageError(self._not_known(found[unknown], name))
        return labels.astype(np.uint8)

    def text(self) -> str:
        """All of it in one line: another coding makes another mask of the same file."""
        return str(sorted((self.values if self.colours is None else self.colours).items()))

    def _not_known(self, found: NDArray[np.integer], name: str) -> str:
        unknown = np.unique(found).tolist()
        if self.colours is None:
            what, shown, there = "value", listed(unknown), _ranges(self.values)
        else:
            what, there = "colour", listed((f"({r} {g} {b})" for r, g, b in self.colours), most=4)
            shown = _colours(found)
        plural = "s" if len(unknown) > 1 else ""
        return (
            f"{name}: the {what}{plural} {shown} ({counted(len(found), 'pixel')}) mean{'' if plural else 's'} no class; expected {there}. "
            f"Correct the mask{self.hint or ', or say what it means in the file that names the classes'}."
        )


class MaskFiles:
    """Mask files, named relative to one folder. Each is read when it is asked for."""

    def __init__(self, root: Path, names: Sequence[str], coding: Coding) -> None:
        self.root = root
        self.names = Names(names)
        self.coding = coding
        self._digests: dict[int, str] = {}

    def __len__(self) -> int:
        return len(self.names)

    def name(self, position: int) -> str:
        """The file's path relative to the data set's folder."""
        return self.names[position]

    def mask(self, position: int) -> Tensor:
        """The mask as (H, W) uint8, 0..K-1 or `IGNORED`; raises `ImageError` with the values found and what to do."""
        name = self.names[position]
        with open_mask(self.root / name, name) as image:
            return torch.from_numpy(self.coding.labels(image, name))

    def held(self, position: int) -> str:
        """The values or colours in the file, in words; raises `ImageError`."""
        name = self.names[position]
        with open_mask(self.root / name, name) as image:
            if self.coding.colours is None:
                return listed(np.unique(values_of(image, name)))
            return _colours(_colours_of(image, name))

    def digest(self, position: int) -> str:
        """Of the file's bytes and of what they mean; read once."""
        if position not in self._digests:
            digest = hashlib.sha256(self.coding.text().encode())
            try:
                digest.update((self.root / self.names[position]).read_bytes())
            except OSError as error:
                raise ImageError(f"{self.names[position]}: {_unreadable(error)}") from error
            self._digests[position] = digest.hexdigest()[:16]
        return self._digests[position]


def open_mask(path: Path, name: str) -> Image.Image:
    """A mask file, decoded, as Pillow has it; raises `ImageError` for what is damaged or may have changed its values."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ImageError(f"{name}: {_unreadable(error)}") from error
    return decode_mask(content, name)


def decode_mask(content: bytes, name: str) -> Image.Image:
    """The same for the bytes of a file."""
    if not content:
        raise ImageError(f"{name}: the file is empty.")
    image = opened(io.BytesIO(content), name, DEFAULT_LIMITS)
    lossy = _LOSSY.get(image.format or "") or ("a TIFF" if image.info.get("compression") in _LOSSY_TIFF else "")
    if lossy:
        raise ImageError(
            f"{name}: the mask is {lossy} with lossy compression, which blurs values across the borders of classes "
            f"({_blurred(image)}). Save masks as PNG, from the original drawing and not from this file."
        )
    try:
        image.load()
    except Exception as error:  # what a damaged file makes Pillow raise has no common root
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ImageError(f"{name}: the mask cannot be decoded; it is damaged or incomplete ({reason}).") from error
    if image.format == "PNG" and image.mode == "L" and content[24] in (2, 4):  # Pillow spreads these over 0..255
        return Image.fromarray(np.asarray(image) // (255 // (2 ** content[24] - 1)))
    return image


def values_of(image: Image.Image, name: str) -> NDArray[np.uint16]:
    """(H, W) the values in a decoded mask; raises `ImageError` for one that has colours."""
    pixels = np.asarray(image)
    if image.mode in ("LA", "PA"):
        pixels = pixels[..., 0]
    elif image.mode in ("RGB", "RGBA"):
        if (pixels[..., :1] != pixels[..., 1:3]).any():
            shown = _colours(_packed_pixels(pixels))
            raise ImageError(
                f"{name}: the mask has colours, {shown}, and nothing says which class each of them means. Put a table with the "
                "columns name,r,g,b beside the folders, classes.csv, or save the numbers of the classes instead."
            )
        pixels = pixels[..., 0]
    elif image.mode not in ("1", "L", "P", "I") and not image.mode.startswith("I;16"):
        raise ImageError(f"{name}: the mask has the mode {image.mode}; expected a PNG with 8 bits for each pixel.")
    if pixels.dtype == np.int32 and len(outside := pixels[(pixels < 0) | (pixels >= 2**16)]):
        raise ImageError(
            f"{name}: it has the value {outside[0]}; values of 0..{2**16 - 1} can be read. Save it as PNG."
        )
    return pixels.astype(np.uint16)


def listed(values: Iterable[object], most: int = 8) -> str:
    """The first values in words.

    >>> listed(range(20), most=3)
    '0, 1, 2 and 17 more'
    """
    every = [str(value) for value in values]
    return ", ".join(every[:most]) + (f" and {len(every) - most} more" if len(every) > most else "")


def _colours_of(image: Image.Image, name: str) -> NDArray[np.int64]:
    """(H, W) each pixel's colour as one number."""
    if image.mode == "I" or image.mode.startswith("I;16"):
        raise ImageError(f"{name}: the mask has 16 bits of grey, and the table of classes has colours. Save it as RGB.")
    return _packed_pixels(np.asarray(image.convert("RGB")))


def _packed_pixels(pixels: NDArray[np.uint8]) -> NDArray[np.int64]:
    red, green, blue = (pixels[..., channel].astype(np.int64) for channel in range(3))
    return red << 16 | green << 8 | blue


def _colours(packed: NDArray[np.integer]) -> str:
    """The first colours among some that are one number each, in words."""
    return listed((f"({key >> 16} {key >> 8 & 255} {key & 255})" for key in np.unique(packed).tolist()), most=4)


def _packed(colour: Colour) -> int:
    return colour[0] << 16 | colour[1] << 8 | colour[2]


def _ranges(values: Mapping[int, int]) -> str:
    """Values in words: "0..20, or 255 for pixels to ignore"."""
    known = sorted(value for value, label in values.items() if label != IGNORED)
    ignored = [value for value, label in values.items() if label == IGNORED]
    whole = len(known) > 2 and known[-1] - known[0] == len(known) - 1
    shown = f"{known[0]}..{known[-1]}" if whole else listed(known, most=20)
    return shown + (f", or {listed(ignored)} for pixels to ignore" if ignored else "")


def _blurred(image: Image.Image) -> str:
    try:
        return f"values found: {listed(np.unique(np.asarray(image.convert('L'))).tolist(), most=5)}"
    except Exception:  # damaged as well: the kind of file is reason enough
        return "it cannot be decoded either"


def _unreadable(error: OSError) -> str:
    return f"the file cannot be read ({error.strerror or error})."
