"""Pictures and masks of the same names, in two folders or side by side.

    DATA/images/1.jpg    DATA/images/train/1.jpg    DATA/train/images/1.jpg    DATA/1.jpg
    DATA/masks/1.png     DATA/masks/train/1.png     DATA/train/masks/1.png     DATA/1_mask.png

The folders may be called otherwise (`mask_pairs`: image and label, JPEGImages and SegmentationClass), and a mask in its own folder may
have a suffix too. Splits are folders named so, or lists of names: DATA/splits/train.txt, or in DATA itself. Without either they are made.

A mask is a PNG whose values say the class of each pixel: grey or palette, of 1 to 16 bits, or RGB with a table of colours, classes.csv:

    name,r,g,b
    road,128,64,128
    void,0,0,0

Classes are named by that table, a YAML file or classes.txt (see `mask_classes`). Masks refer to the upright picture. Other kinds of
files without loss are read as well.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import yaml
from PIL import Image

from sightline.data.formats.copying import Copies, require_new, require_plain_names
from sightline.data.formats.mask_classes import classes_of
from sightline.data.formats.mask_pairs import Pairs, belongs_together, folders_of
from sightline.data.formats.pictures import folders_in, voc_roots
from sightline.data.formats.yolo_config import ENDINGS, is_config
from sightline.data.index import Index
from sightline.data.mask_files import MaskFiles
from sightline.data.masks import Masks
from sightline.data.sources import FileSource
from sightline.errors import DataError, ImageError
from sightline.files import storage_error, write_atomic
from sightline.structures import IGNORED

NAME = "mask folder"
CLASSES = "classes.yaml"
"""The file that names the classes, in what is written."""


def recognises(path: Path) -> bool:
    """Whether `path` is a folder of pictures and masks that belong together, or a YAML file in one that describes no boxes."""
    if path.is_file():
        return path.suffix.lower() in ENDINGS and not is_config(path) and recognises(path.parent)
    return bool(_roots(path))


def read(path: Path) -> Index:
    """The data set at `path`; raises `DataError`. Pictures without a mask, and the other way round, are in its `faults`.

    Which values a mask holds is looked at by a check before training, but for masks whose classes no file names.
    """
    config = path if path.is_file() else None
    roots = [path.parent] if config else _roots(path) or [path]
    if len(roots) > 1:
        raise DataError(f"{path} holds several data sets: {', '.join(map(str, roots))}. Give the path of one.")
    root = roots[0].resolve()
    every = folders_of(root) if root.is_dir() and (config is None or path.suffix.lower() in ENDINGS) else []
    if not every:
        raise DataError(
            f"{path} holds no data set of pictures and masks: expected folders images and masks, or 1_mask.png beside 1.jpg."
        )
    pairs = Pairs(root)
    pairs.read(every)
    if not pairs.pictures:
        raise DataError("\n".join([f"{path} holds no picture with a mask:", *pairs.found.lines[:10]]))
    classes = classes_of(root, pairs.masks, config)
    splits = np.array(pairs.splits)
    return Index(
        source=FileSource(root, pairs.pictures),
        annotations=Masks(MaskFiles(root, pairs.masks, classes.coding)),
        class_names=classes.names,
        splits={split: np.flatnonzero(splits == split) for split in sorted(set(pairs.splits) - {""})},
        format=NAME,
        notes=(*classes.notes, *pairs.notes),
        ignored=tuple(
            line for line in pairs.ignored if classes.file is None or not line.startswith(f"{classes.file.name}:")
        ),
        faults=pairs.found.of(len(pairs.pictures)),
    )


def _roots(path: Path) -> list[Path]:
    """The folders whose pictures and masks belong together: `path`, or else those of VOC's years below it."""
    voc = [root for root in voc_roots(path) if {"jpegimages", "segmentationclass"} <= folders_in(root).keys()]
    for roots in [path] * path.is_dir(), voc:
        if fitting := [root for root in roots if any(map(belongs_together, folders_of(root)))]:
            return fitting
    return []


def write(index: Index, path: Path) -> tuple[str, ...]:
    """Write an index of masks into `path`, new or empty: images/, masks/ as palette PNG, and the names in classes.yaml.

    What the format cannot hold comes back, one text each. Pictures are copied as they are. Masks that cannot be read, or have
    not the size of their pictures, raise `ImageError`.
    """
    if not isinstance(index.annotations, Masks):
        raise DataError(f"The data set ({index.format}) has no masks: a mask folder is of pictures with a mask each.")
    require_new(path)
    require_plain_names(index)
    copies = Copies(index, lambda split, _: path / "images" / split)
    palette = label_colours()
    try:
        for copied in copies:
            mask = index.annotations.target(copied.position).mask
            if copied.size() != (mask.shape[1], mask.shape[0]):
                raise ImageError(
                    f"{index.annotations.source.name(copied.position)}: it has not the size of its picture."
                )
            image = Image.fromarray(mask.numpy())
            image.putpalette(palette)
            file = path / "masks" / copied.split / f"{copied.stem}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            image.save(file)
    except OSError as error:
        raise storage_error(path, error) from error
    write_atomic(path / CLASSES, class_file(index.class_names))
    return tuple(copies.lost())


def class_file(class_names: Sequence[str]) -> bytes:
    """What `CLASSES` says of masks whose values are 0..K-1, or `IGNORED`."""
    content = {"names": dict(enumerate(class_names)), "ignore": IGNORED}
    text: str = yaml.safe_dump(content, allow_unicode=True, sort_keys=False)
    return text.encode()


def label_colours() -> list[int]:
    """256 colours that are far apart for the first classes: the bits of a number, in turn, are the upper bits of red, green and blue.

    0 is black; what is ignored is light grey.
    """
    colours = []
    for value in range(IGNORED):
        bits = [value >> bit & 1 for bit in range(8)]
        colours += [sum(bit << (7 - place) for place, bit in enumerate(bits[channel::3])) for channel in range(3)]
    return [*colours, 224, 224, 224]
