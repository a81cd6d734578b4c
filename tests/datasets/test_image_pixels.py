"""Image files of all kinds as pixels of one form."""

import io
import warnings

import numpy as np
import pytest
from PIL import Image

from hnet_cl.core.errors import UnusableError
from hnet_cl.datasets.image_pixels import Form, TransparentError, decode

GREY, COLOUR = Form(1, None, "crop", None), Form(3, None, "crop", None)


def packed(image: Image.Image, kind: str = "PNG", **more: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **more)
    return file.getvalue()


def uniform(mode: str, colour: object, size: tuple[int, int] = (3, 2)) -> Image.Image:
    return Image.new(mode, size, colour)  # type: ignore[arg-type]


def test_colour_and_grey_become_what_is_asked_for() -> None:
    red = packed(uniform("RGB", (200, 0, 0)))
    assert decode(red, COLOUR)[:, 0, 0].tolist() == [200, 0, 0]
    assert decode(red, COLOUR).shape == (3, 2, 3) and decode(red, COLOUR).dtype == np.uint8
    assert decode(red, GREY)[:, 0, 0].tolist() == [60]  # 0.299 * 200
    assert decode(packed(uniform("L", 7)), COLOUR)[:, 1, 2].tolist() == [7, 7, 7]
    assert decode(packed(uniform("1", 1)), GREY)[0, 0, 0] == 255


@pytest.mark.parametrize("kind", ["PNG", "BMP", "GIF", "TIFF", "PPM", "WEBP", "JPEG"])
def test_every_format_is_read(kind: str) -> None:
    pixels = decode(packed(uniform("RGB", (0, 255, 0), (16, 16)), kind), COLOUR)
    assert np.abs(pixels.astype(int)[:, 8, 8] - [0, 255, 0]).max() <= 2


def test_resized_and_cropped_or_stretched() -> None:
    image = np.zeros((4, 8), np.uint8)
    image[:, 2:6] = 100  # what a crop keeps
    file = packed(Image.fromarray(image))
    assert decode(file, Form(1, 4, "crop", None)).tolist() == [[[100] * 4] * 4]
    stretched = decode(file, Form(1, 4, "stretch", None))
    assert stretched.shape == (1, 4, 4) and stretched[0, 0, 0] < 50 < stretched[0, 0, 1]
    assert decode(file, Form(1, 2, "crop", None)).shape == (1, 2, 2)
    same = packed(Image.fromarray(image[:, :4]))
    assert np.array_equal(decode(same, Form(1, 4, "crop", None))[0], image[:, :4])


def test_photographs_are_turned_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by 90 degrees
    assert decode(packed(uniform("RGB", 0, (8, 4)), "JPEG", exif=exif), COLOUR).shape == (3, 8, 4)


def test_transparent_pixels_need_a_background() -> None:
    clear = packed(uniform("RGBA", (255, 0, 0, 0)))
    with pytest.raises(TransparentError, match=r"^has transparent pixels$"):
        decode(clear, COLOUR)
    assert decode(clear, Form(3, None, "crop", "white"))[:, 0, 0].tolist() == [255, 255, 255]
    assert decode(clear, Form(1, None, "crop", "black"))[:, 0, 0].tolist() == [0]
    assert decode(packed(uniform("RGBA", (9, 8, 7, 255))), COLOUR)[:, 0, 0].tolist() == [9, 8, 7]
    assert decode(packed(uniform("LA", (9, 255))), GREY)[:, 0, 0].tolist() == [9]


def test_cmyk_is_converted() -> None:
    pixels = decode(packed(uniform("CMYK", (0, 255, 255, 0), (8, 8)), "JPEG"), COLOUR)  # red
    assert pixels[0, 4, 4] > 240 and pixels[1:, 4, 4].max() < 15


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is empty"),
        (b"not at all", "is no image"),
        (packed(uniform("RGB", 0, (64, 64)))[:60], "is damaged or cut short"),
        (packed(Image.fromarray(np.full((2, 2), 300, np.uint16))), "has pixels of more than 8 bits .* convert it to 8"),
        (packed(uniform("F", 0.5), "TIFF"), "has pixels of more than 8 bits .*mode F"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 1 1\n", "is no image"),  # would start another program
    ],
)
def test_what_cannot_be_used(content: bytes, reason: str) -> None:
    with pytest.raises(UnusableError, match=f"^{reason}") as said:
        decode(content, COLOUR)
    assert "\n" not in str(said.value)


def test_decompression_bombs(monkeypatch: pytest.MonkeyPatch) -> None:
    file = packed(uniform("1", 0, (40, 50)))
    for most in (1500, 900):  # of which Pillow warns, and which it refuses
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", most)
        with warnings.catch_warnings(), pytest.raises(UnusableError, match=rf"^has more than {most:,} pixels$"):
            warnings.simplefilter("error")
            decode(file, GREY)
