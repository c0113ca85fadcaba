"""NVIDIA's driver: whether it is there and sees a GPU, before ONNX Runtime complains in its way."""

from __future__ import annotations

import ctypes
import sys

_LIBRARY = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
"""The driver's own library, which comes with the driver and not with CUDA."""


def what_is_missing(library: str = _LIBRARY) -> str:
    """What stands between this process and a GPU, with the remedy; empty where nothing does.

    Args:
        library: The driver's library.
    """
    try:
        driver = ctypes.CDLL(library)
    except OSError:
        return (
            f"no NVIDIA driver is seen ({library}): a container needs --gpus all and a host with"
            " the driver and NVIDIA's container toolkit; --provider cpu needs no GPU"
        )
    number = ctypes.c_int(0)
    failed = driver.cuInit(0) or driver.cuDeviceGetCount(ctypes.byref(number))
    if failed or not number.value:
        return (
            f"the NVIDIA driver gives no GPU (CUDA error {failed}): look at nvidia-smi and at"
            " --gpus of the container; --provider cpu needs no GPU"
        )
    return ""
