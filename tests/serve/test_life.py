"""A server's life: its start, too much work, and its end."""

from __future__ import annotations

import signal
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from PIL import Image

from served import HERE, Answer, Served, form, serving
from support import encode, scene_batch, wait_for

SMALL = encode(Image.new("RGB", (24, 24), "lime"), "PNG")


@pytest.fixture(scope="module")
def slow() -> bytes:
    """A photo of few bytes that takes some tenths of a second to decode."""
    return encode(Image.new("L", (8_000, 4_000), 99), "PNG")


def _at_once(server: Served, photo: bytes, number: int) -> list[tuple[Answer, float]]:
    """The answers to so many requests, and their seconds."""

    def ask(_: int) -> tuple[Answer, float]:
        begun = time.monotonic()
        return server.predict(photo), time.monotonic() - begun

    with ThreadPoolExecutor(number) as pool:
        return list(pool.map(ask, range(number)))


def _wait_for_none_in_hand(server: Served) -> None:
    """An answer is there a moment before its place is free again."""
    wait_for(lambda: b"in_hand 0.0" in server.ask("/metrics").data, 10)


def test_too_much_is_refused_at_once_and_the_server_well_afterwards(
    colour_model: Path, slow: bytes
) -> None:
    options = ("--queue", "4", "--max-wait", "60s")
    with serving("--model", str(colour_model), *options) as server:
        answers = _at_once(server, slow, 24)
        taken = [seconds for answer, seconds in answers if answer.status == 200]
        refused = [answer for answer, _ in answers if answer.status == 503]
        assert len(taken) + len(refused) == 24
        assert len(taken) >= 4
        assert len(refused) > 4
        assert {answer.code for answer in refused} == {"overloaded"}
        assert {answer.headers["retry-after"] for answer in refused} == {"1"}
        _wait_for_none_in_hand(server)
        # A form takes places for all of its photos, or none.
        answer = server.predict(*form(*[SMALL] * 5))  # it would never be otherwise
        assert (answer.status, answer.code) == (422, "too_many_files")
        assert server.predict(*form(*[SMALL] * 4)).status == 200
        stats = server.ask("/stats").json
        assert stats["refused"] == len(refused)
        assert stats["photos"]["ok"] == len(taken) + 4


def test_none_is_taken_that_would_wait_too_long(colour_model: Path, slow: bytes) -> None:
    options = ("--max-wait", "0.05s", "--batch-size", "1")
    with serving("--model", str(colour_model), *options) as server:
        with ThreadPoolExecutor(24) as pool:
            first = [pool.submit(server.predict, slow) for _ in range(12)]
            time.sleep(0.2)
            then = [pool.submit(server.predict, SMALL) for _ in range(12)]
            assert {each.result().status for each in first} <= {200, 503}
            assert 503 in {each.result().status for each in then}
        _wait_for_none_in_hand(server)
        assert server.predict(SMALL).status == 200


def test_sigterm_answers_what_is_in_hand_and_ends(colour_model: Path, slow: bytes) -> None:
    with serving("--model", str(colour_model), "--max-wait", "60s") as server:
        server.predict(SMALL)
        late = socket.create_connection((HERE, server.port), timeout=20)
        late.sendall(b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n")
        with ThreadPoolExecutor(6) as pool:
            answers = [pool.submit(server.predict, slow) for _ in range(6)]
            wait_for(lambda: server.ask("/metrics").data.find(b"in_hand 0.0") < 0, 10)
            begun = time.monotonic()
            server.process.send_signal(signal.SIGTERM)
            wait_for(lambda: server.ask("/readyz").status == 503, 5)
            assert server.ask("/healthz").status == 200
            assert {answer.result().status for answer in answers} == {200}
        answer = b"".join(iter(lambda: late.recv(1000), b""))
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b'"stopping"' in answer
        late.close()
        assert server.process.wait(10) == 0
        assert time.monotonic() - begun < 10
        wait_for(lambda: server.logs[-1]["event"] == "stopped", 5)


def test_a_second_signal_ends_it_at_once(colour_model: Path) -> None:
    late = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n"
    with serving("--model", str(colour_model)) as server, server.connection(late):
        server.process.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(5) == 143


def test_an_idle_server_ends_at_once_by_ctrl_c(colour_model: Path) -> None:
    with serving("--model", str(colour_model)) as server:
        begun = time.monotonic()
        server.process.send_signal(signal.SIGINT)
        assert server.process.wait(10) == 0
        assert time.monotonic() - begun < 3


def test_what_prevents_a_start_is_one_line(colour_model: Path, tmp_path: Path) -> None:
    with socket.create_server((HERE, 0)) as taken:
        port = str(taken.getsockname()[1])
        cases = {
            ("--port", port): (2, "name another --host or --port"),
            ("--host", "no such host", "--port", "0"): (2, "cannot listen"),
            ("--model", str(tmp_path / "gone.onnx")): (1, "gone.onnx"),
            ("--max-body", "much"): (2, "is not a size such as 32MiB"),
            ("--top-k", "9", "--port", "0"): (2, "the model has 3 classes"),
        }
        for words, (code, text) in cases.items():
            model = () if "--model" in words else ("--model", str(colour_model))
            done = scene_batch("serve", *words, *model)
            assert done.returncode == code, done.stderr
            assert text in done.stderr.decode()
            assert b"Traceback" not in done.stderr


def test_it_listens_at_every_address_when_told(colour_model: Path) -> None:
    with serving("--model", str(colour_model), "--host", "::") as server:
        with socket.create_connection(("::1", server.port), timeout=5):
            pass
        assert server.logs[0]["url"] == f"http://[::]:{server.port}"


def test_threads_that_wait_for_it_do_not_outlive_it(colour_model: Path, slow: bytes) -> None:
    """Clients that go while their photos are computed leave the queue empty."""
    with serving("--model", str(colour_model), "--max-wait", "60s") as server:
        clients = [threading.Thread(target=_ask_and_go, args=(server, slow)) for _ in range(8)]
        for client in clients:
            client.start()
        for client in clients:
            client.join()
        wait_for(lambda: b"in_hand 0.0" in server.ask("/metrics").data, 20)
        assert b"held_bytes 0.0" in server.ask("/metrics").data
        assert [line for line in server.logs if line["event"] == "failure"] == []


def _ask_and_go(server: Served, photo: bytes) -> None:
    head = f"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: {len(photo)}\r\n\r\n"
    with server.connection(head.encode() + photo):
        time.sleep(0.05)
