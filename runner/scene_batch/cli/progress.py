"""The progress of a run on standard error: a bar, or a line now and then."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Self

import click

from scene_batch.cli.terminal import complain
from scene_batch.errors import Interrupted
from scene_batch.pipeline.interruption import Interruption

if TYPE_CHECKING:
    from tqdm import tqdm

    from scene_batch.outputs.tally import Tally
    from scene_batch.tables.run_record import RunRecord

LINE_SECONDS = 10.0
"""Seconds between lines where there is no terminal: the log stays short and shows life."""
MOST_CLASSES = 10
"""Classes that the summary names; the record has all."""

_STAGE_NAMES = {
    "list": "listing",
    "read": "reading",
    "decode": "decoding",
    "infer": "the model",
    "write": "writing",
}


class Progress:
    """Progress and the closing summary of one run."""

    def __init__(self, *, quiet: bool, as_json: bool) -> None:
        self._quiet, self._as_json = quiet, as_json
        self._said = time.monotonic()
        self._bar: tqdm[Any] | None = None
        if sys.stderr is not None and sys.stderr.isatty() and not quiet and not as_json:
            from tqdm import tqdm

            self._bar = tqdm(unit="photo", smoothing=0.1)

    def __enter__(self) -> Self:
        """Return itself; leaving takes the bar away."""
        return self

    def __exit__(self, *_: object) -> None:
        """Leave the terminal as it was."""
        if self._bar is not None:
            self._bar.close()

    def update(self, tally: Tally) -> None:
        """Show how far the run is."""
        if self._bar is not None:
            self._bar.update(tally.rows - self._bar.n)
            return
        now = time.monotonic()
        if now - self._said < LINE_SECONDS:
            return
        self._said = now
        rate = (tally.rows - tally.kept) / tally.elapsed
        unreadable = sum(tally.unreadable.values())
        self._say(
            f"{tally.rows} photos, {rate:.0f} photos/s, {unreadable} unreadable",
            event="progress",
            photos=tally.rows,
            photos_per_second=round(rate, 1),
            unreadable=unreadable,
        )

    def note(self, text: str) -> None:
        """Say something else, unless it is empty."""
        if text:
            self._say(text, event="note")

    def warn(self, text: str) -> None:
        """Say what explains an exit code, even if nothing else is to be said."""
        self._quiet = False
        self.note(text)

    def summary(self, record: RunRecord) -> None:
        """Sum up a finished run in one line."""
        if self._bar is not None:
            self._bar.close()
        from scene_batch.sources.selection import words

        unreadable = record.photos - record.ok
        classes = _most_frequent(record.classes)
        reasons = ", ".join(f"{code} {count}" for code, count in record.unreadable.items())
        parts = [
            f"{record.photos} row{'s'[: record.photos != 1]}",
            f"{unreadable} unreadable" + (f" ({reasons})" if reasons else ""),
            *([classes] if classes else []),
            *_updated(record.update or {}),
            *words(record.ignored),
            *([f"{record.retries} reads retried"] if record.retries else []),
            f"{record.photos_per_second:.0f} photos/s",
            f"bottleneck {_STAGE_NAMES[record.bottleneck]}",
            f"provider {record.provider}" + (" in bf16" if _in_bf16(record) else ""),
            *([record.hint] if record.hint else []),
        ]
        self._say("; ".join(parts), event="summary", **json.loads(record.to_json()))

    def _say(self, text: str, **fields: object) -> None:
        if self._quiet:
            return
        with suppress(OSError):  # a reader that is gone is no reason to lose work
            if self._as_json:
                click.echo(json.dumps({"text": text} | fields, ensure_ascii=False), err=True)
            else:
                complain(" ".join(text.split("\n")))


def _most_frequent(classes: Mapping[str, int]) -> str:
    found = sorted(((count, name) for name, count in classes.items() if count), key=lambda c: -c[0])
    words = [f"{name} {count}" for count, name in found[:MOST_CLASSES]]
    more = len(found) - MOST_CLASSES
    return ", ".join(words) + (f" and {more} more" if more > 0 else "")


def _updated(counts: Mapping[str, int]) -> list[str]:
    """What an update did, in words; nothing for another run."""
    return (
        [", ".join(f"{count} {what}" for what, count in counts.items() if count)] if counts else []
    )


def _in_bf16(record: RunRecord) -> bool:
    return record.settings.get("precision") == "bf16"


@contextmanager
def told(*, quiet: bool, as_json: bool) -> Iterator[tuple[Progress, Interruption]]:
    """Show how a command goes; after a signal, exit with its code once work is saved."""
    with Progress(quiet=quiet, as_json=as_json) as progress, Interruption() as interruption:
        try:
            yield progress, interruption
        except Interrupted as interrupted:
            progress.note("interrupted; run the same command again")
            sys.exit(interrupted.exit_code)
