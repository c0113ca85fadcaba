"""What no runner could exceed here: ``python benchmarks/limits.py MODEL PHOTOS``.

Prints one JSON line, all in photos/s: ``session``, the model alone on decoded photos, with the
runner's own settings; ``decode``, a bare pool of threads that reads and decodes and does no more;
and ``both``, the limit where the two share the processor's cores. With a model on an accelerator
the limit is the smaller of the first two instead.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import get_args

sys.path.insert(0, str(Path(__file__).parents[1] / "runner"))

from PIL import Image

from scene_batch.model.compute_options import ComputeOptions, Provider
from scene_batch.model.decode import decode
from scene_batch.model.preprocess import Preprocess
from scene_batch.model.session import Session
from scene_batch.processors import usable_cpus
from scene_batch.records import Decoded, ImageRef, Pixels


def decode_rate(photos: list[Path], preprocess: Preprocess) -> tuple[float, list[Pixels]]:
    """Photos/s of the bare pool, and what it decoded."""

    def decoded(photo: Path) -> Pixels:
        found = decode(ImageRef(str(photo)), photo.read_bytes(), preprocess)
        if not isinstance(found, Decoded):
            raise SystemExit(f"{photo}: {found.message}")
        return found.pixels

    Image.core.set_blocks_max(2 * usable_cpus())  # type: ignore[attr-defined]  # as a run does
    with ThreadPoolExecutor(usable_cpus()) as pool:
        begun = time.perf_counter()
        pixels = list(pool.map(decoded, photos))
        return len(photos) / (time.perf_counter() - begun), pixels


def session_rate(session: Session, pixels: list[Pixels]) -> float:
    """Photos/s of the model alone, as many calls side by side as the runner makes."""
    size = session.batch_size
    batches = [pixels[begin : begin + size] for begin in range(0, len(pixels), size)]
    with ThreadPoolExecutor(session.calls) as pool:
        list(pool.map(session.probabilities, batches[: session.calls]))  # the first is slower
        begun = time.perf_counter()
        list(pool.map(session.probabilities, batches))
        return len(pixels) / (time.perf_counter() - begun)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="What no runner could exceed here.")
    parser.add_argument("model", type=Path)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--limit", type=int, default=1000, help="photos; they are kept in memory")
    parser.add_argument("--provider", choices=get_args(Provider), default="cpu")
    options = parser.parse_args()
    session = Session.open(options.model, ComputeOptions(options.provider))
    photos = sorted(options.photos.rglob("*.jpg"))[: options.limit]
    decoding, pixels = decode_rate(photos, session.card.preprocess)
    computing = session_rate(session, pixels)
    report = {
        "photos": len(photos),
        "session": round(computing, 1),
        "decode": round(decoding, 1),
        "both": round(1 / (1 / computing + 1 / decoding), 1),
        "provider": session.provider,
        "batch_size": session.batch_size,
        "calls": session.calls,
        "threads": session.threads,
    }
    print(json.dumps(report))


if __name__ == "__main__":
    main()
