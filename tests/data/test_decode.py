"""Every mode a picture can come in, against pixels that are known."""

import io
import multiprocessing
import os
import struct
import threading
import time
import zlib
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pytest
import torch
from PIL import Image, ImageFile

from sightline.data.decode import PILLOW_PIXELS, DecodeLimits, decode, decode_file, opened, picture_kind, picture_size
from sightline.errors import ConfigError, ImageError

RAMP = np.arange(256, dtype=np.uint8).reshape(16, 16)


def encoded(image: Image.Image, format: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def png(width: int, height: int, bits: int, kind: int, rows: bytes, *chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG file written out by hand, for what Pillow does not write."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, 0))
    further = b"".join(chunk(*one) for one in chunks)
    return b"\x89PNG\r\n\x1a\n" + header + further + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def pixels(content: bytes) -> np.ndarray:
    image = decode(content, "picture")
    assert image.dtype == torch.uint8
    assert image.shape[0] == 3
    return image.permute(1, 2, 0).numpy()


def grey(content: bytes) -> np.ndarray:
    image = pixels(content)
    assert (image[..., 0] == image[..., 1]).all()
    assert (image[..., 0] == image[..., 2]).all()
    return image[..., 0]


@pytest.mark.parametrize("format", ["PNG", "BMP", "TIFF", "PPM"])
def test_rgb_is_exact(format: str) -> None:
    truth = np.random.default_rng(0).integers(0, 256, (9, 7, 3), dtype=np.uint8)
    assert (pixels(encoded(Image.fromarray(truth), format)) == truth).all()


@pytest.mark.parametrize("format", ["JPEG", "WEBP"])
def test_lossy_formats_are_close(format: str) -> None:
    truth = np.full((16, 16, 3), (200, 100, 50), np.uint8)
    assert np.abs(pixels(encoded(Image.fromarray(truth), format, quality=100)).astype(int) - truth).max() <= 3


def test_grey_has_three_equal_channels() -> None:
    assert (grey(encoded(Image.fromarray(RAMP), "PNG")) == RAMP).all()


def test_one_bit_is_black_and_white() -> None:
    truth = RAMP > 100
    assert (grey(encoded(Image.fromarray(truth), "PNG")) == truth * 255).all()
    assert (grey(encoded(Image.fromarray(truth), "PPM")) == truth * 255).all()


def test_palette_is_looked_up() -> None:
    image = Image.fromarray(np.array([[0, 1], [2, 1]], np.uint8))
    image.putpalette([255, 0, 0, 0, 255, 0, 1, 2, 3])
    truth = [[[255, 0, 0], [0, 255, 0]], [[1, 2, 3], [0, 255, 0]]]
    assert pixels(encoded(image, "PNG")).tolist() == truth
    assert pixels(encoded(image, "GIF")).tolist() == truth


def test_palette_transparency_is_white() -> None:
    image = Image.fromarray(np.array([[0, 1]], np.uint8))
    image.putpalette([255, 0, 0, 0, 255, 0])
    assert pixels(encoded(image, "PNG", transparency=0)).tolist() == [[[255, 255, 255], [0, 255, 0]]]
    assert pixels(encoded(image, "GIF", transparency=0)).tolist() == [[[255, 255, 255], [0, 255, 0]]]
    graded = pixels(encoded(image, "PNG", transparency=bytes([255, 51])))  # 51 / 255 = a fifth of green, the rest white
    assert graded.tolist() == [[[255, 0, 0], [204, 255, 204]]]


def test_alpha_is_composited_on_white() -> None:
    rgba = np.array([[[100, 0, 0, 255], [100, 0, 0, 0], [0, 0, 0, 51]]], np.uint8)
    truth = [[[100, 0, 0], [255, 255, 255], [204, 204, 204]]]
    assert pixels(encoded(Image.fromarray(rgba), "PNG")).tolist() == truth
    assert pixels(encoded(Image.fromarray(rgba), "TIFF")).tolist() == truth
    la = np.array([[[100, 255], [100, 0], [0, 51]]], np.uint8)
    assert grey(encoded(Image.fromarray(la), "PNG")).tolist() == [[100, 255, 204]]


def test_one_transparent_colour_is_white() -> None:
    rgb = Image.fromarray(np.array([[[1, 2, 3], [4, 5, 6]]], np.uint8))
    assert pixels(encoded(rgb, "PNG", transparency=(1, 2, 3))).tolist() == [[[255, 255, 255], [4, 5, 6]]]
    assert grey(encoded(Image.fromarray(RAMP[:1, :2]), "PNG", transparency=0)).tolist() == [[255, 1]]
    two_bits = png(4, 1, 2, 0, b"\0\x1b", (b"tRNS", b"\0\x01"))
    assert grey(two_bits).tolist() == [[0, 255, 170, 255]]
    wide = png(2, 1, 16, 0, b"\0" + struct.pack(">2H", 1000, 60000), (b"tRNS", struct.pack(">H", 1000)))
    assert grey(wide).tolist() == [[255, 233]]
    wide_rgb = struct.pack(">6H", 1000, 2000, 3000, 60000, 0, 0)
    assert pixels(png(2, 1, 16, 2, b"\0" + wide_rgb, (b"tRNS", wide_rgb[:6]))).tolist() == [[[255] * 3, [234, 0, 0]]]


@pytest.mark.parametrize("format", ["PNG", "TIFF", "PPM"])
def test_sixteen_bits_are_scaled_not_clipped(format: str) -> None:
    wide = np.array([[0, 128, 129, 257, 32768, 65535]], np.uint16)
    image = Image.fromarray(wide) if format != "PPM" else Image.fromarray(wide.astype(np.int32))
    assert grey(encoded(image, format)).tolist() == [[0, 0, 1, 1, 128, 255]]  # round(v / 257)


def test_sixteen_bit_tiff_where_zero_is_white() -> None:
    wide = Image.fromarray(np.array([[0, 65535]], np.uint16))
    assert grey(encoded(wide, "TIFF", tiffinfo={262: 0})).tolist() == [[255, 0]]


def test_sixteen_bit_colour_keeps_the_upper_bits() -> None:
    row = struct.pack(">6H", 0, 257, 65535, 65280, 32768, 255)
    assert pixels(png(2, 1, 16, 2, b"\0" + row)).tolist() == [[[0, 1, 255], [255, 128, 0]]]


def test_cmyk() -> None:
    inks = np.array([[0, 0, 0, 0], [255, 0, 0, 0], [0, 255, 0, 0], [0, 0, 255, 0], [0, 0, 0, 255], [0, 0, 0, 55]])
    truth = np.array([[255] * 3, [0, 255, 255], [255, 0, 255], [255, 255, 0], [0] * 3, [200] * 3])
    image = Image.fromarray(np.repeat(inks, 8, axis=0)[None].repeat(8, axis=0).astype(np.uint8), "CMYK")
    jpeg = encoded(image, "JPEG", quality=100)
    assert b"Adobe" in jpeg[:20]
    for content in (jpeg, encoded(image, "TIFF")):
        assert np.abs(pixels(content)[4, 4::8].astype(int) - truth).max() <= 2


def _oriented(values: np.ndarray, orientation: int) -> np.ndarray:
    """What a viewer shows, from the definition: where the stored row 0 and column 0 lie."""
    return {
        1: values,  # top, left
        2: values[:, ::-1],  # top, right
        3: values[::-1, ::-1],  # bottom, right
        4: values[::-1],  # bottom, left
        5: values.T,  # left, top
        6: values.T[:, ::-1],  # right, top
        7: values[::-1, ::-1].T,  # right, bottom
        8: values.T[::-1],  # left, bottom
    }[orientation]


@pytest.mark.parametrize("format", ["PNG", "TIFF", "WEBP", "JPEG"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation(format: str, orientation: int) -> None:
    blocks = np.array([[0, 90, 180], [60, 120, 240]], np.uint8)
    stored = blocks.repeat(16, axis=0).repeat(16, axis=1)
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"PNG": {}, "TIFF": {}, "WEBP": {"lossless": True}, "JPEG": {"quality": 100}}[format]
    seen = grey(
        encoded(Image.fromarray(stored).convert("RGB" if format == "WEBP" else "L"), format, exif=exif, **options)
    )
    truth = _oriented(stored, orientation)
    assert seen.shape == truth.shape
    assert np.abs(seen.astype(int) - truth).max() <= 2


@pytest.mark.parametrize("size", [(1, 1), (17, 9), (64, 48)])
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize(
    "how", [{}, {"subsampling": 0}, {"subsampling": 1}, {"progressive": True}, {"quality": 3}, {"keep_rgb": True}]
)
def test_a_jpeg_has_the_same_pixels_by_either_decoder(
    monkeypatch: pytest.MonkeyPatch, size: tuple[int, int], mode: str, how: dict[str, int]
) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    for orientation in (None, 1, 6):
        file, exif = io.BytesIO(), Image.Exif()
        if orientation is not None:
            exif[0x0112] = orientation
        Image.fromarray(noise).resize(size, Image.Resampling.BICUBIC).convert(mode).save(file, "JPEG", exif=exif, **how)
        with monkeypatch.context() as without:
            without.setattr("sightline.data.decode.simplejpeg", None)
            expected = decode(file.getvalue(), "a.jpg")
        found = decode(file.getvalue(), "a.jpg")
        assert found.shape[1:] == (size if orientation == 6 else size[::-1])
        assert torch.equal(found, expected)


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize(
    "how", [{}, {"keep_rgb": True}, {"exif": Image.Exif()}, {"comment": b"x" * 60_000, "icc_profile": b"y" * 90_000}]
)
def test_the_kind_of_a_jpeg_is_pillows(mode: str, how: dict[str, Any], tmp_path: Path) -> None:
    Image.fromarray(RAMP).convert(mode).save(tmp_path / "a.jpg", "JPEG", **how)
    with Image.open(tmp_path / "a.jpg") as image:
        assert picture_kind(tmp_path / "a.jpg") == (image.format, image.mode)


def test_a_jpeg_with_damaged_pixels_is_left_to_pillow(monkeypatch: pytest.MonkeyPatch) -> None:
    file = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(file, "JPEG")
    content = file.getvalue()[:-900] + b"\xff\xd9"  # it ends before its last rows, and says so
    found = decode(content, "a.jpg")
    monkeypatch.setattr("sightline.data.decode.simplejpeg", None)
    assert torch.equal(found, decode(content, "a.jpg"))


def test_a_jpeg_that_says_nothing_of_its_orientation_is_not_opened_by_pillow(monkeypatch: pytest.MonkeyPatch) -> None:
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    xmp += b'<rdf:Description xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="6"/></rdf:RDF></x:xmpmeta>'
    wide, more = Image.new("RGB", (8, 4), "red"), Image.new("RGB", (8, 4), "blue")
    plain = encoded(wide, "JPEG", comment=b"x" * 300, icc_profile=b"y" * 70_000)
    others = [encoded(wide, "JPEG", xmp=xmp), encoded(wide, "MPO", save_all=True, append_images=[more])]
    opens: list[str] = []

    def counting(file: BinaryIO, name: str, limits: DecodeLimits) -> Image.Image:
        opens.append(name)
        return opened(file, name, limits)

    monkeypatch.setattr("sightline.data.decode.opened", counting)
    assert pixels(plain).shape == (4, 8, 3)
    assert opens == []
    assert [pixels(other).shape for other in others] == [(8, 4, 3), (4, 8, 3)]
    with pytest.raises(ImageError, match="it claims 8 x 4 pixels, more than the limit of 31"):
        decode(plain, "large.jpg", DecodeLimits(pixels=31))
    assert len(opens) == 3


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_process_that_is_forked_while_another_thread_decodes_can_decode() -> None:
    content, reads = encoded(Image.fromarray(RAMP), "PNG"), threading.Event()

    class Slow(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            if not reads.is_set():
                reads.set()
                time.sleep(0.5)
            return super().read(size)

    reader = threading.Thread(target=opened, args=(Slow(content), "slow.png", DecodeLimits()))
    reader.start()
    reads.wait()
    process = multiprocessing.get_context("fork").Process(target=decode, args=(content, "a.png"))
    process.start()
    process.join(30)
    ended = process.exitcode
    process.kill()
    reader.join()
    assert ended == 0


def test_first_picture_of_an_animation() -> None:
    frames = [Image.new("RGB", (4, 4), color) for color in ("red", "blue")]
    assert pixels(encoded(frames[0], "GIF", save_all=True, append_images=frames[1:]))[0, 0].tolist() == [255, 0, 0]


def test_broken_metadata_does_no_harm() -> None:
    jpeg = encoded(Image.fromarray(RAMP), "JPEG", exif=b"Exif\0\0II*\0\x08\0\0\0\xff\xff" + b"\x12\x01" * 9)
    assert pixels(jpeg).shape == (16, 16, 3)


NOISE = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)


@pytest.mark.parametrize("format", ["JPEG", "PNG", "BMP", "GIF", "TIFF", "WEBP", "PPM"])
@pytest.mark.parametrize("share", [0.02, 0.5, 0.9])
def test_truncated(format: str, share: float) -> None:
    content = encoded(Image.fromarray(NOISE), format)
    with pytest.raises(ImageError, match=r"^cut\.x: "):
        decode(content[: int(share * len(content))], "cut.x")


@pytest.mark.parametrize("format", ["JPEG", "PNG", "GIF", "TIFF", "WEBP"])
def test_a_file_cut_within_its_header_is_not_called_another_kind(format: str) -> None:
    with pytest.raises(ImageError, match=r"damaged(,| or) incomplete"):
        decode(encoded(Image.fromarray(NOISE), format)[:16], "x")


def test_damaged_png() -> None:
    content = bytearray(encoded(Image.fromarray(NOISE), "PNG"))
    content[len(content) // 2] ^= 255
    with pytest.raises(ImageError, match="damaged"):
        decode(bytes(content), "x.png")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "the file is empty"),
        (b"this is a text", "begins with b'this is '; a picture in one of the formats JPEG, PNG"),
        (b"version https://git-lfs.github.com/spec/v1\noid", "git lfs pull"),
        (b"<!DOCTYPE html><html>", "web page"),
        (b"\0\0\0\x18ftypheic\0\0\0\0", "HEIC"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "begins with"),
    ],
)
def test_what_is_no_picture_says_so(content: bytes, reason: str) -> None:
    with pytest.raises(ImageError) as caught:
        decode(content, "folder/a.jpg")
    assert str(caught.value).startswith("folder/a.jpg: ")
    assert reason in str(caught.value)


def test_formats_that_are_not_allowed() -> None:
    for format in ("ICO", "JPEG2000", "TGA", "PDF"):
        with pytest.raises(ImageError, match="was expected"):
            decode(encoded(Image.new("RGB", (32, 32)), format), "x.png")


@pytest.mark.parametrize("side", [30_000, 12_000])
def test_pixel_limit_is_checked_before_decoding(side: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda self: pytest.fail("it was decoded"))
    bomb = png(side, side, 8, 2, b"")
    with pytest.raises(ImageError, match=r"pixels, .*limit.*nothing was decoded"):
        decode(bomb, "bomb.png", DecodeLimits(pixels=100_000_000))


def test_byte_limit_is_checked_before_reading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "large.png"
    path.write_bytes(bytes(2000))
    with pytest.raises(ImageError, match=r"large\.png: the file has 2,000 bytes, more than the limit of 1,999"):
        decode_file(path, "large.png", DecodeLimits(bytes=1999))
    with pytest.raises(ImageError, match="more than the limit"):
        decode(bytes(2000), "large.png", DecodeLimits(bytes=1999))


def test_missing_file() -> None:
    with pytest.raises(ImageError, match=r"a\.png: the file cannot be read \(No such file"):
        decode_file(Path("/nowhere/a.png"), "a.png")


def test_values_without_a_known_range_are_refused() -> None:
    for mode in ("I", "F"):
        with pytest.raises(ImageError, match="no known range"):
            decode(encoded(Image.new(mode, (4, 4)), "TIFF"), "x.tif")


@pytest.mark.parametrize("limits", [{"pixels": 0}, {"pixels": PILLOW_PIXELS + 1}, {"bytes": 0}])
def test_limits_out_of_range(limits: dict[str, int]) -> None:
    with pytest.raises(ConfigError):
        DecodeLimits(**limits)


def test_what_comes_out_may_be_written_to() -> None:
    image = decode(encoded(Image.fromarray(RAMP), "PNG"), "x")
    image[0, 0, 0] = 9
    wide = decode(encoded(Image.fromarray(RAMP.astype(np.uint16)), "PNG"), "x").clone()
    wide[0, 0, 0] = 9


@pytest.mark.parametrize("format", ["JPEG", "PNG", "TIFF", "WEBP", "BMP", "GIF"])
@pytest.mark.parametrize("orientation", [1, 3, 6])
def test_the_size_of_a_picture_is_that_of_the_decoded_one(tmp_path: Path, format: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = encoded(Image.new("RGB", (20, 10)), format, **({"exif": exif} if format not in ("BMP", "GIF") else {}))
    (tmp_path / "a").write_bytes(content)
    height, width = decode(content, "a").shape[1:]
    assert picture_size(tmp_path / "a") == (width, height)


def test_an_orientation_behind_the_pixels_of_a_png(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 8
    content = png(6, 3, 8, 0, (b"\0" + bytes(6)) * 3)
    chunk = exif.tobytes().removeprefix(b"Exif\0\0")
    late = struct.pack(">I", len(chunk)) + b"eXIf" + chunk + struct.pack(">I", zlib.crc32(b"eXIf" + chunk))
    (tmp_path / "a.png").write_bytes(content[:-12] + late + content[-12:])
    assert decode((tmp_path / "a.png").read_bytes(), "a").shape == (3, 6, 3)
    assert picture_size(tmp_path / "a.png") == (3, 6)


def test_the_size_of_a_picture_needs_its_header_alone(tmp_path: Path) -> None:
    for format in ("JPEG", "PNG"):
        content = encoded(Image.fromarray(RAMP), format)
        (tmp_path / "a").write_bytes(content[:-20])
        assert picture_size(tmp_path / "a") == (16, 16)
    for content in (b"", b"nothing", b"\xff\xd8"):
        (tmp_path / "a").write_bytes(content)
        assert picture_size(tmp_path / "a") is None
    assert picture_size(tmp_path / "absent") is None
