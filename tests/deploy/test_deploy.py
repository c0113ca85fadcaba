"""What lies in deploy/ is what its readers take, and starts commands that there are."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import kubernetes_validate
import pytest
import yaml

from scene_batch.cli import main
from support import ROOT

DEPLOY = ROOT / "deploy"
TEMPLATES = sorted((DEPLOY / "aws").glob("*.yaml"))
MANIFESTS = [
    file for file in sorted((DEPLOY / "kubernetes").glob("*.yaml")) if file.stem != "alerts"
]
UNITS = sorted((DEPLOY / "systemd").iterdir())
KUBERNETES = "1.34"


class _Template(yaml.SafeLoader):
    """Reads CloudFormation's short functions as their arguments."""


def _argument(loader: _Template, _: str, node: yaml.Node) -> Any:
    if isinstance(node, yaml.ScalarNode):
        return loader.construct_scalar(node)
    return loader.construct_sequence(node) if isinstance(node, yaml.SequenceNode) else None


_Template.add_multi_constructor("!", _argument)


def _documents(file: Path) -> list[Any]:
    return list(yaml.load_all(file.read_text(), _Template))  # a SafeLoader


def _containers(value: Any) -> Iterator[dict[str, Any]]:
    """Every container that a file describes: what has an image."""
    if isinstance(value, dict):
        if "image" in value or ("Image" in value and "Type" not in value.get("Image", {})):
            yield value
        for each in value.values():
            yield from _containers(each)
    elif isinstance(value, list):
        for each in value:
            yield from _containers(each)


def _found_by_cfn_lint(text: str) -> list[str]:
    from cfnlint.api import lint  # two seconds

    return [str(match) for match in lint(text, regions=["eu-central-1"])]


@pytest.mark.parametrize("file", TEMPLATES, ids=lambda file: file.stem)
def test_the_templates_are_cloudformations(file: Path) -> None:
    assert _found_by_cfn_lint(file.read_text()) == []


def test_a_wrong_template_is_noticed() -> None:
    text = (DEPLOY / "aws" / "scheduled-task.yaml").read_text()
    assert "StopTimer" in str(_found_by_cfn_lint(text.replace("StopTimeout", "StopTimer")))


@pytest.mark.parametrize("file", MANIFESTS, ids=lambda file: file.stem)
def test_the_manifests_are_kubernetes(file: Path) -> None:
    for document in _documents(file):
        kubernetes_validate.validate(document, KUBERNETES, strict=True)


def test_a_wrong_manifest_is_noticed() -> None:
    (job, *_) = _documents(DEPLOY / "kubernetes" / "shards.yaml")
    job["spec"]["backoffLimitPerShard"] = 4
    with pytest.raises(kubernetes_validate.ValidationError, match="backoffLimitPerShard"):
        kubernetes_validate.validate(job, KUBERNETES, strict=True)


def _parse(words: list[str]) -> None:
    group = click.Context(main, info_name="scene-batch", **main.context_settings)
    found = main.get_command(group, words[0])
    assert found is not None, words
    found.make_context(words[0], words[1:], parent=group)


@pytest.mark.parametrize("file", [*TEMPLATES, *MANIFESTS], ids=lambda file: file.stem)
def test_containers_run_commands_that_there_are_without_rights_and_with_limits(file: Path) -> None:
    found = list(_containers(_documents(file)))
    assert found
    for container in found:
        _parse(container.get("args") or container["Command"])
        if file in MANIFESTS:
            rights, limits = container["securityContext"], container["resources"]["limits"]
            assert rights["readOnlyRootFilesystem"]
            assert not rights["allowPrivilegeEscalation"]
            assert set(limits) == {"cpu", "memory"}
        else:
            assert container["ReadonlyRootFilesystem"]
            assert container["User"] == "10001"


@pytest.mark.parametrize("file", [DEPLOY / "crontab", DEPLOY / "systemd" / "scene-batch.service"])
def test_commands_on_a_machine_are_such_that_there_are(file: Path) -> None:
    (line,) = [line for line in file.read_text().splitlines() if "scene-batch run" in line]
    words = shlex.split(line[line.index("scene-batch run") :])
    _parse(words[1:])


def test_each_shard_of_a_job_is_merged() -> None:
    for file in (DEPLOY / "kubernetes" / "shards.yaml", DEPLOY / "aws" / "array-job.yaml"):
        commands = [c.get("args") or c["Command"] for c in _containers(_documents(file))]
        (shard,) = [words for words in commands if words[0] == "run"]
        (merge,) = [words for words in commands if words[0] == "merge"]
        number = int(shard[shard.index("--shard") + 1].partition("/")[2])
        out = shard[shard.index("--out") + 1].removesuffix(".parquet")
        want = [f"{out}-{i:05d}-of-{number:05d}.parquet" for i in range(number)]
        assert merge[1 : merge.index("--out")] == want


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
def test_the_units_are_systemds(tmp_path: Path) -> None:
    for unit in UNITS:
        text = unit.read_text().replace("/opt/scene-batch/bin/scene-batch", "/bin/true")
        text = text.replace("/usr/bin/logger", "/bin/true")
        (tmp_path / unit.name).write_text(text)
    words = ["systemd-analyze", "verify", *map(str, sorted(tmp_path.iterdir()))]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("script", sorted(DEPLOY.glob("*.sh")), ids=lambda file: file.name)
def test_the_scripts_are_shells(script: Path) -> None:
    shell = script.read_text().splitlines()[0].rpartition("/")[2].split()[-1]
    subprocess.run([shell, "-n", script], check=True)


def test_the_images_get_every_room_that_the_wheel_has() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    packages = project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    let_in = (ROOT / ".dockerignore").read_text().splitlines()
    assert [package for package in packages if f"!{package.split('/')[0]}" not in let_in] == []


@pytest.mark.parametrize("file", sorted((ROOT / ".github" / "workflows").iterdir()), ids=str)
def test_the_workflows_are_githubs(file: Path) -> None:
    words = [
        sys.executable,
        "-m",
        "check_jsonschema",
        "--builtin-schema",
        "vendor.github-workflows",
    ]
    done = subprocess.run([*words, str(file)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
