"""The page's code: what is committed is what its sources make."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from scene_batch_report.page.writing import bundle
from support import ROOT

SOURCES = ROOT / "report" / "page"
NAMES = ("page.js", "page.css")


def _digest(folder: Path) -> str:
    """As build.js computes it."""
    names = ["package.json", "package-lock.json", "build.js"]
    names += sorted(f"src/{path.name}" for path in (folder / "src").iterdir())
    digest = hashlib.sha256()
    for name in names:
        text = (folder / name).read_bytes().decode().replace("\r\n", "\n")
        digest.update(f"{name}\n{text}\n".encode())
    return digest.hexdigest()


@pytest.mark.parametrize("name", NAMES)
def test_the_bundle_is_of_these_sources(name: str) -> None:
    assert f"sources sha256:{_digest(SOURCES)} " in bundle(name), "run: make page"


def test_other_sources_have_another_digest(tmp_path: Path) -> None:
    copy = shutil.copytree(
        SOURCES, tmp_path / "page", ignore=shutil.ignore_patterns("node_modules")
    )
    assert _digest(copy) == _digest(SOURCES)
    (copy / "src" / "page.css").write_text("b {}")
    assert _digest(copy) != _digest(SOURCES)


def test_the_bundle_is_what_npm_builds(tmp_path: Path) -> None:
    node = shutil.which("node")
    if node is None or not (SOURCES / "node_modules" / "esbuild").exists():
        pytest.skip("needs Node.js, and npm ci in report/page")
    subprocess.run([node, "build.js", str(tmp_path)], cwd=SOURCES, check=True, timeout=60)
    for name in NAMES:
        assert (tmp_path / name).read_text(encoding="utf-8") == bundle(name), "run: make page"


def test_the_licences_of_what_is_bundled_are_in_it() -> None:
    packages = json.loads((SOURCES / "package.json").read_text())
    for name, version in packages["dependencies"].items():
        assert re.fullmatch(r"\d+\.\d+\.\d+", version)
        assert f"/*! {name} {version}\n" in bundle("page.js")
    assert bundle("page.js").count("Permission is hereby granted") == len(packages["dependencies"])


def test_the_lock_names_no_registry() -> None:
    lock = json.loads((SOURCES / "package-lock.json").read_text())
    assert [name for name, package in lock["packages"].items() if "resolved" in package] == []
    assert all("integrity" in package for name, package in lock["packages"].items() if name)
