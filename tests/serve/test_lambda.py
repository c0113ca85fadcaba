"""The Lambda function, run by AWS' own runtime client: each kind of event, and what goes wrong."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from buckets import Bucket
from runtime_api import RuntimeApi, lambda_function
from served import form
from support import encode

pytest.importorskip("awslambdaric", reason="AWS' runtime client is for Linux")

PHOTO = encode(Image.new("RGB", (24, 24), "lime"), "PNG")
TEXT = base64.b64encode(PHOTO).decode()


@pytest.fixture(scope="module")
def function(colour_model: Path) -> Iterator[RuntimeApi]:
    with lambda_function(SCENE_BATCH_MODEL=str(colour_model)) as api:
        yield api


def _body(data: bytes, kind: str) -> dict[str, Any]:
    return {
        "body": base64.b64encode(data).decode(),
        "isBase64Encoded": True,
        "headers": {"Content-Type": kind},
    }


def _version_1(data: bytes, kind: str, **query: str) -> dict[str, Any]:
    return {"httpMethod": "POST", "path": "/", "queryStringParameters": query or None} | _body(
        data, kind
    )


def _version_2(data: bytes, kind: str, **query: str) -> dict[str, Any]:
    event = {"version": "2.0", "requestContext": {"http": {"method": "POST", "path": "/"}}}
    body = _body(data, kind)
    body["headers"] = {"content-type": kind}
    return {**event, **({"queryStringParameters": query} if query else {}), **body}


def _lists(data: bytes, kind: str, **query: str) -> dict[str, Any]:
    """As a balancer says it."""
    event = _version_1(data, kind)
    event["multiValueQueryStringParameters"] = {f"%74{k[1:]}": [v] for k, v in query.items()}
    event["multiValueHeaders"] = {"content-type": [event.pop("headers")["Content-Type"]]}
    return event


def test_a_photo_in_base64(function: RuntimeApi) -> None:
    answer = function.answer({"image": TEXT})
    assert answer["class"] == "green"
    assert answer["model"] == {"name": "colours", "version": "1.0.0"}
    assert len(answer["top_k"]) == 3


@pytest.mark.parametrize("event", [_version_1, _version_2, _lists])
@pytest.mark.parametrize(
    "content",
    [
        (PHOTO, "image/png"),
        form(PHOTO),
        (json.dumps({"image": TEXT}).encode(), "application/json"),
    ],
    ids=["raw", "form", "json"],
)
def test_a_request_by_http(function: RuntimeApi, event: Any, content: tuple[bytes, str]) -> None:
    answer = function.answer(event(*content, top_k="2"))
    assert answer["statusCode"] == 200
    if event is _lists:
        assert answer["multiValueHeaders"] == {"Content-Type": ["application/json"]}
    else:
        assert answer["headers"]["Content-Type"] == "application/json"
    values = json.loads(answer["body"])
    assert values["class"] == "green"
    assert len(values["top_k"]) == 2


def test_json_that_is_not_in_base64_and_several_photos(function: RuntimeApi) -> None:
    event = _version_2(b"", "application/json")
    event |= {"body": json.dumps({"image": TEXT}), "isBase64Encoded": False}
    assert json.loads(function.answer(event)["body"])["class"] == "green"
    answer = function.answer(_version_2(*form(PHOTO, b"no photo")))
    first, second = json.loads(answer["body"])
    assert first["class"] == "green"
    assert second["error"]["code"] == "unknown_format"


@pytest.mark.parametrize(
    ("event", "status", "code"),
    [
        (_version_1(b"no photo", "image/png"), 415, "unknown_format"),
        (_version_2(b"", "image/png"), 400, "empty"),
        (_version_2(PHOTO, "text/plain"), 415, "unknown_content_type"),
        (_version_2(PHOTO, "image/png", top_k="99"), 422, "bad_top_k"),
        (_version_2(*form(a="b")), 422, "no_file"),
        (_version_2(b'{"url": "http://x/"}', "application/json"), 403, "urls_off"),
        (_version_1(PHOTO, "image/png") | {"httpMethod": "GET"}, 405, "method_not_allowed"),
        (_version_1(PHOTO, "image/png") | {"body": "?"}, 400, "bad_request"),
        (_version_1(PHOTO, "image/png") | {"headers": [], "body": "\ud800"}, 400, "bad_request"),
    ],
)
def test_requests_that_get_no_answer(
    function: RuntimeApi, event: dict[str, Any], status: int, code: str
) -> None:
    answer = function.answer(event)
    assert answer["statusCode"] == status
    assert json.loads(answer["body"])["error"]["code"] == code


@pytest.mark.parametrize(
    ("event", "text"),
    [
        ({"image": base64.b64encode(b"no photo").decode()}, "unknown_format: "),
        ({"image": "?"}, "bad_request: "),
        ({"url": "http://127.0.0.1/"}, "urls_off: "),
        ({}, "no_photo: "),
        ([], "bad_event: "),
        ({"Records": [{"s3": {"bucket": {"name": "b"}}}]}, "bad_event: "),
        (None, "bad_event: "),
        ({"Records": [{"eventSource": "aws:sqs"}]}, "no_photo: "),
    ],
)
def test_other_events_that_get_no_answer_are_errors(
    function: RuntimeApi, event: object, text: str
) -> None:
    kind, error = function.invoke(event)
    assert kind == "error"
    assert error["errorType"] == "EventError"
    assert error["errorMessage"].startswith(text)
    assert function.answer({"image": TEXT})["class"] == "green"


def test_the_model_is_loaded_once(function: RuntimeApi) -> None:
    function.answer({"image": TEXT})
    begun = time.monotonic()
    for _ in range(5):
        function.answer({"image": TEXT})
    assert time.monotonic() - begun < 2


def _record(bucket: Bucket, key: str, event: str = "ObjectCreated:Put") -> dict[str, Any]:
    """As S3 says it: the key is quoted."""
    from urllib.parse import quote_plus

    found = {"bucket": {"name": bucket.name}, "object": {"key": quote_plus(key, safe="/")}}
    return {"eventSource": "aws:s3", "eventName": event, "s3": found}


def test_objects_that_came_to_s3_are_answered_and_written_once(
    bucket: Bucket, colour_model: Path, tmp_path: Path
) -> None:
    """The model comes from the bucket, too."""
    bucket.put("model.onnx", colour_model.read_bytes())
    keys = ["in/a.png", "in/with space+ü.png", "in/none.png"]
    bucket.put(keys[0], PHOTO)
    bucket.put(keys[1], PHOTO)
    bucket.put(keys[2], b"no photo")
    event = {"Records": [_record(bucket, key) for key in [*keys, "in/gone.png"]]}
    event["Records"] += [_record(bucket, "in/x.png", "ObjectRemoved:Delete")]
    event["Records"] += [_record(bucket, "out/in/a.png.json")]  # which it wrote itself
    with lambda_function(
        SCENE_BATCH_MODEL=f"{bucket.url}/model.onnx",
        SCENE_BATCH_RESULTS=f"{bucket.url}/out",
        SCENE_BATCH_CACHE=str(tmp_path / "cache"),
    ) as api:
        first = api.answer(event)
        written = {key: bucket.get(key) for key in bucket.keys() if key.startswith("out/")}
        assert api.answer(event) == first  # delivered again
        assert {key: bucket.get(key) for key in bucket.keys() if key.startswith("out/")} == written
        assert api.answer({"Event": "s3:TestEvent"}) == {"results": []}
    assert [each.get("class") for each in first["results"]] == ["green", "green", None, None]
    codes = [each["error"]["code"] for each in first["results"][2:]]
    assert codes == ["unknown_format", "missing"]
    assert set(written) == {f"out/{key}.json" for key in [*keys, "in/gone.png"]}
    assert json.loads(written["out/in/a.png.json"]) == first["results"][0]
    assert first["results"][0]["path"] == f"{bucket.url}/in/a.png"


def test_odd_keys_are_written_too_and_a_missing_bucket_of_results_is_said(
    bucket: Bucket, colour_model: Path
) -> None:
    bucket.put("d//e.png", PHOTO)
    event = {"Records": [_record(bucket, "d//e.png")]}
    with lambda_function(
        SCENE_BATCH_MODEL=str(colour_model), SCENE_BATCH_RESULTS=f"{bucket.url}/out"
    ) as api:
        (answer,) = api.answer(event)["results"]
    assert json.loads(bucket.get("out/d%2F%2Fe.png.json")) == answer
    with lambda_function(
        SCENE_BATCH_MODEL=str(colour_model), SCENE_BATCH_RESULTS="s3://there-is-none/out"
    ) as api:
        kind, error = api.invoke(event)
    assert (kind, error["errorType"]) == ("error", "EventError")
    assert "the answer was not written" in error["errorMessage"]


def test_storage_that_fails_is_an_error_so_that_the_event_comes_again(
    bucket: Bucket, colour_model: Path, aws: pytest.MonkeyPatch
) -> None:
    aws.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    variables = {"SCENE_BATCH_MODEL": str(colour_model), "SCENE_BATCH_READ_TIMEOUT": "1s"}
    with lambda_function(**variables) as api:
        kind, error = api.invoke({"Records": [_record(bucket, "a.png")]})
    assert kind == "error"
    assert "1 of 1 photos failed: s3://" in error["errorMessage"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SCENE_BATCH_MODEL", "/gone.onnx"),
        ("SCENE_BATCH_TOP_K", "x"),
        ("SCENE_BATCH_RESULTS", "/tmp"),
        ("SCENE_BATCH_RESULTS", "s3://"),
        ("SCENE_BATCH_RESULTS", "s3://b/../x"),
        ("SCENE_BATCH_ALLOW_URLS", "maybe"),
    ],
)
def test_a_wrong_setting_is_told_at_the_start(name: str, value: str) -> None:
    with lambda_function(**{name: value}) as api:
        kind, error = api.told.get(timeout=30)
    assert kind == "init"
    assert value.strip("/") in error["errorMessage"] or name in error["errorMessage"]
