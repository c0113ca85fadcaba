"""Render docs/report*.webp: ``python docs/render_screenshot.py``, with Debian's Chromium.

The page of the drawn samples, classified by the embedded model: its beginning, and its photos.
"""

from __future__ import annotations

import io
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from browsers import chromium, opened  # noqa: E402 - it lives with the tests

SIZE = {"width": 1100, "height": 1000}
QUALITY = 82


def command(folder: str, *words: str) -> None:
    """Run ``scene-batch`` in a folder."""
    code = "from scene_batch.cli import program; program()"
    subprocess.run([sys.executable, "-c", code, *words], cwd=folder, check=True)


def main() -> None:
    """Make the table, its page, and pictures of that."""
    with tempfile.TemporaryDirectory() as scratch:
        (Path(scratch) / "samples").symlink_to(ROOT / "samples")
        table, page = "preds.parquet", Path(scratch) / "report.html"
        options = ("--out", table, "--top-k", "6", "--max-unreadable", "100%")
        command(scratch, "run", "samples/scenes", "samples/hard", *options)
        command(scratch, "report", table, "--out", page.name, "--truth", "parent-folder")
        with chromium() as browser, opened(browser, page, viewport=SIZE) as found:
            save(found.screenshot(), "report")
            found.get_by_label("Order").select_option("least")
            found.locator("#photos").evaluate("(title) => title.scrollIntoView()")
            found.locator(".card").first.focus()
            for key in (*"nothing", "Enter", "Space", "Space", "Space"):
                found.keyboard.press(key)
            save(found.screenshot(), "report-photos")


def save(picture: bytes, name: str) -> None:
    """Save a screenshot, small."""
    image = Image.open(io.BytesIO(picture)).convert("RGB")
    image.save(ROOT / "docs" / f"{name}.webp", quality=QUALITY, method=6)


if __name__ == "__main__":
    main()
