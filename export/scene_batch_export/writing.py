"""A model file with its card: written, and given its name when it is whole."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import onnx

from scene_batch.errors import OutputError, OutputExistsError, UsageError
from scene_batch.model.card import ModelCard
from scene_batch.model.digest import with_digest
from scene_batch.outputs.local_storage import check_folder
from scene_batch.scratch import FULL, Scratch


def check_place(out: Path, *, overwrite: bool) -> None:
    """Refuse a place where no model file can be put, before any work."""
    if out.suffix != ".onnx":
        raise UsageError(f"--out {str(out)!r}: a model file ends in .onnx")
    check_folder(out.parent)
    if out.is_dir():
        raise OutputError(f"--out {str(out)!r} is a folder; name a file")
    if out.exists() and not overwrite:
        raise OutputExistsError(str(out))


@contextmanager
def workshop() -> Iterator[Path]:
    """A temporary folder to make a model file in; that of a killed command goes with the next one.

    Raises:
        OutputError: There is no room for it.
    """
    try:
        scratch = Scratch()
        try:
            yield scratch.path
        finally:
            scratch.remove()
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise OutputError(
            f"no room in {tempfile.gettempdir()!r}: {error.strerror}; make some, or name another"
            " folder by TMPDIR"
        ) from error


def save(model: onnx.ModelProto, card: ModelCard, path: Path) -> None:
    """Write a network with its card, and the digest of both."""
    del model.metadata_props[:]
    path.write_bytes(with_digest(model.SerializeToString(), card.to_metadata()))


def publish(made: Path, out: Path) -> None:
    """Give the whole file its name.

    Raises:
        OutputError: There is no room for it, or it may not be written.
    """
    partial = out.with_name(f".{out.name}.{os.getpid()}.partial")
    try:
        with partial.open("wb") as file:
            file.write(made.read_bytes())
            file.flush()
            os.fsync(file.fileno())
        partial.replace(out)
    except OSError as error:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        raise OutputError(f"cannot write {str(out)!r}: {error.strerror}") from error
