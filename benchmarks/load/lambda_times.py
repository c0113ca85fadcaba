"""What the Lambda function takes: ``python benchmarks/load/lambda_times.py``.

By AWS' own runtime client, against a Runtime API here: from the start of the process to the first
answer, then answers of a warm function, and the memory.
"""

from __future__ import annotations

import base64
import statistics
import sys
import time
from pathlib import Path

from servers import HERE, PHOTO, ROOT

sys.path.insert(0, str(HERE.parent))
sys.path.insert(0, str(ROOT / "tests"))
from machine import described

from runtime_api import lambda_function

_STARTS, _CALLS = 5, 50


def main() -> None:
    """Print it."""
    print(described(), end="\n\n")
    event = {"image": base64.b64encode(PHOTO.read_bytes()).decode()}
    cold, warm, memory = [], [], 0
    for _ in range(_STARTS):
        begun = time.perf_counter()
        with lambda_function() as api:
            api.answer(event)
            cold.append(time.perf_counter() - begun)
            for _ in range(_CALLS):
                begun = time.perf_counter()
                api.answer(event)
                warm.append(time.perf_counter() - begun)
            status = Path(f"/proc/{api.pid}/status").read_text()
            memory = max(memory, *(int(x.split()[1]) for x in status.splitlines() if "VmHWM" in x))
    print(f"first answer after {statistics.median(cold):.2f} s ({_STARTS} starts)")
    ordered = sorted(1000 * seconds for seconds in warm)
    most = ordered[int(0.95 * len(ordered))]
    print(f"warm: median {statistics.median(ordered):.1f} ms, 95 % {most:.1f} ms")
    print(f"memory: {memory / 1000:.0f} MB at most")


if __name__ == "__main__":
    main()
