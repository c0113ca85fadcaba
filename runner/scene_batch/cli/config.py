"""``--config job.toml``: defaults for options, which the command line and environment override."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import click

from scene_batch.errors import UsageError

CONFIG = "scene_batch.config"
"""Where a command's context keeps the path of its config."""


def config_option(command: click.decorators.FC) -> click.decorators.FC:
    """Add ``--config`` to a command: the file's table of its name sets defaults of its options."""
    return click.option(
        "--config",
        type=click.Path(path_type=Path),
        is_eager=True,
        expose_value=False,
        callback=_load,
        help="TOML file with a table for this command; keys are the options' long names.",
    )(command)


def read_tables(path: Path) -> dict[str, Any]:
    """The tables of a config file.

    Raises:
        UsageError: It cannot be read, or is no TOML.
    """
    try:
        # utf-8-sig: editors of Windows write a mark of the byte order first
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"cannot read the config {str(path)!r}: {error}") from None


def _load(ctx: click.Context, _: click.Parameter, path: Path | None) -> None:
    if path is None:
        return
    tables = read_tables(path)
    name = str(ctx.command.name)
    parent = ctx.parent.command if ctx.parent else None
    commands = parent.list_commands(ctx) if isinstance(parent, click.Group) else [name]
    for table, content in tables.items():
        if table not in commands or not isinstance(content, dict):
            raise click.UsageError(f"{path}: {table!r} is no table of a command: [{name}]")
    values = {}
    for key, value in tables.get(name, {}).items():
        if key.replace("-", "_") in values:
            raise click.UsageError(f"{path}: [{name}] has {key!r} twice")
        values[key.replace("-", "_")] = value
    known = {p.name for p in ctx.command.params if p.name not in ("config", "help")}
    if unknown := sorted(set(values) - known):
        allowed = ", ".join(sorted(filter(None, known)))
        raise click.UsageError(f"{path}: [{name}] has no key {unknown[0]!r}; it has {allowed}")
    for parameter in ctx.command.params:
        if parameter.name in values:
            values[parameter.name] = _checked(path, parameter, values[parameter.name])
    ctx.default_map = {**(ctx.default_map or {}), **values}
    ctx.meta[CONFIG] = path


def _checked(path: Path, parameter: click.Parameter, value: Any) -> Any:  # noqa: ANN401
    """A value as the command line would give it; flags are true or false."""
    if isinstance(parameter, click.Option) and parameter.is_flag:
        if isinstance(value, bool):
            return value
        raise click.UsageError(f"{path}: {parameter.name} = {value!r} is not true or false")
    if parameter.nargs == -1 or getattr(parameter, "multiple", False):
        if isinstance(value, list) and all(isinstance(item, str) for item in value):
            return value
        raise click.UsageError(f"{path}: {parameter.name} = {value!r} is not a list of texts")
    if isinstance(value, str | int | float) and not isinstance(value, bool):
        return str(value)
    raise click.UsageError(f"{path}: {parameter.name} = {value!r} is not a text or a number")
