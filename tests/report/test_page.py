"""The page of a table: figures of all rows, names that stay text, a policy, and odd tables."""

from __future__ import annotations

import base64
import hashlib
import io
import os
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import pytest
import sklearn.metrics
from PIL import Image

from album import save_album
from buckets import Bucket
from made_up_tables import answer, save_table
from pages import Page, made
from scene_batch.errors import ModelError, SceneBatchError
from scene_batch.model.model_file import EMBEDDED
from scene_batch.model.predictor import Predictor
from scene_batch.pipeline.job import Job
from scene_batch.pipeline.run import run
from scene_batch.records import ImageRef, Unreadable
from scene_batch.tables.run_table import RunTable
from scene_batch_report.evaluation import evaluate
from scene_batch_report.judged import judge
from scene_batch_report.page.making import Show
from scene_batch_report.page.writing import check_page, write_page
from scene_batch_report.truth import PARENT_FOLDER, truth_of
from support import save_photo, scene_batch

HOSTILE = (
    "<script>alert(1)</script>",
    "</script><!--<script>",
    "a\"b'c",
    "new\nline\r\tand \x01\x7f",
    "\U0001f642\u200d",
    "right\u202eto left",
    "line\u2028and\u2029paragraph",
    "=1+1,x",
    "&lt;\\u003c\\",
)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Shades in folders by class, some in a wrong one, one of no class, one unreadable."""
    return save_album(tmp_path_factory.mktemp("photos"))


@pytest.fixture(scope="module")
def table(photos: Path, colours: Predictor, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the model of colours says of them."""
    out = tmp_path_factory.mktemp("table") / "p.parquet"
    run(Job((str(photos),), str(out)), colours)
    return out


def _data(table: Path | str, page: Path, truth: str | None = None, **show: Any) -> dict[str, Any]:
    made(table, page, truth, Show(**({"most": 1_200, "longest": None} | show)))
    return Page(page).data


def test_its_figures_are_those_of_evaluate_and_of_scikit_learn(table: Path, tmp_path: Path) -> None:
    data = _data(table, tmp_path / "p.html", PARENT_FOLDER, most=5)
    judged = judge(RunTable.open(str(table)), truth_of(PARENT_FOLDER))
    figures, found = evaluate(judged), data["evaluation"]
    same = figures.keys() - {"confusion", "per_class", "truth_other"}
    assert {name: found[name] for name in same} == {name: figures[name] for name in same}
    assert found["per_class"] == [figures["per_class"][name] for name in judged.classes]
    matrix = np.diag(found["right"])
    for truth, said, number in found["cells"]:
        matrix[truth, said] = number
    assert matrix.tolist() == sklearn.metrics.confusion_matrix(judged.truth, judged.said).tolist()
    assert found["accuracy"] == pytest.approx(
        sklearn.metrics.accuracy_score(judged.truth, judged.said), abs=1e-6
    )
    last = found["curve"][-1]
    assert (last["coverage"], last["accuracy"]) == (1, found["accuracy"])


def test_its_counts_are_of_all_rows_though_few_are_shown(table: Path, tmp_path: Path) -> None:
    data = _data(table, tmp_path / "p.html", PARENT_FOLDER, most=5)
    record = RunTable.open(str(table)).record
    assert (data["rows"], data["ok"]) == (62, 61)
    assert dict(zip(data["classes"], data["counts"], strict=True)) == record["classes"]
    assert data["unreadable"] == {"unknown_format": 1}
    assert np.sum(data["histograms"], axis=1).tolist() == data["counts"]
    assert sum(data["wrong_by_probability"]) == sum(cell[2] for cell in data["evaluation"]["cells"])
    assert len(data["photos"]) == 5
    assert data["how"].startswith("5 of 62 rows: ")


def test_rows_are_shown_as_they_are(table: Path, tmp_path: Path) -> None:
    data = _data(table, tmp_path / "p.html", PARENT_FOLDER)
    assert data["how"] == "all 62 rows"
    rows = list(RunTable.open(str(table)).rows())
    for row, photo in zip(rows, data["photos"], strict=True):
        assert photo["path"] == row.ref.path
        folder = Path(row.ref.path).parent.name
        known = folder in data["classes"]
        assert photo["truth"] == (data["classes"].index(folder) if known else folder)
        if isinstance(row, Unreadable):
            assert photo["error"] == f"{row.code}: {row.message}"
        else:
            assert data["classes"][photo["top"][0][0]] == row.class_name
            assert photo["top"][0][1] == pytest.approx(row.probability, abs=1e-6)


def test_hostile_names_are_data_and_change_no_element(tmp_path: Path) -> None:
    classes = [name for name in HOSTILE if name.isprintable()] + ["b"]
    rows = [answer(f"{c}/{n}.jpg", (c, 0.9), ("b", 0.1)) for n in HOSTILE for c in classes[:-1]]
    rows += [answer(os.fsdecode(b"\xff\xfe.jpg"), ("b", 1.0))]
    broken = [Unreadable(ImageRef(name), "corrupt", name) for name in HOSTILE]
    hostile = save_table(tmp_path / "t.parquet", [*rows, *broken], classes, 2)
    plain = save_table(tmp_path / "plain.parquet", [answer("a.jpg", ("b", 1.0))], ["b"])
    data = _data(hostile, tmp_path / "t.html", PARENT_FOLDER)
    _data(plain, tmp_path / "plain.html")
    assert Page(tmp_path / "t.html").tags == Page(tmp_path / "plain.html").tags
    assert data["classes"] == classes
    paths = [row.ref.path for row in rows[:-1]] + ["\\xff\\xfe.jpg", *HOSTILE]
    assert [photo["path"] for photo in data["photos"]] == paths
    assert [p["error"] for p in data["photos"][len(rows) :]] == [f"corrupt: {n}" for n in HOSTILE]


def test_the_policy_allows_the_page_itself_and_no_more(table: Path, tmp_path: Path) -> None:
    made(table, tmp_path / "p.html")
    page = Page(tmp_path / "p.html")
    _, script = page.scripts
    (style,) = page.styles

    def digest(text: str) -> str:
        return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()

    assert page.policy.split("; ") == [
        "default-src 'none'",
        f"script-src 'sha256-{digest(script)}'",
        f"style-src 'sha256-{digest(style)}'",
        "img-src data: file: 'self'",
        "base-uri 'none'",
        "form-action 'none'",
    ]


def test_photos_are_seen_upright_in_their_shape_and_linked(
    colours: Predictor, tmp_path: Path
) -> None:
    folder = tmp_path / "my photos #1?"
    wide = save_photo(folder / "100%.png", "red", (60, 30))
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (60, 30), "blue").save(folder / "turned.jpg", exif=exif)
    gone, changed = save_photo(folder / "gone.png"), save_photo(folder / "new.png")
    run(Job((str(folder),), str(tmp_path / "p.parquet")), colours)
    gone.unlink()
    save_photo(changed, "blue", (9, 9))
    (tmp_path / "pages").mkdir()
    data = _data(tmp_path / "p.parquet", tmp_path / "pages" / "p.html", longest=40)
    first, second, new, third = data["photos"]
    shapes = [Image.open(io.BytesIO(base64.b64decode(p["thumbnail"]))).size for p in (first, third)]
    assert shapes == [(40, 20), (20, 40)]
    assert second["not_seen"] == "missing: no such file"
    assert "has changed since the run" in new["not_seen"]
    assert (tmp_path / "pages" / unquote(first["href"])).resolve() == wide.resolve()
    assert not {"?", "#", ":"} & set(first["href"])


def test_photos_and_table_of_a_bucket(
    photos: Path, colours: Predictor, bucket: Bucket, tmp_path: Path
) -> None:
    bucket.fill(photos, "in/")
    run(Job((f"{bucket.url}/in",), f"{bucket.url}/p.parquet"), colours)
    data = _data(f"{bucket.url}/p.parquet", tmp_path / "p.html", PARENT_FOLDER, longest=32)
    assert data["rows"] == 62
    assert sum("thumbnail" in photo for photo in data["photos"]) == 61
    assert not any("href" in photo for photo in data["photos"])


def test_only_a_photo_of_the_web_or_of_a_disk_is_linked(tmp_path: Path) -> None:
    paths = ["https://h/a.jpg", "https://h/a?sha256:0123456789abcdef", "gs://b/a.jpg", "x:/a.jpg"]
    rows = [answer(path, ("b", 1.0)) for path in [*paths, "javascript:alert(1)"]]
    table = save_table(tmp_path / "t.parquet", rows, ["b"])
    links = [photo.get("href") for photo in _data(table, tmp_path / "p.html")["photos"]]
    assert links[:3] == ["https://h/a.jpg", None, None]
    assert not any(":" in link for link in links[3:])


@pytest.mark.parametrize("truth", [None, PARENT_FOLDER])
@pytest.mark.parametrize("kind", ["empty", "unreadable", "one class", "many classes"])
def test_odd_tables_have_a_page(kind: str, truth: str | None, tmp_path: Path) -> None:
    many = [f"c{number}" for number in range(1000)]
    classes = {"one class": ["a"], "many classes": many}.get(kind, ["a", "b"])
    rows: list[Any] = {
        "empty": [],
        "unreadable": [Unreadable(ImageRef(f"a/{n}"), "empty", "") for n in range(9)],
        "one class": [answer(f"a/{number}", ("a", 1.0)) for number in range(9)],
        "many classes": [
            answer(f"{many[n % 1000]}/{n}", (many[n * 7 % 1000], 0.6)) for n in range(4000)
        ],
    }[kind]
    table = save_table(tmp_path / "t.parquet", rows, classes, 1)
    data = _data(table, tmp_path / "p.html", truth)
    assert data["rows"] == len(rows)
    assert len(data["photos"]) == min(len(rows), 1_200)
    assert (data["evaluation"] is not None) == (truth is not None and data["ok"] > 0)


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--out", "p.htm"], 0, b"p.htm: 0."),
        (["--out", "there.html"], 1, b"already there; replace it with --overwrite"),
        (["--out", "there.html", "--overwrite", "--no-thumbnails"], 0, b"all 62 rows"),
    ],
)
def test_the_command(
    words: list[str], code: int, message: bytes, table: Path, tmp_path: Path
) -> None:
    (tmp_path / "there.html").write_text("old")
    done = scene_batch("report", table, *words, cwd=tmp_path)
    assert (done.returncode, message in done.stdout + done.stderr) == (code, True), done
    assert ((tmp_path / "there.html").read_text() == "old") == ("--overwrite" not in words)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("p.pdf", "name a file that ends in .html"),
        ("s3://b/p.html", "name a file on a disk"),
        ("{tmp}/none/p.html", "mkdir -p"),
        ("{tmp}/a.html", "is a directory"),
        ("there.parquet", "ends in .html"),
    ],
)
def test_an_output_that_is_none_is_one_line(name: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "a.html").mkdir()
    with pytest.raises(SceneBatchError, match=message) as caught:
        check_page(name.replace("{tmp}", str(tmp_path)), overwrite=True)
    assert "\n" not in str(caught.value)


def test_the_card_is_of_the_model_that_ran(table: Path, colour_model: Path, tmp_path: Path) -> None:
    page = tmp_path / "p.html"
    assert _data(table, page)["card"] is None
    card = _data(table, page, model=str(colour_model))["card"]
    assert card["preprocess"]["input"] == "16x16 pixels: the middle of the photo"
    with pytest.raises(ModelError, match="sha256"):
        _data(table, page, model=str(EMBEDDED))


def test_a_page_that_fails_leaves_the_old_one(tmp_path: Path) -> None:
    page = tmp_path / "p.html"
    page.write_text("old")
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_page(page, {"a": float("nan")})
    assert [path.name for path in tmp_path.iterdir()] == ["p.html"]
    assert page.read_text() == "old"
