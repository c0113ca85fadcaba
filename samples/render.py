"""Render the sample photos: ``python samples/render.py [FOLDER]``.

``scenes/`` are small pictures of six kinds of scenery, drawn from fractal noise and a little
geometry. ``hard/`` are photos as they really come: turned by EXIF, in CMYK, gray, 16 bits deep,
transparent, misnamed, cut off, empty. What is drawn depends on nothing but this file and Pillow.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter

WIDTH, HEIGHT = 240, 180
Field = npt.NDArray[np.float64]
"""``float64 (height, width)``, about 0 to 1."""
Picture = npt.NDArray[np.float64]
"""``float64 (height, width, 3)``, RGB, 0 to 255."""


def noise(seed: int, octaves: int = 6, start: int = 3, fade: float = 0.55) -> Field:
    """Fractal noise: smooth random fields of doubling detail, added up."""
    random = np.random.default_rng(seed)
    total, weight = np.zeros((HEIGHT, WIDTH)), 1.0
    for octave in range(octaves):
        cells = start * 2**octave
        grid = Image.fromarray(random.random((cells, int(cells * 4 / 3))).astype(np.float32))
        total += weight * np.asarray(grid.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC))
        weight *= fade
    low, high = np.percentile(total, [1, 99])
    return np.clip((total - low) / (high - low), 0, 1)


def blend(low: tuple[int, int, int], high: tuple[int, int, int], field: Field) -> Picture:
    """Colours between two, by a field."""
    return np.array(low) + (np.array(high) - np.array(low)) * field[..., None]


def rows() -> Field:
    """0 at the top, 1 at the bottom."""
    return np.repeat(np.linspace(0, 1, HEIGHT)[:, None], WIDTH, axis=1)


def sky(seed: int, clouds: float = 0.5) -> Picture:
    """A blue sky, paler towards the horizon, with clouds."""
    blue = blend((66, 122, 190), (190, 214, 235), np.clip(rows() * 1.6, 0, 1))
    cover = np.clip((noise(seed, start=2) - (1 - clouds)) * 3, 0, 1)[..., None]
    return blue * (1 - cover) + 245 * cover


def ridge(seed: int, base: float, height: float, rough: int = 7) -> Field:
    """Where a mountain range is: 1 below its ridge line."""
    random = np.random.default_rng(seed)
    line = np.zeros(WIDTH)
    for octave in range(rough):
        points = random.random(3 * 2**octave + 1)
        line += np.interp(np.linspace(0, len(points) - 1, WIDTH), range(len(points)), points) / (
            2.0**octave
        )
    line = base - height * (line - line.min()) / (line.max() - line.min())
    return (rows() > line[None, :]).astype(float)


def lit_rock(seed: int, dark: tuple[int, int, int], light: tuple[int, int, int]) -> Picture:
    """Rock faces, lit from the left."""
    relief = noise(seed, octaves=7, start=4, fade=0.62)
    slope = np.gradient(relief, axis=1) * 9 + np.gradient(relief, axis=0) * 4
    return blend(dark, light, np.clip(0.5 + slope, 0, 1))


def paste(below: Picture, above: Picture, where: Field) -> Picture:
    """Lay one picture on another."""
    return below * (1 - where[..., None]) + above * where[..., None]


def finish(picture: Picture, seed: int) -> Image.Image:
    """A picture as a camera gives it: a little soft, a little grainy."""
    grain = np.random.default_rng(seed).normal(0, 4, picture.shape)
    image = Image.fromarray(np.clip(picture + grain, 0, 255).astype(np.uint8))
    return image.filter(ImageFilter.GaussianBlur(0.5))


def draw_on(picture: Picture, draw: Callable[[ImageDraw.ImageDraw], None]) -> Picture:
    """Draw shapes on a picture."""
    image = Image.fromarray(np.clip(picture, 0, 255).astype(np.uint8))
    draw(ImageDraw.Draw(image))
    return np.asarray(image, np.float64)


def mountain(seed: int) -> Image.Image:
    """Ranges behind each other, bare rock with some snow near the top, a meadow in front."""
    picture = sky(seed)
    far = ridge(seed + 1, 0.62, 0.3)
    picture = paste(picture, lit_rock(seed + 2, (86, 100, 128), (140, 152, 172)), far)
    near = ridge(seed + 3, 0.8, 0.62, rough=8)
    rock = lit_rock(seed + 4, (44, 40, 40), (142, 128, 112))
    snow = np.clip((0.42 - rows()) * 6 + (noise(seed + 5) - 0.5) * 3, 0, 1) * near
    picture = paste(picture, rock, near)
    picture = paste(picture, lit_rock(seed + 4, (150, 165, 190), (255, 255, 255)), snow)
    meadow = ridge(seed + 6, 0.97, 0.2, rough=5)
    return finish(paste(picture, blend((30, 52, 24), (96, 122, 60), noise(seed + 7)), meadow), seed)


def glacier(seed: int) -> Image.Image:
    """A tongue of ice with crevasses between dark slopes."""
    picture = sky(seed, clouds=0.7)
    slopes = ridge(seed + 1, 0.5, 0.4, rough=8)
    picture = paste(picture, lit_rock(seed + 2, (38, 42, 48), (112, 110, 112)), slopes)
    ice_edge = ridge(seed + 3, 0.46, 0.08, rough=6)
    stretched = np.roll(noise(seed + 4, octaves=7, start=6, fade=0.75), 11, axis=1)
    cracks = np.abs(np.sin(stretched * 22 + rows() * 30))
    ice = blend((70, 135, 175), (240, 248, 252), np.clip(cracks * 1.5, 0, 1))
    ice = ice * (0.75 + 0.25 * noise(seed + 5)[..., None])
    return finish(paste(picture, ice, ice_edge), seed)


def sea(seed: int) -> Image.Image:
    """Open water to the horizon, waves that grow nearer."""
    picture = sky(seed, clouds=0.4)
    depth = np.clip((rows() - 0.45) / 0.55, 0.01, 1)
    swell = noise(seed + 1, octaves=7, start=6, fade=0.7)
    lines = np.sin(14 / depth + swell * 9) * 0.5 + 0.5
    water = blend((12, 66, 104), (70, 146, 170), np.clip(lines * 0.5 + swell * 0.5, 0, 1))
    foam = np.clip((lines * swell - 0.72) * 6, 0, 1) * depth
    picture = paste(picture, paste(water, np.full_like(water, 240), foam), (rows() > 0.45) * 1.0)
    beach = ridge(seed + 2, 1.05, 0.2, rough=3)
    return finish(
        paste(picture, blend((150, 128, 92), (222, 202, 160), noise(seed + 3)), beach), seed
    )


def forest(seed: int) -> Image.Image:
    """Trunks among leaves, light from above."""
    leaves = noise(seed, octaves=7, start=8, fade=0.85)
    picture = blend((14, 34, 10), (120, 168, 62), leaves**1.4)
    random = np.random.default_rng(seed + 1)
    trunks = sorted((random.random(), random.uniform(0, WIDTH)) for _ in range(34))

    def stand(draw: ImageDraw.ImageDraw) -> None:
        for near, x in trunks:
            wide, foot = 1.5 + 7 * near**2, HEIGHT * (0.62 + 0.38 * near)
            shade = int(70 - 42 * near)
            lean = random.uniform(-6, 6)
            draw.polygon(
                [
                    (x - wide / 2, foot),
                    (x + wide / 2, foot),
                    (x + lean + wide / 3, 0),
                    (x + lean, 0),
                ],
                (shade + 18, shade + 8, shade),
            )

    floor = blend((38, 34, 16), (104, 108, 48), noise(seed + 2, octaves=7, fade=0.8))
    picture = paste(picture, floor, ridge(seed + 3, 0.75, 0.08, rough=6))
    picture = draw_on(picture, stand)
    crown = np.clip((noise(seed + 4, octaves=7, start=7, fade=0.8) - 0.5) * 5, 0, 1)
    crown = crown * np.clip(1.15 - rows() * 1.7, 0, 1)
    picture = paste(picture, blend((24, 62, 14), (150, 196, 84), leaves), crown)
    return finish(picture, seed)


def facade(
    draw: ImageDraw.ImageDraw,
    random: np.random.Generator,
    left: tuple[float, float, float],
    right: tuple[float, float, float],
    wall: tuple[int, int, int],
) -> None:
    """One wall with rows of windows, between two edges (x, top, bottom)."""
    (x0, top0, bottom0), (x1, top1, bottom1) = left, right
    draw.polygon([(x0, top0), (x1, top1), (x1, bottom1), (x0, bottom0)], wall)

    def at(u: float, v: float) -> tuple[float, float]:
        top, bottom = top0 + (top1 - top0) * u, bottom0 + (bottom1 - bottom0) * u
        return x0 + (x1 - x0) * u, top + (bottom - top) * v

    columns = max(2, int(abs(x1 - x0) / 11))
    floors = max(3, int((bottom0 - top0 + bottom1 - top1) / 2 / 14))
    for column in range(columns):
        for floor in range(floors):
            u, v = (column + 0.25) / columns, (floor + 0.25) / floors
            du, dv = 0.5 / columns, 0.55 / floors
            glass = int(random.uniform(30, 110))
            colour = (glass, glass + 12, glass + 26)
            draw.polygon([at(u, v), at(u + du, v), at(u + du, v + dv), at(u, v + dv)], colour)


def buildings(seed: int) -> Image.Image:
    """Blocks of flats seen from below, each with two walls."""
    random = np.random.default_rng(seed)
    walls = [(176, 150, 120), (150, 96, 78), (190, 186, 178), (128, 134, 142)]

    def stand(draw: ImageDraw.ImageDraw) -> None:
        x = -20.0
        for number in range(4):
            wide, top = random.uniform(60, 90), random.uniform(8, 60)
            wall = walls[(number + seed) % len(walls)]
            shaded = (int(wall[0] * 0.62), int(wall[1] * 0.62), int(wall[2] * 0.66))
            corner = x + wide * 0.65
            facade(draw, random, (x, top + 14, 190), (corner, top, 190), wall)
            facade(draw, random, (corner, top, 190), (x + wide, top + 12, 190), shaded)
            x += wide * 0.95

    picture = draw_on(sky(seed, clouds=0.35), stand)
    return finish(picture * (0.88 + 0.12 * noise(seed + 1)[..., None]), seed)


WALKERS = (
    *((0.2, -10), (0.22, 258), (0.26, 270), (0.3, -12), (0.34, -20), (0.38, 262), (0.42, 280)),
    *((0.46, 90), (0.5, 140), (0.6, 290), (0.66, -34), (0.7, 110), (0.74, 300), (0.8, -30)),
)
"""Where they are in a street: how near (1: here), and how far from the left."""


def street(seed: int) -> Image.Image:
    """A road into the distance between houses, with many walkers and a few cars."""
    random = np.random.default_rng(seed)
    middle, horizon = WIDTH * 0.52, HEIGHT * 0.42
    walls = [(170, 140, 110), (140, 92, 76), (186, 180, 168), (120, 116, 112), (196, 170, 120)]

    def towards(x: float, y: float, near: float) -> tuple[float, float]:
        return middle + (x - middle) * near, horizon + (y - horizon) * near

    def stand(draw: ImageDraw.ImageDraw) -> None:
        draw.rectangle((0, horizon, WIDTH, HEIGHT), (148, 142, 136))
        draw.polygon([towards(-40, 200, 1), towards(270, 200, 1), (middle, horizon)], (82, 82, 86))
        steps = [0.06, 0.14, 0.26, 0.42, 0.66, 1.05]
        for side in (-60.0, WIDTH + 50.0):
            for number, (far, near) in enumerate(pairwise(steps)):
                height = random.uniform(-90, -30)
                (xf, tf), (_, bf) = towards(side, height, far), towards(side, 190, far)
                (xn, tn), (_, bn) = towards(side, height, near), towards(side, 190, near)
                wall = walls[int(random.integers(len(walls)))]
                dim = 0.7 if side < 0 else 1.0
                colour = (int(wall[0] * dim), int(wall[1] * dim), int(wall[2] * dim))
                facade(draw, random, (xf, tf, bf), (xn, tn, bn), colour)
                shop = (int(random.uniform(60, 220)), int(random.uniform(30, 120)), 60)
                (_, st), (_, sf) = towards(side, 128, near), towards(side, 128, far)
                (_, et), (_, ef) = towards(side, 142, near), towards(side, 142, far)
                if number > 1:
                    draw.polygon([(xf, sf), (xn, st), (xn, et), (xf, ef)], shop)
        for near in (0.1, 0.16, 0.24, 0.36, 0.54):
            x0, y0 = towards(116, 196, near)
            x1, y1 = towards(124, 196, near * 1.25)
            draw.polygon([(x0, y0), (x0 + 4 * near, y0), (x1 + 4 * near, y1), (x1, y1)], "white")
        for near, lane in ((0.2, 180), (0.32, 50)):
            car(draw, towards, lane, near, random)
        for near, lane in WALKERS:
            walker(draw, towards, lane, near, random)

    picture = draw_on(sky(seed, clouds=1.2), stand)
    return finish(picture * (0.85 + 0.15 * noise(seed + 1, octaves=7)[..., None]), seed)


Place = Callable[[float, float, float], tuple[float, float]]


def car(
    draw: ImageDraw.ImageDraw, at: Place, x: float, near: float, random: np.random.Generator
) -> None:
    """A car from behind."""
    paint = tuple(int(v) for v in random.uniform(20, 210, 3))
    draw.rectangle((*at(x - 28, 150, near), *at(x + 28, 184, near)), paint)
    draw.rectangle((*at(x - 22, 130, near), *at(x + 22, 152, near)), paint)
    draw.rectangle((*at(x - 18, 134, near), *at(x + 18, 148, near)), (40, 50, 62))
    for side in (-24, 16):
        draw.rectangle((*at(x + side, 156, near), *at(x + side + 8, 163, near)), (210, 30, 20))
        draw.rectangle((*at(x + side, 182, near), *at(x + side + 8, 192, near)), (20, 20, 20))


def walker(
    draw: ImageDraw.ImageDraw, at: Place, x: float, near: float, random: np.random.Generator
) -> None:
    """Someone on the pavement."""
    coat = tuple(int(v) for v in random.uniform(15, 140, 3))
    draw.rectangle((*at(x - 7, 138, near), *at(x + 7, 168, near)), coat)
    draw.rectangle((*at(x - 6, 166, near), *at(x + 5, 194, near)), (28, 30, 44))
    draw.ellipse((*at(x - 5, 126, near), *at(x + 5, 138, near)), (196, 152, 122))


SCENES: dict[str, Callable[[int], Image.Image]] = {
    "buildings": buildings,
    "forest": forest,
    "glacier": glacier,
    "mountain": mountain,
    "sea": sea,
    "street": street,
}
SEEDS = (11, 47)


def save_scenes(folder: Path) -> None:
    """Two pictures of each kind, in a folder of its own."""
    for name, draw in SCENES.items():
        (folder / name).mkdir(parents=True, exist_ok=True)
        for number, seed in enumerate(SEEDS, 1):
            draw(seed).save(folder / name / f"{name}-{number}.jpg", quality=88)


def save_hard(folder: Path) -> None:
    """One photo for each way in which photos are hard."""
    folder.mkdir(parents=True, exist_ok=True)
    photo = mountain(SEEDS[0])
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held upright: turn right to see it
    photo.transpose(Image.Transpose.ROTATE_90).save(folder / "exif-rotated.jpg", exif=exif)
    photo.convert("CMYK").save(folder / "cmyk.jpg")
    photo.convert("L").save(folder / "gray.jpg")
    deep = np.asarray(photo.convert("L")).astype(np.uint16) * 257
    Image.fromarray(deep).save(folder / "gray-16-bit.png")
    glass = photo.convert("RGBA")
    glass.putalpha(Image.fromarray((rows() * 255).astype(np.uint8)))
    glass.save(folder / "alpha.png")
    photo.quantize(32).save(folder / "palette.gif")
    photo.resize((1, 1)).save(folder / "one-pixel.png")
    whole = encoded(photo, "PNG")
    (folder / "a-png-inside.jpg").write_bytes(whole)
    (folder / "truncated.jpg").write_bytes(encoded(photo, "JPEG")[:4000])
    (folder / "truncated.png").write_bytes(whole[: len(whole) // 2])
    (folder / "zero-bytes.jpg").write_bytes(b"")
    (folder / "text.jpg").write_text("This is a letter, not a photo.\n")
    (folder / "folder.jpg").mkdir(exist_ok=True)
    photo.save(folder / "folder.jpg" / "inside.webp")


def encoded(image: Image.Image, file_format: str) -> bytes:
    """An image's file, in memory."""
    file = io.BytesIO()
    image.save(file, file_format)
    return file.getvalue()


if __name__ == "__main__":
    out = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent
    save_scenes(out / "scenes")
    save_hard(out / "hard")
