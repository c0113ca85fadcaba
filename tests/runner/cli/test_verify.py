"""``verify`` passes where the file computes what it did, and fails where it does not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import onnx
import pytest

from scene_batch.errors import ModelError
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


def _elsewhere(path: Path) -> Predictor:
    """The same file on a provider that is not here, and that computes as ``cpu`` does."""
    opened = Predictor.open(path, ComputeOptions("cpu"))
    return replace(opened, session=replace(opened.session, provider="openvino"))


def test_answers_of_a_provider_are_put_into_the_file_and_compared_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save_colour_model(tmp_path / "m.onnx", precision="int8")
    before = onnx.load(path)
    assert not golden.has_answers(_elsewhere(path))
    path.write_bytes(golden.with_answers(_elsewhere(path)))
    assert onnx.load(path).graph == before.graph
    opened = _elsewhere(path)
    assert golden.has_answers(opened)
    for has_avx2, tolerance in ((True, 1e-3), (False, golden.OLDER_PROCESSOR)):
        monkeypatch.setattr(golden, "has_avx2", lambda: has_avx2)  # noqa: B023 - used at once
        results = golden.check(opened)
        assert {result.tolerance for result in results} == {tolerance}
        assert all(result.passed for result in results)
    vectors = [replace(v, by_provider={"openvino": v.exported[::-1]}) for v in opened.card.golden]
    other = _elsewhere(save_colour_model(tmp_path / "o.onnx", precision="int8", golden=vectors))
    assert not all(result.passed for result in golden.check(other))


def test_answers_are_not_saved_where_that_would_prove_nothing(
    colour_model: Path, tmp_path: Path
) -> None:
    before = colour_model.read_bytes()
    for words, message in (
        ([], b"--save-answers writes into MODEL"),
        ([colour_model], b"the file has the answers of cpu since its export"),
    ):
        done = scene_batch("verify", *words, "--save-answers", "--provider", "cpu")
        assert done.returncode in (1, 2)
        assert message in done.stderr
    assert colour_model.read_bytes() == before
    altered = with_scale(colour_model, -1, tmp_path / "m.onnx")
    with pytest.raises(ModelError, match=r"not as exported here|no digest"):
        golden.with_answers(_elsewhere(altered))
