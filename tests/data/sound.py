"""Small data sets with which nothing is wrong, one of each format, for `faults` to break."""

import gzip
import io
import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

SPLITS = {"train": 4, "val": 2, "test": 2}
CLASSES = ("cat", "dog")
WIDTH, HEIGHT = 32, 16
Table = dict[str, Any]


def pixels(seed: int, width: int = WIDTH, height: int = HEIGHT) -> np.ndarray:
    """(height, width, 3) noise; each seed has its own."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def picture(path: Path, seed: int, width: int = WIDTH, height: int = HEIGHT) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels(seed, width, height)).save(path)
    return path


def names() -> list[tuple[str, int, str]]:
    """Split, label and name of each picture of a data set of classes."""
    return [
        (split, label, f"{split}{label}{number}")
        for split, count in SPLITS.items()
        for label in range(2)
        for number in range(count)
    ]


def image_folder(root: Path) -> Path:
    for seed, (split, label, _) in enumerate(names()):
        folder = root / split / CLASSES[label]
        picture(folder / f"{len(list(folder.glob('*'))) if folder.is_dir() else 0}.png", seed)
    return root


def csv(root: Path) -> Path:
    lines = ["path,label,split"]
    for seed, (split, label, name) in enumerate(names()):
        picture(root / f"{name}.png", seed)
        lines.append(f"{name}.png,{CLASSES[label]},{split}")
    (root / "set.csv").write_text("\n".join(lines) + "\n")
    return root / "set.csv"


def encoded(seed: int) -> bytes:
    content = io.BytesIO()
    Image.fromarray(pixels(seed)).save(content, "PNG")
    return content.getvalue()


def parquet_rows() -> dict[str, list[tuple[bytes | None, int | None]]]:
    """Split -> the bytes and the label of each row."""
    rows: dict[str, list[tuple[bytes | None, int | None]]] = {}
    for seed, (split, label, _) in enumerate(names()):
        rows.setdefault(split, []).append((encoded(seed), label))
    return rows


def parquet(root: Path, rows: dict[str, Any] | None = None, classes: dict[str, list[str]] | None = None) -> Path:
    import pyarrow as pa
    import pyarrow.parquet as pq

    root.mkdir(parents=True, exist_ok=True)
    for split, held in (rows or parquet_rows()).items():
        table = pa.table(
            {
                "image": pa.array([{"bytes": content, "path": None} for content, _ in held]),
                "label": pa.array([label for _, label in held], pa.int64()),
            }
        )
        label = {"_type": "ClassLabel", "names": (classes or {}).get(split, list(CLASSES))}
        features = {"info": {"features": {"image": {"_type": "Image"}, "label": label}}}
        table = table.replace_schema_metadata({"huggingface": json.dumps(features)})
        pq.write_table(table, root / f"{split}-00000-of-00001.parquet")
    return root


def idx(root: Path) -> Path:
    root.mkdir(parents=True, exist_ok=True)
    for split, prefix in (("train", "train"), ("test", "t10k")):
        held = [(seed, label) for seed, (of, label, _) in enumerate(names()) if of == split]
        grey = np.stack([pixels(seed)[..., 0] for seed, _ in held])
        idx_file(root / f"{prefix}-images-idx3-ubyte.gz", grey)
        idx_file(root / f"{prefix}-labels-idx1-ubyte.gz", np.array([label for _, label in held], np.uint8))
    return root


def idx_file(path: Path, values: np.ndarray) -> None:
    header = bytes((0, 0, 8, values.ndim)) + struct.pack(f">{values.ndim}I", *values.shape)
    path.write_bytes(gzip.compress(header + values.tobytes(), mtime=0))


def coco(root: Path, change: Callable[[Table], object] | None = None, outlines: bool = False) -> Path:
    """Annotations 1, 2, ... of images 1, 2, ...: a cat and a dog on each picture. `change` gets the table of the train split."""
    for split, count in SPLITS.items():
        images, annotations = [], []
        for number in range(1, count + 1):
            picture(root / split / f"{number}.png", 100 * len(split) + number)
            images.append({"id": number, "file_name": f"{number}.png", "width": WIDTH, "height": HEIGHT})
            for category in (1, 2):
                box = [4 * category, 3 + number, 8, 7]
                row = {
                    "id": len(annotations) + 1,
                    "image_id": number,
                    "category_id": category,
                    "bbox": box,
                    "iscrowd": 0,
                }
                if outlines:
                    left, top, width, height = box
                    row["segmentation"] = [
                        [left, top, left + width, top, left + width, top + height, left, top + height]
                    ]
                annotations.append(row)
        categories = [{"id": number, "name": name} for number, name in enumerate(CLASSES, start=1)]
        table = {"images": images, "annotations": annotations, "categories": categories}
        if split == "train" and change is not None:
            change(table)
        (root / "annotations").mkdir(exist_ok=True)
        (root / f"annotations/instances_{split}.json").write_text(json.dumps(table))
    return root


def coco_masks(root: Path, change: Callable[[Table], object] | None = None) -> Path:
    return coco(root, change, outlines=True)


VOC_OBJECT = (
    "  <object>\n    <name>{}</name>\n    <difficult>0</difficult>\n"
    "    <bndbox><xmin>{}</xmin><ymin>{}</ymin><xmax>{}</xmax><ymax>{}</ymax></bndbox>\n  </object>\n"
)


def voc_xml(*objects: tuple[Any, ...], width: int = WIDTH, height: int = HEIGHT, name: str = "train1.png") -> str:
    """The first object is in line 4, the second in line 9."""
    size = f"  <size><width>{width}</width><height>{height}</height><depth>3</depth></size>\n"
    body = "".join(VOC_OBJECT.format(*row) for row in objects)
    return f"<annotation>\n  <filename>{name}</filename>\n{size}{body}</annotation>\n"


def voc(root: Path) -> Path:
    for split, count in SPLITS.items():
        stems = [f"{split}{number}" for number in range(1, count + 1)]
        for number, stem in enumerate(stems, start=1):
            picture(root / f"JPEGImages/{stem}.png", 100 * len(split) + number)
            boxes = ("cat", 2, 3, 10, 9 + number), ("dog", 8, 5, 20, 15)
            (root / "Annotations").mkdir(exist_ok=True)
            (root / f"Annotations/{stem}.xml").write_text(voc_xml(*boxes, name=f"{stem}.png"))
        (root / "ImageSets/Main").mkdir(parents=True, exist_ok=True)
        (root / f"ImageSets/Main/{split}.txt").write_text("".join(f"{stem}\n" for stem in stems))
    return root


def yolo(root: Path) -> Path:
    for split, count in SPLITS.items():
        for number in range(1, count + 1):
            picture(root / f"images/{split}/{number}.png", 100 * len(split) + number)
            (root / f"labels/{split}").mkdir(parents=True, exist_ok=True)
            (root / f"labels/{split}/{number}.txt").write_text(f"0 0.3 0.4 0.2 0.3{number}\n1 0.6 0.5 0.3 0.4\n")
    keys = "".join(f"{split}: images/{split}\n" for split in SPLITS)
    (root / "data.yaml").write_text(f"path: .\n{keys}names: [cat, dog]\n")
    return root


def mask(path: Path, values: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values.astype(np.uint8)).save(path)


def half(number: int) -> np.ndarray:
    """A mask of which a part that depends on `number` is class 1, and the rest class 0."""
    values = np.zeros((HEIGHT, WIDTH), np.uint8)
    values[: 4 + number, :9] = 1
    return values


def mask_folder(root: Path) -> Path:
    for split, count in SPLITS.items():
        for number in range(1, count + 1):
            picture(root / f"images/{split}/{number}.png", 100 * len(split) + number)
            mask(root / f"masks/{split}/{number}.png", half(number))
    (root / "classes.txt").write_text("ground\nroad\n")
    return root


SOUND: dict[str, Callable[[Path], Path]] = {
    "image folder": image_folder,
    "csv": csv,
    "parquet": parquet,
    "idx": idx,
    "coco": coco,
    "voc": voc,
    "yolo": yolo,
    "mask folder": mask_folder,
    "coco masks": coco_masks,
}
"""Format -> how a sound data set of it is written into a folder; what comes back is what to name."""
