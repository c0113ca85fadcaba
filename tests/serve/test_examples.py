"""The examples of docs/serve.md do what the page shows, with curl, Python and JavaScript."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from served import Served, serving
from support import ROOT

_EXAMPLE = re.compile(
    r"(?:<!-- not run: needs a server -->\n\n```(?P<kind>sh|python)|```(?P<js>js))\n(?P<code>.*?)"
    r"```\n\n```text\n(?P<shown>.*?)```",
    re.DOTALL,
)
_NUMBER = re.compile(r"\d\.\d+(?:e-\d+)?")
EXAMPLES = list(_EXAMPLE.finditer((ROOT / "docs" / "serve.md").read_text(encoding="utf-8")))


@pytest.fixture(scope="module")
def server() -> Iterator[Served]:
    with serving("--max-wait", "60s") as server:
        yield server


def test_there_are_three() -> None:
    assert [found["kind"] or found["js"] for found in EXAMPLES] == ["sh", "python", "js"]


@pytest.mark.parametrize("found", EXAMPLES, ids=["curl", "python", "javascript"])
def test_an_example_prints_what_the_page_shows(
    found: re.Match[str], server: Served, tmp_path: Path
) -> None:
    kind = found["kind"] or "js"
    program = {"sh": "curl", "python": sys.executable, "js": "node"}[kind]
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")
    file = tmp_path / {"sh": "a.sh", "python": "a.py", "js": "a.mjs"}[kind]
    file.write_text(found["code"].replace("http://127.0.0.1:8080", server.url))
    words = [{"sh": "bash"}.get(kind, program), str(file)]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    printed, shown = done.stdout.strip(), found["shown"].strip()
    assert _NUMBER.sub("#", printed) == _NUMBER.sub("#", shown)
    for ours, theirs in zip(_NUMBER.findall(shown), _NUMBER.findall(printed), strict=True):
        assert float(ours) == pytest.approx(float(theirs), abs=0.01)
