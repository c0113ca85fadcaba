"""The model that somebody named: a file, or the URL of one, which is fetched into the cache."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from scene_batch.errors import ModelError, UsageError
from scene_batch.model.model_file import ModelFile

MOST_BYTES = (1 << 31) - 1
"""An ONNX file is never larger."""


def begin_model(
    model: str | os.PathLike[str] | None,
    sha256: str | None = None,
    note: Callable[[str], None] = lambda text: None,
) -> ModelFile:
    """Begin to read, and before that to fetch, a model; None is the embedded one.

    Args:
        model: A path, or the URL of an object or of a file of the web.
        sha256: What the sha256 of its bytes must be; None: whatever it is.
        note: Is told of a download that begins, in another thread.

    Raises:
        UsageError: It looks like a URL, and is none of a file.
    """
    name = "" if model is None else os.fspath(model)
    if ":/" not in name:
        return ModelFile.begin(None if model is None else Path(name), sha256)
    from scene_batch.object_store.address import Address, is_url, shown

    if not is_url(name):
        if name.startswith(("s3:", "gs:", "az:", "http:", "https:")):
            raise UsageError(
                f"{shown(name)!r} is no URL: two slashes come first, and it is a text, not a Path"
            )
        return ModelFile.begin(Path(name), sha256)
    key = Address.parse(name).key
    if not key or (name.endswith("/") and "?" not in name):
        raise UsageError(f"{shown(name)!r} is no file's URL: name one, such as s3://bucket/m.onnx")
    return ModelFile.fetched(
        shown(name), lambda: _fetch(name, sha256 and sha256.lower(), note), sha256
    )


def is_remote(model: str | os.PathLike[str] | None) -> bool:
    """Whether a model is named by a URL."""
    return isinstance(model, str) and "://" in model


def _fetch(url: str, sha256: str | None, note: Callable[[str], None]) -> tuple[Path, str]:
    from scene_batch.object_store.address import shown
    from scene_batch.object_store.cache import FileKind, UnaskedError, fetch

    def check(path: Path) -> None:
        ModelFile.fetched(shown(url), lambda: (path, ""), sha256).check()

    try:
        return fetch(
            url, FileKind("models", ".onnx", MOST_BYTES), sha256=sha256, check=check, note=note
        )
    except UnaskedError as error:
        raise ModelError(
            f"{error}; so nobody knows whether it has changed: to run without asking the one that"
            f" was fetched last, give --model-sha256 {error.sha256}"
        ) from None
