"""Go on with a run that was broken off: what is saved is held against what is listed now.

The listing and the saved rows are read side by side, so memory does not grow. Photos that have
changed since their rows were saved are classified again, part by part; those that have appeared
before the last saved one are left out; the rows of those that are gone stay.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager

from scene_batch.object_store.address import hidden
from scene_batch.outputs.saved import SavedOutput
from scene_batch.outputs.saved_photos import SavedPhoto
from scene_batch.pipeline.front import Front
from scene_batch.pipeline.work import Photos, Work
from scene_batch.records import ImageRef, Position, Row


def go_on(
    output: SavedOutput,
    work: Work,
    classify: Callable[[Iterable[ImageRef]], Iterable[Row]],
    front: Front,
    guard: Callable[[], AbstractContextManager[None]],
) -> None:
    """Go behind the last saved photo, and classify again what has changed before it.

    Args:
        output: What is saved.
        work: All of the run's work; it is left behind the last saved photo.
        classify: Makes rows of photos, in order; raises in a storm.
        front: Is told what is continued.
        guard: Holds signals off while a part is replaced.
    """
    if output.thrown_away:
        front.note(f"{output.thrown_away}: the rows from there on are computed again")
    after, photos, renewed = output.after, work.photos, 0
    if after is None:
        return
    front.note(f"continues after {output.tally.rows} row{'s'[: output.tally.rows != 1]}")
    if photos is not None:
        sources = _sources(output.tally.sources)
        for part in output.parts:
            changed = _changed(work, photos, zip(output.photos_of(part), sources))  # noqa: B905 - sources go on
            if changed:
                rows = dict(zip(changed, classify(changed.values()), strict=True))
                with guard():
                    output.renew(part, rows)
                front.update(output.tally)
                renewed += len(rows)
        while (ref := photos.peek()) is not None and ref.order_key <= after.order_key:
            work.pass_over(next(photos))
    work.begin_behind(after)
    if renewed:
        front.note(f"{renewed} of them were classified again: their photos have changed")


def _changed(
    work: Work, photos: Photos, saved: Iterable[tuple[SavedPhoto, int]]
) -> dict[int, ImageRef]:
    """The photos of a part that have changed, by the index of their row."""
    changed = {}
    for index, (photo, source) in enumerate(saved):
        key = ImageRef(photo.path, position=Position(source)).order_key
        while (ref := photos.peek()) is not None:
            if _is_the_same(ref, source, photo.path):
                work.pass_over(next(photos))
                if photo.has_changed(ref):
                    changed[index] = ref
                break
            if not _is_before(ref, source, key):
                break
            work.pass_over(next(photos))  # it has appeared since
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
    return ref.position.line is not None or path in (ref.path, hidden(ref.path))
