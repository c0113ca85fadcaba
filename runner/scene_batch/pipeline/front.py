"""Whoever asked for a run, and is told how it goes."""

from __future__ import annotations

from typing import Protocol

from scene_batch.outputs.tally import Tally


class Front(Protocol):
    """A command line, a program, a test."""

    def note(self, text: str) -> None:
        """Show a text, unless it is empty."""

    def update(self, tally: Tally) -> None:
        """Show how far the run is; called after each batch."""


class Silent:
    """Says nothing."""

    def note(self, text: str) -> None:
        """Say nothing."""

    def update(self, tally: Tally) -> None:
        """Say nothing."""


SILENT = Silent()
