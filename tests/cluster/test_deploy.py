"""The files that make clusters are what their programs take, and their commands are commands."""

from __future__ import annotations

import shlex
from typing import Any

import click
import pytest
import yaml

from scene_batch.cli import main
from support import ROOT

RAY = ROOT / "deploy" / "ray"


def test_rays_launcher_takes_its_file() -> None:
    util = pytest.importorskip("ray.autoscaler._private.util")
    pytest.importorskip("jsonschema")
    config = yaml.safe_load((RAY / "aws.yaml").read_text())
    whole = util.prepare_config(config)  # as ray up does: with its own defaults
    util.validate_config(whole)
    with pytest.raises(Exception, match="max_workrs"):
        util.validate_config({**whole, "max_workrs": 3})


def test_the_operators_file_is_a_cluster_whose_pods_fit_its_tasks() -> None:
    cluster, driver = yaml.safe_load_all((RAY / "kuberay.yaml").read_text())
    assert (cluster["apiVersion"], cluster["kind"]) == ("ray.io/v1", "RayCluster")
    spec = cluster["spec"]
    assert spec["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"
    (workers,) = spec["workerGroupSpecs"]
    assert workers["minReplicas"] <= workers["replicas"] <= workers["maxReplicas"]
    pods = [spec["headGroupSpec"]["template"], workers["template"], driver["spec"]["template"]]
    containers = [_container(pod) for pod in pods]
    assert {container["image"] for container in containers} == {"scene-batch:ray"}
    cpus = int(containers[1]["resources"]["limits"]["cpu"])
    assert _command("kuberay.yaml")["cpus"] <= cpus
    assert f"{cluster['metadata']['name']}-head-svc:6379" in containers[2]["command"][2]


def _container(pod: dict[str, Any]) -> dict[str, Any]:
    (container,) = pod["spec"]["containers"]
    return dict(container)


@pytest.mark.parametrize("name", ["kuberay.yaml", "aws.yaml"])
def test_the_command_in_a_file_is_one(name: str) -> None:
    assert _command(name)["address"] == "auto"


def _command(name: str) -> dict[str, Any]:
    """The options of the command that a file's first lines tell to type."""
    text = (RAY / name).read_text().replace("\\\n#", "")
    (line,) = [line for line in text.splitlines() if "scene-batch distribute s3://" in line]
    words = shlex.split(line.partition("scene-batch distribute ")[2].rstrip('"'))
    group = click.Context(main, info_name="scene-batch", **main.context_settings)
    command = main.get_command(group, "distribute")
    assert command is not None
    return command.make_context("distribute", words, parent=group).params
