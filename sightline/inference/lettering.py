"""The typeface of the text on pictures."""

import re
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from PIL import ImageFont

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

_EAST_ASIAN = re.compile("[\u1100-\u11ff\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff\uff00-\uffef]")
_OF_SYSTEMS = (
    "NotoSansCJK-Regular.ttc",
    "SourceHanSans-Regular.ttc",
    "wqy-microhei.ttc",
    "wqy-zenhei.ttc",
    "DroidSansFallbackFull.ttf",
    "msyh.ttc",
    "malgun.ttf",
    "YuGothM.ttc",
    "PingFang.ttc",
    "AppleSDGothicNeo.ttc",
    "Arial Unicode.ttf",
)
"""Files of fonts with Chinese, Japanese or Korean letters on Linux, Windows and macOS."""


def typeface(size: int, text: str = "") -> Font:
    """A font of `size` pixels with the letters of `text`: names of classes and of files are in any language.

    It is DejaVu Sans, which comes with matplotlib and has most alphabets. Chinese, Japanese and Korean letters come from a font of
    the system where one of the usual ones is there, and are empty boxes where none is.

    >>> typeface(12).getname()
    ('DejaVu Sans', 'Book')
    """
    east_asian = _of_the_system(size) if _EAST_ASIAN.search(text) else None
    return east_asian or _dejavu(size)


@cache
def _dejavu(size: int) -> Font:
    spec = find_spec("matplotlib")  # is not imported, which takes long
    folders = [] if spec is None else list(spec.submodule_search_locations or [])
    for folder in folders:
        file = Path(folder) / "mpl-data/fonts/ttf/DejaVuSans.ttf"
        if file.is_file():
            return ImageFont.truetype(str(file), size)
    return ImageFont.load_default(size)


@cache
def _of_the_system(size: int) -> Font | None:
    for file in _OF_SYSTEMS:
        try:
            return ImageFont.truetype(file, size)  # Pillow looks in the system's folders
        except OSError:
            continue
    return None
