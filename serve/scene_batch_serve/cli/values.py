"""The values of this room's options, read from text."""

from __future__ import annotations

import re

import click

_BYTES = re.compile(r"(\d{1,12})\s*(|[KMG]i?B?|B)", re.IGNORECASE)
_UNITS = {"": 1, "B": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
_MOST = 1 << 30


class Bytes(click.ParamType[int]):
    """``32MiB`` or ``1048576``."""

    name = "BYTES"

    def convert(
        self, value: str | int, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        """Read it."""
        found = _BYTES.fullmatch(str(value).strip())
        if found:
            number = int(found[1]) * _UNITS[found[2][:1].upper()]
            if 1 <= number <= _MOST:
                return number
        return self.fail(f"{value!r} is not a size such as 32MiB, up to 1GiB", param, ctx)
