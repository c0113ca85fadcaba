"""A model file with its card: written, and given its name when it is whole."""

from __future__ import annotations

from pathlib import Path

import onnx

from scene_batch.errors import OutputError, OutputExistsError, UsageError
from scene_batch.model.card import ModelCard
from scene_batch.model.digest import with_digest
from scene_batch.outputs.local_storage import check_folder


def check_place(out: Path, *, overwrite: bool) -> None:
    """Refuse a place where no model file can be put, before any work."""
    if out.suffix != ".onnx":
        raise UsageError(f"--out {str(out)!r}: a model file ends in .onnx")
    check_folder(out.parent)
    if out.exists() and not overwrite:
        raise OutputExistsError(str(out))


def save(model: onnx.ModelProto, card: ModelCard, path: Path) -> None:
    """Write a network with its card, and the digest of both."""
    del model.metadata_props[:]
    path.write_bytes(with_digest(model.SerializeToString(), card.to_metadata()))


def publish(workshop: Path, out: Path) -> None:
    """Give the whole file its name."""
    partial = Path(f"{out}.partial")
    try:
        partial.write_bytes(workshop.read_bytes())
        partial.replace(out)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise OutputError(f"cannot write {str(out)!r}: {error.strerror}") from error
