"""Smaller networks beside the embedded one: ``python benchmarks/knee.py RUN.onnx... --split CSV``.

Each model file is asked about the photos that its training held back (``split.csv`` of a run
folder; the embedded model's are the same where seed and photos are), and its speed is measured in
rounds with the embedded model's: the model alone, on decoded photos, with the runner's settings.
Prints a Markdown table: accuracy with its 95 % interval, how many photos it wins and loses against
the embedded model, with McNemar's exact p, the calibration error, the share of photos that keep
fp32's class (from its card), photos/s against the embedded model's, and bytes.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / room) for room in ("runner", "train")]

import numpy as np  # noqa: E402
import numpy.typing as npt  # noqa: E402
from limits import decode_rate, session_rate  # noqa: E402
from machine import described  # noqa: E402
from scipy.stats import binomtest  # noqa: E402

from scene_batch.model.compute_options import ComputeOptions, Provider  # noqa: E402
from scene_batch.model.session import Session  # noqa: E402
from scene_batch.records import Pixels  # noqa: E402
from scene_batch_train.figures import interval, reliability  # noqa: E402
from scene_batch_train.splitting import VALIDATION, read_split  # noqa: E402


@dataclass
class Contender:
    """A model file, the held-back photos as it sees them, and what it says of them."""

    session: Session
    pixels: list[Pixels]
    probabilities: npt.NDArray[np.float32]
    rates: list[float]

    @classmethod
    def open(cls, file: Path | None, photos: list[Path], provider: Provider) -> Contender:
        """Open a model file, None being the embedded one, and ask it about photos."""
        session = Session.open(file, ComputeOptions(provider))
        _, pixels = decode_rate(photos, session.card.preprocess)
        return cls(session, pixels, session.probabilities(pixels), [])

    def row(self, embedded: Contender, labels: npt.NDArray[np.int64]) -> str:
        """Its line of the table."""
        card = self.session.card
        right, theirs = (
            contender.probabilities.argmax(axis=1) == labels for contender in (self, embedded)
        )
        low, high = interval(float(right.mean()), len(labels))
        won, lost = int((right & ~theirs).sum()), int((theirs & ~right).sum())
        chance = binomtest(won, won + lost).pvalue if won + lost else 1.0
        ratio = statistics.median(a / b for a, b in zip(self.rates, embedded.rates, strict=True))
        config = card.training.get("config", {})
        agreement = card.metrics.get("exported", {}).get(card.precision, {}).get("agreement", "")
        cells = (
            card.name,
            card.preprocess.height,
            config.get("middle_blocks", 8),
            card.precision,
            f"{right.mean():.4f} ({low:.3f} to {high:.3f})",
            f"+{won} -{lost} (p {chance:.2f})",
            f"{reliability(self.probabilities, labels).error:.4f}",
            agreement,
            f"{ratio:.2f} ({statistics.median(self.rates):.0f})",
            f"{self.session.path.stat().st_size / 1e6:.1f}",
        )
        return f"| {' | '.join(map(str, cells))} |"


_HEAD = (
    "| model | side | middle blocks | precision | accuracy (95 %) | against the embedded one |"
    " calibration error | as fp32 | photos/s, embedded 1.00 | MB |\n" + "| --- " * 10 + "|"
)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Smaller networks beside the embedded one.")
    parser.add_argument("models", type=Path, nargs="*")
    parser.add_argument("--split", type=Path, required=True, help="split.csv of a run folder")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--provider", choices=get_args(Provider), default="cpu")
    options = parser.parse_args()
    held = read_split(options.split, VALIDATION)
    photos = [Path(ref.path) for ref, _ in held]
    files = [None, *options.models]
    contenders = [Contender.open(file, photos, options.provider) for file in files]
    classes = contenders[0].session.card.classes
    if any(contender.session.card.classes != classes for contender in contenders):
        raise SystemExit("the models have other classes than the embedded one")
    labels = np.array([classes.index(name) for _, name in held], np.int64)
    for _ in range(options.rounds):
        for contender in contenders:
            contender.rates.append(session_rate(contender.session, contender.pixels))
    print(f"{described()}\n\n{len(photos)} photos.\n\n{_HEAD}")
    for contender in contenders:
        print(contender.row(contenders[0], labels))


if __name__ == "__main__":
    main()
