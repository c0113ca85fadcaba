"""One photo put under a new name, and taken back; nothing that is there is ever replaced.

Each step may be broken off and done again: what was finished is found so.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import stat
from pathlib import Path

from scene_batch_report.sorting.journal import Entry

NO_LINKS = {errno.EXDEV, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}
"""What a file system says that has no hard links, or lies elsewhere."""
_NO_LINK = NO_LINKS | {errno.EPERM, errno.EACCES, errno.EMLINK}
"""The same, and what is said where this photo alone cannot have one."""


class CannotLinkError(Exception):
    """The file system, or its rules, allow no hard link of this photo: copy it."""

    def __init__(self, number: int | None) -> None:
        super().__init__()
        self.is_for_all = number in NO_LINKS
        """Whether no other photo can be linked either."""


class TakenError(Exception):
    """Something else has the name."""


def put(entry: Entry, name: Path, partial: Path, data: bytes | None, *, again: bool) -> None:
    """Carry out an entry.

    Args:
        entry: What is to be done.
        name: The photo's new one.
        partial: Where a copy grows.
        data: Of a photo that was fetched.
        again: Whether it may have been begun, or even finished, before.

    Raises:
        CannotLinkError: It is to be a link, and cannot be one.
        TakenError: The name is something else's.
        OSError: The photo cannot be read, or the name not be written.
    """
    source = Path(entry.source)
    if entry.how == "link":
        _put_link(source, name, again=again)
        return
    if entry.how == "move" and _was_renamed(source, name, again=again):
        return
    if not (again and is_as_written(entry, name)):
        _write_copy(entry, source, partial, data)
        settle(partial, name, again=again)
    if entry.how == "move" and is_as_written(entry, source):
        source.unlink()


def _put_link(source: Path, name: Path, *, again: bool) -> None:
    try:
        os.link(os.path.realpath(source), name)
    except FileExistsError:
        if not (again and _is_file_of(source, name)):
            raise TakenError from None
    except FileNotFoundError:
        if not (again and os.path.lexists(name)):
            raise
    except OSError as error:
        if error.errno in _NO_LINK:
            raise CannotLinkError(error.errno) from None
        raise


def _is_file_of(source: Path, name: Path) -> bool:
    """Whether a name is the file that a source leads to; not where that is gone."""
    return not source.exists() or source.samefile(name)


def _was_renamed(source: Path, name: Path, *, again: bool) -> bool:
    """Move a file where that takes no copy; False where it does."""
    try:
        settle(source, name, again=again)
    except OSError as error:
        if error.errno == errno.EXDEV:
            return False
        raise
    return True


def settle(file: Path, name: Path, *, again: bool = False) -> None:
    """Give a file another name on its file system, unless something has it.

    Raises:
        TakenError: Something has it.
        OSError: It cannot have it; EXDEV: it is on another file system.
    """
    if again and not os.path.lexists(file) and os.path.lexists(name):
        return
    try:
        os.link(file, name)
    except FileExistsError:
        if not (again and os.path.samestat(file.lstat(), name.lstat())):
            if not (again and is_empty(name) and not is_empty(file)):
                raise TakenError from None
            _replace_reserved(file, name)
            return
    except OSError as error:
        if error.errno not in _NO_LINK:
            raise
        _reserve(name, again=again)
        _replace_reserved(file, name)
        return
    file.unlink()


def _replace_reserved(file: Path, name: Path) -> None:
    try:
        file.replace(name)
    except OSError:
        name.unlink()
        raise


def _reserve(name: Path, *, again: bool) -> None:
    """Make an empty file of a name, where there are no links; it may have been made before."""
    try:
        os.close(os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
    except FileExistsError:
        if not (again and is_empty(name)):
            raise TakenError from None


def is_empty(file: Path) -> bool:
    """Whether it is a file without bytes, such as one that reserves a name."""
    try:
        status = file.lstat()
    except OSError:
        return False
    return stat.S_ISREG(status.st_mode) and status.st_size == 0


def growing(file: Path) -> Path:
    """Where a file grows that is written again beside where it was; no name is too long for it."""
    digest = hashlib.blake2b(os.fsencode(file.name), digest_size=8).hexdigest()
    return file.with_name(f".{digest}.scene-batch-undo")


def write_anew(partial: Path, data: bytes) -> None:
    """Write a file that is no link to another one."""
    partial.unlink(missing_ok=True)
    partial.write_bytes(data)


def _write_copy(entry: Entry, source: Path, partial: Path, data: bytes | None) -> None:
    partial.unlink(missing_ok=True)  # it may be a link to what was put with it
    with partial.open("xb") as file:
        if data is None:
            with source.open("rb") as original:
                shutil.copyfileobj(original, file, 1 << 20)
        else:
            file.write(data)
        file.flush()
        os.fsync(file.fileno())
    if data is None:
        shutil.copystat(source, partial)
    elif entry.time_ns is not None:
        os.utime(partial, ns=(entry.time_ns, entry.time_ns))


def is_as_written(entry: Entry, file: Path) -> bool:
    """Whether a copy, or a file that is moved, is a file as it was when it was put."""
    try:
        status = file.lstat()
    except OSError:
        return False
    # File systems keep times as exactly as they can: two seconds on a memory card.
    return (
        stat.S_ISREG(status.st_mode)
        and status.st_size == entry.size_bytes
        and (entry.time_ns is None or abs(status.st_mtime_ns - entry.time_ns) <= 2 * 10**9)
    )


def take_back(entry: Entry, name: Path) -> bool:
    """Undo an entry; whether all is as it was before.

    What was changed since stays where it is. A name is removed only where its original is another
    file, or another name of the same one; the original is put back only where nothing has its name.

    Raises:
        TakenError: Something came in between.
        OSError: It cannot be done.
    """
    source = Path(entry.source)
    if entry.how == "fetch":
        if is_as_written(entry, name):
            name.unlink()
        return not os.path.lexists(name)
    if entry.how != "link":
        growing(source).unlink(missing_ok=True)
    if not os.path.lexists(name):
        return os.path.lexists(source)
    if _is_same_entry(source, name):
        return True  # the sorted folder, or its place, was renamed: it is where it was
    if is_empty(name) and entry.size_bytes:
        name.unlink()  # it was reserved, or its bytes are gone
        return os.path.lexists(source)
    if source.is_symlink() and entry.target is None and source.exists() and source.samefile(name):
        source.unlink()  # a link to this very file, which was left in its place
    reserved = is_empty(source) and bool(entry.size_bytes)
    if os.path.lexists(source) and not reserved:
        return _remove_second(entry, source, name)
    # Moved, or the original was removed since: this is the only one.
    if entry.target is not None or (entry.how == "copy" and not is_as_written(entry, name)):
        return False
    source.parent.mkdir(parents=True, exist_ok=True)
    _return(entry, name, source, again=reserved)
    return True


def _is_same_entry(one: Path, other: Path) -> bool:
    """Whether two paths name one and the same entry of a folder."""
    return one.name == other.name and one.parent.is_dir() and one.parent.samefile(other.parent)


def _remove_second(entry: Entry, source: Path, name: Path) -> bool:
    """Remove a name whose original is there; not where the two differ, or are one."""
    original = Path(os.path.realpath(source))
    if source.is_symlink() != (entry.target is not None) or not original.is_file():
        return False
    if _is_same_entry(original, name):
        return False
    same = os.path.samestat(original.lstat(), name.lstat())
    is_copied = (
        entry.how != "link" and is_as_written(entry, name) and is_as_written(entry, original)
    )
    if not (is_copied or (same and name.lstat().st_nlink > 1)):
        return False
    name.unlink()
    return True


def _return(entry: Entry, name: Path, source: Path, *, again: bool) -> None:
    """Give the original its name again, from another file system, too."""
    if _was_renamed(name, source, again=again):
        return
    partial = growing(source)
    _write_copy(entry, name, partial, None)
    settle(partial, source, again=again)
    name.unlink()
