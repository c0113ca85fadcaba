"""``verify`` passes where the file computes what it did, and fails where it does not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from scene_batch.model import golden
from scene_batch.model.compute_options import ComputeOptions
from scene_batch.model.predictor import Predictor
from support import save_colour_model, scene_batch, with_scale


def test_a_sound_file_passes(colour_model: Path) -> None:
    done = scene_batch("verify", colour_model)
    assert done.returncode == 0
    assert done.stdout.decode().splitlines()[-1] == (
        "3 of 3 golden photos as exported (tolerance 0.0001, provider cpu)"
    )


@pytest.mark.parametrize(("scale", "what"), [(1.001 / 255, "same class"), (-1, "another class")])
def test_an_altered_file_fails(scale: float, what: str, colour_model: Path, tmp_path: Path) -> None:
    done = scene_batch("verify", with_scale(colour_model, scale, tmp_path / "m.onnx"))
    assert done.returncode == 1
    assert f"1: DIFFERS, {what}, probabilities within" in done.stdout.decode()


def test_other_pixels_are_told_from_another_runtime(tmp_path: Path, colour_model: Path) -> None:
    vectors = Predictor.open(colour_model).card.golden
    other = tuple(replace(vector, pixels_sha256="0" * 64) for vector in vectors)
    path = save_colour_model(tmp_path / "m.onnx", golden=other)
    assert [result.same_pixels for result in golden.check(Predictor.open(path))] == [False] * 3
    done = scene_batch("verify", path)
    assert done.returncode == 0
    assert "decoder difference" in done.stdout.decode()


def test_a_file_without_golden_vectors_cannot_be_verified(tmp_path: Path) -> None:
    done = scene_batch("verify", save_colour_model(tmp_path / "m.onnx", golden=()))
    assert done.returncode == 1
    assert b"no golden vectors; export it again" in done.stderr


def test_int8_rounds_elsewhere_on_other_providers_and_nothing_else_does(
    colour_model: Path, tmp_path: Path
) -> None:
    int8 = Predictor.open(
        save_colour_model(tmp_path / "m.onnx", precision="int8"), ComputeOptions("cpu")
    )
    assert {result.tolerance for result in golden.check(int8)} == {1e-3}
    elsewhere = replace(int8, session=replace(int8.session, provider="openvino"))
    assert {result.tolerance for result in golden.check(elsewhere)} == {golden.ROUNDED_ELSEWHERE}
    fp32 = Predictor.open(colour_model, ComputeOptions("cpu"))
    elsewhere = replace(fp32, session=replace(fp32.session, provider="openvino"))
    assert {result.tolerance for result in golden.check(elsewhere)} == {1e-4}
