"""How to compute: one value, from the command line, a config, the environment or Python."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from scene_batch.errors import UsageError

Provider = Literal["auto", "cpu", "cuda", "openvino"]

MOST = 1024
"""Most threads, and most photos of a call, that may be asked for: more is a slip of the finger."""


@dataclass(frozen=True, slots=True)
class ComputeOptions:
    """What is asked of a session; rows depend on it by rounding at most.

    Raises:
        UsageError: A value is unknown or out of range.
    """

    provider: Provider = "auto"
    """``auto``: the fastest one that is installed and runs; the others run or are refused."""
    batch_size: int | None = None
    """Photos of each call, 1 to 1024; None: what suits the provider and the model."""
    threads: int | None = None
    """Compute threads, 1 to 1024; None: as many as this process may use."""
    bf16: bool = False
    """Compute an fp32 model in bfloat16, which only ``openvino`` does."""

    def __post_init__(self) -> None:
        """Refuse an unknown provider and numbers out of range."""
        if self.provider not in get_args(Provider):
            known = ", ".join(get_args(Provider))
            raise UsageError(f"provider {self.provider!r} is none of {known}")
        for name in ("batch_size", "threads"):
            number = getattr(self, name)
            if number is not None and not (type(number) is int and 1 <= number <= MOST):
                raise UsageError(f"{name} {number}: take a number from 1 to {MOST}, or None")


AUTO = ComputeOptions()
"""What suits the device and the model."""
