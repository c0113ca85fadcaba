"""The page in a real browser: photos answered and corrected, by mouse, keyboard and on a phone."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from served import Served, serving
from support import save_photo

pytest.importorskip("playwright", reason="the page is tested in a browser: playwright is missing")
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect, sync_playwright

CHROMIUM = shutil.which("chromium")
pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="the page is tested in a browser: chromium is missing"
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
        )
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def corrections(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("page") / "corrections"


@pytest.fixture(scope="module")
def server(colour_model: Path, corrections: Path) -> Iterator[Served]:
    with serving(
        "--model", str(colour_model), "--max-wait", "60s", "--corrections", str(corrections)
    ) as server:
        yield server


@pytest.fixture
def page(browser: Browser, server: Served) -> Iterator[Page]:
    """The page, which must ask nothing of anybody else, and say nothing of errors."""
    context = browser.new_context()
    page = context.new_page()
    asked: list[str] = []
    said: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(server.url)
    expect(page.locator("#model")).to_contain_text("colours 1.0.0: 3 classes")
    yield page
    assert [url for url in asked if not url.startswith((server.url, "blob:", "data:"))] == []
    assert [text for text in said if "status of 415" not in text] == []
    context.close()


@pytest.fixture
def photos(tmp_path: Path) -> list[Path]:
    return [save_photo(tmp_path / f"{name}.png", name) for name in ("red", "lime", "blue")]


def test_photos_are_answered_with_bars_and_errors(
    page: Page, photos: list[Path], tmp_path: Path
) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no photo")
    page.set_input_files("#files", [*photos, broken])
    answers = page.locator(".answer")
    expect(answers).to_have_count(4)
    expect(answers.nth(3).locator("h3")).to_have_text("red, 57.6 %")  # the first is the last
    expect(answers.nth(2).locator("h3")).to_contain_text("green")
    expect(answers.nth(0).locator(".error")).to_have_text("not a photo in a known format")
    expect(answers.nth(3).locator("progress")).to_have_count(3)
    assert answers.nth(3).locator("img").evaluate("image => image.naturalWidth") == 24
    expect(page.locator("#stats")).to_contain_text("Photos answered")
    page.get_by_text("The model's card").click()
    expect(page.locator("#card")).to_contain_text("red, green, blue")


def test_a_photo_is_dropped_and_corrected_by_keyboard_alone(
    page: Page, corrections: Path, photos: list[Path]
) -> None:
    page.evaluate(
        """async () => {
            const blob = await new Promise((done) => {
                const canvas = new OffscreenCanvas(20, 20);
                canvas.getContext("2d").fillStyle = "rgb(255, 0, 0)";
                canvas.getContext("2d").fillRect(0, 0, 20, 20);
                canvas.convertToBlob().then(done);
            });
            const data = new DataTransfer();
            data.items.add(new File([blob], "dropped.png", { type: "image/png" }));
            document.dispatchEvent(new DragEvent("drop", { dataTransfer: data, cancelable: true }));
        }"""
    )
    expect(page.locator(".answer h3")).to_contain_text("red")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "files"
    page.keyboard.press("Tab")
    page.keyboard.press("b")  # the class that begins so
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator(".correct [role=status]")).to_have_text("Saved as blue")
    expect(page.locator("#corrections-count")).to_contain_text("stored; ")
    stored = list((corrections / "blue").iterdir())
    assert [path.suffix for path in stored] == [".png"]
    assert page.evaluate("document.activeElement.tagName") == "BUTTON"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_is_accessible_in_light_and_dark(
    browser: Browser, server: Served, photos: list[Path], scheme: str
) -> None:
    context = browser.new_context(
        color_scheme="dark" if scheme == "dark" else "light", bypass_csp=True
    )
    page = context.new_page()
    page.goto(server.url)
    page.set_input_files("#files", photos)
    expect(page.locator(".correct").first).to_be_visible()
    page.get_by_text("The model's card").click()
    found = Axe().run(page).response["violations"]
    context.close()
    assert [(each["id"], each["impact"], each["nodes"][0]["html"]) for each in found] == []


def test_it_fits_a_phone(browser: Browser, server: Served, photos: list[Path]) -> None:
    context = browser.new_context(viewport={"width": 320, "height": 640}, has_touch=True)
    page = context.new_page()
    page.goto(server.url)
    page.set_input_files("#files", photos)
    expect(page.locator(".answer select:visible")).to_have_count(len(photos))
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
    for control in page.locator("#choose, button, select").filter(visible=True).all():
        box = control.bounding_box()
        assert box is not None
        assert box["height"] >= 44
    context.close()


def test_a_hundred_corrections_are_enough_and_a_class_of_another_day_counts(
    browser: Browser, colour_model: Path, tmp_path: Path
) -> None:
    for number in range(100):
        save_photo(tmp_path / "green" / f"{number:032x}.png", "lime")
    options = ("--model", str(colour_model), "--corrections", str(tmp_path))
    with serving(*options) as server:
        page = browser.new_page()
        page.goto(server.url)
        expect(page.locator("#corrections-count")).to_contain_text("100 stored: enough")
        page.close()
