"""Which rows a page shows: as many as asked for, of each kind, however the table is cut."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from made_up_tables import answer, save_table
from scene_batch.tables.run_table import RunTable
from scene_batch_report.page.contents import gather
from scene_batch_report.page.sample import Balanced, Sample
from scene_batch_report.truth import Truth

CLASSES, CODES = 7, 3


def _rows(count: int) -> tuple[np.ndarray, ...]:
    random = np.random.default_rng(count)
    said = random.integers(-1, CLASSES, count)
    truth = np.where(random.random(count) < 0.9, said, random.integers(-2, CLASSES, count))
    truth[said < 0] = -1
    return (
        said,
        random.random(count),
        truth,
        np.where(said < 0, random.integers(0, CODES, count), -1),
    )


def _sample(rows: tuple[np.ndarray, ...], most: int, cut: int) -> tuple[np.ndarray, str]:
    sample = Sample(most)
    for begin in range(0, len(rows[0]), cut):
        sample.add(*(column[begin : begin + cut] for column in rows), classes=CLASSES)
    return sample.chosen()


@pytest.mark.parametrize("most", [0, 1, 200, 5_000])
def test_it_has_as_many_as_asked_for_each_once_and_in_order(most: int) -> None:
    numbers, how = _sample(_rows(5_000), most, 512)
    assert len(numbers) == most
    assert (np.diff(numbers) > 0).all()
    assert how.startswith("all 5,000 rows" if most == 5_000 else f"{most:,} of 5,000 rows")


def test_every_kind_is_in_it() -> None:
    said, probability, truth, codes = rows = _rows(20_000)
    numbers, _ = _sample(rows, 400, 512)
    assert set(said[numbers]) == set(range(-1, CLASSES))
    assert set(codes[numbers]) == {-1, *range(CODES)}
    wrong = np.flatnonzero((said >= 0) & (truth >= 0) & (said != truth))
    pairs = set(zip(truth[wrong], said[wrong], strict=True))
    shown = np.intersect1d(numbers, wrong)
    assert set(zip(truth[shown], said[shown], strict=True)) == pairs
    for pair in pairs:  # the surest of each
        of = wrong[(truth[wrong] == pair[0]) & (said[wrong] == pair[1])]
        assert of[np.argmax(probability[of])] in numbers
    readable = np.flatnonzero(said >= 0)
    assert set(readable[np.argsort(probability[readable])[:100]]) <= set(numbers)


def test_it_does_not_depend_on_how_a_table_is_cut() -> None:
    rows = _rows(5_000)
    first = _sample(rows, 300, 5_000)
    for cut in (1, 17, 512):
        numbers, how = _sample(rows, 300, cut)
        assert numbers.tolist() == first[0].tolist()
        assert how == first[1]


def test_only_unreadable_rows_fill_it() -> None:
    nothing = np.full(1_000, -1)
    numbers, _ = _sample((nothing, np.full(1_000, np.nan), nothing, np.arange(1_000) % 3), 50, 100)
    assert len(numbers) == 50


def test_what_is_held_is_bounded_whatever_the_table() -> None:
    kept, most = Balanced(100), 0
    for begin in range(0, 1_000_000, 10_000):
        numbers = np.arange(begin, begin + 10_000)
        kept.offer(numbers % 5_000, -numbers.astype(float), numbers)
        most = max(most, sum(len(part[0]) for part in kept._waiting))
    assert kept.seen == 1_000_000
    assert most <= 4 * 100 + (1 << 14)
    assert len(kept.numbers()) == 100


def _peak(rows: int, truth: Truth | None, folder: Path) -> int:
    """Bytes that Python and numpy take at most to gather a page's contents."""
    names = ("a", "b")
    found = (answer(f"{n}.jpg", (names[n % 2], 0.8), (names[1 - n % 2], 0.2)) for n in range(rows))
    table = RunTable.open(str(save_table(folder / f"{rows}.parquet", found, names)))
    gather(table, truth, 100)  # once, so that what is imported does not count
    tracemalloc.start()
    try:
        assert len(gather(table, truth, 100).photos) == 100
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(("truth", "bytes_a_row"), [(None, 0), (lambda path: "a", 24)])
def test_a_page_of_many_rows_takes_the_memory_of_few(
    truth: Truth | None, bytes_a_row: int, tmp_path: Path
) -> None:
    few, many = (_peak(rows, truth, tmp_path) for rows in (40_000, 80_000))
    assert many < 1.05 * few + bytes_a_row * 40_000
