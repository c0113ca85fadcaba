"""Go on with a run that was broken off: what is saved is held against what is listed now.

The listing and the saved rows are read side by side, so memory does not grow. Photos that have
changed since their rows were saved are classified again, part by part; those that have appeared
before the last saved one are left out; the rows of those that are gone stay.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass

from scene_batch.outputs.saved import SavedOutput
from scene_batch.outputs.saved_photos import SavedPhoto
from scene_batch.pipeline.work import Photos, Work
from scene_batch.records import ImageRef, Position, Row


@dataclass(slots=True)
class Continuation:
    """What is saved of a run, and the listing beside it."""

    output: SavedOutput
    work: Work
    classify: Callable[[Iterable[ImageRef]], Iterator[list[Row]]]
    """Makes rows of photos, in order; raises in a storm."""
    guard: Callable[[], AbstractContextManager[None]]
    """Holds signals off while a part is replaced."""

    def renew(self) -> int:
        """Classify again what has changed, and go behind the last saved photo.

        Returns:
            How many saved rows were renewed.
        """
        after, photos, renewed = self.output.after, self.work.photos, 0
        if after is None:
            return 0
        if photos is not None:
            sources = _sources(self.output.tally.sources)
            for part in self.output.parts:
                changed = self._changed(photos, zip(self.output.photos_of(part), sources))  # noqa: B905 - sources go on
                if changed:
                    rows = [row for rows in self.classify(changed.values()) for row in rows]
                    with self.guard():
                        self.output.renew(part, dict(zip(changed, rows, strict=True)))
                    renewed += len(rows)
            while (ref := photos.peek()) is not None and ref.order_key <= after.order_key:
                self.work.pass_over(next(photos))
        self.work.begin_behind(after)
        return renewed

    def _changed(
        self, photos: Photos, saved: Iterable[tuple[SavedPhoto, int]]
    ) -> dict[int, ImageRef]:
        """The photos of a part that have changed, by the index of their row."""
        changed = {}
        for index, (photo, source) in enumerate(saved):
            key = ImageRef(photo.path, position=Position(source)).order_key
            while (ref := photos.peek()) is not None and _is_before(ref, source, key):
                self.work.pass_over(next(photos))  # it has appeared since
            if ref is not None and _is_the_same(ref, source, photo.path):
                self.work.pass_over(next(photos))
                if photo.has_changed(ref):
                    changed[index] = ref
        return changed


def _sources(rows: dict[int, int]) -> Iterator[int]:
    """The number of each saved row's source: rows are in the order of the sources."""
    for source in sorted(rows):
        for _ in range(rows[source]):
            yield source


def _is_before(ref: ImageRef, source: int, key: tuple[int, int, bytes]) -> bool:
    if ref.position.source != source:
        return ref.position.source < source
    return ref.position.line is None and ref.order_key < key


def _is_the_same(ref: ImageRef, source: int, path: str) -> bool:
    """Whether a photo is that of a saved row; a list has not changed, so the next line's is."""
    if ref.position.source != source:
        return False
    return ref.position.line is not None or ref.path == path
