"""Values of options: what is read from text, and what is refused."""

from __future__ import annotations

import click
import pytest

from scene_batch.cli.values import ShareOrOff


@pytest.mark.parametrize(
    ("text", "share"), [("50%", 0.5), ("0.5%", 0.005), ("100%", 1.0), ("off", None)]
)
def test_share_or_off(text: str, share: float | None) -> None:
    assert ShareOrOff().convert(text, None, None) == share


@pytest.mark.parametrize("text", ["0%", "101%", "50", "nan%", "-1%", "%", "on", ""])
def test_no_share(text: str) -> None:
    with pytest.raises(click.BadParameter, match="neither off nor a share such as 50%"):
        ShareOrOff().convert(text, None, None)
