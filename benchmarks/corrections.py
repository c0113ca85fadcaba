"""A hundred corrections from the page retrain a run: ``python benchmarks/corrections.py TRAIN``.

A small run learns a part of the photos. Others, made as dark as at night, are given to the page of
its server in Chromium; the right class of those that it gets wrong is chosen and saved there, until
there are a hundred. Then ``train --from RUN --add DIR`` decides whether the new model is better.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from commands import ours
from machine import described
from PIL import Image
from playwright.sync_api import Page, expect, sync_playwright

PORT = 8733
URL = f"http://127.0.0.1:{PORT}"
_ENOUGH, _KNOWN = 100, 250
_CONFIG = """
[train]
weights = "{weights}"
height = 128
width = 128
middle_blocks = 2
validation = 0.15
precision = "mixed_bfloat16"
[train.head]
epochs = 3
learning_rate = 1e-3
batch_size = 64
[train.fine_tune]
epochs = 4
learning_rate = 3e-4
batch_size = 32
patience = 4
[train.augment]
flip = true
"""


def night(photo: Path, to: Path) -> Path:
    """A photo as dark and blue as at night."""
    with Image.open(photo) as image:
        red, green, blue = image.convert("RGB").split()
    dark = (
        red.point(lambda x: x * 0.12),
        green.point(lambda x: x * 0.16),
        blue.point(lambda x: x * 0.4),
    )
    Image.merge("RGB", dark).save(to, quality=90)
    return to


def photos_in_turn(classes: list[Path], at: Path) -> Iterator[tuple[str, Path]]:
    """Photos that the run does not know, as at night: one of each class in turn."""
    for number in range(_KNOWN, 100_000):
        for folder in classes:
            photo = sorted(folder.iterdir())[number]
            yield folder.name, night(photo, at / f"{folder.name}-{number}.jpg")


def correct(page: Page, photo: Path, right: str) -> bool:
    """Give a photo to the page, and say its class where the answer is another; whether it was."""
    page.set_input_files("#files", photo)
    answer = page.locator(".answer").first
    expect(answer.locator("img")).to_have_attribute("alt", re.compile(f"^{photo.name}: "))
    if (answer.locator("h3").text_content() or "").startswith(f"{right}, "):
        return False
    answer.locator("select").select_option(right)
    answer.get_by_role("button").click()
    expect(answer.locator("[role=status]")).to_have_text(f"Saved as {right}")
    return True


@contextmanager
def serving(model: Path, corrections: Path) -> Iterator[None]:
    """A server that takes corrections."""
    words = ours("serve", "--model", model, "--corrections", corrections, "--port", PORT)
    with subprocess.Popen(words, stderr=subprocess.DEVNULL) as process:
        try:
            for _ in range(100):
                time.sleep(0.2)
                with suppress(URLError), urlopen(f"{URL}/readyz"):
                    break
            yield
        finally:
            process.terminate()


def main() -> None:
    """Train, serve, correct, train again."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("train", type=Path, help="class folders of more than 250 photos each")
    parser.add_argument("--weights", default="imagenet")
    options = parser.parse_args()
    classes = sorted(path for path in options.train.iterdir() if path.is_dir())
    print(described(), end="\n\n")
    with tempfile.TemporaryDirectory() as name:
        at = Path(name)
        run, model, corrections, nights = (
            at / x for x in ("run", "m.onnx", "corrections", "night")
        )
        nights.mkdir()
        for folder in classes:
            (at / "first" / folder.name).mkdir(parents=True)
            for photo in sorted(folder.iterdir())[:_KNOWN]:
                shutil.copy(photo, at / "first" / folder.name)
        (at / "small.toml").write_text(_CONFIG.format(weights=options.weights), encoding="utf-8")
        subprocess.run(
            ours("train", at / "first", "--config", at / "small.toml", "--out", run), check=True
        )
        subprocess.run(ours("export", run, "--out", model, "--precision", "int8"), check=True)
        given = corrected = 0
        with serving(model, corrections), sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=shutil.which("chromium"), args=["--no-sandbox"]
            )
            page = browser.new_page()
            page.goto(URL)
            for right, photo in photos_in_turn(classes, nights):
                given += 1
                corrected += correct(page, photo, right)
                if corrected == _ENOUGH:
                    break
            print(f"{given} photos given to the page, {corrected} corrected; it says:")
            print(page.locator("#corrections-count").text_content(), flush=True)
            browser.close()
        done = subprocess.run(ours("train", "--from", run, "--add", corrections), check=False)
        print(f"train --from: exit code {done.returncode}")


if __name__ == "__main__":
    main()
