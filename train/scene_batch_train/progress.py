"""Progress bars of training: lively on a terminal, a line now and then in a log."""

from __future__ import annotations

import sys
from typing import Any

from tqdm import tqdm

LOG_SECONDS = 30.0


def progress_bar(total: int, title: str, unit: str) -> tqdm[Any]:
    """A bar on standard error."""
    seconds = 0.1 if sys.stderr.isatty() else LOG_SECONDS
    return tqdm(total=total, desc=title, unit=unit, mininterval=seconds)
