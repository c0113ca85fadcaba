"""The house: directions of imports, what ships, what is documented, what starting costs."""

from __future__ import annotations

import ast
import re
import runpy
import zipfile
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import click
import pytest
from hatchling.builders.wheel import WheelBuilder

from scene_batch.cli import COMMANDS, main
from support import ROOT, printed_by, scene_batch

_PACKAGES = {
    room: ROOT / room / name
    for room, name in (
        ("runner", "scene_batch"),
        ("train", "scene_batch_train"),
        ("export", "scene_batch_export"),
        ("report", "scene_batch_report"),
        ("serve", "scene_batch_serve"),
        ("cluster", "scene_batch_cluster"),
    )
}
_HEAVY = {
    "sklearn",
    "starlette",
    "uvicorn",
    "tensorflow",
    "keras",
    "tf2onnx",
    "onnx",
    "pandas",
    "torch",
    "jax",
    "ray",
}

_FLOORS = [
    "the top files",
    "model object_store",
    "sources tables",
    "outputs",
    "pipeline",
    "classifier",
    "cli",
]
"""Lowest first: an import goes down, or stays inside its folder. The ground is the top files but
classifier.py."""


def _imported_after(code: str) -> set[str]:
    """The top-level modules that are imported once ``code`` has run in a process of its own."""
    code += "\nimport sys; print('MODULES', *{name.partition('.')[0] for name in sys.modules})"
    return set(printed_by(code).rpartition("MODULES")[2].split())


def test_a_whole_run_imports_nothing_of_training(
    album: Path, colour_model: Path, tmp_path: Path
) -> None:
    words = ["run", str(album), "--out", str(tmp_path / "p.parquet"), "--model", str(colour_model)]
    words += ["--max-unreadable", "100%"]
    after = _imported_after(
        f"from scene_batch.cli import main; main({words!r}, standalone_mode=False)"
    )
    assert {"scene_batch", "onnxruntime", "pyarrow"} < after
    assert (
        after & (_HEAVY | {package.name for room, package in _PACKAGES.items() if room != "runner"})
        == set()
    )


def test_that_test_can_fail() -> None:
    assert "pandas" in _imported_after("import sys, types; sys.modules['pandas'] = types")


def test_help_imports_nothing_that_costs_time() -> None:
    after = _imported_after(
        "from scene_batch.cli import main\nmain(['--help'], standalone_mode=False)"
    )
    assert after & (_HEAVY | {"numpy", "PIL", "pyarrow", "onnxruntime", "obstore"}) == set()


def _floor(module: str) -> int:
    """Of a module by its dotted name below the package."""
    folder = module.split(".", maxsplit=1)[0]
    found = [number for number, names in enumerate(_FLOORS) if folder in names.split()]
    return found[0] if found else 0


def _arrows() -> dict[str, set[str]]:
    """The modules of the runner, and which of its own each of them imports, wherever it does."""
    package = _PACKAGES["runner"]
    faces = (package / "__init__.py", package / "__main__.py")
    files = [file for file in package.rglob("*.py") if file not in faces]
    modules = {".".join(file.relative_to(package).with_suffix("").parts): file for file in files}
    return {
        module: {name for name in _imports(file) if name in modules}
        for module, file in modules.items()
    }


def _imports(file: Path) -> Iterator[str]:
    """What a file imports of the package, as modules or as names in them."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("scene_batch"):
            inside = (node.module or "").removeprefix("scene_batch").removeprefix(".")
            yield inside
            yield from (f"{inside}.{alias.name}".removeprefix(".") for alias in node.names)


def test_every_folder_has_its_floor() -> None:
    folders = {
        path.name for path in _PACKAGES["runner"].iterdir() if (path / "__init__.py").exists()
    }
    assert folders == {name for names in _FLOORS[1:] for name in names.split()} - {"classifier"}


def test_imports_go_down_or_stay_inside_their_folder() -> None:
    wrong = [
        (module, other)
        for module, others in _arrows().items()
        for other in others
        if module.split(".")[0] != other.split(".")[0]
        and (_floor(other) > _floor(module) or (_floor(other) == _floor(module) > 0))
    ]
    assert wrong == []


def test_no_modules_import_each_other_in_a_circle() -> None:
    TopologicalSorter(_arrows()).prepare()  # raises CycleError


def test_folders_say_what_is_in_them_and_hand_nothing_on() -> None:
    """A name has one place to be imported from."""
    for file in _PACKAGES["runner"].rglob("*/__init__.py"):
        if file.parent.name != "cli":
            assert len(ast.parse(file.read_text(encoding="utf-8")).body) == 1, file


def test_the_runners_tests_lie_in_folders_that_are_its_own_and_are_no_long_files() -> None:
    package, tests = _PACKAGES["runner"], ROOT / "tests" / "runner"
    files = [file.relative_to(tests) for file in tests.rglob("test_*.py")]
    folders = {file.parent for file in files}
    assert folders <= {file.parent.relative_to(package) for file in package.rglob("__init__.py")}
    assert [file for file in files if (tests / file).read_text().count("\n") > 400] == []


def test_the_wheel_holds_the_three_packages_and_nothing_else(tmp_path: Path) -> None:
    (wheel,) = WheelBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["standard"])
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    want = {
        str(file.relative_to(package.parent))
        for package in _PACKAGES.values()
        for file in package.rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }
    assert names == want
    assert {
        "scene_batch/models/scenes.onnx",
        "scene_batch/py.typed",
        "scene_batch/sources/directory.py",
        "scene_batch_train/training.py",
        "scene_batch_export/exporting.py",
    } < names


def _commands() -> Iterator[tuple[str, click.Command]]:
    context = click.Context(main)
    for name in COMMANDS:
        command = main.get_command(context, name)
        assert command is not None
        yield name, command


def test_the_page_of_commands_is_what_help_says() -> None:
    page = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    rendered = runpy.run_path(str(ROOT / "docs" / "render_commands.py"))["render"]()
    assert page == rendered, "run: make docs"


def test_the_page_of_the_embedded_model_is_what_inspect_says() -> None:
    page = (ROOT / "docs" / "model-card.md").read_bytes()
    assert page == scene_batch("inspect", "--markdown").stdout, "run: make docs"


def test_every_command_has_an_example_and_every_option_a_help() -> None:
    for name, command in _commands():
        example = rf"Examples?:\n\s+scene-batch {name}\b"
        assert re.search(example, command.help or ""), name
        options = [param for param in command.params if isinstance(param, click.Option)]
        assert [option.name for option in options if not option.help] == []


def test_every_command_and_config_is_on_a_page() -> None:
    """That people read: the generated docs/commands.md has each command anyway."""
    names = (
        "README.md",
        *(
            f"docs/{page}.md"
            for page in ("run", "train", "adopt", "results", "serve", "scale", "python")
        ),
    )
    pages = "".join((ROOT / name).read_text(encoding="utf-8") for name in names)
    for name in COMMANDS:
        assert f"scene-batch {name}" in pages
    for config in (ROOT / "configs").iterdir():
        assert f"configs/{config.name}" in pages


def test_ci_runs_the_readmes_test_command() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    (command,) = [line for line in readme.splitlines() if "python -m pytest" in line]
    assert command in (ROOT / ".ci" / "run").read_text().splitlines()


def test_the_locks_hold_hashes_and_no_address() -> None:
    for lock in (ROOT / "requirements").iterdir():
        text = lock.read_text(encoding="utf-8")
        assert "--hash=sha256:" in text
        assert "://" not in text


def test_the_changelog_opens_with_what_is_unreleased() -> None:
    lines = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8").splitlines()
    assert next(line for line in lines if line.startswith("## ")) == "## Unreleased"


@pytest.mark.parametrize("room", _PACKAGES)
def test_each_package_is_typed(room: str) -> None:
    assert (_PACKAGES[room] / "py.typed").is_file()
