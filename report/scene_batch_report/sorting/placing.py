"""One photo put under a new name, and taken back; nothing that is there is ever replaced.

Each step may be broken off and done again: what was finished is found so.
"""

from __future__ import annotations

import errno
import os
import shutil
from contextlib import suppress
from pathlib import Path

from scene_batch_report.sorting.journal import Entry

_NO_LINK = {
    errno.EXDEV,
    errno.EPERM,
    errno.EACCES,
    errno.EMLINK,
    errno.ENOSYS,
    errno.ENOTSUP,
    errno.EOPNOTSUPP,
}


class CannotLinkError(Exception):
    """The file system, or its rules, allow no hard link of this photo: copy it."""


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
    elif entry.how == "move-link":
        _put_symbolic_link(entry, source, name, again=again)
    elif entry.how == "move" and _same_device(source, name.parent, again=again):
        settle(source, name, again=again)
    else:
        if not (again and is_as_written(entry, name)):
            _write_copy(entry, source, partial, data)
            settle(partial, name, again=again)
        if entry.how == "move":
            source.unlink(missing_ok=True)


def _put_link(source: Path, name: Path, *, again: bool) -> None:
    try:
        os.link(os.path.realpath(source), name)
    except FileExistsError:
        if not (again and source.samefile(name)):
            raise TakenError from None
    except OSError as error:
        if error.errno in _NO_LINK:
            raise CannotLinkError from None
        raise


def _put_symbolic_link(entry: Entry, source: Path, name: Path, *, again: bool) -> None:
    """Move a symbolic link; the new one leads where the old one led, whatever it said."""
    try:
        name.symlink_to(os.path.realpath(source))
    except FileExistsError:
        if not (again and name.is_symlink()):
            raise TakenError from None
    source.unlink(missing_ok=True)


def _same_device(source: Path, folder: Path, *, again: bool) -> bool:
    try:
        return source.lstat().st_dev == folder.stat().st_dev
    except FileNotFoundError:
        if again:
            return True  # it was moved, or is gone: settle tells
        raise


def link_text(link: Path) -> str:
    """What a symbolic link says, letter by letter."""
    return os.readlink(link)  # noqa: PTH115 - pathlib's drops a leading ./


def settle(file: Path, name: Path, *, again: bool = False) -> None:
    """Give a file another name on its file system, unless something has it.

    Raises:
        TakenError: Something has it.
    """
    if again and not os.path.lexists(file) and os.path.lexists(name):
        return
    try:
        os.link(file, name)
    except FileExistsError:
        if not (again and os.path.samestat(file.lstat(), name.lstat())):
            raise TakenError from None
    except OSError as error:
        if error.errno not in _NO_LINK:
            raise
        _reserve(name, again=again)
        file.replace(name)
        return
    file.unlink()


def _reserve(name: Path, *, again: bool) -> None:
    """Make an empty file of a name, where there are no links; it may have been made before."""
    try:
        os.close(os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
    except FileExistsError:
        if not (again and is_empty(name)):
            raise TakenError from None


def is_empty(file: Path) -> bool:
    """Whether it is a file without bytes, such as one that reserves a name."""
    return file.is_file() and file.lstat().st_size == 0


def growing(file: Path) -> Path:
    """Where a file grows that is written again beside where it was."""
    return file.with_name(f".{file.name}.scene-batch-undo")


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
    if entry.time_ns is not None:
        os.utime(partial, ns=(entry.time_ns, entry.time_ns))


def is_as_written(entry: Entry, file: Path) -> bool:
    """Whether a copy, or a file that was moved, is as it was when it was put."""
    try:
        status = file.lstat()
    except OSError:
        return False
    # File systems keep times as exactly as they can: two seconds on a memory card.
    return status.st_size == entry.size_bytes and (
        entry.time_ns is None or abs(status.st_mtime_ns - entry.time_ns) <= 2 * 10**9
    )


def take_back(entry: Entry, name: Path) -> bool:
    """Undo an entry; whether all is as it was before.

    What was changed since stays where it is: a name is removed only where the original is there,
    and the original is put back only where nothing has its name.
    """
    source = Path(entry.source)
    if entry.how == "fetch":
        if is_as_written(entry, name):
            name.unlink()
        return not os.path.lexists(name)
    if entry.how == "move":
        growing(source).unlink(missing_ok=True)
    if not os.path.lexists(name):
        return os.path.lexists(source)
    if entry.how == "move-link":
        return _restore_symbolic_link(entry, source, name)
    reserved = is_empty(source) and not is_as_written(entry, source)
    if os.path.lexists(source) and not reserved:
        return _remove_second(entry, source, name)
    # Moved, or the original was removed since: this is the only one.
    if entry.how == "copy" and not is_as_written(entry, name):
        return False
    source.parent.mkdir(parents=True, exist_ok=True)
    _return(entry, name, source, again=reserved)
    return True


def _remove_second(entry: Entry, source: Path, name: Path) -> bool:
    """Remove a name whose original is there; not where the two differ."""
    same = source.samefile(name)
    if is_empty(name) and not is_as_written(entry, name):
        name.unlink()  # it was reserved
        return True
    if not same and entry.how == "link":
        return False
    if not same and not (is_as_written(entry, name) and is_as_written(entry, _real(source))):
        return False
    name.unlink()
    return True


def _real(path: Path) -> Path:
    return Path(os.path.realpath(path))


def _return(entry: Entry, name: Path, source: Path, *, again: bool) -> None:
    """Give the original its name again, from another file system, too."""
    if name.lstat().st_dev == source.parent.stat().st_dev:
        settle(name, source, again=again)
        return
    partial = growing(source)
    _write_copy(entry, name, partial, None)
    settle(partial, source, again=again)
    name.unlink()


def _restore_symbolic_link(entry: Entry, source: Path, name: Path) -> bool:
    assert entry.target is not None  # noqa: S101 - of such an entry
    if not name.is_symlink():
        return False
    source.parent.mkdir(parents=True, exist_ok=True)
    try:
        source.symlink_to(entry.target)
    except FileExistsError:
        if not source.is_symlink() or link_text(source) != entry.target:
            return False
    with suppress(FileNotFoundError):
        name.unlink()
    return True
