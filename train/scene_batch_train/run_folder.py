"""A run folder, by name: what a training run leaves, to go on from and to export."""

from __future__ import annotations

import csv
import dataclasses
import json
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scene_batch.errors import OutputBusyError, OutputExistsError, TrainingError
from scene_batch.file_lock import lock
from scene_batch.model.model_file import sha256
from scene_batch.model.preprocess import Preprocess
from scene_batch_train.continuing import finish_exchange
from scene_batch_train.recipe import Recipe, with_new_settings

FIRST_VERSION = "1.0.0"
"""Of the first model of a run folder."""


_FILES = "files"
"""In metrics.json: sha256 digests of the files without which the run would be another."""
_LOCK = "lock"
_ANOTHER = "; give --out a new folder"


@dataclass(frozen=True, slots=True)
class Origin:
    """The model that a retrained one comes from."""

    version: str
    model_sha256: str
    """Of its model.keras."""


@dataclass(frozen=True, slots=True)
class RunFolder:
    """The files of one training run."""

    path: Path

    @classmethod
    def begin(cls, path: Path) -> RunFolder:
        """Make a new run folder, or take up an unfinished one.

        Raises:
            OutputExistsError: There is a finished run, or something else.
        """
        run = cls(path)
        if path.exists() and (not path.is_dir() or any(path.iterdir())):
            if run.is_finished:
                raise OutputExistsError(str(path), _ANOTHER, "holds a finished training run")
            if not run.config.is_file():
                raise OutputExistsError(str(path), _ANOTHER)
        return run

    @classmethod
    def open(cls, path: Path) -> RunFolder:
        """Open a finished run.

        Raises:
            TrainingError: It is no run folder, the run is not finished, or its network or class
                names are not those that training left.
        """
        run = cls(path)
        for file in (run.model, run.classes, run.config, run.split, run.metrics):
            if not file.is_file():
                raise TrainingError(
                    f"{str(path)!r} is not a finished training run: it has no {file.name}"
                )
        for name, digest in run.read_metrics().get(_FILES, {}).items():
            if sha256(path / name) != digest:
                raise TrainingError(
                    f"{str(path / name)!r} is not as training left it: put that file back, or"
                    " train again"
                )
        return run

    @property
    def is_finished(self) -> bool:
        """Whether all of it is there."""
        return self.metrics.exists()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep other processes out of the folder, which is made here.

        A folder that was made here goes again when an error comes before the first whole epoch:
        the same command shall not find its own failure in its way.

        Raises:
            OutputBusyError: Another process trains in it.
        """
        new = not self.config.exists()
        self._checkpoints.mkdir(parents=True, exist_ok=True)
        with (self._checkpoints / _LOCK).open("a") as file:
            if not lock(file.fileno()):
                raise OutputBusyError(
                    f"another process trains in {str(self.path)!r}; wait, or give another --out"
                )
            try:
                yield
            except BaseException:
                if new and not any(self._checkpoints.glob("*.backup")):
                    shutil.rmtree(self.path, ignore_errors=True)
                    if sys.platform == "win32":  # which deletes no open file
                        file.close()
                        shutil.rmtree(self.path, ignore_errors=True)
                raise

    @property
    def model(self) -> Path:
        """The trained network: photos in, probabilities out, float32."""
        return self.path / "model.keras"

    @property
    def classes(self) -> Path:
        """The class names in index order, a JSON list."""
        return self.path / "classes.json"

    @property
    def config(self) -> Path:
        """The whole recipe as it was used, defaults too, with what it was used on."""
        return self.path / "config.json"

    @property
    def split(self) -> Path:
        """Which photo was in which part: columns path, class, part."""
        return self.path / "split.csv"

    @property
    def predictions(self) -> Path:
        """What is said of the validation photos: columns path, class, predicted, probability."""
        return self.path / "predictions.csv"

    @property
    def mistakes(self) -> Path:
        """The most confused pairs of classes and the weakest classes, in words."""
        return self.path / "mistakes.txt"

    @property
    def history(self) -> Path:
        """Loss and accuracy of each epoch."""
        return self.path / "history.csv"

    @property
    def metrics(self) -> Path:
        """The saved model's figures on the validation part; written last."""
        return self.path / "metrics.json"

    @property
    def figures(self) -> Path:
        """A folder of plots and pictures."""
        return self.path / "figures"

    @property
    def _checkpoints(self) -> Path:
        return self.path / "checkpoints"

    def checkpoint(self, stage: str) -> Path:
        """The best weights of a stage so far."""
        return self._checkpoints / f"{stage}.weights.h5"

    def backup(self, stage: str) -> Path:
        """A folder with the state after a stage's last epoch, to go on from."""
        return self._checkpoints / f"{stage}.backup"

    def logs(self, stage: str) -> Path:
        """A folder for TensorBoard."""
        return self.path / "logs" / stage

    def epochs_done(self, stage: str) -> int:
        """The number of a stage's epochs that are done as a whole."""
        finish_exchange(self.backup(stage))
        metadata = self.backup(stage) / "training_metadata.json"
        return int(json.loads(metadata.read_text())["epoch"]) if metadata.is_file() else 0

    def forget_broken_epochs(self) -> None:
        """Take the lines out of history.csv of epochs that are done again."""
        rows = self.read_history()
        done = {stage: self.epochs_done(stage) for stage in {row["stage"] for row in rows}}
        kept = [row for row in rows if int(row["epoch"]) <= done[row["stage"]]]
        if len(kept) < len(rows):
            partial = self.history.with_suffix(".partial")
            with partial.open("w", newline="") as file:
                table = csv.DictWriter(file, list(rows[0]))
                table.writeheader()
                table.writerows(kept)
            partial.replace(self.history)

    def read_history(self) -> list[dict[str, str]]:
        """The lines of history.csv, one for each epoch so far."""
        if not self.history.is_file():
            return []
        with self.history.open(newline="") as file:
            return list(csv.DictReader(file))

    def write_classes(self, classes: list[str]) -> None:
        """Write the class names."""
        self.classes.write_text(json.dumps(classes, ensure_ascii=False) + "\n", encoding="utf-8")

    def read_classes(self) -> list[str]:
        """Read the class names in index order."""
        return [str(name) for name in json.loads(self.classes.read_text(encoding="utf-8"))]

    def write_config(
        self,
        recipe: Recipe,
        data: dict[str, Any],
        origin: Origin | None = None,
        teacher: Mapping[str, str] | None = None,
    ) -> None:
        """Write the recipe, the data that it is used on, whose answers are learned, the version.

        Raises:
            TrainingError: The folder holds an unfinished run of another recipe, data or teacher.
        """
        config = config_of(recipe, data, origin, teacher)
        other = self.differs(config)
        if other:
            raise TrainingError(
                f"{str(self.path)!r} holds an unfinished run with another {other}; go on with the"
                " same, or give --out a new folder"
            )
        self.config.write_text(json.dumps(config, indent=2) + "\n")

    def differs(self, config: Mapping[str, Any]) -> str | None:
        """The first part of a config that an unfinished run has otherwise, if there is one."""
        if not self.config.exists():
            return None
        found = self.read_config()
        if config["data"].keys() >= found["data"].keys():  # of before: it says less of them
            found["data"] = {**config["data"], **found["data"]}
        return next((part for part in config if found.get(part) != config[part]), None)

    def read_config(self) -> dict[str, Any]:
        """Read what ``write_config`` wrote, perhaps before the recipe had all of its settings."""
        config = dict(json.loads(self.config.read_text()))
        return config | {"recipe": with_new_settings(config["recipe"])}

    def read_version(self) -> str:
        """The model's version."""
        return str(self.read_config()["version"])

    def read_recipe(self) -> Recipe:
        """The recipe that the model was trained with."""
        return Recipe.of(self.read_config()["recipe"], self.config.name)

    def read_preprocess(self) -> Preprocess:
        """The preprocessing that the model was trained with."""
        return Preprocess.from_json(self.read_config()["preprocess"])

    def finish(self, metrics: Mapping[str, Any]) -> None:
        """Write the figures: from now on the run is finished, and needs no checkpoints."""
        partial = self.metrics.with_suffix(".partial")
        files = {path.name: sha256(path) for path in (self.model, self.classes)}
        partial.write_text(json.dumps({**metrics, _FILES: files}, indent=2) + "\n")
        partial.replace(self.metrics)
        for path in self._checkpoints.iterdir():  # four times the model's size
            if path.is_dir():
                shutil.rmtree(path)
            elif path.name != _LOCK:
                path.unlink()

    def read_metrics(self) -> dict[str, Any]:
        """Read what ``finish`` wrote: the figures, and the digests of the run's files."""
        return dict(json.loads(self.metrics.read_text()))

    def read_figures(self) -> dict[str, Any]:
        """Read the figures on the validation part alone."""
        return {key: value for key, value in self.read_metrics().items() if key != _FILES}


def _next(version: str) -> str:
    """The version of a retrained model: 1.0.0 becomes 1.1.0."""
    major, minor, _ = version.split(".")
    return f"{major}.{int(minor) + 1}.0"


def config_of(
    recipe: Recipe,
    data: Mapping[str, Any],
    origin: Origin | None,
    teacher: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """What config.json says, and what must be equal to go on."""
    return {
        "version": _next(origin.version) if origin else FIRST_VERSION,
        "from": dataclasses.asdict(origin) if origin else None,
        "recipe": dataclasses.asdict(recipe),
        "preprocess": recipe.preprocess.to_json(),
        "data": dict(data),
        "teacher": dict(teacher) if teacher else None,
    }
