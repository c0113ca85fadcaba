"""What is seen of a training run while it runs: a progress bar, history.csv, an early end."""

from __future__ import annotations

import csv
import math
from pathlib import Path
from typing import Any

import keras
from tqdm import tqdm

from scene_batch.errors import TrainingError
from scene_batch_train.progress import progress_bar

_COLUMNS = ("stage", "epoch", "loss", "accuracy", "val_loss", "val_accuracy", "learning_rate")


class Watch(keras.callbacks.Callback):  # type: ignore[misc]
    """One stage's progress on standard error, and a line of history.csv for each epoch.

    Raises:
        TrainingError: The loss is no longer finite.
    """

    def __init__(self, stage: str, history: Path) -> None:
        super().__init__()
        self._stage, self._history = stage, history
        self._bar: tqdm[Any] | None = None

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Begin a bar."""
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
        if self._bar is not None:
            self._bar.set_postfix({k: f"{v:.4g}" for k, v in figures.items()}, refresh=False)
            self._bar.close()
        new = not self._history.exists()
        with self._history.open("a", newline="") as file:
            rows = csv.DictWriter(file, _COLUMNS, extrasaction="ignore")
            if new:
                rows.writeheader()
            rows.writerow({"stage": self._stage, "epoch": epoch + 1, **figures})
