"""The runner beside what else one could use: ``python benchmarks/side_by_side.py PHOTOS``.

Each contender is a whole process over the same photos, and each round runs each of them once, so
that the noise of a shared machine hits all alike. Prints medians as a Markdown table. A contender
that does not run here keeps its row, with the reason. ``--python-openvino`` and ``--python-torch``
name interpreters of environments with those; the runner need not be installed there, but what it
imports must be, and Pillow and onnx for PyTorch's.

``--out FILE --title TITLE`` also adds the table to a file.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from machine import described

HERE = Path(__file__).parent
ROOT = HERE.parent
MODEL = ROOT / "runner" / "scene_batch" / "models" / "scenes.onnx"
OURS = "ours-cpu"


@dataclass(frozen=True, slots=True)
class Contender:
    """A program that is measured."""

    name: str
    words: list[str]
    read: Callable[[str], Report]
    """Makes a report of its standard output."""
    same_weights: bool = False
    """Whether its classes can be compared with ours."""


@dataclass(frozen=True, slots=True)
class Report:
    """What a process says of itself."""

    photos: int
    rates: dict[str, float]
    """Photos/s from the moment the model is ready, by what is measured; "" for the program."""
    version: str
    classes: dict[str, str] = field(default_factory=dict)
    """The class of each photo, by its path."""


@dataclass(slots=True)
class Results:
    """The rounds of one contender."""

    contender: Contender
    whole: list[float] = field(default_factory=list)
    """Photos/s of the whole process."""
    reports: list[Report] = field(default_factory=list)
    error: str = ""

    def round(self) -> None:
        """Run it once more, unless it failed before."""
        if self.error:
            return
        environment = {**os.environ, "PYTHONPATH": str(ROOT / "runner")}
        begun = time.perf_counter()
        words = self.contender.words
        try:
            done = subprocess.run(
                words, capture_output=True, text=True, env=environment, check=False
            )
        except OSError as error:  # no such interpreter
            self.error = str(error)
            return
        seconds = time.perf_counter() - begun
        if done.returncode:
            lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
            self.error = lines[-1]
            return
        report = self.contender.read(done.stdout)
        self.reports.append(report)
        self.whole.append(report.photos / seconds)

    def rate(self, what: str) -> float:
        """Median photos/s of the ready model."""
        return statistics.median(report.rates[what] for report in self.reports)


def contenders(options: argparse.Namespace, folder: Path) -> list[Contender]:
    """Those asked for, in that order."""
    here, openvino, torch = sys.executable, options.python_openvino, options.python_torch
    rivals = {
        "onnx-loop": [here, "onnx_loop.py"],
        "keras-per-image": [here, "keras_per_image.py"],
        "keras-tf-data": [here, "keras_tf_data.py"],
        "openvino-async-1": [openvino, "openvino_async.py", "--batch", "1"],
        "openvino-async-8": [openvino, "openvino_async.py", "--batch", "8"],
        "openvino-async-8-f32": [openvino, "openvino_async.py", "--batch", "8", "--f32"],
        "torch": [torch, "torch_loader.py"],
    }
    every = [
        _ours(OURS, here, "cpu", options, folder),
        _ours("ours-openvino", openvino, "openvino", options, folder),
        _limits("limits", here, "cpu", options),
        _limits("limits-openvino", openvino, "openvino", options),
        *(_rival(name, words, options, folder) for name, words in rivals.items()),
    ]
    known = {contender.name: contender for contender in every}
    names = options.only.split(",") if options.only else list(known)
    if unknown := set(names) - set(known):
        raise SystemExit(f"{', '.join(unknown)}: none of {', '.join(known)}")
    return [known[name] for name in names]


def _limit_words(limit: int | None) -> list[str]:
    return [] if limit is None else ["--limit", str(limit)]


def _ours(
    name: str, python: str, provider: str, options: argparse.Namespace, folder: Path
) -> Contender:
    out = folder / f"{name}.parquet"
    code = "from scene_batch.cli import program; program()"
    words = [python, "-c", code, "run", str(options.photos), "--out", str(out)]
    words += ["--model", str(options.model), "--provider", provider, "--overwrite", "--quiet"]

    def read(stdout: str) -> Report:
        record = json.loads(out.with_name(out.name + ".run.json").read_text())
        table = pq.read_table(out, columns=["path", "class"]).to_pydict()
        classes = dict(zip(table["path"], table["class"], strict=True))
        version = f"scene-batch {record['versions']['scene_batch']}"
        rates = {"": record["photos"] / record["seconds"]}
        return Report(record["photos"], rates, version, classes)

    return Contender(name, words + _limit_words(options.limit), read, same_weights=True)


def _limits(name: str, python: str, provider: str, options: argparse.Namespace) -> Contender:
    words = [python, str(HERE / "limits.py"), str(options.model), str(options.photos)]

    def read(stdout: str) -> Report:
        said = _last_line(stdout)
        return Report(said["photos"], {what: said[what] for what in RATES_OF_LIMITS}, "")

    return Contender(name, [*words, "--provider", provider, *_limit_words(options.limit)], read)


RATES_OF_LIMITS = {
    "session": "the model alone",
    "decode": "decoding alone",
    "both": "both, sharing the cores",
}


def _rival(name: str, words: list[str], options: argparse.Namespace, folder: Path) -> Contender:
    python, script, *more = words
    out = folder / f"{name}.csv"
    places = [str(options.model), str(options.photos), str(out)]
    slow = name == "keras-per-image" and options.slow_limit is not None
    limit = _limit_words(options.slow_limit if slow else options.limit)

    def read(stdout: str) -> Report:
        said = _last_line(stdout)
        with out.open(newline="") as file:
            classes = {row["path"]: row["class"] for row in csv.DictReader(file)}
        rates = {"": said["photos"] / said["seconds_when_ready"]}
        return Report(said["photos"], rates, said["version"], classes)

    same = name.startswith(("onnx", "openvino"))
    rival = str(HERE / "rivals" / script)
    return Contender(name, [python, rival, *places, *more, *limit], read, same_weights=same)


def _last_line(stdout: str) -> dict[str, Any]:
    said: dict[str, Any] = json.loads(stdout.strip().splitlines()[-1])
    return said


def table(results: list[Results]) -> str:
    """All results as a Markdown table."""
    ours = {r.contender.name: r for r in results if r.contender.name.startswith("ours")}
    head = ["contender", "photos", "photos/s, whole process", "photos/s, model ready"]
    head += [*(f"{name} is so many times as fast" for name in ours), f"same class as {OURS}"]
    lines = [head, ["---"] * len(head)]
    for result in results:
        lines += _lines(result, ours)
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _lines(result: Results, ours: dict[str, Results]) -> list[list[str]]:
    name = result.contender.name
    if result.error:
        return [[name, f"does not run: {result.error.replace('|', '/')}", *[""] * (3 + len(ours))]]
    photos = str(result.reports[0].photos)
    if "" not in result.reports[0].rates:
        return [
            [f"{name}: {title}", photos, "", f"{result.rate(what):.1f}"]
            + [_ready_ratio(other, result, what) for other in ours.values()]
            + [""]
            for what, title in RATES_OF_LIMITS.items()
        ]
    label = f"{name} ({result.reports[0].version})"
    rates = [f"{statistics.median(result.whole):.1f}", f"{result.rate(''):.1f}"]
    ratios = [_whole_ratio(other, result) for other in ours.values()]
    return [[label, photos, *rates, *ratios, _agreement(ours.get(OURS), result)]]


def _whole_ratio(ours: Results, other: Results) -> str:
    """Median of the rounds' ratios: what slows a whole round down cancels out."""
    if ours.error:
        return ""
    if ours.reports[0].photos != other.reports[0].photos:  # start-up would count for more in one
        return f"{_ready_ratio(ours, other, '')} (ready)"
    pairs = zip(ours.whole, other.whole, strict=True)
    return f"{statistics.median(mine / its for mine, its in pairs):.2f}"


def _ready_ratio(ours: Results, other: Results, what: str) -> str:
    if ours.error:
        return ""
    pairs = zip(ours.reports, other.reports, strict=True)
    ratios = (mine.rates[""] / its.rates[what] for mine, its in pairs)
    return f"{statistics.median(ratios):.2f}"


def _agreement(ours: Results | None, other: Results) -> str:
    """The share of photos with our class, where the weights are the same."""
    if ours is None or ours.error or not other.contender.same_weights:
        return ""
    mine, its = ours.reports[-1].classes, other.reports[-1].classes
    common = mine.keys() & its.keys()
    if not common:
        return "no photo in common"
    return f"{sum(mine[path] == its[path] for path in common) / len(common):.4f}"


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="The runner beside what else one could use.")
    parser.add_argument("photos", type=Path)
    parser.add_argument("--model", type=Path, default=MODEL)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", help="contenders, with commas between them; else all")
    parser.add_argument("--limit", type=int, help="photos of each process")
    parser.add_argument("--slow-limit", type=int, help="photos of keras-per-image")
    for tool in ("openvino", "torch"):
        variable = f"PYTHON_{tool.upper()}"
        default = os.environ.get(variable, sys.executable)
        parser.add_argument(
            f"--python-{tool}", default=default, help=f"interpreter with {tool}; or ${variable}"
        )
    parser.add_argument("--out", type=Path, help="a file to add the table to")
    parser.add_argument("--title", default="Side by side", help="its heading there")
    return parser.parse_args()


def main() -> None:
    """Measure and print."""
    options = parse()
    with tempfile.TemporaryDirectory() as folder:
        results = [Results(contender) for contender in contenders(options, Path(folder))]
        for number in range(options.rounds):
            for result in results:
                result.round()
                done = result.error or f"{result.whole[-1]:.1f} photos/s"
                print(f"{number + 1}: {result.contender.name}: {done}", file=sys.stderr)
    said = (
        f"Medians of {options.rounds} rounds. Ratios are medians of each round's ratio of whole"
        " processes; of ready models beside limits, and where one took fewer photos."
    )
    text = "\n\n".join((described(), said, table(results)))
    print(text)
    if options.out:
        before = options.out.read_text().rstrip() + "\n\n" if options.out.exists() else ""
        options.out.write_text(f"{before}## {options.title}\n\n{text}\n")


if __name__ == "__main__":
    main()
