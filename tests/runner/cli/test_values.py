"""Values of options: what is read from text, and what is refused."""

from __future__ import annotations

from pathlib import Path

import click
import pytest

from scene_batch.cli.values import ShareOrOff
from support import scene_batch


@pytest.mark.parametrize(
    ("text", "share"), [("50%", 0.5), ("0.5%", 0.005), ("100%", 1.0), ("off", None)]
)
def test_share_or_off(text: str, share: float | None) -> None:
    assert ShareOrOff().convert(text, None, None) == share


@pytest.mark.parametrize("text", ["0%", "101%", "50", "nan%", "-1%", "%", "on", ""])
def test_no_share(text: str) -> None:
    with pytest.raises(click.BadParameter, match="neither off nor a share such as 50%"):
        ShareOrOff().convert(text, None, None)


def test_a_limit_of_many_digits_is_one_line(tmp_path: Path) -> None:
    done = scene_batch("run", tmp_path, "--out", tmp_path / "p.csv", "--limit", "9" * 23)
    assert done.returncode == 2
    assert b"Traceback" not in done.stderr
    assert done.stderr.splitlines()[-1].startswith(b"Error: Invalid value for '--limit'")
