"""Image files of any origin to pixels of one form: decoded, turned upright, resized and cropped."""

import io
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from hnet_cl.core.errors import UnusableError, first_line

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm", ".pbm", ".pnm")
FORMATS = ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP", "PPM")  # of Pillow; others can start programs, as EPS does
FILE_LIMIT = 1 << 28  # bytes of an image file

Fit = Literal["crop", "stretch"]
Background = Literal["black", "white"]


class TransparentError(UnusableError):
    """An image has transparent pixels, and no background was chosen."""


@dataclass(frozen=True)
class Form:
    """The form that all images are brought to.

    Attributes:
        channels: 1 (grey) or 3 (RGB).
        size: height and width in pixels; None to keep each image's own.
        fit: `crop`: the shorter side is resized to `size`, and the middle is kept; `stretch`: both sides are resized.
        background: what shows through transparent pixels; None if there must be none.
    """

    channels: int
    size: int | None
    fit: Fit
    background: Background | None


def decode(content: bytes, form: Form) -> NDArray[np.uint8]:
    """Decodes an image file to pixels (channels, height, width); resizing is bilinear, with antialiasing.

    Of an animation the first picture counts. Photographs are turned as their EXIF data say.

    Raises:
        UnusableError: it is no image, is damaged, has too many pixels, more than 8 bits or transparent pixels.
    """
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            return _array(_fitted(_plain(ImageOps.exif_transpose(image), form), form))
    except UnusableError:
        raise
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        raise UnusableError(f"has more than {Image.MAX_IMAGE_PIXELS:,} pixels") from None
    except Image.UnidentifiedImageError:
        raise UnusableError("is no image" if content else "is empty") from None
    except MemoryError:
        raise
    except Exception as error:  # decoders may raise anything for a damaged file
        raise UnusableError(f"is damaged or cut short ({first_line(error)})") from error


def _plain(image: Image.Image, form: Form) -> Image.Image:
    """Returns the image with 8 bits a channel, in grey or RGB, without transparency."""
    if image.mode.startswith(("I", "F")):
        raise UnusableError(f"has pixels of more than 8 bits (mode {image.mode}); convert it to 8 bits")
    mode = "L" if form.channels == 1 else "RGB"
    if image.has_transparency_data:
        image = image.convert("RGBA")
        if image.getchannel("A").getextrema() != (255, 255):
            if form.background is None:
                raise TransparentError("has transparent pixels")
            image = Image.alpha_composite(Image.new("RGBA", image.size, form.background), image)
    return image.convert(mode)


def _fitted(image: Image.Image, form: Form) -> Image.Image:
    if form.size is None or image.size == (form.size, form.size):
        return image
    size = (form.size, form.size)
    if form.fit == "stretch":
        return image.resize(size, Image.Resampling.BILINEAR)
    return ImageOps.fit(image, size, Image.Resampling.BILINEAR)


def _array(image: Image.Image) -> NDArray[np.uint8]:
    pixels = np.asarray(image)
    return np.ascontiguousarray(pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1))
