"""The README and the pages of docs/: what they tell to type works, and prints what they show."""

from __future__ import annotations

import logging
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import boto3
import click
import pytest
from moto.server import ThreadedMotoServer

from scene_batch.cli import main
from scene_batch.model.model_file import EMBEDDED
from support import ROOT, SCENES, command, process_environment

TASKS = (
    "run",
    "buckets",
    "train",
    "table",
    "containers",
    "deploy",
    "edge",
    "compatibility",
    "serve",
    "scale",
    "python",
)
PAGES = ("README.md", *(f"docs/{task}.md" for task in TASKS))
MARKS = ("not run", "exit code", "file")
"""What a comment before a block may say, up to its colon: why the block is not run, how its
commands end, or where its text is to be written first."""

_COMMENT = "<!--"
_BLOCK = re.compile(
    r"(?:^<!-- (?P<mark>[^:\n]+): *(?P<value>.*?) *-->\n\n)?"
    r"^```(?P<language>\w*)\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
_INSTALLATION = re.compile(
    r"^(?:python3 -m venv \.venv && )?\S*pip install -q '\.\[[a-z,]+\]' && (?:\.venv/bin/)?"
)
"""What such a line begins with, and what is done already where a test runs."""

_VARIES = re.compile(
    r"(?P<any>\.\.\.)"
    r"|(?P<stage>(?<=bottleneck )[a-z ]+)"
    r"|(?P<count>\d+(?= (?:photos/s|threads)))"
    r"|(?P<version>\d+(?:\.\d+){2,})"
    r"|(?P<decimal>\d+\.\d+)"
)
"""What a page shows and another machine prints otherwise; ``...`` stands for what is left out."""
_PRINTED = {
    "any": ".*?",
    "stage": "[a-z ]+",
    "count": r"\d+",
    "version": r"\d+(?:\.\d+)+",
    "decimal": r"(\d+\.\d+)",
}
_SAME = 0.03
"""Probabilities are about as the page shows them, on any processor."""


@dataclass(frozen=True)
class Block:
    """A block of code in a page, with what a comment before it says."""

    language: str
    text: str
    mark: str | None
    value: str
    output: str | None
    """What the page shows that it prints."""

    @property
    def is_run(self) -> bool:
        """Whether it is code that a test runs."""
        return self.language in ("sh", "python") and self.mark != "not run"


def _text(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def _blocks(text: str) -> list[Block]:
    found = list(_BLOCK.finditer(text))
    blocks = []
    for one, following in zip(found, [*found[1:], None], strict=True):
        shown = following is not None and following["language"] == "text"
        output = following["text"] if following is not None and shown else None
        blocks.append(Block(one["language"], one["text"], one["mark"], one["value"] or "", output))
    return blocks


def _fits(shown: str, printed: str) -> bool:
    """Whether a program printed what a page shows, but for what varies."""
    pattern, numbers, begin = "", [], 0
    for varying in _VARIES.finditer(shown.strip()):
        pattern += re.escape(shown.strip()[begin : varying.start()])
        pattern += _PRINTED[str(varying.lastgroup)]
        if varying.lastgroup == "decimal":
            numbers.append(float(varying[0]))
        begin = varying.end()
    pattern += re.escape(shown.strip()[begin:])
    found = re.fullmatch(pattern, printed.strip(), re.DOTALL)
    return found is not None and all(
        abs(float(theirs) - ours) <= _SAME
        for theirs, ours in zip(found.groups(), numbers, strict=True)
    )


def _commands(text: str) -> Iterator[list[str]]:
    """The words behind ``scene-batch`` of each command in a block, in a container or not."""
    for line in text.replace("\\\n", " ").splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        words: list[str] = []
        for word in [*lexer, ";"]:
            if word.strip("&|;<>"):
                words.append(word)
                continue
            names = [w for w in words if w.removeprefix(".venv/bin/") == "scene-batch"]
            if words[:2] == ["docker", "run"]:
                names = [w for w in words if w.startswith("scene-batch:")]
            if names:
                yield words[words.index(names[0]) + 1 :]
            words = []


def _parse(words: list[str]) -> None:
    """Let click read a command without running it.

    Raises:
        click.UsageError: There is no such command or option, or a value is none.
    """
    group = click.Context(main, info_name="scene-batch", **main.context_settings)
    found = main.get_command(group, words[0])
    if found is None:
        raise click.UsageError(f"no command {words[0]!r}")
    found.make_context(words[0], words[1:], parent=group)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """What the pages' commands find: a checkout, photos of one's own, and the command."""
    folder = tmp_path / "checkout"
    for name in ("samples", "configs"):
        shutil.copytree(ROOT / name, folder / name)
    for name in ("photos", "seg_pred"):
        shutil.copytree(SCENES, folder / name)
    program = tmp_path / "bin" / "scene-batch"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {shlex.join(command())} "$@"\n')
    program.chmod(0o755)
    return folder


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """With the command on the path, and without settings of this machine's."""
    inherited = process_environment()
    settings = ("SCENE_BATCH_", "AWS_", "JOB_COMPLETION_", "KERAS_")
    kept = {name: value for name, value in inherited.items() if not name.startswith(settings)}
    return kept | {"PATH": f"{tmp_path / 'bin'}{os.pathsep}{inherited['PATH']}"}


@pytest.fixture
def bucket(tmp_path: Path) -> Iterator[dict[str, str]]:
    """A server with the bucket of the pages and photos in it; what leads to it."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    variables = {
        "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI-K7MDENG-bPxRfiCY",
        "AWS_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_CONFIG_FILE": str(tmp_path / "no-config"),
        "SCENE_BATCH_CACHE": str(tmp_path / "cache"),
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "no-credentials"),
    }
    client = boto3.client(
        "s3",
        endpoint_url=variables["AWS_ENDPOINT_URL"],
        region_name=variables["AWS_REGION"],
        aws_access_key_id=variables["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=variables["AWS_SECRET_ACCESS_KEY"],
    )
    client.create_bucket(Bucket="bucket")
    for photo in SCENES.rglob("*.jpg"):
        key = f"photos/{photo.relative_to(SCENES).as_posix()}"
        client.put_object(Bucket="bucket", Key=key, Body=photo.read_bytes())
    client.put_object(Bucket="bucket", Key="mine.onnx", Body=EMBEDDED.read_bytes())
    yield variables
    server.stop()


def _write_files(page: str, folder: Path) -> None:
    for block in _blocks(_text(page)):
        if block.mark == "file":
            (folder / block.value).write_text(block.text, encoding="utf-8")


@pytest.mark.parametrize("page", PAGES)
def test_what_a_page_tells_to_type_works_and_prints_what_it_shows(
    page: str, checkout: Path, environment: dict[str, str], request: pytest.FixtureRequest
) -> None:
    blocks = [block for block in _blocks(_text(page)) if block.is_run]
    if any("s3://" in block.text for block in blocks):
        environment |= request.getfixturevalue("bucket")
    _write_files(page, checkout)
    for block in blocks:
        if block.language == "sh":
            code = _INSTALLATION.sub("", block.text)
            done = _run(["bash", "-euo", "pipefail", "-c", code], checkout, environment)
            want = int(block.value) if block.mark == "exit code" else 0
            assert done.returncode == want, f"{code}{done.stdout}{done.stderr}"
            printed = done.stdout or done.stderr
            assert block.output is None or _fits(block.output, printed), f"{code}{printed}"
    # In one process, after the commands: a page's later Python goes on from its earlier.
    python = [block for block in blocks if block.language == "python"]
    border = "-- the next block --\n"
    code = f"print({border!r}, end='')\n".join(block.text for block in python)
    done = _run([sys.executable, "-c", code], checkout, environment)
    assert done.returncode == 0, done.stderr
    for block, printed in zip(python, done.stdout.split(border), strict=bool(python)):
        assert block.output is None or _fits(block.output, printed), f"{block.text}{printed}"


def _run(
    words: list[str], folder: Path, environment: dict[str, str]
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        words,
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.mark.parametrize("page", PAGES)
def test_what_is_not_run_is_a_command_with_options_that_there_are(
    page: str, checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(checkout)
    _write_files(page, checkout)
    for block in _blocks(_text(page)):
        if block.mark == "not run" and block.language == "python":
            compile(block.text, page, "exec")
        elif block.mark == "not run":
            for words in _commands(block.text):
                _parse(words)


@pytest.mark.parametrize("page", PAGES)
def test_every_mark_is_known_stands_before_its_block_and_has_a_reason(page: str) -> None:
    marked = [block for block in _blocks(_text(page)) if block.mark is not None]
    assert len(marked) == _text(page).count(_COMMENT)
    for block in marked:
        assert block.mark in MARKS
        assert block.value
        assert (block.mark == "file") == (block.language not in ("sh", "python"))


@pytest.mark.parametrize("page", PAGES[1:])
def test_a_page_opens_with_a_command(page: str) -> None:
    opening = r"# .+\n\n(<!-- not run: needs (Docker|a server|ray).* -->\n\n)?```(sh|python)\n"
    assert re.match(opening, _text(page))


def test_the_readme_has_three_screens_and_leads_to_every_page() -> None:
    text = _text("README.md")
    assert len(text.splitlines()) <= 120
    for page in (ROOT / "docs").glob("*.md"):
        assert f"(docs/{page.name})" in text


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_somewhere(page: str) -> None:
    for target, anchor in re.findall(r"\]\(([^)#\s]*)#?([^)\s]*)\)", _text(page)):
        if "://" in target:
            continue
        file = (ROOT / page).parent / target if target else ROOT / page
        assert file.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.+)$", file.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in {re.sub(r"[^\w -]", "", h).lower().replace(" ", "-") for h in headings}


def test_every_extra_that_is_named_is_one() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for page in PAGES:
        for extras in re.findall(r"'\.\[([\w,]+)\]'", _text(page)):
            assert set(extras.split(",")) <= set(project["optional-dependencies"])


def test_another_output_is_noticed_and_what_varies_is_not() -> None:
    shown = "12 rows; 75 photos/s; bottleneck the model; provider cpu\n...\nsea 0.9781526"
    printed = "12 rows; 8 photos/s; bottleneck reading; provider cpu\n1\n2\nsea 0.9793063\n"
    assert _fits(shown, printed)
    for this, that in (("12", "13"), ("cpu", "cuda"), ("0.97", "0.71"), ("sea", "the sea")):
        assert not _fits(shown, printed.replace(this, that))


def test_a_wrong_command_is_noticed() -> None:
    text = "docker build -t scene-batch:cpu .\ndocker run -v a:b scene-batch:cpu run a --out b.csv"
    text += "\nX=1 .venv/bin/scene-batch verify | sort && scene-batch doctor \\\n  --folder c > d"
    found = list(_commands(text))
    assert found == [["run", "a", "--out", "b.csv"], ["verify"], ["doctor", "--folder", "c"]]
    for words in found:
        _parse(words)
    for wrong in (["rum", "a"], ["run", "a", "--out", "b.csv", "--no"], ["run", "--out"]):
        with pytest.raises(click.UsageError):
            _parse(wrong)
