"""Names of files do not steer a terminal; tables keep them, and a model has no such classes."""

from __future__ import annotations

import json
import os
from pathlib import Path

from support import rows_of, save_colour_model, save_photo, scene_batch

NAME = "a\x1b[31m\x9b2J\u202e"
ESCAPED = rb"a\x1b[31m\x9b2J\u202e"


def test_names_are_escaped_where_people_read_and_kept_in_tables(tmp_path: Path) -> None:
    model = save_colour_model(tmp_path / "m.onnx", classes=("red\u202e", "<b>", "blue"))
    photo = save_photo(tmp_path / f"{NAME}.png")
    out = tmp_path / "p.parquet"
    said = scene_batch("run", photo, "--out", out, "--model", model)
    assert rb"red\u202e 1; " in said.stderr
    (row,) = rows_of(out)
    assert (row["class"], row["path"]) == ("red\u202e", os.fspath(photo))
    card = scene_batch("inspect", model)
    assert "red\u202e" in json.loads(card.stdout)["classes"]
    page = scene_batch("inspect", model, "--markdown")
    assert b"&lt;b>" in page.stdout
    gone = scene_batch("run", f"{photo}/gone", "--out", out, "--overwrite")
    limit = scene_batch("run", photo, "--out", out, "--limit", NAME)
    assert (gone.returncode, limit.returncode) == (1, 2)
    for text in (said.stderr, page.stdout, gone.stderr, limit.stderr):
        assert b"\x1b" not in text
        assert "\x9b" not in text.decode()
        assert "\u202e" not in text.decode()
