"""What parts and ledger cost of a whole run: ``python benchmarks/parts_overhead.py PHOTOS``.

Times every call into the ledger and every closing, joining and publishing, in three runs.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from scene_batch.model.predictor import Predictor
from scene_batch.outputs.saved import SavedOutput
from scene_batch.pipeline.job import Job
from scene_batch.pipeline.run import run

ROUNDS = 3


class Clock:
    """Seconds spent in some methods of a class, those inside each other counted once."""

    def __init__(self, owner: type, *names: str) -> None:
        self.seconds = 0.0
        self._inside = False
        for name in names:
            setattr(owner, name, self._timed(getattr(owner, name)))

    def _timed(self, method: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*words: Any, **more: Any) -> Any:
            if self._inside:
                return method(*words, **more)
            self._inside, begun = True, time.perf_counter()
            try:
                return method(*words, **more)
            finally:
                self.seconds += time.perf_counter() - begun
                self._inside = False

        return timed


def main() -> None:
    """Measure and print."""
    clock = Clock(SavedOutput, "__enter__", "save", "commit", "__exit__")
    predictor = Predictor.open()
    shares = []
    for number in range(ROUNDS):
        with tempfile.TemporaryDirectory() as folder:
            clock.seconds, begun = 0.0, time.perf_counter()
            run(Job((sys.argv[1],), str(Path(folder) / "p.parquet")), predictor)
            whole = time.perf_counter() - begun
        shares.append(clock.seconds / whole)
        print(f"run {number + 1}: {whole:.2f} s, of which {clock.seconds:.3f} s: {shares[-1]:.2%}")
    print(f"median {statistics.median(shares):.2%}")


if __name__ == "__main__":
    main()
