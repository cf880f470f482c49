"""From the bytes of a picture file to a uint8 RGB tensor, safely.

What comes out is always (3, H, W) uint8 RGB, upright:

- The EXIF orientation is applied. Colour profiles are not.
- Grey and 1-bit pictures have three equal channels; palettes are looked up.
- Transparency, in every mode that has it, is composited on white.
- CMYK becomes RGB by (255 - ink) * (255 - black) / 255. JPEG stores inks inverted, as Adobe's programs do; that is undone.
- 16-bit grey is scaled by 255/65535 and rounded, not clipped. 16-bit colour keeps its upper 8 bits.
- Of animations and of files with several pages the first picture counts.

Limits on bytes and pixels are checked before any pixel is decoded. The kind of file is told by its content, not by its ending.
"""

import io
import os
import threading
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from PIL import Image, TiffImagePlugin, UnidentifiedImageError, WebPImagePlugin
from torch import Tensor

from sightline.errors import ConfigError, ImageError

try:
    import simplejpeg
except ImportError:  # where there is none of it, Pillow decodes all
    simplejpeg = None

# Importing the two plugins registers them; Pillow would otherwise import every plugin it has on the first such file.
FORMATS = (
    "JPEG",
    "PNG",
    "BMP",
    "GIF",
    TiffImagePlugin.TiffImageFile.format,
    WebPImagePlugin.WebPImageFile.format,
    "PPM",
)
"""The kinds of files that are decoded; decoders of other kinds are never reached."""

PILLOW_PIXELS = 178_956_970
"""Above this many pixels Pillow itself refuses."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DecodeLimits:
    """What a picture file may ask of this machine.

    >>> DecodeLimits(pixels=10**9)
    Traceback (most recent call last):
        ...
    sightline.errors.ConfigError: pixels is within 1..178956970 (above that Pillow itself refuses), got 1000000000
    """

    pixels: int = PILLOW_PIXELS
    """Largest width x height; the default is what Pillow refuses by itself, and takes 0.7 GB to decode."""
    bytes: int = 256 * 2**20
    """Largest file. The default is our own: no picture of the default number of pixels in a lossy format comes near."""

    def __post_init__(self) -> None:
        if not 1 <= self.pixels <= PILLOW_PIXELS:
            raise ConfigError(
                f"pixels is within 1..{PILLOW_PIXELS} (above that Pillow itself refuses), got {self.pixels}"
            )
        if self.bytes < 1:
            raise ConfigError(f"bytes is at least 1, got {self.bytes}")


DEFAULT_LIMITS = DecodeLimits()


Shrink = Callable[[int, int], int]
"""(height, width) of the upright picture -> how many times shorter its sides may come out: 1, 2, 4 or 8."""


def decode_file(path: Path, name: str, limits: DecodeLimits = DEFAULT_LIMITS, shrink: Shrink | None = None) -> Tensor:
    """`decode` for a file; what is too large is not read."""
    return decode(read_file(path, name, limits), name, limits, shrink)


def read_file(path: Path, name: str, limits: DecodeLimits = DEFAULT_LIMITS) -> bytes:
    """The bytes of a picture's file; raises `ImageError`, `name` is what it calls the picture. What is too large is not read."""
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size > limits.bytes:
                raise ImageError(f"{name}: the file has {size:,} bytes, more than the limit of {limits.bytes:,}.")
            return file.read()
    except OSError as error:
        raise ImageError(f"{name}: the file cannot be read ({error.strerror or error}).") from error


def decode(content: bytes, name: str, limits: DecodeLimits = DEFAULT_LIMITS, shrink: Shrink | None = None) -> Tensor:
    """The picture in `content` as (3, H, W) uint8 RGB.

    `name` is what an error calls it. A JPEG comes out smaller where `shrink` says so, of sides that are rounded up; it is
    asked once, or never. Raises `ImageError`, with the reason, for everything that cannot be decoded whole.

    >>> decode(b"P6 2 1 255 \\x01\\x02\\x03\\x04\\x05\\x06", "tiny.ppm").tolist()
    [[[1, 4]], [[2, 5]], [[3, 6]]]
    """
    if not content:
        raise ImageError(f"{name}: the file is empty.")
    if len(content) > limits.bytes:
        raise ImageError(f"{name}: it has {len(content):,} bytes, more than the limit of {limits.bytes:,}.")
    try:
        pixels = _plain_jpeg(content, limits, shrink)
        if pixels is None:
            with opened(io.BytesIO(content), name, limits) as image:
                pixels = _turned_jpeg(image, content, shrink)
                if pixels is None:
                    _scale_transparency(image, content)
                    image.load()
                    pixels = _rgb(_upright(image), name)
    except ImageError:
        raise
    except Exception as error:  # what a damaged file makes Pillow raise has no common root
        raise ImageError(
            f"{name}: it cannot be decoded; it is damaged, incomplete or of a rare kind ({_reason(error)})."
        ) from error
    return pixels.permute(2, 0, 1)


def picture_size(path: Path) -> tuple[int, int] | None:
    """(width, height) of the upright picture in a file, in pixels, from its header; None for what cannot be read.

    No pixels are decoded, so a picture that has a size here may still be damaged.
    """
    try:
        with path.open("rb") as file, opened(file, path.name, DEFAULT_LIMITS) as image:
            # Pillow would decode all pixels of a PNG to look for what may follow them.
            if image.format == "PNG" and not _PNG_EXIF & image.info.keys() and b"eXIf" not in path.read_bytes():
                return image.size
            return image.size[::-1] if _turn(image) in _EXCHANGING else image.size
    except Exception:  # as in `decode`, which will say why
        return None


def picture_kind(path: Path) -> tuple[str, str] | None:
    """What a picture file is, as Pillow calls it: its kind ("JPEG") and how its pixels are kept ("RGB", "L"); None for no picture."""
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
            if simplejpeg is not None and _is_plain(head):
                colours = _PLAIN_MODES.get(simplejpeg.decode_jpeg_header(head)[2])
                if colours:
                    return "JPEG", colours
            file.seek(0)
            with opened(file, path.name, DEFAULT_LIMITS) as image:
                return image.format or "", image.mode
    except Exception:  # as in `decode`, which will say why
        return None


_PLAIN_MODES = {"Gray": "L", "YCbCr": "RGB", "RGB": "RGB"}
"""How the pixels of a JPEG are kept, in libjpeg's words and in Pillow's; those in inks are left to Pillow."""
_HEAD = 2**16
"""Bytes in which the header of nearly every JPEG ends."""
_warnings_are_global = threading.Lock()
# A process that is forked while another thread holds the lock would wait for it for ever, and keep that thread's filters.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_warnings_are_global.acquire,
        after_in_parent=_warnings_are_global.release,
        after_in_child=_warnings_are_global.release,
    )


def opened(file: BinaryIO, name: str, limits: DecodeLimits) -> Image.Image:
    """The picture in an open file, of which only the header is read; raises `ImageError`. `name` is what it calls the picture."""
    # Pillow warns of large pictures and of odd metadata. Neither damages the pixels, and the size is judged here.
    with _warnings_are_global, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            image = Image.open(file, formats=FORMATS)
        except UnidentifiedImageError:
            file.seek(0)
            raise ImageError(f"{name}: {_what_it_is(file.read(64))}") from None
        except Image.DecompressionBombError:
            raise ImageError(
                f"{name}: it claims more than {limits.pixels:,} pixels, the limit; nothing was decoded."
            ) from None
    if image.width * image.height > limits.pixels:
        raise ImageError(
            f"{name}: it claims {image.width} x {image.height} pixels, more than the limit of {limits.pixels:,}; "
            "nothing was decoded."
        )
    return image


def _plain_jpeg(content: bytes, limits: DecodeLimits, shrink: Shrink | None) -> Tensor | None:
    """The pixels (H, W, 3) of a JPEG in grey or colour that says nothing of its orientation: those that Pillow finds, sooner.

    None for anything else, and for what is damaged or too large: Pillow knows what to say of it. It takes longer to read the
    header of a small picture than to decode it.
    """
    if simplejpeg is None or not _is_plain(content):
        return None
    try:
        height, width, colours, _ = simplejpeg.decode_jpeg_header(content)
        if colours not in _PLAIN_MODES or height * width > limits.pixels:
            return None
        return torch.from_numpy(_jpeg_pixels(content, height, width, None, shrink))
    except ValueError:
        return None


def _is_plain(content: bytes) -> bool:
    """Whether a JPEG's header has no block in which its orientation may be, nor one that says that more pictures follow."""
    at = 2 if content.startswith(b"\xff\xd8") else len(content)
    while content[at : at + 1] == b"\xff":
        marker = content[at + 1 : at + 2]
        if marker == b"\xda":  # the pixels
            return True
        if marker == b"\xe1" or (marker == b"\xe2" and content.startswith(b"MPF\0", at + 4)):
            return False
        at += 2 + int.from_bytes(content[at + 2 : at + 4])
    return False


def _turned_jpeg(image: Image.Image, content: bytes, shrink: Shrink | None) -> Tensor | None:
    """The same for one that Pillow has opened, made upright."""
    if simplejpeg is None or image.format != "JPEG" or image.mode not in ("RGB", "L"):
        return None
    turn, (width, height) = _turn(image), image.size
    try:
        # Both must read one size in the header: the limits were held against Pillow's.
        if simplejpeg.decode_jpeg_header(content)[:2] != (height, width):
            return None
        pixels = _jpeg_pixels(content, height, width, turn, shrink)
    except ValueError:
        return None
    return torch.from_numpy(pixels if turn is None else np.array(Image.fromarray(pixels).transpose(turn)))


def _jpeg_pixels(
    content: bytes, height: int, width: int, turn: Image.Transpose | None, shrink: Shrink | None
) -> np.ndarray:
    """As they are stored; raises `ValueError`. `turn` is what will make them upright."""
    times = 1 if shrink is None else shrink(*((width, height) if turn in _EXCHANGING else (height, width)))
    least = {} if times == 1 else {"min_height": -(-height // times), "min_width": -(-width // times)}
    pixels: np.ndarray = simplejpeg.decode_jpeg(content, strict=True, **least)
    return pixels


def _scale_transparency(image: Image.Image, content: bytes) -> None:
    """A PNG names its transparent grey or colour in the file's own bits, and Pillow scales the pixels alone."""
    key = image.info.get("transparency")
    if image.format != "PNG" or key is None:
        return
    bits, kind = content[24], content[25]
    if kind == 0 and bits in (2, 4):
        image.info["transparency"] = key * 255 // (2**bits - 1)
    elif kind == 2 and bits == 16:
        image.info["transparency"] = tuple(part >> 8 for part in key)


def _upright(image: Image.Image) -> Image.Image:
    turn = _turn(image)
    return image if turn is None else image.transpose(turn)


_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""EXIF orientation -> what undoes it."""
_EXCHANGING = frozenset(_TURNS[orientation] for orientation in (5, 6, 7, 8))
"""Turns that exchange width and height."""
_PNG_EXIF = frozenset(("exif", "xmp", "XML:com.adobe.xmp", "Raw profile type exif"))
"""Where the metadata of a PNG may say an orientation."""


def _turn(image: Image.Image) -> Image.Transpose | None:
    """What makes the picture upright, None when it is."""
    if image.format in ("JPEG", "MPO") and not image.info.keys() & {"exif", "xmp"}:
        return None
    if image.format == "TIFF":  # Pillow has turned it already
        return None
    with _warnings_are_global, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            orientation = image.getexif().get(0x0112)
        except Exception:  # broken metadata does not make a broken picture
            return None
    return _TURNS.get(orientation) if isinstance(orientation, int) else None


def _rgb(image: Image.Image, name: str) -> Tensor:
    """(H, W, 3) uint8."""
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        return _from_wide(image, name)
    if image.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    content = bytearray((image if image.mode == "RGB" else image.convert("RGB")).tobytes())  # tensors must be writable
    return torch.frombuffer(content, dtype=torch.uint8).view(image.height, image.width, 3)


def _from_wide(image: Image.Image, name: str) -> Tensor:
    """Grey of more than 8 bits a pixel to (H, W, 3) uint8."""
    if image.mode == "F" or (image.mode == "I" and image.format == "TIFF"):
        raise ImageError(
            f"{name}: its values have 32 bits and no known range. Save it with 8 or 16 bits a channel to use it."
        )
    grey = np.asarray(image).astype(np.float64)
    bits, transparent = 16, image.info.get("transparency")
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        bits = int(image.tag_v2.get(258, (16,))[0])
        if image.tag_v2.get(262) == 0:  # "0 is white", which Pillow leaves to the caller in this mode
            grey = (2**bits - 1) - grey
    seen = np.rint(grey * (255 / (2**bits - 1))).clip(0, 255).astype(np.uint8)
    if isinstance(transparent, int):
        seen[grey == transparent] = 255
    return torch.from_numpy(seen)[..., None].expand(-1, -1, 3)


_OTHER_KINDS = (
    (b"version https://git-lfs", "it is a Git LFS pointer, not the picture. Fetch the picture with: git lfs pull"),
    (b"<svg", "it is an SVG drawing"),
    (b"<!doctype html", "it is a web page, perhaps an error that a download left"),
    (b"<html", "it is a web page, perhaps an error that a download left"),
    (b"%pdf", "it is a PDF document"),
    (b"8bps", "it is a Photoshop document"),
)


_OWN_KINDS = ((b"\xff\xd8", "JPEG"), (b"\x89PNG", "PNG"), (b"GIF8", "GIF"), (b"II*\0", "TIFF"), (b"MM\0*", "TIFF"))


def _what_it_is(content: bytes) -> str:
    """Why no decoder took it, as well as the first bytes tell."""
    own = next((kind for mark, kind in _OWN_KINDS if content.startswith(mark)), None)
    if own is not None or (content[:4] == b"RIFF" and content[8:12] == b"WEBP"):
        return f"it begins like a {own or 'WEBP'} file, and is damaged or incomplete."
    start = content[:64].lstrip().lower()
    kind = next((text for mark, text in _OTHER_KINDS if start.startswith(mark)), None)
    if kind is None and content[4:8] == b"ftyp":
        kind = f"it is an {content[8:12].decode('ascii', 'replace').upper()} file (HEIF family)"
    allowed = ", ".join(FORMATS)
    return f"{kind or f'it begins with {content[:8]!r}'}; a picture in one of the formats {allowed} was expected."


def _reason(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if text else type(error).__name__
