"""The servers that are measured: ours, and what a user would take instead."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
MODEL = ROOT / "runner" / "scene_batch" / "models" / "scenes.onnx"
PHOTO = ROOT / "samples" / "scenes" / "sea" / "sea-1.jpg"
PORT = 8731
URL = f"http://127.0.0.1:{PORT}"
NAMES = {
    "ours": "scene-batch serve",
    "litserve": "LitServe, ONNX Runtime, batches of 8",
    "keras": "FastAPI, Keras `predict` for each request",
}


def words(name: str) -> list[str]:
    """The command of a server."""
    if name == "ours":
        return [sys.executable, "-m", "scene_batch", "serve", "--port", str(PORT)]
    script = {"litserve": "litserve_onnx.py", "keras": "fastapi_keras.py"}[name]
    return [sys.executable, str(HERE / "rivals" / script), str(MODEL), str(PORT)]


@contextmanager
def serving(name: str, *options: str) -> Iterator[int]:
    """A server that answers; its process's number."""
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen([*words(name), *options], start_new_session=True, **quiet) as process:
        try:
            _wait(process)
            yield process.pid
        finally:  # LitServe leaves its workers when it ends
            os.killpg(process.pid, signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                process.wait(15)
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def _wait(process: subprocess.Popen[bytes]) -> None:
    """Until three photos in turn are answered."""
    until, answered = time.monotonic() + 180, 0
    while answered < 3:  # noqa: PLR2004
        if process.poll() is not None or time.monotonic() > until:
            raise SystemExit("the server does not start")
        try:
            answered += ask() == 200  # noqa: PLR2004
        except (URLError, OSError):
            time.sleep(0.5)


def ask() -> int:
    """Send a photo in a form; the status."""
    head = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.jpg"\r\n'
    body = head + b"Content-Type: image/jpeg\r\n\r\n" + PHOTO.read_bytes() + b"\r\n--b--\r\n"
    kind = {"Content-Type": "multipart/form-data; boundary=b"}
    try:
        with urlopen(Request(f"{URL}/predict", body, kind), timeout=60) as answer:
            return int(answer.status)
    except HTTPError as error:
        return error.code
