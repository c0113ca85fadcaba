"""What users type and what they are told: one line, the remedy, the right exit code."""

from __future__ import annotations

import csv
import json
import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import click
import onnx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from scene_batch.cli.values import AutoOrCount, CountOrShare
from support import (
    ROOT,
    command,
    is_full,
    process_environment,
    save_model,
    save_photo,
    scene_batch,
    started,
    wait_for,
)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder with one photo of each colour."""
    for colour in ("red", "lime", "blue"):
        save_photo(tmp_path / "photos" / f"{colour}.png", colour)
    return tmp_path / "photos"


def test_run_writes_the_table_and_sums_up_on_standard_error(
    photos: Path, colour_model: Path, tmp_path: Path
) -> None:
    done = scene_batch("run", photos, "--out", tmp_path / "p.parquet", "--model", colour_model)
    assert (done.returncode, done.stdout) == (0, b"")
    rows = pq.read_table(tmp_path / "p.parquet").to_pylist()
    assert [row["class"] for row in rows] == ["blue", "green", "red"]
    summary = done.stderr.decode().splitlines()[-1]
    assert summary.startswith("3 rows; 0 unreadable; red 1, green 1, blue 1; ")
    assert re.search(r"\d+ photos/s; bottleneck .+; provider cpu$", summary)


def test_standard_output_takes_rows_and_nothing_else(photos: Path, colour_model: Path) -> None:
    paths = b"".join(os.fsencode(path) + b"\n" for path in sorted(photos.iterdir()))
    done = scene_batch("run", "@-", "--out", "-", "--model", colour_model, stdin=paths)
    assert done.returncode == 0
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row["class"] for row in rows] == ["blue", "green", "red"]


def test_a_reader_of_standard_output_that_leaves_ends_the_run(
    photos: Path, colour_model: Path, tmp_path: Path
) -> None:
    names = tmp_path / "names.txt"
    names.write_text(f"{photos}/red.png\n" * 3000)
    words = command("run", f"@{names}", "--out", "-", "--quiet", "--model", colour_model)
    with started(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as run:
        assert run.stdout is not None
        run.stdout.readline()
        run.stdout.close()
        assert run.wait(30) == 1
        assert run.stderr is not None
        assert run.stderr.read() == b""  # as every filter does: `| head` is no defect


def test_quiet_says_nothing(photos: Path, colour_model: Path, tmp_path: Path) -> None:
    out = tmp_path / "p.csv"
    done = scene_batch("run", photos, "--out", out, "--model", colour_model, "--quiet")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_log_json_is_json(photos: Path, colour_model: Path, tmp_path: Path) -> None:
    out = tmp_path / "p.csv"
    done = scene_batch("run", photos, "--out", out, "--model", colour_model, "--log-json")
    (line,) = done.stderr.decode().splitlines()
    summary = json.loads(line)
    assert (summary["event"], summary["photos"], summary["provider"]) == ("summary", 3, "cpu")


def test_options_come_from_the_line_then_the_environment_then_the_config(
    photos: Path, colour_model: Path, tmp_path: Path
) -> None:
    config = tmp_path / "job.toml"
    config.write_text(
        f"[run]\nsources = ['{photos}']\nout = '{tmp_path}/p.csv'\nmodel = '{colour_model}'\n"
        "top-k = 1\noverwrite = true\n[train]\nwhatever = 1\n"
    )

    def kept(*words: str, **environment: str) -> int:
        done = scene_batch("run", "--config", config, *words, environment=environment)
        assert done.returncode == 0, done.stderr
        with (tmp_path / "p.csv").open(encoding="utf-8", newline="") as file:
            return len(json.loads(next(csv.DictReader(file))["top_k"]))

    assert kept() == 1
    assert kept(SCENE_BATCH_RUN_TOP_K="2") == 2
    assert kept("--top-k", "3", SCENE_BATCH_RUN_TOP_K="2") == 3


@pytest.mark.parametrize(
    ("max_unreadable", "code"), [("1%", 3), ("0", 3), ("1", 0), ("25%", 0), ("24.9%", 3)]
)
def test_more_unreadable_photos_than_allowed_is_exit_code_3(
    max_unreadable: str, code: int, photos: Path, colour_model: Path, tmp_path: Path
) -> None:
    (photos / "broken.jpg").write_bytes(b"no photo")
    out = tmp_path / "p.parquet"
    line = ["run", photos, "--out", out, "--model", colour_model, "--max-unreadable"]
    done = scene_batch(*line, max_unreadable)
    assert done.returncode == code
    assert pq.read_metadata(out).num_rows == 4
    assert (f"--max-unreadable {max_unreadable}" in done.stderr.decode()) == (code == 3)


_RUN = ["run", "{photos}", "--model", "{model}", "--out", "{tmp}/p.parquet"]


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["run", "{tmp}/gone", "--out", "{tmp}/p.csv"], 1, "no such file or directory"),
        (["run", "@{tmp}/gone.txt", "--out", "{tmp}/p.csv"], 1, "no such list"),
        (["run", "--out", "{tmp}/p.csv"], 2, "no source: name a directory"),
        (["run", "{photos}"], 2, "Missing option '--out'"),
        (["run", "{photos}", "--out", "{tmp}/p.txt"], 2, "the suffix decides the format"),
        ([*_RUN[:-1], "{tmp}/no/p.csv"], 1, "no such folder"),
        ([*_RUN[:-1], "{tmp}/photos/d.csv"], 1, "is a directory"),
        ([*_RUN[:-1], "/proc/p.csv"], 1, "cannot write"),
        ([*_RUN, "--top-k", "4"], 2, "top-k 4: the model has 3 classes; take 1 to 3"),
        ([*_RUN, "--top-k", "0"], 2, "--top-k"),
        ([*_RUN, "--batch-size", "0"], 2, "neither auto nor a number from 1"),
        ([*_RUN, "--max-unreadable", "x%"], 2, "neither a count (12) nor a share (1%)"),
        ([*_RUN, "--provider", "gpu"], 2, "'gpu' is not one of"),
        ([*_RUN, "--provider", "cuda"], 1, "pip install 'scene-batch[gpu]'"),
        ([*_RUN, "--config", "{tmp}/gone.toml"], 2, "cannot read the config"),
        ([*_RUN, "--config", "{tmp}/bad.toml"], 2, "[run] has no key 'topk'"),
        (["run", "{photos}", "--model", "{tmp}/gone.onnx", "--out", "-"], 1, "no such model file"),
        (["run", "{photos}", "--model", "{tmp}/bad.toml", "--out", "-"], 1, "not an ONNX file"),
        (["run", "{photos}", "--model", "{tmp}/bare.onnx", "--out", "-"], 1, "no scene-batch"),
        (["run", "{photos}", "{photos}/red.png", "--out", "{tmp}/p.csv"], 1, "is already in"),
        ([*_RUN[:-1], "{tmp}/.parquet"], 2, "the suffix decides the format"),
        ([*_RUN[:-1], "{tmp}/\udce9.csv"], 2, "not plain UTF-8"),
        ([*_RUN[:-1], "./", "--overwrite"], 2, "the suffix decides the format"),
        ([*_RUN[:-1], "{tmp}/" + 240 * "n" + ".csv"], 1, "is too long for its folder"),
        ([*_RUN[:-1], "{photos}/"], 2, "which is read"),
        ([*_RUN[:-1], "{tmp}/"], 2, "would replace"),
        ([*_RUN[:-1], "{photos}/d.csv", "--update"], 2, "need a .parquet"),
        ([*_RUN[:-1], "{tmp}/folder.parquet", "--update"], 1, "is not a Parquet table or data set"),
        ([*_RUN[:-1], "/dev/full"], 2, "the suffix decides the format"),
        ([*_RUN, "--workers", "²"], 2, "neither auto nor a number from 1 to 1024"),
        ([*_RUN, "--read-timeout", "1e10"], 2, "is not a time such as 60s"),
        (["run", "{tmp}/" + 300 * "n", "--out", "{tmp}/p.csv"], 1, "no such file or directory"),
        (["run", "{tmp}/circle.jpg", "{photos}", "--out", "{tmp}/gone/p.csv"], 1, "no such folder"),
        (["run", "@{tmp}/wide.csv", "--out", "{tmp}/p.csv"], 1, "is not CSV"),
        (["run", "@{tmp}/numbers.parquet", "--out", "{tmp}/p.csv"], 1, "is not of type string"),
        (["rum"], 2, "No such command 'rum'"),
        (["inspect", "{tmp}/gone.onnx"], 1, "no such model file"),
        (["inspect", "{tmp}/\udcff.onnx"], 1, "is not UTF-8"),
        (["verify", "{tmp}/gone.onnx"], 1, "no such model file"),
    ],
    ids=lambda value: " ".join(value[-3:]) if isinstance(value, list) else None,
)
def test_a_users_error_is_one_line_with_the_remedy(
    words: list[str], code: int, message: str, photos: Path, colour_model: Path, tmp_path: Path
) -> None:
    (tmp_path / "bad.toml").write_text("[run]\ntopk = 1\n")
    (photos / "d.csv").mkdir()
    (tmp_path / "folder.parquet").mkdir()
    (tmp_path / "circle.jpg").symlink_to("circle.jpg")
    (tmp_path / "wide.csv").write_text("path\n" + 200_000 * "n" + "\n")
    pq.write_table(pa.table({"path": [1, 2]}), tmp_path / "numbers.parquet")
    bare = onnx.load(colour_model)
    del bare.metadata_props[:]
    save_model(bare, tmp_path / "bare.onnx")
    places = {"photos": str(photos), "model": str(colour_model), "tmp": str(tmp_path)}
    done = scene_batch(*(word.format_map(places) for word in words))
    assert done.returncode == code, done.stderr
    said = done.stderr.decode().splitlines()
    assert message in said[-1]
    assert said[-1].startswith("Error: ")
    # click adds two lines of usage before an error of the command itself
    assert [line for line in said[:-1] if not re.match(r"Usage: |Try |$", line)] == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("run = 3", "'run' is no table"),
        ("[[run]]", "'run' is no table"),
        ("[Run]\nlimit = 1", "'Run' is no table"),
        ("[run]\nupdate = 1", "is not true or false"),
        ("[run]\nlimit = 1.5", "'1.5' is not a valid"),
        ("[run]\nlimit = 2026-01-01", "is not a text or a number"),
        ("[run]\nsources = 'a'", "is not a list of texts"),
        ("[run]\ntop-k = 1\ntop_k = 2", "'top_k' twice"),
    ],
)
def test_a_config_that_is_wrong(text: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "job.toml").write_text(text)
    done = scene_batch("run", "a", "--out", "p.csv", "--config", tmp_path / "job.toml")
    assert done.returncode == 2
    assert words in done.stderr.decode()


@pytest.mark.parametrize(
    ("words", "missing", "extra"),
    [
        (f"train x --config {ROOT}/configs/intel-150.toml --out y", "keras", "train"),
        ("export x --out y", "keras", "train,export"),
        ("adopt x --out y", "onnx", "export"),
    ],
)
def test_a_command_without_its_extra_names_pip(words: str, missing: str, extra: str) -> None:
    name, *rest = words.split()
    code = f"import sys; sys.modules[{missing!r}] = sys.modules['tensorflow'] = None\n"
    code += "from scene_batch.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, name, *rest],
        env=process_environment(),
        capture_output=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.decode().splitlines() == [
        f"Error: {name} needs {missing}: pip install 'scene-batch[{extra}]'"
    ]


def test_inspect_shows_the_card(colour_model: Path) -> None:
    done = scene_batch("inspect", colour_model)
    card = json.loads(done.stdout)
    assert (card["name"], card["classes"], card["golden"]) == (
        "colours",
        ["red", "green", "blue"],
        3,
    )


@pytest.mark.parametrize(
    ("text", "ok"),
    [
        *[(text, True) for text in ("5", "0", "1%", "0.5%", "100%")],
        *[(text, False) for text in ("101%", "-1", "1.5", "-1%", "nan", "nan%", "inf", "%")],
    ],
)
def test_count_or_share(text: str, ok: bool) -> None:
    if ok:
        assert CountOrShare().convert(text, None, None) == text
    else:
        with pytest.raises(click.BadParameter, match="neither a count"):
            CountOrShare().convert(text, None, None)


def test_auto_or_count() -> None:
    assert AutoOrCount().convert("auto", None, None) is None
    assert AutoOrCount().convert("12", None, None) == 12
    assert AutoOrCount().convert(12, None, None) == 12


def test_a_source_that_is_not_utf_8_ends_in_a_table(colour_model: Path, tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    save_photo(folder / "red.png")
    out = tmp_path / "p.parquet"
    done = scene_batch("run", folder, "--out", out, "--model", colour_model)
    assert done.returncode == 0, done.stderr
    record = json.loads((tmp_path / "p.parquet.run.json").read_text(encoding="utf-8"))
    assert record["settings"]["sources"] == [f"{tmp_path}/caf\\xe9"]


def test_a_full_standard_output_is_one_line(photos: Path, colour_model: Path) -> None:
    words = command("run", photos, "--out", "-", "--quiet", "--model", colour_model)
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            words, stdout=full, stderr=subprocess.PIPE, env=process_environment(), check=False
        )
    assert done.returncode == 1
    assert done.stderr.decode().splitlines() == [
        "Error: cannot write to standard output: No space left on device"
    ]


@pytest.mark.parametrize(
    ("words", "closing", "line"),
    [
        (["{photos}", "--out", "-"], ">&-", "output is closed: --out - has nowhere to write to"),
        (["@-", "--out", "{photos}.csv"], "<&-", "input is closed: @- has nothing to read"),
    ],
)
def test_a_closed_stream_that_is_needed_is_one_line(
    words: list[str], closing: str, line: str, photos: Path, colour_model: Path
) -> None:
    named = [word.format(photos=photos) for word in words]
    run = shlex.join(command("run", *named, "--quiet", "--model", colour_model))
    done = subprocess.run(
        ["sh", "-c", f"exec {run} {closing}"],
        env=process_environment(),
        stderr=subprocess.PIPE,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 1
    assert done.stderr.splitlines() == [f"Error: standard {line}"]


def test_a_standard_error_that_nobody_reads_loses_no_work(
    photos: Path, colour_model: Path, tmp_path: Path
) -> None:
    words = command("run", photos, "--out", tmp_path / "p.csv", "--model", colour_model)
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(words, stderr=full, env=process_environment(), check=False)
    assert done.returncode == 0
    assert (tmp_path / "p.csv").exists()


def test_a_standard_output_that_does_not_wait_gets_all_rows(
    photos: Path, colour_model: Path, tmp_path: Path
) -> None:
    """Whoever shares a pipe may have made it non-blocking."""
    names = tmp_path / "names.txt"
    names.write_text(f"{photos}/red.png\n" * 3000)
    words = command("run", f"@{names}", "--out", "-", "--quiet", "--model", colour_model)
    read, write = os.pipe()
    os.set_blocking(write, False)
    with started(words, stdout=write) as run:
        wait_for(lambda: is_full(write))
        os.close(write)
        with os.fdopen(read, "rb") as rows:
            assert sum(1 for _ in rows) == 3000
        assert run.wait(60) == 0


def test_a_signal_that_is_ignored_stays_so(
    photos: Path, colour_model: Path, tmp_path: Path
) -> None:
    """As in the background of a script: Ctrl-C is for what is in the foreground."""
    names = tmp_path / "names.txt"
    names.write_text(f"{photos}/red.png\n" * 3000)
    out = tmp_path / "p.csv"
    words = command("run", f"@{names}", "--out", out, "--quiet", "--model", colour_model)
    line = f"trap '' INT; exec {shlex.join(words)}"
    with started(["sh", "-c", line]) as run:
        wait_for(lambda: Path(f"{out}.parts").exists() or run.poll() is not None)
        run.send_signal(signal.SIGINT)
        assert run.wait(60) == 0
    assert out.exists()


def test_a_run_leaves_nothing_in_the_temporary_folder(
    photos: Path, colour_model: Path, tmp_path: Path
) -> None:
    """ONNX Runtime's telemetry would: an identifier of the device."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    done = scene_batch(
        *("run", photos, "--out", tmp_path / "p.csv", "--model", colour_model),
        environment={"TMPDIR": str(folder)},
    )
    assert done.returncode == 0
    assert os.listdir(folder) == []


def test_closed_streams_change_no_exit_code(
    album: Path, colour_model: Path, tmp_path: Path
) -> None:
    """As daemons start a job: neither standard output nor standard error is there."""
    words = command("run", album, "--out", tmp_path / "p.csv", "--model", colour_model)
    line = f"exec {shlex.join([*words, '--max-unreadable', '100%'])} >&- 2>&-"
    done = subprocess.run(["sh", "-c", line], env=process_environment(), check=False, timeout=60)
    assert done.returncode == 0
    assert (tmp_path / "p.csv").exists()


def test_an_interruption_while_a_command_is_loaded_has_its_exit_code() -> None:
    code = (
        "import importlib, scene_batch.cli as cli\n"
        "def interrupted(name): raise KeyboardInterrupt\n"
        "importlib.import_module = interrupted\n"
        "cli.program()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "run", "photos", "--out", "p.csv"],
        env=process_environment(),
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (130, b"")
