"""Photos in ISO media files, which are told by their brands: AVIF, and HEIC where pi-heif is."""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import cache
from typing import Any, Literal

from PIL import Image, UnidentifiedImageError

Kind = Literal["AVIF", "HEIF"]

_AVIF = {b"avif", b"avis"}
_HEIF = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"}
_MOST_BRANDS = 64


class HeifMissingError(Exception):
    """A HEIC photo, and nothing that decodes it."""

    def __init__(self) -> None:
        super().__init__("a HEIC photo: pip install 'scene-batch[heif]'")


class DamagedContainerError(Exception):
    """What libavif or libheif say of damaged bytes."""


def container_kind(data: bytes) -> Kind | None:
    """What an ISO media file holds, by the brands in its first box; None: it is no photo.

    The brand of all HEIF photos, mif1, may come first in both kinds.
    """
    if data[4:8] != b"ftyp":  # ISO 14496-12: size, "ftyp", major brand, version, other brands
        return None
    end = min(int.from_bytes(data[:4]), 16 + 4 * _MOST_BRANDS)
    brands = {data[8:12], *(data[at : at + 4] for at in range(16, end, 4))}
    return "AVIF" if brands & _AVIF else "HEIF" if brands & _HEIF else None


def open_container(data: bytes, kind: Kind) -> Image.Image:
    """Open a photo whose ``container_kind`` is known, without decoding it.

    Its pixels come upright or with an EXIF that says how they turn, never both.

    Raises:
        HeifMissingError: pi-heif is not installed.
        UnidentifiedImageError: This Pillow was built without AVIF.
        DamagedContainerError, SyntaxError, OSError, ValueError, EOFError: It is damaged.
    """
    return (_avif() if kind == "AVIF" else _heif())(io.BytesIO(data))


@cache
def _avif() -> Callable[[io.BytesIO], Image.Image]:
    from PIL import AvifImagePlugin

    if not AvifImagePlugin.SUPPORTED:
        raise UnidentifiedImageError("AVIF")
    # Photos are decoded side by side: a decoder's own threads would only take more memory.
    AvifImagePlugin.DEFAULT_MAX_THREADS = 1
    return _calmed(AvifImagePlugin.AvifImageFile)


@cache
def _heif() -> Callable[[io.BytesIO], Image.Image]:
    try:
        import pi_heif
    except ImportError:
        raise HeifMissingError from None
    pi_heif.options.DECODE_THREADS = 1
    return _calmed(pi_heif.HeifImageFile)


def _calmed(plugin: Any) -> Callable[[io.BytesIO], Image.Image]:  # noqa: ANN401 - a class of Pillow's
    """A plugin that raises ``DamagedContainerError`` where it would raise RuntimeError."""

    class Calmed(plugin):  # type: ignore[misc]
        def __init__(self, file: io.BytesIO) -> None:
            try:
                super().__init__(file)
            except RuntimeError as error:
                raise DamagedContainerError(str(error)) from None

        def load(self) -> Any:  # noqa: ANN401
            try:
                return super().load()
            except RuntimeError as error:
                raise DamagedContainerError(str(error)) from None

    return Calmed
