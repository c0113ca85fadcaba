"""A network in a lower precision than the one that it was made in."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import onnx

from scene_batch.model.card import Precision
from scene_batch.records import Pixels


def lowered(
    fp32: onnx.ModelProto, precision: Precision, calibrating: Callable[[], Sequence[Pixels]]
) -> onnx.ModelProto:
    """The network in fp16 or int8.

    Args:
        fp32: It is not changed.
        precision: The wanted one.
        calibrating: Gives the photos that int8 is calibrated on.
    """
    if precision == "fp16":
        from scene_batch_export.half import to_fp16

        return to_fp16(fp32)
    from scene_batch_export.quantization import to_int8

    return to_int8(fp32, calibrating())
