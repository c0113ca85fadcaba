"""Photos made of numbers, the same ones wherever they are made, to compare pixels on.

Their files are lossless, so that no JPEG decoder comes between; ``RandomState`` never changes its
stream (NEP 19), as ``default_rng`` may.
"""

from __future__ import annotations

import io
import zlib
from functools import cache

import numpy as np
import numpy.typing as npt
from PIL import Image

_ORIENTATION_TAG = 0x0112
_SIZES = (
    (270, 180),
    (171, 251),
    (257, 255),
    (321, 213),
    (213, 321),
    (241, 60),
    (61, 181),
    (224, 224),
    (256, 257),
    (7, 1),
    (3, 7),
    (1, 1),
)
"""(width, height): even and odd, tall and wide, already as large as a model's input, tiny."""
_SMALL = (91, 70)
_LARGE = (1201, 901)
"""Above 1,048,576 pixels, so that it is converted in strips."""
FLAT = "flat"
FLAT_COLOUR = (10, 120, 230)


@cache
def made_up_photos() -> dict[str, bytes]:
    """Files of all sizes, modes, kinds of transparency and orientations, by name."""
    photos = {f"{w}x{h}": _file(_rgb((w, h))) for w, h in _SIZES}
    photos[FLAT] = _file(Image.new("RGB", (30, 20), FLAT_COLOUR))
    photos |= {mode: _file(_in_mode(mode)) for mode in ("RGBA", "LA", "L", "1", "P", "CMYK")}
    photos["P-transparent"] = _file(_in_mode("P"), transparency=bytes(range(256)))
    photos["RGB-transparent"] = _file(_rgb(_SMALL), transparency=(0, 0, 0))
    for turn in range(1, 9):
        exif = Image.Exif()
        exif[_ORIENTATION_TAG] = turn
        photos[f"exif-{turn}"] = _file(_rgb(_SMALL), exif=exif)
    photos["large"] = _file(Image.fromarray(_noisy(_LARGE, 1)[..., 0]), "TIFF")
    return photos


def _rgb(size: tuple[int, int]) -> Image.Image:
    return Image.fromarray(_noisy(size, 3))


def _in_mode(mode: str) -> Image.Image:
    """A photo that uses the whole range of its mode."""
    channels = Image.getmodebands(mode)
    if channels > 1:
        return Image.frombytes(mode, _SMALL, _noisy(_SMALL, channels).tobytes())
    gray = _noisy(_SMALL, 1)[..., 0]
    if mode == "1":
        return Image.fromarray(gray > 127)
    image = Image.fromarray(gray)
    if mode == "P":
        image = Image.frombytes("P", _SMALL, gray.tobytes())
        image.putpalette(_noisy((256, 1), 3).tobytes())
    return image


def _noisy(size: tuple[int, int], channels: int) -> npt.NDArray[np.uint8]:
    """Slopes, bars and noise: ``(height, width, channels)``."""
    width, height = size
    random = np.random.RandomState(zlib.crc32(f"{width}x{height}x{channels}".encode()))
    noise = np.frombuffer(random.bytes(height * width * channels), np.uint8) // 4
    y, x = np.mgrid[:height, :width].astype(np.uint16)
    slopes = (x * 3 + y * 5)[..., None] // np.arange(1, channels + 1, dtype=np.uint16)
    bars = ((x // 7 + y // 11) % 2 * 96)[..., None]
    return (slopes + bars + noise.reshape(height, width, channels)).astype(np.uint8)


def _file(image: Image.Image, kind: str = "", **options: object) -> bytes:
    """The bytes of its file: PNG, where that can hold it."""
    kind = kind or ("TIFF" if image.mode == "CMYK" else "PNG")
    if kind == "PNG":
        options = {"compress_level": 1, **options}
    with io.BytesIO() as file:
        image.save(file, kind, **options)
        return file.getvalue()
