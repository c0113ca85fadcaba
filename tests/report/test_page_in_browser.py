"""The page in a real browser, from disk, with the network off: what a person does with it."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from browsers import chromium, opened
from made_up_tables import answer, save_table
from pages import made
from scene_batch.model.predictor import Predictor
from scene_batch.pipeline.job import Job
from scene_batch.pipeline.run import run
from scene_batch.records import ImageRef, Unreadable
from scene_batch.tables.run_table import RunTable
from scene_batch_report.judged import judge
from scene_batch_report.page.making import Show
from scene_batch_report.truth import PARENT_FOLDER, truth_of
from support import ROOT, save_photo, save_shade

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

AXE = ROOT / "report" / "page" / "node_modules" / "axe-core" / "axe.min.js"
HOSTILE = ('<img src=x onerror="alert(1)">', "</script><script>alert(1)</script>", 'a\nb,"c"\'')


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One for all tests."""
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def table(colours: Predictor, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photos in folders by class, two of each in a wrong one, one that is unreadable."""
    folder = tmp_path_factory.mktemp("table")
    for number in range(60):
        name = ("red", "green", "blue")[number % 3]
        save_photo(folder / "photos" / name / f"{number:02}.png", name)
    for number in range(6):
        name = ("red", "green", "blue")[number % 3]
        save_shade(folder / "photos" / name / f"shade-{number}.png", number * 5)
    (folder / "photos" / "red" / "broken.png").write_bytes(b"no photo")
    run(Job((str(folder / "photos"),), str(folder / "p.parquet")), colours)
    return folder / "p.parquet"


@pytest.fixture(scope="module")
def file(browser: Browser, table: Path) -> Path:
    """Their page."""
    made(table, table.parent / "p.html", PARENT_FOLDER, Show(1_200, 96))
    return table.parent / "p.html"


@pytest.fixture
def page(browser: Browser, file: Path) -> Iterator[Page]:
    """That page, open."""
    with opened(browser, file) as found:
        yield found


def _shown(page: Page) -> int:
    text = page.locator(".filters output").inner_text()
    return int(text.partition(" of ")[0])


def _focused(page: Page) -> str:
    """The path of the photo that has the focus."""
    return str(page.evaluate("document.activeElement.title"))


def test_filters_and_orders(page: Page) -> None:
    assert _shown(page) == 67
    page.get_by_label("Class said").select_option(label="red")
    assert 0 < _shown(page) < 67
    page.get_by_label("Status").select_option("unreadable")
    assert _shown(page) == 0
    assert "reset the filter" in page.locator(".empty").inner_text()
    page.get_by_role("button", name="Reset").click()
    page.get_by_label("Status").select_option("code unknown_format")
    assert _shown(page) == 1
    assert "not a photo" in page.locator(".card").inner_text()
    page.get_by_role("button", name="Reset").click()
    page.get_by_label("Path contains").fill("SHADE-")
    assert _shown(page) == 6
    page.get_by_label("Probability to").fill("40")
    few = _shown(page)
    page.get_by_label("Probability to").fill("")
    page.get_by_label("Probability from").fill("40.00001")
    assert few + _shown(page) == 6
    page.get_by_role("button", name="Reset").click()
    page.get_by_label("Order").select_option("path")
    assert "blue/02.png" in str(page.locator(".card").first.get_attribute("title"))


def test_a_cell_of_the_matrix_shows_its_photos(page: Page, table: Path) -> None:
    judged = judge(RunTable.open(str(table)), truth_of(PARENT_FOLDER))
    wrong = judged.truth != judged.said
    truth, said = int(judged.truth[wrong][0]), int(judged.said[wrong][0])
    count = int(((judged.truth == truth) & (judged.said == said)).sum())
    names = f"true {judged.classes[truth]}, said {judged.classes[said]}: {count} photo"
    page.get_by_role("gridcell").get_by_label(names).click()
    assert _shown(page) == count
    assert f"/{judged.classes[truth]}/" in _focused(page)
    diagonal = page.locator(".matrix .right")
    assert any(diagonal.all_inner_texts())
    page.get_by_label("Hide the diagonal").check()
    assert not any(diagonal.all_inner_texts())


def test_a_photo_opens_large_and_closes_to_where_it_was(page: Page) -> None:
    page.locator(".card").first.focus()
    page.keyboard.press("ArrowRight")
    name = _focused(page)
    page.keyboard.press("Enter")
    viewer = page.locator("dialog.viewer")
    assert viewer.locator("h2").inner_text() == name
    page.wait_for_function(
        "document.querySelector('.large img:not(.hidden)').src.startsWith('file:')"
    )
    page.keyboard.press("ArrowRight")
    assert viewer.locator("h2").inner_text() != name
    page.keyboard.press("Escape")
    viewer.wait_for(state="detached")
    assert _focused(page) not in ("", name)


def _saved(page: Page) -> list[list[str]]:
    """What `Save corrections` hands out, by the keyboard."""
    with page.expect_download() as download:
        page.keyboard.press("Control+s")
    assert download.value.suggested_filename == "corrections.csv"
    data = Path(download.value.path()).read_bytes()
    assert data.endswith(b"\r\n")
    return list(csv.reader(data.decode().splitlines(keepends=True)))


def test_corrections_by_the_keyboard_alone_are_a_truth(page: Page, table: Path) -> None:
    while page.evaluate("document.activeElement.dataset.photo") is None:
        page.keyboard.press("Tab")
    page.keyboard.press("3")  # the third class, and the next photo
    page.keyboard.press("Space")  # right as it is
    page.keyboard.press("g")
    page.keyboard.type("re")
    page.keyboard.press("Enter")
    page.keyboard.press("v")
    page.keyboard.type('iolet, "dark"')
    page.keyboard.press("Enter")
    before = _focused(page)
    page.keyboard.press("1")
    assert _focused(page) != before
    page.keyboard.press("Control+z")
    assert _focused(page) == before
    page.keyboard.press("Enter")
    page.keyboard.press("g")  # in the large view, too
    page.keyboard.press("Enter")
    page.keyboard.press("2")
    page.keyboard.press("Escape")
    page.wait_for_selector("dialog", state="detached")
    assert page.get_by_label("Corrections", exact=True).inner_text().startswith("6 photos")
    rows = _saved(page)
    assert rows[0] == ["path", "class"]
    paths = {row.ref.path for row in RunTable.open(str(table)).rows()}
    assert {path for path, _ in rows[1:]} <= paths
    assert {"blue", "green", 'violet, "dark"'} <= {name for _, name in rows[1:]}
    assert len(rows) == 7
    corrections = table.parent / "corrections.csv"
    with corrections.open("w", newline="") as out:
        csv.writer(out).writerows(rows)
    judged = judge(RunTable.open(str(table)), truth_of(str(corrections)))
    assert len(judged.paths) + judged.other.total() == 6
    assert ", saved" in page.get_by_label("Corrections", exact=True).inner_text()


def test_only_what_is_not_saved_asks_before_it_is_lost(page: Page) -> None:
    asked = []
    page.on("dialog", lambda dialog: (asked.append(dialog.type), dialog.dismiss()))
    page.locator(".card").first.focus()
    page.keyboard.press("1")
    page.close(run_before_unload=True)
    page.wait_for_timeout(200)
    assert asked == ["beforeunload"]
    _saved(page)
    page.goto("about:blank")
    page.go_back()
    assert asked == ["beforeunload"]


def test_names_are_text_and_corrections_keep_their_bytes(browser: Browser, tmp_path: Path) -> None:
    classes = [*HOSTILE[:2], "b"]
    rows: list[Any] = [answer(name, (HOSTILE[0], 0.6), ("b", 0.4)) for name in HOSTILE]
    rows += [Unreadable(ImageRef(f"{name}.jpg"), "corrupt", name) for name in HOSTILE]
    made(save_table(tmp_path / "t.parquet", rows, classes, 2), tmp_path / "t.html")
    with opened(browser, tmp_path / "t.html") as page:
        assert page.locator("script").count() == 2
        assert page.locator("img").count() == 0
        page.locator(".card").first.focus()
        for _ in rows:
            page.keyboard.press("1")
        found = _saved(page)[1:]
    assert found == [[row.ref.path, HOSTILE[0]] for row in rows]


def test_odd_tables_are_drawn(browser: Browser, tmp_path: Path) -> None:
    many = [f"c{number}" for number in range(1000)]
    tables: dict[str, tuple[list[str], list[Any], str]] = {
        "empty": (["a"], [], "The table has no rows."),
        "unreadable": (["a"], [Unreadable(ImageRef("a/b"), "empty", "no")], "No photo could be"),
        "one": (["a"], [answer("a/b", ("a", 1.0))], "No photo of known class is wrong."),
        "many": (
            many,
            [answer(f"{many[n]}/b", (many[n * 7 % 1000], 0.6)) for n in range(1000)],
            "Confusion matrix: 20 of 1,000 classes",
        ),
    }
    for name, (classes, rows, words) in tables.items():
        table = save_table(tmp_path / f"{name}.parquet", rows, classes, 1)
        made(table, tmp_path / f"{name}.html", PARENT_FOLDER)
        with opened(browser, tmp_path / f"{name}.html") as page:
            assert words in page.locator("main").inner_text()


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 375)])
def test_it_is_accessible(browser: Browser, file: Path, scheme: Any, width: int) -> None:
    if not AXE.exists():
        pytest.skip("needs axe-core: npm ci in report/page")
    size = {"width": width, "height": 800}
    with opened(browser, file, color_scheme=scheme, viewport=size) as page:
        page.evaluate(AXE.read_text(encoding="utf-8"))
        assert _findings(page) == []
        page.locator(".card").first.click()
        assert _findings(page) == []
        page.keyboard.press("x")
        assert _findings(page) == []
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def _findings(page: Page) -> list[str]:
    """What axe-core calls serious or critical."""
    found = page.evaluate("axe.run()")
    return [
        f"{each['id']}: {[node['html'][:120] for node in each['nodes']]}"
        for each in found["violations"]
        if each["impact"] in ("serious", "critical")
    ]


def test_only_what_is_in_sight_is_drawn(browser: Browser, tmp_path: Path) -> None:
    rows = [answer(f"{number}.jpg", ("a", number / 20_000)) for number in range(20_000)]
    made(
        save_table(tmp_path / "t.parquet", rows, ["a"]),
        tmp_path / "t.html",
        None,
        Show(20_000, None),
    )
    with opened(browser, tmp_path / "t.html") as page:
        page.locator(".card").first.focus()
        page.keyboard.press("End")
        page.wait_for_function("document.activeElement.title === '19999.jpg'")
        assert page.locator(".card").count() < 200
        assert page.evaluate("document.activeElement.getBoundingClientRect().bottom <= innerHeight")
        page.keyboard.press("Home")
        page.wait_for_function("document.activeElement.title === '0.jpg'")
