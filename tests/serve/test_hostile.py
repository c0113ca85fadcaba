"""Hostile requests: an answer or a closed connection for each, and a server that stays well."""

from __future__ import annotations

import json
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from serve.conftest import BODY
from served import BOUNDARY, HERE, Served, form, serving
from support import encode, wait_for

PHOTO = encode(Image.new("RGB", (24, 24), "lime"), "PNG")
MULTIPART = f"multipart/form-data; boundary={BOUNDARY}"
DASHES = f"--{BOUNDARY}".encode()


@pytest.fixture(autouse=True)
def _well_afterwards(served: Served) -> Iterator[None]:
    """No answer was a 500, nothing is held, and a photo is answered at once."""
    yield
    answer = served.predict(PHOTO)
    assert answer.json["class"] == "green"
    assert [line for line in served.logs if line["event"] == "failure"] == []
    assert [line for line in served.logs if line.get("status") == 500] == []
    wait_for(lambda: b"scene_batch_held_bytes 0.0\n" in served.ask("/metrics").data, 10)


def _head(length: int | str, kind: str = "image/png", *more: str) -> bytes:
    lines = ["POST /predict HTTP/1.1", "Host: x", f"Content-Type: {kind}"]
    lines += [*([] if length == "" else [f"Content-Length: {length}"]), *more]
    return "\r\n".join([*lines, "", ""]).encode()


def _status(answer: bytes) -> int:
    """Of the first answer; 0 where the connection was closed without one."""
    return int(answer[9:12]) if answer else 0


@pytest.mark.parametrize(
    "body",
    [
        b"",
        DASHES,
        DASHES + b"--",
        DASHES + b"\r\n",
        DASHES + b'\r\nContent-Disposition: form-data; name="file"\r\n\r\nhalf a pho',
        DASHES + b"\r\nContent-Disposition: form-data\r\n\r\nx\r\n" + DASHES + b"--\r\n",
        DASHES + b"\r\n: x\r\n\r\nx\r\n" + DASHES + b"--\r\n",
        DASHES + b"\r\n" + b"A: b\r\n" * 100 + b"\r\nx\r\n" + DASHES + b"--\r\n",
        DASHES + b"\r\nA: " + b"b" * 100_000,
        DASHES + b"\r\nContent-Disposition: form-data; name*0*=a'b'%zz; name=\xff\r\n\r\nx\r\n",
        b"\r\n" * 100_000,
        b"\r" * 500_000,
        b"-" * 500_000,
        (DASHES + b"\r\nContent-Disposition: form-data; name=a\r\n\r\n\r\n") * 10_000,
        (DASHES + b"\r\nContent-Disposition: form-data; name=a\r\n\r\n") + b"x" * 10_000,
    ],
    ids=range(15),
)
def test_forms_that_are_none(served: Served, body: bytes) -> None:
    begun = time.monotonic()
    assert served.predict(body[:BODY], MULTIPART).status in (400, 422)
    assert time.monotonic() - begun < 5


@pytest.mark.parametrize(
    "kind",
    [
        "multipart/form-data",
        "multipart/form-data; boundary=",
        "multipart/form-data; boundary=" + "x" * 1000,
        'multipart/form-data; boundary="é"',
        "multipart/form-data; boundary*0*=utf-8'x'%ff; boundary=a",
        "multipart/mixed; boundary=a",
        "application/json; charset=nonsense",
        ";;;=;",
        "/",
    ],
)
def test_content_types_that_are_none(served: Served, kind: str) -> None:
    assert served.predict(b"x", kind).status in (400, 415)


def test_more_than_the_largest_request_is_refused_however_it_comes(served: Served) -> None:
    assert served.predict(b"x" * (BODY + 1)).code == "too_large"
    gigabyte = _head(1 << 30) + b"x" * 1000
    with served.connection(gigabyte) as raw:
        assert _status(raw.recv(100)) == 413
    with served.connection(_head(1 << 30, "image/png", "Expect: 100-continue")) as raw:
        raw.settimeout(2)
        assert _status(raw.recv(100)) == 413  # without a byte of it
    assert served.predict(*form(b"x" * BODY)).status == 413
    assert _status(served.told(_head("9" * 400))) == 400


def test_a_body_without_a_length_is_refused(served: Served) -> None:
    chunks = b"1\r\nx\r\n" * 50_000
    answer = served.told(_head("", "image/png", "Transfer-Encoding: chunked") + chunks)
    assert _status(answer) in (0, 411)
    answer = served.told(_head("", "image/png", "Transfer-Encoding: chunked") + b"0\r\n\r\n")
    assert _status(answer) == 411
    assert b"length_required" in answer


@pytest.mark.parametrize(
    "data",
    [
        b"\r\n\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # TLS
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nA\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 10_000 + b"\r\n",
        b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        _head("-1") + b"x",
        _head("1e3") + b"x",
        _head("+5") + b"hello",
        _head("5")[:-2] + b"Content-Length: 6\r\n\r\nhello!",
        _head("5", "image/png", "Transfer-Encoding: chunked") + b"0\r\n\r\n",
        _head("", "image/png", "Transfer-Encoding: gzip") + b"x",
        _head("", "image/png", "Transfer-Encoding: chunked") + b"zz\r\n",
        b"\x00" * 70_000,
        b"GET /\xff\xfe HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nX-Request-ID: \xff\xfe\r\nConnection: close\r\n\r\n",
        b"CONNECT x:1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"GET ws://x/ HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
        b"Connection: Upgrade, close\r\n\r\n",
    ],
    ids=range(22),
)
def test_what_is_no_http(served: Served, data: bytes) -> None:
    answer = served.told(data, seconds=15)
    assert _status(answer) in (0, 200, 400, 404, 405, 411, 431)
    assert b"500 Internal" not in answer


def test_pipelined_requests_are_answered_in_turn_up_to_the_garbage(served: Served) -> None:
    photo = _head(len(PHOTO)) + PHOTO
    answer = served.told(photo * 3 + b"garbage\r\n\r\n")
    assert answer.count(b"HTTP/1.1 200 OK") == 3
    assert answer.count(b"HTTP/1.1 400 Bad Request") == 1
    assert answer.rstrip().endswith(b"}")


def test_a_client_that_sends_slowly_is_told_so_and_holds_up_nobody(served: Served) -> None:
    with served.connection(_head(1000)) as raw:
        begun = time.monotonic()
        for _ in range(8):  # each byte in time, the whole not
            raw.sendall(b"x")
            assert served.predict(PHOTO).status == 200
            time.sleep(0.1)
        assert _status(raw.recv(1000)) == 408
        assert 0.8 < time.monotonic() - begun < 5


def test_a_client_that_goes_leaves_nothing(served: Served) -> None:
    for sent in (b"", b"POST /pre", _head(1000) + b"x" * 500, _head(len(PHOTO)) + PHOTO):
        for gone in ("closed", "reset"):
            with served.connection(sent) as raw:
                if gone == "reset":
                    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def test_half_open_clients_cost_a_socket_and_make_room_for_others(colour_model: Path) -> None:
    with serving("--model", str(colour_model), "--max-connections", "20") as server:
        silent = [socket.create_connection((HERE, server.port)) for _ in range(60)]
        for number, raw in enumerate(silent):
            raw.sendall(
                b"POST /predict HTTP/1.1\r\n" if number % 2 else b""
            ) if number > 40 else ...
        assert server.predict(PHOTO).status == 200
        assert [line for line in server.logs if line["event"] == "failure"] == []
        for raw in silent:
            raw.close()


def test_a_client_that_takes_no_answers_is_stopped(served: Served) -> None:
    """It asks for more than fits on the way, and reads nothing: others are answered meanwhile."""
    with served.connection() as raw:
        raw.settimeout(0.2)
        with pytest.raises((TimeoutError, ConnectionError)):
            for _ in range(100_000):
                raw.sendall(b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n" * 50)
        assert served.predict(PHOTO).status == 200


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.binary(max_size=300), st.integers(0, 200), st.integers(0, 40))
def test_damaged_forms(served: Served, noise: bytes, where: int, cut: int) -> None:
    body, kind = form(PHOTO, other="x")
    damaged = body[:where] + noise + body[where + cut :]
    answer = served.predict(damaged, kind)
    assert answer.status in (200, 400, 415, 422)
    assert isinstance(json.loads(answer.data), dict | list)


KINDS = {kind: encode(Image.linear_gradient("L"), kind) for kind in ("JPEG", "PNG", "WEBP", "TIFF")}


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.sampled_from(sorted(KINDS)), st.floats(0, 1), st.binary(max_size=8), st.floats(0, 1))
def test_damaged_photos(
    served: Served, kind: str, where: float, noise: bytes, share: float
) -> None:
    photo = KINDS[kind]
    at = int(where * len(photo))
    damaged = (photo[:at] + noise + photo[at + len(noise) :])[: int(share * len(photo)) + 40]
    assert served.predict(damaged).status in (200, 400, 413, 415)


@pytest.mark.parametrize("piece", [b"{},", b"0,", b'"a":1,', b"["])
def test_json_of_many_values_is_refused_before_it_is_read(served: Served, piece: bytes) -> None:
    body = b"[" + piece * (BODY // 2 // len(piece)) + b"0]"
    begun = time.monotonic()
    answer = served.predict(body, "application/json")
    assert (answer.status, answer.code) == (400, "bad_request")
    assert time.monotonic() - begun < 3
    assert served.ask("/healthz").status == 200


def test_a_photo_in_a_field_of_another_name_is_said(served: Served) -> None:
    body, kind = form(bytes(5000))
    answer = served.predict(body.replace(b'name="file"', b'name="image"'), kind)
    assert (answer.status, answer.code) == (422, "no_file")


def test_few_files_are_few_connections_and_every_line_is_json(colour_model: Path) -> None:
    resource = pytest.importorskip("resource")
    few = partial(resource.setrlimit, resource.RLIMIT_NOFILE, (96, 96))
    with serving("--model", str(colour_model), preexec_fn=few) as server:
        assert server.logs[0]["connections"] == 32
        with ExitStack() as stack:
            for _ in range(80):
                stack.enter_context(server.connection(b"POST /predict HTTP/1.1\r\n"))
            assert server.ask("/healthz").status == 200
        body = b"--ZZ\r\n"
        assert server.predict(body, "multipart/form-data; boundary=XX").status == 400
    assert not [line for line in server.logs if line["event"] in {"library", "text"}]


def test_what_is_no_request_is_logged_and_counted(served: Served) -> None:
    with served.connection(b"nonsense\r\n\r\n") as client:
        assert client.recv(100).startswith(b"HTTP/1.1 400 ")
    assert any(line.get("status") == 400 and "path" not in line for line in served.logs)
    assert b'status="400"' in served.ask("/metrics").data
