"""The command line: one table of commands, each imported when it is called."""

from __future__ import annotations

import atexit
import importlib
import io
import json
import os
import signal
import sys
from dataclasses import dataclass

import click

from scene_batch import __version__
from scene_batch.cli.options import LOG_JSON
from scene_batch.cli.terminal import harmless
from scene_batch.errors import SceneBatchError


@dataclass(frozen=True, slots=True)
class Entry:
    """Where a command is, and what the list of commands says of it."""

    module: str
    help: str
    extra: str | None = None
    """The extra that brings what it needs; None where the base install does."""


COMMANDS = {
    "run": Entry("scene_batch.cli.run", "Classify photos into one table."),
    "merge": Entry("scene_batch.cli.merge", "Merge the tables of shards into one."),
    "show": Entry("scene_batch_report.cli.show", "Show a table's first rows and its classes."),
    "sort": Entry(
        "scene_batch_report.cli.sort", "Sort a table's photos into folders by class.", "report"
    ),
    "evaluate": Entry(
        "scene_batch_report.cli.evaluate", "Say how good a table is, by known classes.", "report"
    ),
    "report": Entry(
        "scene_batch_report.cli.report", "Make a table into a page to look at.", "report"
    ),
    "serve": Entry(
        "scene_batch_serve.cli.serve", "Answer single photos over HTTP, with a page.", "serve"
    ),
    "distribute": Entry(
        "scene_batch_cluster.cli.distribute",
        "Classify photos on many machines, by Ray.",
        "cluster",
    ),
    "inspect": Entry("scene_batch.cli.inspect", "Show a model file's card."),
    "verify": Entry("scene_batch.cli.verify", "Prove a model file on this device."),
    "bench": Entry("scene_batch.cli.bench", "Find the fastest settings on this device."),
    "doctor": Entry("scene_batch.cli.doctor", "Say what is installed here and what is wrong."),
    "explore": Entry("scene_batch_train.cli.explore", "Look at a training set.", "train"),
    "tune": Entry("scene_batch_train.cli.tune", "Search for a better training config.", "train"),
    "train": Entry("scene_batch_train.cli.train", "Train on labelled folders of photos.", "train"),
    "export": Entry(
        "scene_batch_export.cli.export", "Make a trained run into a model file.", "train,export"
    ),
    "adopt": Entry(
        "scene_batch_export.cli.adopt", "Make a classifier from elsewhere ours.", "export"
    ),
}
"""Each module has a click command of the name ``command``."""

_OF_EXTRAS = {
    "tensorflow",
    "keras",
    "tf2onnx",
    "onnx",
    "sympy",
    "scipy",
    "matplotlib",
    "optuna",
    "tomli_w",
    "sklearn",
    "lxml",
    "starlette",
    "uvicorn",
    "python_multipart",
    "prometheus_client",
    "ray",
}


class Failure(click.ClickException):
    """A ``SceneBatchError`` as click shows it: one line and an exit code."""

    def __init__(self, error: SceneBatchError) -> None:
        super().__init__(" ".join(str(error).split("\n")))
        self.exit_code = error.exit_code  # type: ignore[misc]


class LazyGroup(click.Group):
    """A group that imports a command's module only when that command is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The table's names, in the table's order."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command."""
        entry = COMMANDS.get(cmd_name)
        if entry is None:
            return None
        command = importlib.import_module(entry.module).command
        assert isinstance(command, click.Command)  # noqa: S101 - the table is ours
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.help) for name, entry in COMMANDS.items()])

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Look at the words of the command first: some of them may be wrong."""
        ctx.meta[LOG_JSON] = "--log-json" in args
        return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> object:
        """Show errors as one line that steers no terminal."""
        try:
            return self._invoke(ctx)
        except click.ClickException as error:
            if ctx.meta.get(LOG_JSON):
                text = error.format_message()
                values = {"text": text, "event": "error", "exit_code": error.exit_code}
                click.echo(json.dumps(values, ensure_ascii=False), err=True)
                raise click.exceptions.Exit(error.exit_code) from None
            error.message = harmless(error.message)  # type: ignore[misc]
            raise

    def _invoke(self, ctx: click.Context) -> object:
        """Make the errors that a user can mend into click's, with the remedy."""
        try:
            return super().invoke(ctx)
        except ModuleNotFoundError as error:
            if (error.name or "") == os.environ.get("KERAS_BACKEND"):
                raise click.ClickException(
                    f"KERAS_BACKEND={error.name} needs it installed: pip install {error.name}"
                ) from None
            entry = COMMANDS.get(ctx.invoked_subcommand or "")
            missing = (error.name or "").partition(".")[0]
            if entry is None or entry.extra is None or missing not in _OF_EXTRAS:
                raise
            raise click.ClickException(
                f"{ctx.invoked_subcommand} needs {missing}: pip install"
                f" 'scene-batch[{entry.extra}]'"
            ) from None
        except KeyboardInterrupt:  # before a command has begun to listen to signals
            raise click.exceptions.Exit(128 + signal.SIGINT) from None
        except SceneBatchError as error:
            raise Failure(error) from error
        except BrokenPipeError:  # click ends without a word, as a filter does
            raise
        except OSError as error:
            raise click.ClickException(str(error)) from error


@click.group(
    cls=LazyGroup,
    context_settings={
        "auto_envvar_prefix": "SCENE_BATCH",
        "help_option_names": ["-h", "--help"],
        "max_content_width": 100,
    },
)
@click.version_option(__version__, prog_name="scene-batch")
def main() -> None:
    """Classify every photo under a directory, and leave a table that can be trusted.

    Each option can also be given by the environment: SCENE_BATCH_RUN_TOP_K=5 is run's --top-k 5.
    """


def program() -> None:
    """The command ``scene-batch``: ``main``, and then the process ends at once.

    Every output is closed by then. To take ONNX Runtime and Arrow apart first would cost a tenth
    of a short run's time, and memory goes back to the system all the same.
    """
    for number in range(3):  # a table must not get the number of a stream that was closed
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    _speak_utf_8()
    if (
        os.getpid() == 1
    ):  # of a container: Linux drops the signals for which a process 1 has no handler
        signal.signal(signal.SIGTERM, _end_at_once)
    try:
        main(prog_name="scene-batch")
    except SystemExit as end:
        has_own_threads = "tensorflow" in sys.modules
        if not isinstance(end.code, int) or has_own_threads:
            raise
        try:
            for stream in filter(None, (sys.stdout, sys.stderr)):  # None where it was closed
                stream.flush()
        except (OSError, ValueError):  # whoever read it has gone
            raise end from None
        atexit._run_exitfuncs()  # what would have been done at the end, temporary files among it
        os._exit(end.code)


def _end_at_once(number: int, _: object) -> None:
    os._exit(128 + number)


def _speak_utf_8() -> None:
    """Write UTF-8 to pipes and files, as elsewhere: Windows has an alphabet for each country."""
    if sys.platform == "win32":
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(encoding="utf-8", errors=stream.errors)
