"""The page of a check: whole, offline, and safe against names."""

import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sightline.workflows.check import check
from tests.data import faults, sound

EVIL = "<script>alert(1)</script>&'\"x"


class Elements(HTMLParser):
    """Collects elements with their attributes, and text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attributes)))
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def page_of(data: Path, out: Path, **arguments: str) -> Elements:
    check(data, page=out, **arguments)
    elements = Elements(out.read_text())
    assert elements.open == [], "an element is not closed"
    return elements


def images(elements: Elements) -> list[str]:
    return [attributes["src"] or "" for tag, attributes in elements.found if tag == "img"]


def test_it_needs_nothing_from_elsewhere_and_runs_nothing(tmp_path: Path) -> None:
    data = sound.image_folder(tmp_path / "set")
    faults.copy("test/cat/0.png", "train/cat/9.png")(data)
    elements = page_of(data, tmp_path / "page.html")
    assert {tag for tag, _ in elements.found}.isdisjoint({"script", "link", "iframe", "object"})
    assert all(source.startswith("data:image/jpeg;base64,") for source in images(elements))
    assert not re.search(r"https?:|url\(", (tmp_path / "page.html").read_text())
    assert len(images(elements)) == 2, "both pictures of a pair are beside each other"
    assert "train/cat/9.png" in elements.text


def test_names_are_text_and_never_elements(tmp_path: Path) -> None:
    folder = tmp_path / "set" / "train"
    for number, label in enumerate((EVIL.replace("/", "_"), "dog") * 4):
        sound.picture(folder / label / f"{number}{EVIL.replace('/', '_')}.png", number)
    (folder / "dog" / f"{EVIL.replace('/', '_')}.png").write_text("no picture")
    elements = page_of(tmp_path / "set", tmp_path / "page.html")
    assert "script" not in {tag for tag, _ in elements.found}
    assert elements.text.count("<script>alert(1)<_script>&'\"x") >= 2
    assert all(not name.startswith("on") for _, attributes in elements.found for name in attributes)


def test_a_picture_that_cannot_be_decoded_has_a_place(tmp_path: Path) -> None:
    data = sound.coco(tmp_path / "set")
    (data / "train/2.png").write_text("no picture")
    elements = page_of(data, tmp_path / "page.html", format="coco")
    assert images(elements) == []
    assert "cannot be decoded" in elements.text


def test_the_box_that_is_meant_is_marked(tmp_path: Path) -> None:
    import base64
    import io

    data = sound.coco(tmp_path / "set", faults.entry(2, bbox=[20, 4, 0, 5]))
    (source,) = images(page_of(data, tmp_path / "page.html"))
    with Image.open(io.BytesIO(base64.b64decode(source.partition(",")[2]))) as opened:
        drawn = np.asarray(opened.convert("RGB")).astype(int)
    orange = (np.abs(drawn - (213, 94, 0)).sum(-1) < 90).nonzero()
    assert len(orange[0]) > 30
    scale = drawn.shape[1] / sound.WIDTH
    assert np.median(orange[1]) == pytest.approx(20 * scale, abs=15)
    assert np.median(orange[0]) == pytest.approx(6.5 * scale, abs=15)


def test_a_suspicious_mask_is_shown_beside_its_picture(tmp_path: Path) -> None:
    data = sound.mask_folder(tmp_path / "set")
    faults.masked(np.ones((sound.HEIGHT, sound.WIDTH)))(data)
    elements = page_of(data, tmp_path / "page.html")
    assert len(images(elements)) == 2
    assert "masks/train/1.png" in elements.text


def test_of_many_findings_the_first_have_pictures(tmp_path: Path) -> None:
    data = sound.image_folder(tmp_path / "set")
    for number in range(30):
        (data / f"train/cat/bad{number}.png").write_text("no picture")
    elements = page_of(data, tmp_path / "page.html")
    assert elements.text.count("cannot be decoded") == 24 + 1, "24 places, and what the kind is about"
    assert "6 more" in elements.text
    assert "bad29.png" in elements.text


def test_what_cannot_be_read_has_a_page_too(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    elements = page_of(tmp_path / "set", tmp_path / "page.html")
    assert "1 error" in elements.text
    assert "is no data set that Sightline knows" in elements.text
