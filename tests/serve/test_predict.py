"""What is answered for photos: a run's rows, however the photos came."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from scene_batch.model.compute_options import ComputeOptions
from scene_batch.model.predictor import Predictor
from scene_batch.pipeline.job import Job
from scene_batch.pipeline.run import run
from served import Served, form, serving
from support import HARD, SCENES, encode, rows_of, save_shade

STATUS = {
    "empty": 400,
    "truncated": 400,
    "corrupt": 400,
    "too_large": 413,
    "unknown_format": 415,
}


def _colour(name: str = "lime") -> bytes:
    return encode(Image.new("RGB", (24, 24), name), "PNG")


def test_answers_are_the_rows_of_a_run(tmp_path: Path) -> None:
    """With the embedded model, for sound photos and for those that are hard to read."""
    photos = [path for folder in (HARD, SCENES) for path in sorted(folder.rglob("*.*"))]
    photos = [path for path in photos if path.is_file()]
    list_file = tmp_path / "photos.txt"
    list_file.write_text("\n".join(map(str, photos)))
    out = tmp_path / "p.parquet"
    run(Job((f"@{list_file}",), str(out)), Predictor.open(None, ComputeOptions("cpu")))
    rows = rows_of(out)
    assert len(rows) == len(photos) > 20
    with serving("--provider", "cpu", "--max-wait", "60s") as server:
        for path, row in zip(photos, rows, strict=True):
            answer = server.predict(path.read_bytes(), "application/octet-stream")
            if row["status"] == "ok":
                assert answer.status == 200
                assert answer.json["class"] == row["class"]
                got = [(each["class"], each["prob"]) for each in answer.json["top_k"]]
                want = [(each["class"], each["probability"]) for each in row["top_k"]]
                assert [name for name, _ in got] == [name for name, _ in want]
                # int8 is computed with the same integers, however many photos share a call.
                assert np.float32([p for _, p in got]) == pytest.approx(
                    [p for _, p in want], abs=1e-6
                )
            else:
                code = row["error"].partition(":")[0]
                assert (answer.status, answer.code) == (STATUS[code], code), path
                assert answer.json["error"]["message"] == row["error"].partition(": ")[2]


def test_an_answer_says_all_that_it_should(served: Served) -> None:
    answer = served.predict(_colour(), headers={"X-Request-ID": "abc.1"})
    assert answer.headers["x-request-id"] == "abc.1"
    assert answer.json["class"] == answer.json["top_k"][0]["class"] == "green"
    assert answer.json["probability"] == answer.json["top_k"][0]["prob"]
    assert answer.json["model"] == {"name": "colours", "version": "1.0.0"}
    assert set(answer.json) == {"class", "probability", "top_k", "model"}


@pytest.mark.parametrize(
    "kind", ["image/png", "image/whatever", "application/octet-stream", "IMAGE/PNG; a=b", ""]
)
def test_the_content_decides_the_format(served: Served, kind: str) -> None:
    assert served.predict(_colour(), kind).json["class"] == "green"


def test_every_way_of_sending_a_photo_gives_the_same_answer(served: Served) -> None:
    text = base64.b64encode(_colour()).decode()
    bodies = [
        (_colour(), "image/png"),
        form(_colour()),
        form(_colour(), other="field"),
        (json.dumps({"image": text}).encode(), "application/json"),
        (json.dumps({"image": f"data:image/png;base64,{text}"}).encode(), "application/json"),
    ]
    answers = {served.predict(*body).data for body in bodies}
    assert len(answers) == 1


def test_several_photos_are_a_list_in_their_order(served: Served) -> None:
    names = ["red", "lime", "blue", "lime", "red"]
    photos = [_colour(name) for name in names]
    photos[3] = b"no photo"
    answer = served.predict(*form(*photos))
    assert answer.status == 200
    assert [each.get("class") for each in answer.json] == ["red", "green", "blue", None, "red"]
    assert answer.json[3] == {
        "error": {"code": "unknown_format", "message": "not a photo in a known format"}
    }


@pytest.mark.parametrize("top_k", ["0", "4", "-1", "x", "", "1.0", "²", "1" * 40])
def test_a_top_k_beyond_the_classes_is_refused(served: Served, top_k: str) -> None:
    from urllib.parse import quote

    answer = served.ask(f"/predict?top_k={quote(top_k)}", _colour())
    assert (answer.status, answer.code) == (422, "bad_top_k")


def test_an_answer_names_as_many_classes_as_are_asked_for(served: Served) -> None:
    for top_k in (1, 2, 3):
        assert len(served.ask(f"/predict?top_k={top_k}", _colour()).json["top_k"]) == top_k


@pytest.mark.parametrize(
    ("body", "kind", "status", "code"),
    [
        (b"", "image/png", 400, "empty"),
        (b"GIF", "image/gif", 415, "unknown_format"),
        (_colour()[:60], "image/png", 400, "truncated"),
        (b"a=b", "application/x-www-form-urlencoded", 415, "unknown_content_type"),
        (b"a", "text/plain", 415, "unknown_content_type"),
        (b"{", "application/json", 400, "bad_request"),
        (b"[" * 100_000, "application/json", 400, "bad_request"),
        (b"[]", "application/json", 422, "no_photo"),
        (b'{"image": 1}', "application/json", 422, "no_photo"),
        (b'{"image": "?"}', "application/json", 400, "bad_request"),
        (b'{"image": ""}', "application/json", 400, "empty"),
        (b'{"url": "http://127.0.0.1/"}', "application/json", 403, "urls_off"),
        (*form(other="field"), 422, "no_file"),
        (*form(*[b"x"] * 33), 422, "too_many_files"),
    ],
)
def test_what_cannot_be_answered_says_why(
    served: Served, body: bytes, kind: str, status: int, code: str
) -> None:
    answer = served.predict(body, kind)
    assert (answer.status, answer.code) == (status, code)
    assert set(answer.json["error"]) == {"code", "message"}


def test_a_photo_of_too_many_pixels_is_refused_before_it_is_decoded(served: Served) -> None:
    file = io.BytesIO()
    Image.new("1", (20_000, 20_000)).save(file, "PNG")
    answer = served.predict(file.getvalue())
    assert (answer.status, answer.code) == (413, "too_large")


def test_figures_count_what_was_done(served: Served) -> None:
    before = served.ask("/stats").json["photos"]
    served.predict(*form(_colour(), b"no photo", _colour()))
    after = served.ask("/stats").json["photos"]
    assert after["ok"] == before["ok"] + 2
    assert after["unreadable"] == before["unreadable"] + 1
    text = served.ask("/metrics").data.decode()
    assert 'scene_batch_photos_total{result="unknown_format"}' in text
    assert 'scene_batch_requests_total{route="/predict",status="200"}' in text
    assert "scene_batch_in_hand 0.0" in text


def test_logs_have_ids_and_no_contents(served: Served, tmp_path: Path) -> None:
    photo = save_shade(tmp_path / "secret-name.png", 3).read_bytes()
    served.predict(*form(photo), headers={"X-Request-ID": "bad id\t"})
    served.ask("/predict?top_k=secret", b"x")
    served.predict(photo, headers={"X-Request-ID": "mine-1"})
    lines = [line for line in served.logs if line["event"] == "request"]
    assert lines[-1]["id"] == "mine-1"
    assert lines[-3]["id"] != "bad id"
    assert {"method", "path", "status", "ms", "photos", "time"} < set(lines[-1])
    assert "secret" not in json.dumps(lines)


def test_the_card_is_what_inspect_shows(served: Served) -> None:
    card = served.ask("/model").json
    assert (card["name"], card["classes"]) == ("colours", ["red", "green", "blue"])
    assert len(card["sha256"]) == 64


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_it_is_well(served: Served, path: str) -> None:
    assert served.ask(path).status == 200
    assert served.ask(path, method="HEAD").data == b""


def test_unknown_paths_and_methods_are_json_too(served: Served) -> None:
    for path, method, status in (("/x", "GET", 404), ("/predict", "PUT", 405), ("/x", "%", 404)):
        answer = served.ask(path, method=method)
        assert answer.status == status
        assert answer.code
