"""Photos of every kind whose decoder holds something of its own, of any size, as files."""

from __future__ import annotations

import os
import pickle
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from scene_batch.memory import Budget
from scene_batch.model.attempt import Attempt, Limits
from scene_batch.model.decode import decode
from scene_batch.model.preprocess import Preprocess
from scene_batch.records import ImageRef, Unreadable
from support import encode


def _smooth(side: int, mode: str) -> Image.Image:
    """A photo with soft shapes, which costs little to make."""
    rough = np.random.default_rng(7).integers(0, 256, (9, 9, 4), np.uint8)
    return Image.fromarray(rough).convert(mode).resize((side, side), Image.Resampling.BILINEAR)


def _png(side: int, colour: int, bits: int, bytes_each: int) -> bytes:
    """A PNG of zeros, made row by row: none of it is ever in memory as a whole."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    row, packer = bytes(1 + side * bytes_each), zlib.compressobj(1)
    rows = b"".join([*(packer.compress(row) for _ in range(side)), packer.flush()])
    header = struct.pack(">IIBBBBB", side, side, bits, colour, 0, 0, 0)
    start = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header)
    return start + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def _tiff(side: int, mode: str, compression: str, **tags: int) -> bytes:
    numbers = {"rows": 278, "turned": 274}
    info = {numbers[name]: value for name, value in tags.items()}
    return encode(_smooth(side, mode), "TIFF", compression=compression, tiffinfo=info)


def tiled_tiff(side: int, tile: int) -> bytes:
    """A TIFF of deflated RGB tiles, all of them the same bytes of the file."""
    data = zlib.compress(bytes(range(256)) * (3 * tile * tile // 256 + 1), 1)
    number = (-(-side // tile)) ** 2
    values: dict[int, list[int]] = {
        **{256: [side], 257: [side], 258: [8, 8, 8], 259: [8], 262: [2], 277: [3]},
        **{322: [tile], 323: [tile], 324: [8] * number, 325: [len(data)] * number},
    }
    entries, beside = b"", b""
    start = 8 + len(data) + len(data) % 2
    after = start + 2 + 12 * len(values) + 4
    for tag, numbers in values.items():
        packed = struct.pack(f"<{len(numbers)}I", *numbers)
        if len(numbers) > 1:
            beside, packed = beside + packed, struct.pack("<I", after + len(beside))
        entries += struct.pack("<HHI", tag, 4, len(numbers)) + packed
    directory = struct.pack("<H", len(values)) + entries + bytes(4)
    return b"II*\0" + struct.pack("<I", start) + data + bytes(len(data) % 2) + directory + beside


KINDS: dict[str, Callable[[int], bytes]] = {
    "png 16 bit": lambda side: _png(side, 0, 16, 2),
    "png rgb": lambda side: _png(side, 2, 8, 3),
    "png rgba": lambda side: _png(side, 6, 8, 4),
    "png gray alpha": lambda side: _png(side, 4, 8, 2),
    "gif": lambda side: encode(_smooth(side, "L"), "GIF"),
    "bmp": lambda side: encode(_smooth(side, "L"), "BMP"),
    "jpeg": lambda side: encode(_smooth(side, "RGB"), "JPEG"),
    "jpeg cmyk": lambda side: encode(_smooth(side, "CMYK"), "JPEG"),
    "jpeg progressive": lambda side: encode(_smooth(side, "RGB"), "JPEG", progressive=True),
    "jpeg progressive 4:4:4": lambda side: encode(
        _smooth(side, "RGB"), "JPEG", progressive=True, subsampling=0
    ),
    "jpeg progressive gray": lambda side: encode(_smooth(side, "L"), "JPEG", progressive=True),
    "webp": lambda side: encode(_smooth(side, "RGB"), "WEBP", method=0),
    "webp alpha": lambda side: encode(_smooth(side, "RGBA"), "WEBP", method=0),
    "webp lossless": lambda side: encode(
        _smooth(side, "RGB"), "WEBP", method=0, quality=0, lossless=True
    ),
    "tiff raw": lambda side: _tiff(side, "RGB", "raw"),
    "tiff turned": lambda side: _tiff(side, "RGB", "tiff_lzw", turned=6),
    "tiff one strip": lambda side: _tiff(side, "RGB", "tiff_adobe_deflate", rows=side),
    "tiff one tile": lambda side: tiled_tiff(side, -(-side // 16) * 16),
    "tiff tiles": lambda side: tiled_tiff(side, 256),
    "tiff float strips": lambda side: _tiff(side, "F", "tiff_adobe_deflate"),
    "tiff float": lambda side: _tiff(side, "F", "tiff_adobe_deflate", rows=side),
    "tiff jpeg": lambda side: _tiff(side, "RGB", "jpeg", rows=side),
    "avif": lambda side: encode(_smooth(side, "RGB"), "AVIF", speed=10),
    "avif alpha": lambda side: encode(_smooth(side, "RGBA"), "AVIF", speed=10, subsampling="4:4:4"),
}


def measured(make: Callable[[], bytes]) -> tuple[str, int, int]:
    """Decode a photo in a copy of this process (fork: no other thread may run, Linux).

    Returns:
        Its code or ``ok``, what it was said to need, and the memory that it took, in bytes.
    """
    code, need, peak = _in_a_copy(lambda: decoded(_in_a_copy(make)))
    return str(code), int(need), int(peak)


def decoded(data: bytes) -> tuple[str, int, int]:
    """Like ``measured``, in this process."""
    needs = []

    class Noting(Budget):
        def take(self, need: int) -> None:
            needs.append(need)
            super().take(need)

    before = _memory("VmRSS")
    limits = Limits(Noting(1 << 40), Attempt())
    photo = decode(ImageRef("photo"), data, Preprocess(150, 150), limits)
    code = photo.code if isinstance(photo, Unreadable) else "ok"
    return code, sum(needs), _memory("VmHWM") - before + len(data)


def _memory(name: str) -> int:
    """What this process has (VmRSS) or had at most (VmHWM), in bytes."""
    text = Path("/proc/self/status").read_text()
    lines = dict(line.split(":", 1) for line in text.splitlines())
    return int(lines[name].split()[0]) * 1024


def _in_a_copy(call: Callable[[], Any]) -> Any:
    """What a call returns, made in a copy of this process, whose memory stays as it is."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            with os.fdopen(writing, "wb") as pipe:
                pickle.dump(call(), pipe)
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        result = pickle.load(pipe)
    os.waitpid(child, 0)
    return result
