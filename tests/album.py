"""Photos in folders by class, of which the model of colours gets some wrong: for report's tests."""

from __future__ import annotations

from pathlib import Path

from support import save_photo, save_shade


def save_album(folder: Path) -> Path:
    """Save shades in folders by class, some in a wrong one, one of no class, one unreadable."""
    for number in range(60):
        name = ("red", "green", "blue")[number % 3 if number % 7 else 0]
        save_shade(folder / name / f"{number:02}.png", number % 36)
    save_photo(folder / "purple" / "x.png")
    (folder / "red" / "broken.png").write_bytes(b"no photo")
    return folder
