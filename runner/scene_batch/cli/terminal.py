"""What is said to people: names of files and classes must not steer their terminal."""

from __future__ import annotations

import re
from functools import partial

import click

_STEERS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters but tab and line feed, what turns the direction of text, lone surrogates."""


def harmless(text: str) -> str:
    r"""The text with such characters escaped: ``\x1b``."""
    return _STEERS.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def say(text: str, *, err: bool = False, nl: bool = True) -> None:
    """Write text for people to standard output, or to standard error."""
    click.echo(harmless(text), err=err, nl=nl)


complain = partial(say, err=True)
"""To standard error."""
