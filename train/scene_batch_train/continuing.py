"""What lets a stage go on after a kill at any moment: its state, saved whole or not at all.

At the end of an epoch the state is written beside the last one (``Backup``), then the best weights
and history.csv follow, and last the new state takes the old one's place (``Commit``). A kill in
between makes the epoch be done again, to the same end.
"""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import keras

from scene_batch_train.free_disk import refuse_full_disk

_BYTES, _MORE, _LEAST = 4, 1.1, 1 << 18
"""Of a number; and what a file takes beside its numbers: a share of them, and so many bytes."""


def check_room(folder: Path, variables: Iterable[Any]) -> int:
    """Refuse to begin a file for which there is no room: HDF5 ends the process in the middle of it.

    Args:
        folder: Where it is to be.
        variables: What it will hold.

    Returns:
        The bytes that it may need.

    Raises:
        OutputError: There is not so much room.
    """
    sizes = (math.prod(each.shape) * _BYTES for each in variables)
    needed = int(sum(sizes) * _MORE) + _LEAST
    refuse_full_disk(folder, needed, "make room")
    return needed


def _saved(model: keras.Model) -> list[Any]:
    """What Keras saves with a model's weights: those of its optimizer, too."""
    return [*model.variables, *model.optimizer.variables]


class Backup(keras.callbacks.BackupAndRestore):  # type: ignore[misc]
    """Keras' own, but the state of the last epoch stays until that of the next is whole.

    It comes before any averaging callback: training goes on with the weights, not their average.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(os.fspath(folder), delete_checkpoint=False)
        self._next = _partial(folder)

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Write the state beside the last one.

        Raises:
            OutputError: There is no room for it.
        """
        shutil.rmtree(self._next, ignore_errors=True)
        check_room(self._next.parent, _saved(self.model))
        saver = keras.callbacks.BackupAndRestore(os.fspath(self._next), delete_checkpoint=False)
        saver.set_model(self.model)
        saver.on_epoch_end(epoch)


class Commit(keras.callbacks.Callback):  # type: ignore[misc]
    """The last of an epoch's callbacks: what ``Backup`` wrote becomes the state to go on from."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Exchange the folders."""
        old = _old(self._folder)
        shutil.rmtree(old, ignore_errors=True)
        if self._folder.exists():
            self._folder.rename(old)
        _partial(self._folder).rename(self._folder)
        shutil.rmtree(old, ignore_errors=True)


def finish_exchange(folder: Path) -> None:
    """Take the old state back where a kill came between the renames of ``Commit``."""
    if not folder.exists() and _old(folder).exists():
        _old(folder).rename(folder)


class KeepBest(keras.callbacks.Callback):  # type: ignore[misc]
    """Keeps the weights with the smallest validation loss, also of earlier processes.

    Args:
        path: The weights file.
        before: The validation losses of the epochs before.
    """

    def __init__(self, path: Path, before: Sequence[float]) -> None:
        super().__init__()
        self._path, self._best = path, min(before, default=float("inf"))

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Save them, under their name when they are whole."""
        loss = (logs or {})["val_loss"]
        if loss < self._best or not self._path.exists():
            check_room(self._path.parent, _saved(self.model))
            partial = self._path.with_name(f"partial.{self._path.name}")  # Keras asks for its end
            self.model.save_weights(partial)
            partial.replace(self._path)
            self._best = loss


class Patience(keras.callbacks.Callback):  # type: ignore[misc]
    """Stops after some epochs without a better validation loss, those of earlier processes too.

    Args:
        epochs: How many.
        before: The validation losses of the epochs before.
    """

    def __init__(self, epochs: int, before: Sequence[float]) -> None:
        super().__init__()
        self._epochs, self._losses = epochs, list(before)

    @property
    def is_out(self) -> bool:
        """Whether it is over."""
        return bool(self._losses) and (
            len(self._losses) - 1 - self._losses.index(min(self._losses)) >= self._epochs
        )

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Look back."""
        self._losses.append((logs or {})["val_loss"])
        if self.is_out:
            self.model.stop_training = True


def _partial(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.partial")


def _old(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.old")
