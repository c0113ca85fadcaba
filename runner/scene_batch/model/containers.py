"""Photos in ISO media files, which are told by their brands: AVIF, and HEIC where pi-heif is."""

from __future__ import annotations

import io
from functools import cache
from typing import Any, Literal

from PIL import Image, ImageFile, UnidentifiedImageError

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
    plugin = _avif() if kind == "AVIF" else _heif()
    try:
        return plugin(io.BytesIO(data))
    except RuntimeError as error:
        raise DamagedContainerError(str(error)) from None


@cache
def _avif() -> type[ImageFile.ImageFile]:
    from PIL import AvifImagePlugin

    if not AvifImagePlugin.SUPPORTED:
        raise UnidentifiedImageError("AVIF")
    # Photos are decoded side by side: a decoder's own threads would only take more memory.
    AvifImagePlugin.DEFAULT_MAX_THREADS = _THREADS

    class AvifPhoto(AvifImagePlugin.AvifImageFile):
        def load(self) -> Any:  # noqa: ANN401 - Pillow's own
            try:
                return super().load()
            except (RuntimeError, ZeroDivisionError) as error:  # the latter of its clock
                raise DamagedContainerError(str(error)) from None

    return AvifPhoto


@cache
def _heif() -> type[ImageFile.ImageFile]:
    try:
        import _pi_heif
    except ImportError:
        raise HeifMissingError from None

    class HeifPhoto(ImageFile.ImageFile):
        """The primary picture of a HEIC file, which libheif turns upright.

        The plugin of pi-heif would read the metadata, too, and in some damaged files that ends the
        process (1.4.0). They are not needed: a HEIC's EXIF does not turn it.
        """

        format = "HEIF"

        def _open(self) -> None:
            found = _pi_heif.load_file(self.fp.read(), _THREADS, *_PI_HEIF_OPTIONS)  # type: ignore[union-attr]
            pictures = [picture for picture in found if picture is not None]
            if not pictures:
                raise SyntaxError("no picture in it")
            self._picture = next((p for p in pictures if p.primary), pictures[0])
            self._size, self._mode = self._picture.size_mode
            self.info["bit_depth"], self.info["chroma"] = (
                self._picture.bit_depth,
                self._picture.chroma,
            )

        def load(self) -> Any:  # noqa: ANN401 - Pillow's own
            picture, self._picture = self._picture, None
            if picture is not None:
                try:
                    data, stride = picture.data, picture.stride
                except RuntimeError as error:
                    raise DamagedContainerError(str(error)) from None
                if picture.size_mode != (self._size, self._mode):
                    raise DamagedContainerError("its picture has another size than it says")
                self.load_prepare()
                self.frombytes(data, "raw", (self._mode, stride))
            return super().load()

    return HeifPhoto


_THREADS = 1
_PI_HEIF_OPTIONS = (True, False, False, True, "", False)
"""To 8 bits; RGB, not BGR; rows with padding; 16 bits otherwise; any decoder; libheif's limits."""
