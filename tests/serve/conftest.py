"""A server with the model of colours, for the tests that leave it as it is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from served import Served, serving

BODY = 1 << 20


@pytest.fixture(scope="session")
def served(colour_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One that is patient with photos, and not with clients."""
    with serving(
        *("--model", str(colour_model), "--max-body", str(BODY), "--body-timeout", "1s"),
        *("--max-wait", "60s", "--keep-alive", "1"),
        *("--corrections", str(tmp_path_factory.mktemp("corrections"))),
    ) as server:
        yield server
