"""Options that several commands take."""

from __future__ import annotations

import click

provider_option = click.option(
    "--provider",
    type=click.Choice(["auto", "cpu", "cuda"]),
    default="auto",
    show_default=True,
    help="What computes; cuda never becomes cpu.",
)
