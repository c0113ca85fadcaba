"""Laws of cutting: shares tile the listing, are about equal, and cost memory that is bounded."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scene_batch_cluster.marks import PAGE, Marks, cut, shares_for


def _marks(source: int, photos: int, most: int = 1 << 15) -> Marks:
    marks = Marks(most)
    for number in range(photos):
        marks.add((source, 0, b"%09d" % number))
    return marks


@given(
    st.lists(st.integers(0, 700), min_size=1, max_size=4).filter(any),
    st.integers(1, 60),
    st.sampled_from([16, 64, 1 << 15]),
)
def test_shares_tile_all_sources(photos: list[int], shares: int, most: int) -> None:
    cuts = cut([_marks(number, count, most) for number, count in enumerate(photos)], shares)
    assert 1 <= len(cuts) <= shares
    assert cuts[0].span.after is None
    assert cuts[-1].span.last is None
    assert all(one.span.last == two.span.after for one, two in itertools.pairwise(cuts))
    keys = [(s, 0, b"%09d" % n) for s, count in enumerate(photos) for n in range(count)]
    held = [sum(one.span.holds(key) for key in keys) for one in cuts]
    assert held == [one.photos for one in cuts]
    assert 0 not in held


def test_as_many_shares_as_photos_are_shares_of_one() -> None:
    assert [one.photos for one in cut([_marks(0, 1000)], 1000)] == [1] * 1000


@pytest.mark.parametrize("photos", [200_000, 1_000_000])
def test_large_shares_are_of_whole_pages_and_about_equal(photos: int) -> None:
    cuts = cut([_marks(0, photos)], 16)
    assert len(cuts) == 16
    assert {one.photos % PAGE for one in cuts} == {0}
    assert max(one.photos for one in cuts) - min(one.photos for one in cuts) <= 2 * PAGE


def test_marks_are_bounded() -> None:
    marks = _marks(0, 300_000, most=1000)
    assert len(marks.keys) < 1000
    assert marks.count == 300_000
    assert marks.keys[0][2] == b"%09d" % (marks.step - 1)


@pytest.mark.parametrize(
    ("photos", "slots", "shares"),
    [(1, 8, 1), (3_600, 2, 4), (100_000, 2, 16), (10**7, 2, 100), (10**9, 64, 10_000)],
)
def test_shares_suit_the_photos_and_the_cluster(photos: int, slots: int, shares: int) -> None:
    assert shares_for(photos, slots, 10_000) == shares
