"""Render ``docs/commands.md`` from the commands' own help: ``python docs/render_commands.py``."""

from __future__ import annotations

from pathlib import Path

import click

from scene_batch.cli import COMMANDS, main

_HEAD = """# Commands

What `--help` says, made by `make docs`. Every option can also come from the environment
(`SCENE_BATCH_RUN_TOP_K=5` is `run`'s `--top-k 5`) and, for `run`, from `--config job.toml`.
"""


def render() -> str:
    """The page, as Markdown."""
    group = click.Context(main, info_name="scene-batch", **main.context_settings)
    parts = [_HEAD, _help(main, group)]
    for name in COMMANDS:
        command = main.get_command(group, name)
        assert command is not None  # noqa: S101 - it is in the table
        parts.append(_help(command, click.Context(command, parent=group, info_name=name)))
    return "\n".join(parts)


def _help(command: click.Command, context: click.Context) -> str:
    context.terminal_width = 100
    return f"## {context.command_path}\n\n```text\n{command.get_help(context).rstrip()}\n```\n"


if __name__ == "__main__":
    (Path(__file__).parent / "commands.md").write_text(render(), encoding="utf-8")
