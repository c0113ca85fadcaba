"""Corrections: stored by content in a folder for each class, within bounds."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from scene_batch.errors import SceneBatchError
from scene_batch_serve.corrections import Corrections, Limits
from scene_batch_serve.problems import Problem
from scene_batch_train.new_photos import find_new
from served import Served, form, serving
from support import encode

COLOURS = ("red", "green", "blue")


def _photo(number: int, kind: str = "PNG") -> bytes:
    return encode(Image.new("RGB", (9, 9), (number, 0, 0)), kind)


THREE = sum(len(_photo(number)) for number in range(3))
"""Bytes of three photos."""


def _stored(folder: Path) -> dict[str, int]:
    return {path.name: len(list(path.iterdir())) for path in folder.iterdir() if path.is_dir()}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("corrections")


@pytest.fixture(scope="module")
def server(colour_model: Path, folder: Path) -> Iterator[Served]:
    options = ("--model", str(colour_model), "--corrections", str(folder), "--max-wait", "60s")
    with serving(*options) as server:
        yield server


def test_the_last_class_that_was_said_of_a_photo_counts(server: Served, folder: Path) -> None:
    for name in ("red", "blue", "blue", "green"):
        answer = server.ask("/corrections", *form(_photo(7), **{"class": name}))
        assert answer.json["count"] == 1
    assert {name for name, count in _stored(folder).items() if count} == {"green"}
    (path,) = (folder / "green").iterdir()
    assert path.read_bytes() == _photo(7)
    assert (
        server.ask("/corrections").json == answer.json == server.ask("/stats").json["corrections"]
    )


@pytest.mark.parametrize(
    ("fields", "photos", "status", "code"),
    [
        ({}, 1, 422, "no_class"),
        ({"class": "violet"}, 1, 422, "unknown_class"),
        ({"class": "../red"}, 1, 422, "unknown_class"),
        ({"class": "red"}, 0, 422, "no_file"),
        ({"class": "red"}, 2, 422, "no_file"),
    ],
)
def test_what_is_no_correction(
    server: Served, fields: dict[str, str], photos: int, status: int, code: str
) -> None:
    answer = server.ask("/corrections", *form(*[_photo(1)] * photos, **fields))
    assert (answer.status, answer.code) == (status, code)


def test_what_is_no_photo_is_not_stored(server: Served, folder: Path) -> None:
    before = _stored(folder)
    answer = server.ask("/corrections", *form(b"no photo", **{"class": "red"}))
    assert (answer.status, answer.code) == (415, "unknown_format")
    assert _stored(folder) == before


def test_another_sites_page_stores_nothing(server: Served) -> None:
    body = form(_photo(1), **{"class": "red"})
    for site in ("cross-site", "same-site"):
        answer = server.ask("/corrections", *body, headers={"Sec-Fetch-Site": site})
        assert (answer.status, answer.code) == (403, "other_site")
    assert (
        server.ask("/corrections", *body, headers={"Sec-Fetch-Site": "same-origin"}).status == 200
    )


@pytest.mark.parametrize(
    ("origin", "status"),
    [("http://evil.test", 403), ("null", 403), ("http://127.0.0.1:1", 403), (None, 200)],
)
def test_another_origin_is_another_site_where_browsers_say_no_more(
    server: Served, origin: str | None, status: int
) -> None:
    headers = {"Origin": origin or server.url}
    body = form(_photo(1), **{"class": "red"})
    assert server.ask("/corrections", *body, headers=headers).status == status


def test_a_disk_that_hangs_holds_up_neither_others_nor_the_end(
    colour_model: Path, tmp_path: Path
) -> None:
    photo = _photo(3)
    name = hashlib.sha256(photo).hexdigest()[:32]
    options = ("--model", str(colour_model), "--corrections", str(tmp_path))
    with serving(*options) as server:
        (tmp_path / "red").mkdir()
        os.mkfifo(tmp_path / "red" / f".{name}.png.new")  # nobody reads it
        with pytest.raises(TimeoutError):
            server.ask("/corrections", *form(photo, **{"class": "red"}), seconds=1)
        for path in ("/stats", "/corrections", "/healthz"):
            assert server.ask(path, seconds=5).status == 200
        server.process.terminate()
        assert server.process.wait(10) == 0


def test_a_photo_that_could_not_be_stored_leaves_nothing(tmp_path: Path) -> None:
    corrections = Corrections(tmp_path, COLOURS)
    (tmp_path / "red" / hashlib.sha256(_photo(1)).hexdigest()[:32]).with_suffix(".png").mkdir(
        parents=True
    )
    with pytest.raises(Problem, match="could not be stored"):
        corrections.add(_photo(1), "red")
    assert len(list((tmp_path / "red").iterdir())) == 1
    kept = tmp_path / "red" / f".{'0' * 32}.png.new"
    kept.write_bytes(b"of a kill")
    Corrections(tmp_path, COLOURS)
    assert not kept.exists()


def test_a_folder_that_was_emptied_takes_photos_again(tmp_path: Path) -> None:
    corrections = Corrections(tmp_path, COLOURS, Limits(most=1))
    corrections.add(_photo(1), "red")
    with pytest.raises(Problem, match="full"):
        corrections.add(_photo(2), "red")
    shutil.rmtree(tmp_path / "red")
    corrections.add(_photo(2), "red")
    assert corrections.to_json()["count"] == 1


def test_they_are_off_unless_a_folder_is_named(colour_model: Path) -> None:
    with serving("--model", str(colour_model)) as server:
        assert server.ask("/stats").json["corrections"] is None
        answer = server.ask("/corrections", *form(_photo(1), **{"class": "red"}))
        assert (answer.status, answer.code) == (404, "corrections_off")


@pytest.mark.parametrize("limits", [Limits(most=3), Limits(most_bytes=THREE)])
def test_a_full_folder_takes_no_more_and_corrects_what_it_has(
    tmp_path: Path, limits: Limits
) -> None:
    for _ in range(2):  # as it is found, and as it was left
        corrections = Corrections(tmp_path, COLOURS, limits)
        for number in (0, 1, 2):
            corrections.add(_photo(number), "red")
        with pytest.raises(Problem, match="full") as caught:
            corrections.add(_photo(3), "red")
        assert caught.value.status == 507
        corrections.add(_photo(2), "blue")
        assert corrections.to_json()["count"] == 3
    assert _stored(tmp_path) == {"red": 2, "blue": 1}


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "AVIF"])
def test_the_suffix_is_the_formats(tmp_path: Path, kind: str) -> None:
    Corrections(tmp_path, COLOURS).add(_photo(5, kind), "red")
    (path,) = (tmp_path / "red").iterdir()
    assert Image.registered_extensions()[path.suffix] == kind


@pytest.mark.parametrize("classes", [("a/b",), ("..",), (".hidden",), ("A", "a"), ("con:",)])
def test_classes_that_can_be_no_folders_are_refused(
    tmp_path: Path, classes: tuple[str, ...]
) -> None:
    with pytest.raises(SceneBatchError, match="--corrections") as caught:
        Corrections(tmp_path, classes)
    assert "\n" not in str(caught.value)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_is_said_at_the_start(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(SceneBatchError, match="name another folder"):
        Corrections(tmp_path, COLOURS)


def test_a_file_in_its_place_is_said_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SceneBatchError, match="name another folder"):
        Corrections(tmp_path / "file" / "x", COLOURS)


def test_training_takes_the_folder_as_it_is(tmp_path: Path) -> None:
    corrections = Corrections(tmp_path, COLOURS)
    for number in range(100):
        corrections.add(_photo(number), COLOURS[number % 3])
    found = find_new(tmp_path, COLOURS)
    assert len(found) == 100
    for photo in found:
        assert Path(photo.ref.path).parent.name == COLOURS[photo.class_index]
