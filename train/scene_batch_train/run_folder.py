"""A run folder: what a training run leaves, by name; export reads it."""

from __future__ import annotations

import dataclasses
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scene_batch.errors import OutputExistsError, TrainingError
from scene_batch.preprocess import Preprocess
from scene_batch_train.recipe import Recipe


@dataclass(frozen=True, slots=True)
class RunFolder:
    """The files of one training run."""

    path: Path

    @classmethod
    def create(cls, path: Path) -> RunFolder:
        """Make a new run folder.

        Raises:
            OutputExistsError: There is something already.
        """
        if path.exists() and (not path.is_dir() or any(path.iterdir())):
            raise OutputExistsError(f"{str(path)!r} is already there; give --out a new folder")
        (path / "checkpoints").mkdir(parents=True, exist_ok=True)
        return cls(path)

    @classmethod
    def open(cls, path: Path) -> RunFolder:
        """Open a finished run.

        Raises:
            TrainingError: It is no run folder, or the run is not finished.
        """
        run = cls(path)
        for file in (run.model, run.classes, run.config, run.split, run.metrics):
            if not file.is_file():
                raise TrainingError(
                    f"{str(path)!r} is not a finished training run: it has no {file.name}"
                )
        return run

    def remove_if_untrained(self) -> None:
        """Take the folder away again where no epoch has been saved in it."""
        if not any((self.path / "checkpoints").iterdir()):
            shutil.rmtree(self.path)

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
    def history(self) -> Path:
        """Loss and accuracy of each epoch."""
        return self.path / "history.csv"

    @property
    def metrics(self) -> Path:
        """The saved model's figures on the validation part."""
        return self.path / "metrics.json"

    def checkpoint(self, stage: str) -> Path:
        """The best weights of a stage so far."""
        return self.path / "checkpoints" / f"{stage}.weights.h5"

    def write_classes(self, classes: list[str]) -> None:
        """Write the class names."""
        self.classes.write_text(json.dumps(classes, ensure_ascii=False) + "\n", encoding="utf-8")

    def read_classes(self) -> list[str]:
        """Read the class names in index order."""
        return [str(name) for name in json.loads(self.classes.read_text(encoding="utf-8"))]

    def write_config(self, recipe: Recipe, data: Path, fingerprint: str) -> None:
        """Write the recipe and the data that it is used on."""
        config = {
            "recipe": dataclasses.asdict(recipe),
            "preprocess": recipe.preprocess.to_json(),
            "data": {"folder": data.name, "sha256": fingerprint},
        }
        self.config.write_text(json.dumps(config, indent=2) + "\n")

    def read_config(self) -> dict[str, Any]:
        """Read what ``write_config`` wrote."""
        return dict(json.loads(self.config.read_text()))

    def read_preprocess(self) -> Preprocess:
        """The preprocessing that the model was trained with."""
        return Preprocess.from_json(self.read_config()["preprocess"])

    def read_metrics(self) -> dict[str, Any]:
        """Read the figures on the validation part."""
        return dict(json.loads(self.metrics.read_text()))
