"""Files that were fetched by URL, each kept under the sha256 of its bytes, to be used again."""

from __future__ import annotations

import atexit
import os
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import NamedTuple

from scene_batch.errors import StoreError
from scene_batch.object_store.address import shown
from scene_batch.object_store.download import DiskError, Download
from scene_batch.object_store.kept_files import KeptFiles
from scene_batch.scratch import Scratch

FOLDER = "SCENE_BATCH_CACHE"
"""The variable of the environment that names the folder."""


class UnaskedError(StoreError):
    """Whether a file in the cache is still the one of its URL could not be asked."""

    def __init__(self, text: str, sha256: str) -> None:
        super().__init__(text)
        self.sha256 = sha256
        """Of the file that was fetched last."""


class Found(NamedTuple):
    """A file of the cache."""

    path: Path
    note: str = ""
    """What the user should know of where it lies; may be empty."""


class FileKind(NamedTuple):
    """What is kept together: a folder of its own, a suffix, a largest size in bytes."""

    folder: str
    suffix: str
    most: int


def fetch(
    url: str,
    kind: FileKind,
    *,
    sha256: str | None = None,
    check: Callable[[Path], object] = lambda path: None,
    note: Callable[[str], None] = lambda text: None,
) -> Found:
    """The file of a URL, which is fetched unless the cache has it.

    A file of the sha256 asked for is taken without a request; any other one after the store has
    said that it has not changed.

    Args:
        url: Of a bucket's object, or of the web.
        kind: Where to keep it.
        sha256: What it should be; a file that is fetched may be another one.
        check: Raises where a fetched file is not to be kept.
        note: Is told of a download that begins.

    Raises:
        UnaskedError: The cache has a file, but the store does not say whether it has changed.
        StoreError: It cannot be fetched, or there is no room for it.
        UsageError: It is no URL that can be opened.
    """
    folder = cache_folder()
    kept = KeptFiles((folder or _temporary()) / kind.folder, kind.suffix)
    if sha256 and kept.has(sha256):
        return Found(kept.found(sha256))
    download, last = Download(url, kind.most), kept.last(url)
    try:
        incoming = download.open(last.mark if last else "")
    except StoreError as error:
        if last is None or sha256 is not None:
            raise
        raise UnaskedError(str(error), last.sha256) from None
    if incoming is None:
        assert last is not None  # noqa: S101 - no mark was given
        return Found(kept.found(last.sha256))
    note(f"fetching {shown(url)!r}, {incoming.size / 1e6:.1f} MB")
    text = ""
    if folder is None or not kept.is_writable():
        where = f"in {str(kept.path)!r}" if folder else "without a home"
        text = (
            f"no file can be kept {where}, so {shown(url)!r} is fetched each time; name a folder by"
            f" {FOLDER}"
        )
        kept = KeptFiles(_temporary() / kind.folder, kind.suffix)
        kept.path.mkdir(exist_ok=True)
    try:
        return Found(kept.store(url, download, incoming, check), text)
    except (DiskError, OSError) as error:
        cause = error.__cause__ or error
        said = getattr(cause, "strerror", None) or cause
        raise StoreError(
            f"cannot keep {shown(url)!r} in {str(kept.path)!r}: {said}; make room there, or name"
            f" another folder by {FOLDER}"
        ) from None


def cache_folder() -> Path | None:
    """The user's folder for what can be fetched again; None where there is no home."""
    try:
        if named := os.environ.get(FOLDER, "").strip():
            return Path(named).expanduser()
        return _users() / "scene-batch"
    except RuntimeError:
        return None


def _users() -> Path:
    if sys.platform == "win32":
        local = os.environ.get("LOCALAPPDATA")
        return Path(local) if local else Path.home() / "AppData" / "Local"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches"
    named = os.environ.get("XDG_CACHE_HOME", "")
    return Path(named) if Path(named).is_absolute() else Path.home() / ".cache"


@cache
def _temporary() -> Path:
    """A folder that goes with this process."""
    scratch = Scratch()
    atexit.register(scratch.remove)
    return scratch.path
