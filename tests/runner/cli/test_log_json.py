"""What machines read of a run, and what people read of its end."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from scene_batch.cli.progress import _most_frequent
from support import save_photo, scene_batch


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (["{tmp}/gone", "--out", "{tmp}/p.csv", "--log-json"], 1, "no such file or directory"),
        (["{tmp}", "--log-json", "--out", "{tmp}/p.csv", "--limit", "x"], 2, "--limit"),
        (["{tmp}", "--log-json", "--out", "{tmp}/p.csv", "--nonsense"], 2, "--nonsense"),
        (["{tmp}", "--log-json"], 2, "--out"),
        (["--log-json", "--out", "{tmp}/p.csv"], 2, "no source"),
    ],
)
def test_errors_are_json_lines(words: list[str], code: int, text: str, tmp_path: Path) -> None:
    done = scene_batch("run", *[word.format(tmp=tmp_path) for word in words])
    assert done.returncode == code
    (line,) = done.stderr.splitlines()
    error = json.loads(line)
    assert (error["event"], error["exit_code"]) == ("error", code)
    assert text in error["text"]


def test_by_the_environment_and_by_a_config_too(tmp_path: Path) -> None:
    words = ["run", tmp_path / "gone", "--out", tmp_path / "p.csv"]
    (tmp_path / "job.toml").write_text("[run]\nlog_json = true")
    by_environment = scene_batch(*words, environment={"SCENE_BATCH_RUN_LOG_JSON": "1"})
    by_config = scene_batch(*words, "--config", tmp_path / "job.toml")
    for done in (by_environment, by_config):
        assert json.loads(done.stderr)["event"] == "error"


def test_quiet_says_why_the_exit_code_is_3(colour_model: Path, tmp_path: Path) -> None:
    (save_photo(tmp_path / "in" / "a.png").parent / "b.png").write_bytes(b"no photo")
    out = tmp_path / "p.csv"
    done = scene_batch("run", tmp_path / "in", "--out", out, "--model", colour_model, "--quiet")
    assert done.returncode == 3
    assert done.stderr == b"more unreadable photos than --max-unreadable 1%: exit code 3\n"


@pytest.mark.parametrize(
    ("name", "advised"), [("p.parquet", True), ("p.csv", False), ("p/", False)]
)
def test_advice_can_be_followed(
    name: str, advised: bool, colour_model: Path, tmp_path: Path
) -> None:
    save_photo(tmp_path / "in" / "a.png")
    words = ["run", tmp_path / "in", "--out", f"{tmp_path}/{name}", "--model", colour_model]
    assert scene_batch(*words).returncode == 0
    done = scene_batch(*words)
    assert b"--overwrite" in done.stderr
    assert (b"--update" in done.stderr) == advised


def test_a_summary_names_ten_classes_the_most_frequent_first() -> None:
    classes = {f"c{number}": number for number in range(103)}
    text = _most_frequent(classes)
    assert text.startswith("c102 102, c101 101, ")
    assert text.endswith("c93 93 and 92 more")
    assert _most_frequent({"a": 1, "b": 0, "c": 1}) == "a 1, c 1"
