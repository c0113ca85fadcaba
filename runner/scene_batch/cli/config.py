"""``--config job.toml``: one table for each command, below the command line and environment."""

from __future__ import annotations

import tomllib
from pathlib import Path

import click


def config_option(command: click.decorators.FC) -> click.decorators.FC:
    """Add ``--config`` to a command: the table of its name sets defaults of its options."""
    return click.option(
        "--config",
        type=click.Path(path_type=Path),
        is_eager=True,
        expose_value=False,
        callback=_load,
        help="TOML file with a table for this command; keys are the options' long names.",
    )(command)


def _load(ctx: click.Context, _: click.Parameter, path: Path | None) -> None:
    if path is None:
        return
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise click.UsageError(f"cannot read the config {str(path)!r}: {error}") from None
    name = str(ctx.command.name)
    values = {key.replace("-", "_"): value for key, value in tables.get(name, {}).items()}
    known = {p.name for p in ctx.command.params if p.name not in ("config", "help")}
    if unknown := sorted(set(values) - known):
        allowed = ", ".join(sorted(filter(None, known)))
        raise click.UsageError(f"{path}: [{name}] has no key {unknown[0]!r}; it has {allowed}")
    ctx.default_map = {**(ctx.default_map or {}), **values}
