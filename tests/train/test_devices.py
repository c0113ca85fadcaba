"""What a training computes with, and how precisely."""

from __future__ import annotations

import pytest
import tensorflow as tf

from scene_batch_train.devices import has_gpu, policy


@pytest.mark.parametrize(
    ("precision", "gpu", "wanted"),
    [
        ("auto", True, "mixed_float16"),
        ("auto", False, "float32"),
        ("mixed_bfloat16", False, "mixed_bfloat16"),
        ("float32", True, "float32"),
    ],
)
def test_auto_precision_is_half_on_a_gpu(precision: str, gpu: bool, wanted: str) -> None:
    assert policy(precision, gpu) == wanted


def test_a_gpu_is_told_once_to_grow_its_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    grown: dict[str, bool] = {}

    def grow(gpu: str, enable: bool) -> None:
        assert gpu not in grown  # TensorFlow raises once the GPU is in use
        grown[gpu] = enable

    monkeypatch.setattr(tf.config, "list_physical_devices", lambda _: ["gpu-0", "gpu-1"])
    memory = tf.config.experimental
    monkeypatch.setattr(memory, "get_memory_growth", lambda gpu: grown.get(gpu, False))
    monkeypatch.setattr(memory, "set_memory_growth", grow)
    assert has_gpu()
    assert has_gpu()
    assert grown == {"gpu-0": True, "gpu-1": True}
