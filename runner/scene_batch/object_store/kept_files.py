"""A folder of fetched files, each under the sha256 of its bytes, and what URLs gave last."""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, NamedTuple

from scene_batch.file_lock import lock
from scene_batch.object_store.address import is_signed, shown
from scene_batch.object_store.download import Download, Incoming
from scene_batch.scratch import FULL

MOST_FILES = 5
"""Files that are kept, those that were used last: a small disk must not fill."""
_MOST_URLS = 50
_PARTIAL, _USED, _STATE = ".partial", ".used", ".json"
_FRESH_SECONDS = 60.0
"""A younger partial file may be one that is about to get its name."""


class State(NamedTuple):
    """What a URL gave last."""

    mark: str
    sha256: str


class KeptFiles:
    """Files by the sha256 of their bytes, and for each URL which of them it gave last."""

    def __init__(self, path: Path, suffix: str) -> None:
        self.path, self._suffix = path, suffix

    def has(self, sha256: str) -> bool:
        """Whether a file is here, and sound."""
        try:
            with self._file(sha256).open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest() == sha256
        except OSError:
            return False

    def last(self, url: str) -> State | None:
        """What a URL gave last, if that file is here, and sound."""
        try:
            values = json.loads(self._state(url).read_text(encoding="utf-8"))
            state = State(str(values["mark"]), str(values["sha256"]))
        except (OSError, ValueError, TypeError, KeyError):
            return None
        is_digest = re.fullmatch("[0-9a-f]{64}", state.sha256)
        return state if is_digest and self.has(state.sha256) else None

    def found(self, sha256: str) -> Path:
        """A file that is here; it counts as used now."""
        with suppress(OSError):  # a cache that is only read
            self._file(sha256).with_suffix(_USED).touch()
        return self._file(sha256)

    def is_writable(self) -> bool:
        """Whether files can be made here; a full disk counts as one, and is said later."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            with self._partial():
                return True
        except OSError as error:
            return error.errno in FULL

    def store(
        self, url: str, download: Download, incoming: Incoming, check: Callable[[Path], object]
    ) -> Path:
        """Fetch a file, and give it its name once it is whole.

        Raises:
            StoreError: It cannot be fetched.
            DiskError: It cannot be kept; so does OSError.
        """
        with self._partial() as (file, partial):
            fetched = download.save(incoming, file)
            _finish(file)
            check(partial)
            self._name(partial, fetched.sha256)
        self._remember(url, State(fetched.mark, fetched.sha256))
        self._remove_old(fetched.sha256)
        return self.found(fetched.sha256)

    @contextmanager
    def _partial(self) -> Iterator[tuple[BinaryIO, Path]]:
        """A new file of this process alone, which goes unless it gets another name."""
        self._remove_partials_of_the_dead()
        descriptor, name = tempfile.mkstemp(suffix=_PARTIAL, dir=self.path)
        try:
            with os.fdopen(descriptor, "w+b") as file:
                with suppress(OSError):  # there are disks without locks
                    lock(file.fileno())
                yield file, Path(name)
        finally:
            with suppress(OSError):
                Path(name).unlink(missing_ok=True)

    def _remove_partials_of_the_dead(self) -> None:
        for path in self.path.glob(f"*{_PARTIAL}"):
            with suppress(OSError):
                if time.time() - path.stat().st_mtime < _FRESH_SECONDS:
                    continue
                with path.open("r+b") as file:
                    is_dead = lock(file.fileno())
                if is_dead:
                    path.unlink()

    def _name(self, partial: Path, sha256: str) -> None:
        if self.has(sha256):  # which another process may be reading: it must stay the same file
            return
        try:
            partial.replace(self._file(sha256))
        except OSError:  # Windows does not replace what another process has open
            if not self.has(sha256):
                raise

    def _remember(self, url: str, state: State) -> None:
        """Note what a URL gave; without that it is fetched again."""
        values = {"url": shown(url), **state._asdict()}
        with self._partial() as (file, partial):
            file.write(json.dumps(values).encode())
            _finish(file)
            partial.replace(self._state(url))

    def _remove_old(self, kept: str) -> None:
        files = sorted(self.path.glob(f"*{self._suffix}"), key=_last_use, reverse=True)
        others = [file for file in files if file != self._file(kept)]
        states = sorted(self.path.glob(f"*{_STATE}"), key=_last_use, reverse=True)
        uses = [file.with_suffix(_USED) for file in others[MOST_FILES - 1 :]]
        for path in (*others[MOST_FILES - 1 :], *uses, *states[_MOST_URLS:]):
            with suppress(OSError):
                path.unlink()

    def _file(self, sha256: str) -> Path:
        return self.path / f"{sha256}{self._suffix}"

    def _state(self, url: str) -> Path:
        # Of one object there are any number of signed URLs.
        name = shown(url) if is_signed(url) else url
        return self.path / f"{hashlib.sha256(os.fsencode(name)).hexdigest()[:32]}{_STATE}"


def _last_use(file: Path) -> float:
    """When a file was used last; the file itself must stay as it is."""
    for path in (file.with_suffix(_USED), file):
        with suppress(OSError):
            return path.stat().st_mtime
    return 0.0


def _finish(file: BinaryIO) -> None:
    """Let the bytes be on the disk, and keep the lock where that does no harm."""
    file.flush()
    os.fsync(file.fileno())
    if sys.platform == "win32":  # which neither reads a locked file nor renames an open one
        file.close()
