"""The description of the endpoint is true: schemathesis tries it, and every route is in it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from served import Served


def test_schemathesis_finds_nothing(served: Served, tmp_path: Path) -> None:
    # That all which fits the description is taken cannot be asked: most bytes are no photo.
    done = subprocess.run(
        [
            *(sys.executable, "-m", "schemathesis.cli", "run", f"{served.url}/openapi.json"),
            *("--max-examples", "15", "--seed", "1", "--phases", "fuzzing"),
            *("--exclude-checks", "positive_data_acceptance"),
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout
    assert "operations" in done.stdout.lower()


def test_every_route_is_described_and_nothing_else(served: Served) -> None:
    described = served.ask("/openapi.json").json["paths"]
    for path, operations in described.items():
        allowed = {method.upper() for method in operations}
        answer = served.ask(path, method="BREW")
        assert answer.status == 405, path
        assert set(answer.headers["allow"].split(", ")) - {"HEAD"} == allowed
