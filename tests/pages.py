"""A page of ``report`` as a program reads it: its elements, its policy and its data."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from scene_batch.tables.run_table import RunTable
from scene_batch_report.page.making import Made, Show, make_page
from scene_batch_report.truth import truth_of

SHOW = Show(most=1_200, longest=None)


class Page(HTMLParser):
    """The elements of a page, and what stands in its scripts and styles."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.scripts: list[str] = []
        self.styles: list[str] = []
        self.policy = ""
        self._data = ""
        self._into: list[str] | None = None
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep it."""
        said = dict(attrs)
        self.tags.append(tag)
        if said.get("http-equiv") == "Content-Security-Policy":
            self.policy = said["content"] or ""
        if tag in ("script", "style"):
            self._into = self.scripts if tag == "script" else self.styles
            self._into.append("")

    def handle_endtag(self, tag: str) -> None:
        """Close it."""
        self._into = None

    def handle_data(self, data: str) -> None:
        """Keep what is in scripts and styles."""
        if self._into is not None:
            self._into[-1] += data

    @property
    def data(self) -> dict[str, Any]:
        """What the page draws."""
        found: dict[str, Any] = json.loads(self.scripts[0])
        return found


def made(table: Path | str, page: Path, truth: str | None = None, show: Show = SHOW) -> Made:
    """Make a page of a table."""
    known = None if truth is None else truth_of(truth)
    return make_page(RunTable.open(str(table)), page, known, show)
