"""Contents into one HTML file, which opens without a network and runs no code but its own."""

from __future__ import annotations

import base64
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from scene_batch.errors import OutputError, OutputExistsError, UsageError
from scene_batch.object_store.address import is_url, shown
from scene_batch.outputs.local_storage import check_folder, sync
from scene_batch.records import printable
from scene_batch.tables.names import PARTIAL

_SUFFIXES = (".html", ".htm")
_ESCAPES = {"<": "\\u003c", "\u2028": "\\u2028", "\u2029": "\\u2029"}
"""Of the data: no text in it ends the element, or a line."""

_HEAD = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="referrer" content="no-referrer">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="generator" content="scene-batch">
<link rel="icon" href="data:,">
<title>scene-batch report</title>
<style>{style}</style>
</head>
<body>
<noscript>This page draws itself with the code that it contains: allow JavaScript.</noscript>
<div id="page"></div>
<script type="application/json" id="data">"""
_TAIL = """</script>
<script>{script}</script>
</body>
</html>
"""


def bundle(name: str) -> str:
    """A file that ``make page`` has built: ``page.js`` or ``page.css``."""
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


def policy(script: str, style: str) -> str:
    """The Content-Security-Policy of a page: its own code and style, and pictures of this disk."""
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src 'sha256-{_digest(script)}'",
            f"style-src 'sha256-{_digest(style)}'",
            "img-src data: file: 'self'",
            "base-uri 'none'",
            "form-action 'none'",
        )
    )


def _digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")


def check_page(name: str, *, overwrite: bool) -> Path:
    """The file of a page that can be written.

    Raises:
        UsageError: It is no name of a page on a disk.
        OutputError: It is there already, or cannot be written.
    """
    if is_url(name):
        raise UsageError(f"--out {shown(name)!r}: name a file on a disk, and copy it from there")
    if not name.lower().endswith(_SUFFIXES):
        raise UsageError(f"--out {printable(name)!r}: name a file that ends in .html")
    path = Path(name)
    check_folder(path.parent)
    if path.is_dir():
        raise OutputError(f"{printable(name)!r} is a directory; name a file in --out")
    if path.exists() and not overwrite:
        raise OutputExistsError(printable(name))
    return path


def write_page(path: Path, contents: Mapping[str, Any]) -> int:
    """Write a page so that it is there whole or not at all; return its size in bytes."""
    script, style = bundle("page.js"), bundle("page.css")
    partial = path.with_name(f".{path.name}.{os.getpid()}{PARTIAL}")
    try:
        with partial.open("wb") as file:
            head = _HEAD.format(policy=policy(script, style), style=style)
            file.write(head.encode())
            for text in _json(contents):
                file.write(text.encode("utf-8", "backslashreplace"))  # lone surrogates of JSON
            file.write(_TAIL.format(script=script).encode())
            file.flush()
            os.fsync(file.fileno())
        size = partial.stat().st_size
        partial.replace(path)
        sync(path.parent)
    except OSError as error:
        raise OutputError(f"cannot write {str(path)!r}: {error.strerror or error}") from error
    finally:
        partial.unlink(missing_ok=True)
    return size


def _json(contents: Mapping[str, Any]) -> Iterator[str]:
    """The data in pieces, so that pictures are not held twice."""
    encoder = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for text in encoder.iterencode(contents):
        yield escaped(text)


def escaped(text: str) -> str:
    """JSON as it may stand in an HTML element: its meaning stays the same."""
    for letter, instead in _ESCAPES.items():
        text = text.replace(letter, instead)
    return text
