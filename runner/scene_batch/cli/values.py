"""The values of options, read from text."""

from __future__ import annotations

import math
import re

import click

from scene_batch.model.compute_options import MOST

LONGEST_SECONDS = 86_400.0

_COUNT = re.compile("[0-9]{1,18}")
_SHA256 = re.compile("[0-9a-fA-F]{64}")


class CountOrShare(click.ParamType[str]):
    """``12`` or ``1%``."""

    name = "N|P%"

    def convert(
        self, value: str | float, param: click.Parameter | None, ctx: click.Context | None
    ) -> str:
        """Check the text, and keep it for ``exceeds``."""
        text = str(value)
        number = text.removesuffix("%")
        try:
            allowed = 0 <= float(number) <= (100 if text.endswith("%") else float("inf"))
            if allowed and (text.endswith("%") or _COUNT.fullmatch(number)):
                return text
        except ValueError:
            pass
        return self.fail(f"{text!r} is neither a count (12) nor a share (1%)", param, ctx)


class AutoOrCount(click.ParamType[int | None]):
    """``auto`` (None) or a number from 1."""

    name = "auto|N"

    def convert(
        self, value: str | int, param: click.Parameter | None, ctx: click.Context | None
    ) -> int | None:
        """Read it."""
        if value == "auto":
            return None
        if _COUNT.fullmatch(str(value)) and 1 <= int(value) <= MOST:
            return int(value)
        return self.fail(f"{value!r} is neither auto nor a number from 1 to {MOST}", param, ctx)


class Rate(click.ParamType[float]):
    """``5`` or ``0.5``: so many a second."""

    name = "N"

    def convert(
        self, value: str | float, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Read it."""
        try:
            rate = float(value)
        except ValueError:
            rate = 0.0
        if 0 < rate < math.inf:
            return rate
        return self.fail(f"{str(value)!r} is no number above 0", param, ctx)


class ShareOrOff(click.ParamType[float | None]):
    """``50%`` as 0.5, or ``off`` (None)."""

    name = "P%|off"

    def convert(
        self, value: str | float, param: click.Parameter | None, ctx: click.Context | None
    ) -> float | None:
        """Read it."""
        if value == "off":
            return None
        try:
            share = float(str(value).removesuffix("%")) / 100
        except ValueError:
            share = 0.0
        if str(value).endswith("%") and 0 < share <= 1:
            return share
        return self.fail(f"{value!r} is neither off nor a share such as 50%", param, ctx)


class Seconds(click.ParamType[float]):
    """``60s`` or ``0.5``."""

    name = "SECONDS"

    def convert(
        self, value: str | float, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Read it."""
        try:
            seconds = float(str(value).removesuffix("s"))
        except ValueError:
            seconds = 0.0
        if 0 < seconds <= LONGEST_SECONDS:
            return seconds
        return self.fail(f"{value!r} is not a time such as 60s", param, ctx)


class Sha256(click.ParamType[str]):
    """64 hex digits, in any case."""

    name = "HEX"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Read it, in lower case."""
        if _SHA256.fullmatch(str(value)):
            return str(value).lower()
        return self.fail(f"{value!r} is not a sha256, which is 64 hex digits", param, ctx)
