"""What goes on beside the epochs: a progress bar, history.csv, seeds, an early end."""

from __future__ import annotations

import csv
import math
import time
from pathlib import Path
from typing import Any

import keras
import numpy as np
from tqdm import tqdm

from scene_batch.errors import TrainingError
from scene_batch_train.progress import progress_bar

_COLUMNS = (
    "stage",
    "epoch",
    "loss",
    "accuracy",
    "val_loss",
    "val_accuracy",
    "learning_rate",
    "seconds",
)


class SeedEpochs(keras.callbacks.Callback):  # type: ignore[misc]
    """Seeds dropout by the epoch, so that a continued run draws what an undisturbed one does.

    Weight files do not hold the state of Keras' seed generators.
    """

    def __init__(self, seed: int) -> None:
        super().__init__()
        self._seed = seed

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Seed every layer that draws."""
        for number, layer in enumerate(self.model.layers):
            generator = getattr(layer, "seed_generator", None)
            if generator is not None:
                words = np.random.SeedSequence([self._seed, epoch, number]).generate_state(1)
                generator.state.assign(np.array([words[0], 0], np.uint32))


class Watch(keras.callbacks.Callback):  # type: ignore[misc]
    """One stage's progress on standard error, and a line of history.csv for each epoch.

    Raises:
        TrainingError: The loss is no longer finite.
    """

    def __init__(self, stage: str, history: Path) -> None:
        super().__init__()
        self._stage, self._history = stage, history
        self._bar: tqdm[Any] | None = None
        self._begun = 0.0

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Begin a bar."""
        self._begun = time.monotonic()
        title = f"{self._stage} {epoch + 1}/{self.params['epochs']}"
        self._bar = progress_bar(self.params["steps"], title, "batch")

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Move the bar; stop when the loss is lost."""
        logs = logs or {}
        if not math.isfinite(logs.get("loss", 0.0)):
            raise TrainingError(
                f"{self._stage}: the loss is not finite at batch {batch}; lower learning_rate"
            )
        if self._bar is not None:
            self._bar.set_postfix({k: f"{v:.4f}" for k, v in logs.items()}, refresh=False)
            self._bar.update()

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Close the bar, and write down how the epoch ended."""
        figures = dict(logs or {})
        figures["learning_rate"] = float(self.model.optimizer.learning_rate)
        figures["seconds"] = round(time.monotonic() - self._begun, 1)
        if self._bar is not None:
            self._bar.set_postfix({k: f"{v:.4g}" for k, v in figures.items()}, refresh=False)
            self._bar.close()
        new = not self._history.exists()
        with self._history.open("a", newline="") as file:
            rows = csv.DictWriter(file, _COLUMNS, extrasaction="ignore")
            if new:
                rows.writeheader()
            rows.writerow({"stage": self._stage, "epoch": epoch + 1, **figures})
