"""What a job itself writes: where its output lies in one of its sources, it is no part of that."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from scene_batch.object_store.address import Address, is_url

_ENDINGS = ("", ".run.json", ".parts", ".parts.replaced")


@dataclass(frozen=True, slots=True)
class OwnFiles:
    """An output, the record beside it, and the folders in which it is built."""

    names: frozenset[bytes]
    """Their names; in a bucket their keys."""
    folders: frozenset[bytes] = frozenset()
    """Of a bucket's keys, those below which all is the job's own."""
    folder: tuple[int, int] | None = None
    """Device and inode of the folder that they are in; None in a bucket."""
    root: str = ""
    """The bucket's URL; empty on a disk."""

    @classmethod
    def of(cls, out: str) -> Self | None:
        """Those of an output by its name; None where it is no file, or its folder is missing."""
        if is_url(out):
            address = Address.parse(out)
            keys = frozenset(f"{address.key}{ending}".encode() for ending in _ENDINGS)
            folders = [".parts", *([""] if out.endswith("/") else [])]
            below = frozenset(f"{address.key}{ending}".encode() for ending in folders)
            return cls(keys, below, root=address.root)
        path = Path(os.path.realpath(out))
        try:
            status = path.parent.stat()
        except OSError:
            return None
        if out in ("", "-") or not status.st_ino:
            return None
        names = frozenset(os.fsencode(f"{path.name}{ending}") for ending in _ENDINGS)
        return cls(names, folder=(status.st_dev, status.st_ino))

    def names_in(self, folder: tuple[int, int]) -> frozenset[bytes]:
        """Their names in a folder, by its device and inode."""
        return self.names if folder == self.folder else frozenset()

    def holds_key(self, root: str, key: str) -> bool:
        """Whether a key of a bucket is one of them, or in one of them."""
        if root != self.root:
            return False
        name = key.encode()
        return name in self.names or any(name.startswith(own + b"/") for own in self.folders)
