"""fp32 to int8: static, calibrated on training photos."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process

from scene_batch.records import Pixels
from scene_batch_export.folding import PIXELS, feed_bytes
from scene_batch_export.writing import workshop

CALIBRATION_PERCENTILE = 99.999
"""Share of activations that are kept in range, in %: closest to fp32 (docs/decisions/002)."""


class _Photos(CalibrationDataReader):  # type: ignore[misc]
    """Calibration photos as ONNX Runtime asks for them: a range at a time, one by one."""

    def __init__(self, pixels: Sequence[Pixels]) -> None:
        self._pixels = pixels
        self._range = iter(pixels)

    def __len__(self) -> int:
        """The number of photos."""
        return len(self._pixels)

    def set_range(self, start_index: int, end_index: int) -> None:
        """Go to a range of photos."""
        self._range = iter(self._pixels[start_index:end_index])

    def get_next(self) -> dict[str, npt.NDArray[np.uint8]] | None:
        """The next photo, or None at the end of the range."""
        photo = next(self._range, None)
        return None if photo is None else {"image": photo[None]}


def to_int8(model: onnx.ModelProto, pixels: Sequence[Pixels]) -> onnx.ModelProto:
    """Quantise to QDQ: activations uint8, weights int8 for each channel, ranges by percentile.

    ``reduce_range`` keeps weights to 7 bits: on x86 without VNNI the AVX2 kernels add two products
    in 16 bits, which saturates with 8 and gives other classes. It costs nothing elsewhere.

    Args:
        model: The fp32 network.
        pixels: Calibration photos, as ``preprocess`` makes them.
    """
    with workshop() as folder, _quiet():
        fp32, prepared, int8 = (folder / f"{n}.onnx" for n in ("fp32", "prepared", "int8"))
        onnx.save(model, fp32)
        # Shapes are fixed and known: the symbolic inference has nothing to add.
        quant_pre_process(fp32, prepared, skip_symbolic_shape=True)
        quantize_static(
            prepared,
            int8,
            _Photos(pixels),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            reduce_range=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.Percentile,
            extra_options={
                "CalibPercentile": CALIBRATION_PERCENTILE,
                # Photo by photo (for any method, despite its name): a layer's outputs for all of
                # the photos at once would take gigabytes.
                "CalibStridedMinMax": 1,
                "TensorQuantOverrides": _bytes_as_they_are(model),
            },
            nodes_to_exclude=_last_layer(onnx.load(prepared)),
        )
        quantised = onnx.load(int8)
    feed_bytes(quantised)
    return quantised


def _bytes_as_they_are(model: onnx.ModelProto) -> dict[str, list[dict[str, Any]]]:
    """What keeps the photo's bytes unrounded, where the scaling was folded."""
    folded = any(PIXELS in node.output for node in model.graph.node)
    as_they_are = {"scale": np.array(1, np.float32), "zero_point": np.array(0, np.uint8)}
    return {PIXELS: [as_they_are]} if folded else {}


def _last_layer(model: onnx.ModelProto) -> list[str]:
    """The nodes from the last matrix product to the output, which stay float.

    They cost nothing, and an 8-bit softmax would round probabilities to 255 steps.
    """
    makers = {name: node for node in model.graph.node for name in node.output}
    node, names = makers[model.graph.output[0].name], []
    while node.op_type not in ("MatMul", "Gemm", "Conv"):
        names.append(node.name)
        before = next((makers[name] for name in node.input if name in makers), None)
        if before is None:
            break
        node = before
    return [*names, node.name]


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep ONNX Runtime's hint about preprocessing, which was done, and its prints off."""
    level = logging.getLogger().level
    logging.getLogger().setLevel(logging.ERROR)
    try:
        with redirect_stdout(io.StringIO()):
            yield
    finally:
        logging.getLogger().setLevel(level)
