"""SIGKILLs in training, export and retraining: ``python benchmarks/kill_trainings.py``.

A small network learns made-up photos, is exported, and retrained with others: once undisturbed, and
once killed at random moments, and at each rename with which retraining exchanges the folders. After
each kill the same command is given again. Figures and predictions must be those of the first time.
"""

from __future__ import annotations

import json
import random
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np
from commands import ours
from machine import described
from PIL import Image

_KILLS = {"train": 14, "export": 8, "retrain": 8}
_CONFIG = """
[train]
weights = "none"
height = 71
width = 71
width_multiplier = 0.125
middle_blocks = 1
validation = 0.25
[train.head]
epochs = 4
batch_size = 8
[train.fine_tune]
epochs = 4
learning_rate = 1e-3
batch_size = 8
average = 0.9
[train.augment]
rotate = 5.0
mix = 0.5
"""


def save_photos(folder: Path, each: int, seed: int, bright: int = 0) -> Path:
    """Noise of three kinds, a folder for each."""
    generator = np.random.default_rng(seed)
    for number, name in enumerate(("dark", "middle", "light")):
        (folder / name).mkdir(parents=True)
        for photo in range(each):
            low = 70 * number + bright
            pixels = generator.integers(low, low + 90, (80, 80, 3)).clip(0, 255).astype("u1")
            Image.fromarray(pixels).save(folder / name / f"{photo:03}.png")
    return folder


def done(words: list[str]) -> tuple[int, str]:
    """Run it to its end: exit code and last line."""
    made = subprocess.run(words, capture_output=True, text=True, check=False)
    return made.returncode, (made.stderr.strip().splitlines() or [""])[-1]


def killed(
    words: list[str], kills: int, seconds: float, moments: random.Random
) -> tuple[int, int | None]:
    """Kill it at random moments, giving the same command again: how many kills hit; its exit code.

    None: it has not come to its end.
    """
    for hits in range(kills):
        with subprocess.Popen(words, stderr=subprocess.DEVNULL) as process:
            try:
                return hits, process.wait(moments.uniform(0.2 * seconds, 0.6 * seconds))
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
    return kills, None


def killed_at_renames(words: list[str]) -> tuple[int, int | None]:
    """Kill it at each second rename, giving the same command again; as ``killed``."""
    at = "inject=rename,renameat,renameat2:signal=SIGKILL:when=2"
    traced = ["strace", "-f", "-o", "/dev/null", "-e", "trace=rename,renameat,renameat2", "-e", at]
    for hits in range(60):
        made = subprocess.run([*traced, *words], capture_output=True, check=False)
        if made.returncode in {0, 1}:
            return hits, made.returncode
    return 60, None


def outcome(run: Path) -> tuple[object, ...]:
    """What must be the same: the figures, the predictions and the version."""
    metrics = json.loads((run / "metrics.json").read_text())
    for name in ("seconds", "files"):
        del metrics[name]
    version = json.loads((run / "config.json").read_text())["version"]
    rows = (run / "predictions.csv").read_text().replace(str(run), "RUN")
    return metrics, version, rows


def main() -> None:
    """Do it all twice, and compare."""
    print(described(), end="\n\n")
    moments, total = random.Random(5), 0
    with tempfile.TemporaryDirectory() as name:
        at = Path(name)
        photos, more = save_photos(at / "photos", 40, 1), save_photos(at / "more", 40, 2, bright=45)
        (at / "small.toml").write_text(_CONFIG, encoding="utf-8")
        found: dict[str, dict[str, object]] = {}
        for way in ("undisturbed", "killed"):
            (at / way).mkdir()
            run, model = at / way / "run", at / way / "m.onnx"
            steps = {
                "train": ours("train", photos, "--config", at / "small.toml", "--out", run),
                "export": ours("export", run, "--out", model),
                "retrain": ours("train", "--from", run, "--add", more, "--min-photos", 100),
            }
            for step, words in steps.items():
                begun = time.monotonic()
                hits, renames, code, last = 0, 0, None, ""
                if way == "killed":
                    seconds = found["undisturbed"][f"{step} s"]
                    hits, code = killed(words, _KILLS[step], seconds, moments)
                    if code is None and step == "retrain":
                        renames, code = killed_at_renames(words)
                if code is None:
                    code, last = done(words)
                total += hits + renames
                found.setdefault(way, {})[f"{step} s"] = time.monotonic() - begun
                found[way][step] = outcome(
                    run
                )  # a kill at the very end: it is finished, and says so
                print(f"{way}: {step}: exit code {code}, {hits} random kills, {renames} at renames")
                print(f"  {last}", flush=True)
        same = [s for s in ("train", "export", "retrain")
                if found["killed"][s] == found["undisturbed"][s]]  # fmt: skip
        print(f"{total} kills; the same figures and predictions after: {', '.join(same) or 'none'}")


if __name__ == "__main__":
    main()
