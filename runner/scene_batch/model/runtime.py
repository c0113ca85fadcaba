"""The installed ONNX Runtime: exactly one flavour, or an error that says how to mend it."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from types import ModuleType

from scene_batch.errors import RuntimeMissingError
from scene_batch.model.compute_options import Provider

FLAVOURS = {
    "onnxruntime": "cpu",
    "onnxruntime-gpu": "gpu",
    "onnxruntime-openvino": "openvino",
}
"""The distributions that all install a package ``onnxruntime``, and the extra that brings each."""

_EXTRAS: Mapping[Provider, str] = {"cuda": "gpu", "openvino": "openvino", "cpu": "cpu"}


def installed_flavours() -> list[str]:
    """The ONNX Runtime distributions that are installed."""
    # importlib.metadata would tell, too, but loads all of email for it: 14 ms of each run.
    there: set[str] = set()
    for folder in sys.path:
        with suppress(OSError):  # one that is missing, or a zip file
            there.update(
                name.partition("-")[0].replace("_", "-")
                for name in os.listdir(folder or ".")  # noqa: PTH208 - names
                if name.startswith("onnxruntime") and name.endswith((".dist-info", ".egg-info"))
            )
    return [name for name in FLAVOURS if name in there]


def how_to_install(provider: Provider) -> str:
    """The command that installs a provider's flavour of ONNX Runtime, in place of any other."""
    extra = _EXTRAS[provider]
    others = [name for name in installed_flavours() if FLAVOURS[name] != extra]
    removal = f"pip uninstall -y {' '.join(others)} && " if others else ""
    return f"{removal}pip install 'scene-batch[{extra}]'"


def load_runtime() -> ModuleType:
    """Import ONNX Runtime.

    Raises:
        RuntimeMissingError: None is installed, or two: they overwrite each other's files, and
            CUDA disappears silently.
    """
    found = installed_flavours()
    if len(found) > 1:
        keep = found[-1]
        raise RuntimeMissingError(
            f"{' and '.join(found)} are both installed and overwrite each other:"
            f" pip uninstall -y {' '.join(found)} && pip install 'scene-batch[{FLAVOURS[keep]}]'"
        )
    # From 1.29 on it sends usage data to its maker, unless this is set before it is loaded.
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    try:
        import onnxruntime
    except ImportError as error:
        raise RuntimeMissingError(
            f"ONNX Runtime cannot be imported ({error}):"
            " pip install 'scene-batch[cpu]' (or [gpu] for CUDA, [openvino] for x86)"
        ) from None
    module: ModuleType = onnxruntime
    return module
