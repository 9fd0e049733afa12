"""The image reader: each kind of file by its documented rule, each bad file refused in one line; and resizing."""

from __future__ import annotations

import errno
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from forgery_rcnn.data import images
from forgery_rcnn.errors import InputError

RNG = np.random.default_rng(0)
HEIGHT, WIDTH = 11, 17
RGB = RNG.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
GREY16 = RNG.integers(0, 65536, (HEIGHT, WIDTH), dtype=np.uint16)
ALPHA = RNG.integers(0, 256, (HEIGHT, WIDTH), dtype=np.uint8)
ROTATED = Image.Exif()
ROTATED[0x0112] = 6
PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))


def picture(pixels: np.ndarray = RGB) -> Image.Image:
    return Image.fromarray(pixels)


def saved(path: Path, image: Image.Image, **options: Any) -> Path:
    image.save(path, **options)
    return path


def grey(values: np.ndarray) -> np.ndarray:
    """(H, W) -> (H, W, 3)."""
    return np.repeat(values[:, :, None], 3, axis=2)


def over_white(pixels: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """(H, W, 3), (H, W) 0..255 -> (H, W, 3) float."""
    part = alpha[:, :, None] / 255
    return pixels * part + 255 * (1 - part)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(rows: bytes, size: tuple[int, int] = (HEIGHT, WIDTH), interlaced: int = 0, idat: int = 1) -> bytes:
    """Filtered rows of 8-bit RGB -> a PNG with right checksums, its stream cut into `idat` chunks."""
    packed = zlib.compress(rows)
    step = -(-len(packed) // idat)
    parts = b"".join(chunk(b"IDAT", packed[at : at + step]) for at in range(0, len(packed), step))
    head = struct.pack(">IIBBBBB", size[1], size[0], 8, 2, 0, 0, interlaced)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + parts + chunk(b"IEND", b"")


def filtered(pixels: np.ndarray) -> bytes:
    return b"".join(b"\0" + row.tobytes() for row in pixels if row.size)


def adam7(pixels: np.ndarray) -> bytes:
    return b"".join(filtered(pixels[y0::dy, x0::dx]) for x0, y0, dx, dy in PASSES)


@pytest.mark.parametrize(
    ("name", "image", "options"),
    [
        ("rgb.png", picture(), {}),
        ("level9.png", picture(), {"compress_level": 9}),
        ("lzw.tif", picture(), {"compression": "tiff_lzw"}),
        ("deflate.tiff", picture(), {"compression": "tiff_adobe_deflate"}),
        ("rgb.bmp", picture(), {}),
        ("lossless.webp", picture(), {"lossless": True}),
        ("UPPER.PNG", picture(), {}),
    ],
)
def test_rgb_is_read_as_it_is(name: str, image: Image.Image, options: dict[str, Any], tmp_path: Path) -> None:
    found = images.read(saved(tmp_path / name, image, **options))
    assert np.array_equal(found.pixels, RGB)
    assert (found.mode, found.notes) == ("RGB", ())


def test_grey_is_the_same_in_all_channels(tmp_path: Path) -> None:
    found = images.read(saved(tmp_path / "l.png", picture(RGB[:, :, 0])))
    assert np.array_equal(found.pixels, grey(RGB[:, :, 0])) and (found.mode, found.notes) == ("L", ())


@pytest.mark.parametrize("name", ["grey.png", "grey.tif", "lzw.tif", "bigendian.tif", "32bit.tif"])
def test_16_bit_grey_is_divided_by_257(name: str, tmp_path: Path) -> None:
    image = {
        "bigendian.tif": Image.frombytes("I;16B", (WIDTH, HEIGHT), GREY16.astype(">u2").tobytes()),
        "32bit.tif": picture(GREY16.astype(np.int32)),
    }.get(name, picture(GREY16))
    found = images.read(saved(tmp_path / name, image, **({"compression": "tiff_lzw"} if name == "lzw.tif" else {})))
    assert np.array_equal(found.pixels, grey(np.rint(GREY16 / 257).astype(np.uint8)))
    assert found.notes == ("16 bit / 257",)


def test_16_bit_tiff_whose_white_is_zero(tmp_path: Path) -> None:
    values = np.array([[0, 13107, 65535]], np.uint16)
    found = images.read(saved(tmp_path / "w.tif", picture(values), tiffinfo={262: 0}))
    assert found.pixels[0, :, 0].tolist() == [255, 204, 0]


@pytest.mark.parametrize("name", ["x.png", "x.tif"])
def test_16_bit_colour_keeps_its_upper_byte(name: str, tmp_path: Path) -> None:
    values = np.dstack([GREY16, GREY16[::-1], GREY16[:, ::-1]])
    assert cv2.imwrite(str(tmp_path / name), values[:, :, ::-1])
    found = images.read(tmp_path / name)
    assert np.array_equal(found.pixels, values >> 8) and found.mode == "RGB"


def test_16_bit_ends_of_the_scale(tmp_path: Path) -> None:
    ends = np.array([[0, 128, 129, 65535]], np.uint16)
    assert images.read(saved(tmp_path / "ends.png", picture(ends))).pixels[0, :, 0].tolist() == [0, 0, 1, 255]


@pytest.mark.parametrize(
    ("low", "top", "said"), [(0, 511, 511), (7, 300, 511), (0, 4095, 4095), (0, 4096, None), (300, 300, None)]
)
def test_16_bit_grey_of_few_levels_is_noted(low: int, top: int, said: int | None, tmp_path: Path) -> None:
    found = images.read(saved(tmp_path / "dark.png", picture(np.array([[low, top]], np.uint16))))
    noted = (f"levels up to {said} of 65535: seen nearly black; spread them before saving",) if said else ()
    assert found.notes == ("16 bit / 257", *noted) and found.unseen == noted


@pytest.mark.parametrize("top", [1.0, 255.0])
def test_float_tiff(top: float, tmp_path: Path) -> None:
    values = (RNG.random((HEIGHT, WIDTH)) * top).astype(np.float32)
    values[0, 0] = top
    found = images.read(saved(tmp_path / "f.tif", picture(values)))
    assert np.array_equal(found.pixels, grey(np.rint(values * (255 / top)).astype(np.uint8)))
    assert found.notes == (f"float x{255 / top:g}",)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -0.1, 255.5])
def test_float_tiff_out_of_range_is_refused(bad: float, tmp_path: Path, refused) -> None:
    values = np.zeros((3, 3), np.float32)
    values[1, 1] = bad
    with refused("f.tif: float pixels outside 0..255 or not finite"):
        images.read(saved(tmp_path / "f.tif", picture(values)))


@pytest.mark.parametrize("bad", [-1, 65536])
def test_integers_beyond_16_bits_are_refused(bad: int, tmp_path: Path, refused) -> None:
    with refused("i.tif: pixel values", str(bad), "0..65535"):
        images.read(saved(tmp_path / "i.tif", picture(np.array([[0, bad]], np.int32))))


def test_palette(tmp_path: Path) -> None:
    image = picture().quantize(8)
    found = images.read(saved(tmp_path / "p.png", image))
    assert np.array_equal(found.pixels, np.asarray(image.convert("RGB")))
    assert (found.mode, found.notes) == ("P", ("P converted to RGB",))


def test_palette_with_a_transparent_colour_shows_white_there(tmp_path: Path) -> None:
    image = picture().quantize(8)
    index, plain = np.asarray(image), np.asarray(image.convert("RGB"))
    found = images.read(saved(tmp_path / "p.png", image, transparency=3))
    assert (index == 3).any()
    assert np.array_equal(found.pixels, np.where((index == 3)[:, :, None], 255, plain))
    assert found.notes == ("alpha over white",)


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.webp"])
def test_rgba_over_white(name: str, tmp_path: Path) -> None:
    image = picture(np.dstack([RGB, ALPHA]))
    found = images.read(
        saved(tmp_path / name, image, **({"lossless": True, "exact": True} if name == "a.webp" else {}))
    )
    assert np.abs(found.pixels - over_white(RGB, ALPHA)).max() <= 1
    assert (found.mode, found.notes) == ("RGBA", ("alpha over white",))


def test_grey_with_alpha_over_white(tmp_path: Path) -> None:
    found = images.read(saved(tmp_path / "la.png", picture(np.dstack([RGB[:, :, 0], ALPHA]))))
    assert np.abs(found.pixels - over_white(grey(RGB[:, :, 0]), ALPHA)).max() <= 1
    assert found.mode == "LA"


def test_transparent_colour_of_an_rgb_png_shows_white_there(tmp_path: Path) -> None:
    found = images.read(saved(tmp_path / "t.png", picture(), transparency=tuple(RGB[4, 5].tolist())))
    expected = RGB.copy()
    expected[np.equal(RGB, RGB[4, 5]).all(axis=2)] = 255
    assert np.array_equal(found.pixels, expected)


def test_bilevel(tmp_path: Path) -> None:
    found = images.read(saved(tmp_path / "b.png", picture(RGB[:, :, 0] > 99)))
    assert np.array_equal(found.pixels, grey(np.where(RGB[:, :, 0] > 99, 255, 0)))
    assert found.mode == "1"


def test_cmyk_jpeg(tmp_path: Path) -> None:
    """No ink is white, black ink is black, cyan ink takes the red away."""
    inks = np.zeros((16, 48, 4), np.uint8)
    inks[:, 16:32, 3] = inks[:, 32:, 0] = 255
    found = images.read(saved(tmp_path / "c.jpg", Image.fromarray(inks, "CMYK"), quality=95))
    assert (found.mode, found.notes) == ("CMYK", ("CMYK converted to RGB",))
    for x, colour in ((8, (255, 255, 255)), (24, (0, 0, 0)), (40, (0, 255, 255))):
        assert found.pixels[8, x].tolist() == pytest.approx(colour, abs=6)


@pytest.mark.parametrize("name", ["r.jpg", "r.png", "r.webp"])
def test_exif_orientation_is_noted_and_not_applied(name: str, tmp_path: Path) -> None:
    plain = images.read(saved(tmp_path / f"plain-{name}", picture()))
    turned = images.read(saved(tmp_path / name, picture(), exif=ROTATED))
    assert turned.pixels.shape == (HEIGHT, WIDTH, 3) and np.array_equal(turned.pixels, plain.pixels)
    assert (plain.notes, turned.notes) == ((), ("EXIF orientation not applied",))


@pytest.mark.parametrize("name", ["r.jpg", "r.png", "r.webp"])
@pytest.mark.parametrize("block", [b"Exif\0\0" + b"\0" * 20, b"Exif\0\0II*\0\xff\xff\xff\xff", b"GARBAGE"])
def test_unreadable_exif_costs_no_picture(name: str, block: bytes, tmp_path: Path) -> None:
    found = images.read(saved(tmp_path / name, picture(), exif=block, dpi=(300, 300)))
    assert np.array_equal(found.pixels, images.read(saved(tmp_path / f"plain-{name}", picture())).pixels)


@pytest.mark.parametrize("name", ["m.gif", "m.tif", "m.png", "m.webp", "m.jpg"])
def test_first_frame_of_several(name: str, tmp_path: Path) -> None:
    """m.jpg is an MPO file, as stereo cameras write."""
    frames = [picture(np.full((HEIGHT, WIDTH, 3), value, np.uint8)) for value in (40, 200, 90)]
    options = {"m.jpg": {"format": "MPO"}, "m.webp": {"lossless": True}}.get(name, {})
    found = images.read(saved(tmp_path / name, frames[0], save_all=True, append_images=frames[1:], **options))
    assert found.pixels.shape == (HEIGHT, WIDTH, 3) and (found.pixels == 40).all()
    assert found.notes[0] == "first of 3 frames" and found.unseen == found.notes[:1]


@pytest.mark.parametrize("size", [(HEIGHT, WIDTH), (1, 1), (3, 1), (1, 5), (8, 8)])
def test_interlaced_png(size: tuple[int, int], tmp_path: Path) -> None:
    pixels = RGB[: size[0], : size[1]]
    (tmp_path / "i.png").write_bytes(png(adam7(pixels), size, interlaced=1))
    assert np.array_equal(images.read(tmp_path / "i.png").pixels, pixels)


def test_png_in_many_chunks(tmp_path: Path) -> None:
    (tmp_path / "i.png").write_bytes(png(filtered(RGB), idat=9))
    assert np.array_equal(images.read(tmp_path / "i.png").pixels, RGB)


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 1)])
@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "I;16", "1", "P"])
def test_thin_images_of_every_mode(size: tuple[int, int], mode: str, tmp_path: Path) -> None:
    found = images.read(saved(tmp_path / "x.png", Image.new(mode, size[::-1])))
    assert found.pixels.shape == (*size, 3) and found.mode == mode


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.gif"])
def test_pixels_may_be_written_to(name: str, tmp_path: Path) -> None:
    pixels = images.read(saved(tmp_path / name, picture())).pixels
    assert pixels.dtype == np.uint8 and pixels.flags["C_CONTIGUOUS"] and pixels.flags["WRITEABLE"]


READERS = pytest.mark.parametrize("reader", [images.read, images.header_size], ids=lambda f: f.__name__)
Reader = Callable[[Path], Any]


@READERS
def test_missing_file_and_folder(reader: Reader, tmp_path: Path, refused) -> None:
    (tmp_path / "x.png").mkdir()
    for name in ("x.png", "none.png"):
        with refused(f"{tmp_path / name}: no such image file"):
            reader(tmp_path / name)


@READERS
@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "empty (0 bytes)"),
        (b"not an image\nat all", "not an image that can be read"),
        (b"\x89PNG\r\n\x1a\n" + RNG.bytes(500), ""),
        (b"\x89PNG\r\n\x1a\n", ""),
        (RNG.bytes(3000), "not an image that can be read"),
        (
            b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n%%EOF\n",
            "not an image that can be read",
        ),
        (png(b"", (50_000, 50_000)), "more than 178,956,970 pixels; cut it"),
        (png(b"", (13_378, 13_378)), "more than 178,956,970 pixels; cut it"),
    ],
    ids=["empty", "text", "random after signature", "signature", "random", "EPS", "50000 square", "179 million"],
)
def test_what_is_no_image_at_all(reader: Reader, content: bytes, said: str, tmp_path: Path, refused) -> None:
    (tmp_path / "x.png").write_bytes(content)
    with refused("x.png: ", said):
        reader(tmp_path / "x.png")


@READERS
def test_a_file_that_may_not_be_read_is_not_called_damaged(
    reader: Reader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused
) -> None:
    def denied(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    path = saved(tmp_path / "x.png", picture())
    monkeypatch.setattr(Image, "open", denied)
    with refused("x.png: cannot be read (Permission denied)"):
        reader(path)


def test_header_size_decodes_nothing(tmp_path: Path) -> None:
    (tmp_path / "x.png").write_bytes(png(b"", (10_000, 12_000)))
    assert images.header_size(tmp_path / "x.png") == (10_000, 12_000)
    assert images.header_size(saved(tmp_path / "r.jpg", picture(), exif=ROTATED)) == (HEIGHT, WIDTH)


@pytest.mark.parametrize("rows", [0, 1, HEIGHT // 2, HEIGHT - 1])
@pytest.mark.parametrize("interlaced", [0, 1])
def test_png_with_rows_missing_from_a_well_formed_stream(rows: int, interlaced: int, tmp_path: Path, refused) -> None:
    """Every checksum is right and Pillow says nothing: it would fill the missing rows with black."""
    stream = (adam7 if interlaced else filtered)(RGB)
    (tmp_path / "x.png").write_bytes(png(stream[: len(stream) * rows // HEIGHT], interlaced=interlaced))
    with refused("x.png: truncated image: "):
        images.read(tmp_path / "x.png")


@pytest.mark.parametrize("size", [(1, 1), (2, 2), (3, 5), (5, 3), (8, 9), (11, 17)])
@pytest.mark.parametrize("interlaced", [0, 1])
def test_png_whose_last_byte_is_missing(size: tuple[int, int], interlaced: int, tmp_path: Path, refused) -> None:
    stream = (adam7 if interlaced else filtered)(RGB[: size[0], : size[1]])
    (tmp_path / "x.png").write_bytes(png(stream[:-1], size, interlaced))
    with refused("x.png: truncated image: ", f"{len(stream) - 1:,} of {len(stream):,} bytes"):
        images.read(tmp_path / "x.png")


def test_png_that_unpacks_to_far_more_than_its_pixels(tmp_path: Path) -> None:
    """A stream of 50 MB for 561 bytes of pixels: read like Pillow does, without unpacking the rest."""
    import tracemalloc

    (tmp_path / "x.png").write_bytes(png(filtered(RGB) + bytes(50_000_000)))
    tracemalloc.start()
    found = images.read(tmp_path / "x.png").pixels
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert np.array_equal(found, RGB) and peak < 5_000_000


CUT = {
    "x.png": {},
    "x.jpg": {},
    "progressive.jpg": {"progressive": True},
    "x.tif": {},
    "lzw.tif": {"compression": "tiff_lzw"},
    "x.bmp": {},
    "x.webp": {},
    "x.gif": {},
    "two.gif": {"save_all": True, "append_images": [picture(RGB[::-1])]},
    "two.tif": {"save_all": True, "append_images": [picture(RGB[::-1])]},
}


@pytest.mark.parametrize("name", CUT)
def test_truncated_file_is_refused_unless_all_pixels_are_there(name: str, tmp_path: Path, refused) -> None:
    path = saved(tmp_path / name, picture(), **CUT[name])
    data, whole = path.read_bytes(), images.read(path).pixels
    for cut in np.linspace(1, len(data) - 1, 60).astype(int):
        path.write_bytes(data[:cut])
        try:
            assert np.array_equal(images.read(path).pixels, whole), cut
        except InputError:
            with refused(f"{name}: "):
                images.read(path)
            continue
        assert cut > len(data) // 2


@pytest.mark.parametrize("name", ["x.png", "p.png", "x.jpg", "x.tif", "lzw.tif", "x.gif", "x.bmp", "x.webp"])
def test_flipped_bits_are_refused_or_read_in_the_right_shape(name: str, tmp_path: Path) -> None:
    path = saved(tmp_path / name, picture().quantize(9) if name == "p.png" else picture(), **CUT.get(name, {}))
    data, rng, refusals = path.read_bytes(), np.random.default_rng(1), 0
    for position in rng.integers(0, len(data), 40):
        changed = bytearray(data)
        changed[position] ^= 1 << int(rng.integers(8))
        path.write_bytes(changed)
        try:
            found = images.read(path)
        except InputError as error:
            refusals += 1
            assert name in str(error) and len(str(error).splitlines()) == 1
        else:
            assert found.pixels.shape == (*images.header_size(path), 3) and found.pixels.dtype == np.uint8
    assert refusals > 30 or not name.endswith(".png")  # a PNG carries checksums


def test_gif_cut_inside_its_second_frame(tmp_path: Path) -> None:
    """Pillow raises struct.error here, which is none of its usual ones."""
    path = saved(tmp_path / "two.gif", picture(), **CUT["two.gif"])
    data = path.read_bytes()
    second = data.index(b",", len(data) // 2 - 20)
    for cut in range(second, second + 10):
        path.write_bytes(data[:cut])
        try:
            assert images.read(path).pixels.shape == RGB.shape
        except InputError as error:
            assert "damaged or truncated" in str(error)


@pytest.mark.parametrize(
    ("size", "long_side", "fitted"),
    [
        ((100, 200), 50, (25, 50)),
        ((200, 100), 50, (50, 25)),
        ((3, 7), 7, (3, 7)),
        ((1, 300), 256, (1, 256)),
        ((1, 3888), 64, (1, 64)),
        ((1, 1), 256, (256, 256)),
        ((333, 512), 256, (166, 256)),
    ],
)
def test_fitted_size(size: tuple[int, int], long_side: int, fitted: tuple[int, int]) -> None:
    assert images.fitted_size(size, long_side) == fitted


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 4000), st.integers(1, 4000), st.integers(1, 1024))
def test_fitted_size_keeps_the_aspect(height: int, width: int, long_side: int) -> None:
    h, w = images.fitted_size((height, width), long_side)
    assert max(h, w) == long_side and min(h, w) >= 1
    assert min(h, w) == pytest.approx(long_side * min(height, width) / max(height, width), abs=0.5) or min(h, w) == 1


sides = st.integers(1, 13)


@settings(max_examples=50, deadline=None)
@given(sides, sides, sides, sides, st.integers(0, 255))
def test_resizing_keeps_a_constant_image(height: int, width: int, h: int, w: int, value: int) -> None:
    for shape in ((height, width, 3), (height, width)):
        found = images.resized(np.full(shape, value, np.uint8), (h, w))
        assert found.shape == (h, w, *shape[2:]) and found.dtype == np.uint8
        assert (found == value).all()


def test_shrinking_is_the_area_average() -> None:
    blocks = RGB[:10, :16].reshape(5, 2, 4, 4, 3).mean(axis=(1, 3))
    assert np.abs(images.resized(RGB[:10, :16], (5, 4)) - blocks).max() <= 0.51


@settings(max_examples=60, deadline=None)
@given(hnp.arrays(bool, st.tuples(sides, sides)), sides, sides)
def test_shrunken_mask_is_set_where_at_least_half_was(mask: np.ndarray, h: int, w: int) -> None:
    height, width = mask.shape
    h, w = min(h, height), min(w, width)
    fine = mask.repeat(h, 0).repeat(w, 1)  # cells of this grid add up to pixels of both sizes
    share = fine.reshape(h, height, w, width).mean(axis=(1, 3))
    found = images.resized_mask(mask, (h, w))
    assert found.dtype == bool and found.shape == (h, w)
    assert found[share > 0.504].all() and not found[share < 0.496].any()


@pytest.mark.parametrize("share", [0.25, 0.5, 0.75])
def test_mask_at_exactly_half_is_set(share: float) -> None:
    mask = np.zeros((4, 8), np.uint8)
    mask[: int(4 * share)] = 1
    assert images.resized_mask(mask, (1, 2)).all() == (share >= 0.5)


@pytest.mark.parametrize("value", [False, True])
@pytest.mark.parametrize("size", [(9, 31), (2, 40), (40, 2), (1, 1)])
def test_full_and_empty_masks_stay_so(value: bool, size: tuple[int, int]) -> None:
    assert (images.resized_mask(np.full((5, 7), value), size) == value).all()


def test_a_grown_mask_keeps_its_place() -> None:
    mask = np.zeros((5, 7), bool)
    mask[1:3, 2:6] = True
    assert np.array_equal(images.resized_mask(mask, (15, 21))[1::3, 1::3], mask)


def test_a_mask_of_the_right_size_becomes_bool() -> None:
    found = images.resized_mask(np.eye(3, dtype=np.uint8), (3, 3))
    assert found.dtype == bool and np.array_equal(found, np.eye(3, dtype=bool))
