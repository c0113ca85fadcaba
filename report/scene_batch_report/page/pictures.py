"""What is seen of the photos of a page: thumbnails, and where the originals are."""

from __future__ import annotations

import base64
import io
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

from PIL import Image

from scene_batch.model.decode import one_line
from scene_batch.model.thumbnail import thumbnail
from scene_batch.object_store.address import WEB_SCHEMES, is_url
from scene_batch.processors import usable_cpus
from scene_batch.read_ahead import read_ahead
from scene_batch.records import ImageRef, Unreadable, unprintable
from scene_batch.sources.reading import Reader
from scene_batch.threads import Pool
from scene_batch_report.paths import absolute

_QUALITY = 75
_REMOTE_THREADS = 16
"""Photos of a bucket that are asked for at once: to wait for them takes no processor."""
_HIDDEN_QUERY = re.compile(r"\?sha256:[0-9a-f]{16}\Z")
"""What ``run --hide-queries`` leaves of a URL, which opens nothing."""


def pictures(photos: Sequence[Mapping[str, Any]], longest: int) -> Iterator[dict[str, str]]:
    """What is to be seen of each photo, in order: ``thumbnail`` as base64, or why ``not_seen``.

    Photos that the run could not read are not tried again.
    """
    reader = Reader()
    remote = any(is_url(photo["path"]) for photo in photos)
    threads = max(usable_cpus(), _REMOTE_THREADS if remote else 1)
    with Pool(threads) as pool:
        yield from read_ahead(
            lambda photo: pool.submit(partial(_picture, photo, reader, longest)),
            photos,
            depth=2 * threads,
        )


def _picture(photo: Mapping[str, Any], reader: Reader, longest: int) -> dict[str, str]:
    if "error" in photo:
        return {}
    ref = ImageRef(unprintable(photo["path"]), photo.get("size"))
    if _has_changed(photo, ref.path):
        return {"not_seen": "it has changed since the run: what was said is of another photo"}
    found = reader.read(ref).data
    small = found if isinstance(found, Unreadable) else thumbnail(ref, found, longest)
    if isinstance(small, Unreadable):
        return {"not_seen": one_line(ValueError(f"{small.code}: {small.message}"))}
    file = io.BytesIO()
    Image.fromarray(small).save(file, "WEBP", quality=_QUALITY, method=4)
    return {"thumbnail": base64.b64encode(file.getvalue()).decode("ascii")}


def _has_changed(photo: Mapping[str, Any], path: str) -> bool:
    """Whether a file on a disk has another size or time than the row says, to the second."""
    try:
        status = os.stat(path)  # noqa: PTH116 - a URL is no path
    except (OSError, ValueError):
        return False  # a URL, or gone: reading it says so
    moment = datetime.fromtimestamp(status.st_mtime_ns // 10**9, UTC)
    return status.st_size != photo.get("size", status.st_size) or (
        "modified" in photo and photo["modified"] != moment.isoformat(timespec="seconds")
    )


def original(path: str, page: Path) -> str | None:
    """Where a page's link to a photo leads: relative for one on a disk, None into a bucket.

    Args:
        path: The photo's, as it is in the table.
        page: The page's file.
    """
    if path.startswith(tuple(f"{scheme}://" for scheme in WEB_SCHEMES)):
        return None if _HIDDEN_QUERY.search(path) else path
    if is_url(path) or "\0" in path:
        return None
    here = absolute(unprintable(path))
    try:
        relative = os.path.relpath(here, page.resolve().parent)
    except ValueError:  # on another drive
        return Path(here).as_uri()
    return quote(os.fsencode(relative.replace(os.sep, "/")))
