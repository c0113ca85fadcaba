"""An output on a disk: files appear by renames, and one process at a time holds the folder."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from scene_batch.errors import OutputBusyError, OutputError
from scene_batch.file_lock import lock
from scene_batch.outputs.room import refuse_full_disk
from scene_batch.tables.names import (
    FINISHED,
    JOB,
    LOCK,
    PARTIAL,
    PARTIALS,
    RECORD,
    RECORD_ENDING,
    WHOLE,
    is_part,
)
from scene_batch.tables.run_record import is_record

_LONGEST_ENDING = f"{RECORD_ENDING}{PARTIAL}"
_LONGEST_NAME = 255
"""Of a file, in bytes, where the system does not say: Windows counts UTF-16, never more of them."""


class LocalStorage:
    """The storage of an output on a disk."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._is_data_set = name.endswith("/")
        self._path = Path(os.path.realpath(name))  # a link stays one: what it leads to is replaced
        self._replaced = Path(f"{self._path}.parts.replaced")
        self.is_exclusive = True
        self._folder = Path(f"{self._path}.parts")
        self.folder = str(self._folder)
        self.scratch = self._folder
        self._lock: int | None = None

    def check(self) -> None:
        """Refuse a place where the table cannot be written, or which is something else.

        Raises:
            OutputError: What is wrong with it.
        """
        path, folder = self._path, self._path.parent
        if path.is_symlink():  # although all links were followed
            raise OutputError(f"{self.name!r} is a link in a circle; name another output")
        check_folder(folder)
        refuse_full_disk(folder)
        if len(os.fsencode(path.name)) + len(_LONGEST_ENDING) > _longest_name(folder):
            raise OutputError(f"the name {path.name!r} is too long for its folder; shorten it")
        if path.is_dir() and not self._is_data_set:
            raise OutputError(f"{str(path)!r} is a directory; name a file in --out")
        if path.is_file() and self._is_data_set:
            raise OutputError(f"{str(path)!r} is a file; drop the slash from --out")
        record = Path(f"{path}{RECORD_ENDING}")
        if not self._is_data_set and record.exists() and not is_record(record.read_bytes()):
            raise OutputError(
                f"{str(record)!r} is no run's record; move it, or name another output"
            )
        if path.is_dir():
            strange = _strange(path)
            if not strange:
                (path / LOCK).unlink(missing_ok=True)  # a run was killed at its very last step
            if strange:
                raise OutputError(
                    f"{str(path)!r} holds {strange!r} and is no data set of scene-batch run; name"
                    " another"
                )

    def exists(self) -> bool:
        """Whether the table is there."""
        return self._path.exists()

    def hold(self) -> None:
        """Make the folder and lock it; the lock dies with the process, whatever ends that.

        Raises:
            OutputBusyError: Another process holds it.
            OutputError: What is in the way of a data set is not ours.
        """
        self._lock = _hold(self._folder)
        _remove_data_set(self._replaced)
        if self._replaced.exists():
            raise OutputError(f"{str(self._replaced)!r} is in the way; move it elsewhere")

    def release(self) -> None:
        """Let other processes have it."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def names(self, below: str = "") -> list[str]:
        """What is in the folder, or in one inside it, sorted; empty where that is missing."""
        folder = self._folder / below
        return sorted(os.listdir(folder)) if not below or folder.is_dir() else []  # noqa: PTH208

    def read(self, name: str) -> str | None:
        """A small file of the folder; None where it is missing."""
        try:
            return (self._folder / name).read_text(encoding="utf-8")
        except FileNotFoundError:
            return None

    def write(self, name: str, text: str) -> None:
        """Write a small file so that it is there whole or not at all."""
        _write_whole(self._folder / name, text)

    def create(self, name: str, file: Path) -> None:
        """Take a closed file into the folder, whose lock says that we are alone."""
        sync(file)
        file.rename(self._folder / name)
        sync(self._folder)

    def replace(self, name: str, file: Path) -> None:
        """Move a closed file into the folder in the place of one of that name."""
        sync(file)
        file.replace(self._folder / name)
        sync(self._folder)

    def parquet(self, name: str) -> Path:
        """A Parquet file of the folder."""
        return self._folder / name

    def delete(self, names: Sequence[str]) -> None:
        """Delete files of the folder, one after the other."""
        for name in names:
            if name == LOCK:
                self._delete_lock()
            else:
                (self._folder / name).unlink(missing_ok=True)

    def discard(self) -> None:
        """Take away what is left of the folder; that the run is finished goes last."""
        if not self._folder.is_dir():
            return
        with suppress(OutputBusyError):  # another process was quick to begin its own run there
            self.delete([*PARTIALS, LOCK, FINISHED])
            with suppress(OSError):
                self._folder.rmdir()

    def is_published(self) -> bool:
        """Whether the table has left the folder."""
        return not self._is_data_set and not (self._folder / WHOLE).exists()

    def delete_unrecorded(self) -> None:
        """Nothing: a folder is renamed or not."""

    def publish_file(self, whole: Path, record: str) -> None:
        """The record first, then the table, by a rename."""
        _write_whole(Path(f"{self._path}{RECORD_ENDING}"), record)
        whole.replace(self._path)
        sync(self._path.parent)

    def publish_data_set(self, parts: Sequence[str], record: str) -> None:
        """Make the folder the data set: its parts and the record."""
        self.write(RECORD, record)
        self.delete([JOB, FINISHED])
        if sys.platform == "win32":  # which moves no folder with an open file in it
            self._delete_lock()
        self._become_data_set(self._folder)

    def publish_shares(self, parts: Mapping[str, str], record: str) -> None:
        """Make parts of folders inside the folder, by their new names, and the record the data set.

        They are moved into one folder, which becomes the data set by a rename.
        """
        whole, there = self._folder / WHOLE, self._path / RECORD
        if not whole.exists() and there.is_file() and there.read_text(encoding="utf-8") == record:
            return  # broken off behind the rename
        whole.mkdir(exist_ok=True)
        for part, name in parts.items():
            with suppress(FileNotFoundError):  # moved before this was broken off
                (self._folder / part).rename(whole / name)
        missing = sorted({*parts.values()} - {*os.listdir(whole)})  # noqa: PTH208 - names
        if missing:
            raise OutputError(f"{missing[0]!r} in {self.folder!r} is gone; was another run there?")
        _write_whole(whole / RECORD, record)
        self._become_data_set(whole)

    def delete_shares(self) -> None:
        """Delete all folders inside the folder."""
        for path in self._folder.iterdir():
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)

    def _become_data_set(self, folder: Path) -> None:
        """Give a folder the data set's name."""
        if self._path.exists():
            _remove_data_set(self._replaced)
            self._path.rename(self._replaced)
        folder.rename(self._path)
        (self._path / LOCK).unlink(missing_ok=True)
        sync(self._path.parent)
        _remove_data_set(self._replaced)

    def _delete_lock(self) -> None:
        """Delete the lock's file while it is held: whoever waits for it looks for a new one.

        Windows deletes no open file: there it is let go of first.

        Raises:
            OutputBusyError: There, another process was quick to hold it.
        """
        if (self._folder / LOCK).exists() and not _is_empty(self._folder / LOCK):
            return  # somebody's own
        if sys.platform != "win32":
            (self._folder / LOCK).unlink(missing_ok=True)
            return
        self.release()
        try:
            (self._folder / LOCK).unlink(missing_ok=True)
        except PermissionError:
            raise _busy(self._folder) from None


def check_folder(folder: Path) -> None:
    """Refuse a folder that nothing can be written to.

    Raises:
        OutputError: It is missing or not writable.
    """
    if not folder.is_dir():
        raise OutputError(
            f"no such folder: {str(folder)!r}; make it with: mkdir -p {shlex.quote(str(folder))}"
        )
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError(f"the folder {str(folder)!r} is not writable; name another in --out")


def _strange(folder: Path) -> str:
    """What makes a folder something else than a data set of ours; empty where nothing does."""
    names = sorted(os.listdir(folder))  # noqa: PTH208 - names
    own = (RECORD, LOCK) if _is_empty(folder / LOCK) else (RECORD,)
    others = [name for name in names if not is_part(name) and name not in own]
    return (others or ([] if RECORD in names else [*names, "nothing"]) or [""])[0]


def _is_empty(file: Path) -> bool:
    """Whether a file has no bytes, as a lock has none."""
    return file.is_file() and file.stat().st_size == 0


def _remove_data_set(folder: Path) -> None:
    """Take a data set away that was replaced; that it stays is no reason to fail."""
    names = os.listdir(folder) if folder.is_dir() else ["nothing"]  # noqa: PTH208 - names
    if all(is_part(name) or name == RECORD for name in names):  # one may be half removed
        shutil.rmtree(folder, ignore_errors=True)


def _longest_name(folder: Path) -> int:
    """The longest name of a file that a folder takes, in bytes."""
    return os.pathconf(folder, "PC_NAME_MAX") if hasattr(os, "pathconf") else _LONGEST_NAME


def _hold(folder: Path) -> int:
    """Make a folder and lock it; closing the descriptor lets go of it."""
    while True:
        folder.mkdir(exist_ok=True)
        try:
            descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o666)
        except FileNotFoundError:  # its owner has just finished and deleted it
            continue
        try:
            if not lock(descriptor):
                raise _busy(folder)
            if os.fstat(descriptor).st_ino == (folder / LOCK).stat().st_ino:
                return descriptor
        except FileNotFoundError:
            pass
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _busy(folder: Path) -> OutputBusyError:
    return OutputBusyError.being_written(str(folder)[: -len(".parts")])


def _write_whole(path: Path, text: str) -> None:
    partial = Path(f"{path}{PARTIAL}")
    partial.write_text(text, encoding="utf-8", newline="\n")
    sync(partial)
    partial.replace(path)
    sync(path.parent)


def sync(path: Path) -> None:
    """Make what is written survive a power loss; for a folder, its names.

    Windows opens no folder; its file system keeps a journal of names by itself.
    """
    if sys.platform == "win32" and path.is_dir():
        return
    # Windows syncs only what is open for writing; elsewhere a folder cannot be opened for that.
    descriptor = os.open(path, os.O_RDWR if sys.platform == "win32" else os.O_RDONLY)
    try:
        _flush(descriptor)
    finally:
        os.close(descriptor)


def _flush(descriptor: int) -> None:
    if sys.platform == "darwin":  # whose fsync leaves it in the drive's own memory
        import fcntl

        with suppress(OSError):  # a network disk does not take it
            fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
            return
    os.fsync(descriptor)
