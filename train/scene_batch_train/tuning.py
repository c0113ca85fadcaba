"""A search for a better config: learning rate, dropout, inner layer and augmentation by Optuna.

The first stage alone is tried, on features that are computed once, so that a trial takes seconds.
"""

from __future__ import annotations

import csv
import dataclasses
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import optuna
import tomli_w

from scene_batch.errors import TrainingError
from scene_batch_train import network, pictures
from scene_batch_train.batches import Batches, Features, changed, features_of, mirrored, plain
from scene_batch_train.data_set import DataSet, prepare
from scene_batch_train.devices import has_gpu, policy
from scene_batch_train.progress import progress_bar
from scene_batch_train.recipe import Recipe, with_new_settings
from scene_batch_train.stages import build_for, compile_for
from scene_batch_train.starting_weights import start_weights

INNER = (0, 128, 256, 512, 1000)
AUGMENTATIONS = ("none", "flip", "all")
"""What a trial learns: the photos; their mirror images, too; and one changed view of each, for
which ``train`` augments each photo anew. Of the second stage only ``flip`` is set."""
_DONE = (optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.PRUNED)
PARAMETERS = ("learning_rate", "dropout", "inner", "augmentation")


@dataclass(frozen=True, slots=True)
class Tuned:
    """What a search found."""

    recipe: Recipe
    accuracy: float
    """Of the best trial on the validation part."""
    trials: int


def tune(folder: Path, recipe: Recipe, trials: int, out: Path) -> Tuned:
    """Search, and leave trials.csv, trials.png and best.toml, a config for ``train``.

    A search that was broken off goes on with the trials that are left.

    Args:
        folder: One folder of photos for each class.
        recipe: The config to begin with; what is not searched stays as it is.
        trials: How many to make in all.
        out: The folder to make, or to go on in.

    Raises:
        TrainingError: The photos cannot be used, or ``out`` holds another search.
    """
    data = prepare(folder, recipe)
    keras.config.set_dtype_policy(policy(recipe.precision, has_gpu()))
    try:
        return _search(data, recipe, trials, out)
    finally:
        keras.config.set_dtype_policy("float32")


def _search(data: DataSet, recipe: Recipe, trials: int, out: Path) -> Tuned:
    out.mkdir(parents=True, exist_ok=True)
    study = _open(out, {"recipe": dataclasses.asdict(recipe), "data": data.description})
    for trial in study.trials:
        if trial.state == optuna.trial.TrialState.RUNNING:  # of a search that was killed
            study.tell(trial.number, state=optuna.trial.TrialState.FAIL)
    finished = [t for t in study.trials if t.state in _DONE]
    if len(finished) < trials:
        objective, left = _Objective(data, recipe), trials - len(finished)
        with progress_bar(left, "trials", "trial") as bar:
            study.optimize(objective, n_trials=left, callbacks=[lambda *_: bar.update()])
    _write_table(study, out / "trials.csv")
    complete = study.get_trials(states=[optuna.trial.TrialState.COMPLETE])
    if not complete:
        raise TrainingError("no trial came to a finite loss; lower the config's rates")
    pictures.trials(
        [(trial.params, trial.values[0]) for trial in complete],
        PARAMETERS,
        out / "trials.png",
    )
    best = study.best_trial
    tuned = _with(recipe, best.params)
    table = {"train": dataclasses.asdict(tuned)}
    (out / "best.toml").write_text(tomli_w.dumps(table), encoding="utf-8")
    count = sum(trial.state in _DONE for trial in study.trials)
    return Tuned(tuned, best.user_attrs["accuracy"], count)


class _Objective:
    """One trial: the top trained with the trial's parameters, its smallest validation loss."""

    def __init__(self, data: DataSet, recipe: Recipe) -> None:
        self._data, self._recipe = data, recipe
        base = network.base_of(self._network(recipe), recipe.head.frozen)
        views = (plain, mirrored, changed(recipe.augment, recipe.seed))
        total = len(data.train.pixels) * len(views) + len(data.validation.pixels)
        with progress_bar(total, "features", "photo") as bar:
            self._train = features_of(base, data.train, views, bar.update)
            self._validation = features_of(base, data.validation, [plain], bar.update)

    def __call__(self, trial: optuna.Trial) -> float:
        trial.suggest_float("learning_rate", 1e-4, 1e-2, log=True)
        trial.suggest_float("dropout", 0.0, 0.6)
        trial.suggest_categorical("inner", INNER)
        trial.suggest_categorical("augmentation", AUGMENTATIONS)
        recipe = _with(self._recipe, trial.params)
        top = network.top_of(self._network(recipe), recipe.head.frozen)
        compile_for(top, keras.optimizers.Adam(recipe.head.learning_rate), recipe)
        views = 1 + AUGMENTATIONS.index(trial.params["augmentation"])
        history = top.fit(
            self._batches(self._train, views * len(self._data.train.pixels), recipe.seed),
            validation_data=self._batches(self._validation, len(self._validation.values)),
            epochs=recipe.head.epochs,
            callbacks=[_Report(trial)],
            verbose=0,
        ).history
        best = int(np.argmin(history["val_loss"]))
        trial.set_user_attr("accuracy", round(float(history["val_accuracy"][best]), 4))
        trial.set_user_attr("epochs", best + 1)
        return float(history["val_loss"][best])

    def _network(self, recipe: Recipe) -> keras.Model:
        keras.utils.set_random_seed(recipe.seed)
        model = build_for(recipe, len(self._data.classes))
        start_weights(model, recipe.weights)
        return model

    def _batches(self, features: Features, count: int, seed: int | None = None) -> Batches:
        return Batches(
            features.values[:count],
            features.class_indices[:count],
            len(self._data.classes),
            batch_size=self._recipe.head.batch_size,
            seed=seed,
            class_weights=None if seed is None else self._data.class_weights(self._recipe),
        )


class _Report(keras.callbacks.Callback):  # type: ignore[misc]
    """Stops a trial whose validation loss is behind the others' at the same epoch."""

    def __init__(self, trial: optuna.Trial) -> None:
        super().__init__()
        self._trial = trial

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Compare."""
        loss = (logs or {}).get("val_loss", math.nan)
        if not math.isfinite(loss):
            raise optuna.TrialPruned
        self._trial.report(loss, epoch)
        if self._trial.should_prune():
            raise optuna.TrialPruned


def _with(recipe: Recipe, parameters: Mapping[str, Any]) -> Recipe:
    """The recipe with a trial's parameters."""
    augmentation = parameters["augmentation"]
    return dataclasses.replace(
        recipe,
        dropout=parameters["dropout"],
        inner=parameters["inner"],
        head=dataclasses.replace(
            recipe.head,
            learning_rate=parameters["learning_rate"],
            augment=augmentation == "all",  # what the changed views of a trial stand for
        ),
        augment=dataclasses.replace(recipe.augment, flip=augmentation != "none"),
    )


def _open(out: Path, subject: dict[str, Any]) -> optuna.Study:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        storage=f"sqlite:///{out / 'trials.db'}",
        study_name="tune",
        pruner=optuna.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=1),
        load_if_exists=True,
    )
    subject = json.loads(json.dumps(subject))
    found = study.user_attrs.get("subject", subject)
    if found | {"recipe": with_new_settings(found["recipe"])} != subject:
        raise TrainingError(
            f"{str(out)!r} holds a search with another config or other photos; give --out a new"
            " folder"
        )
    study.set_user_attr("subject", subject)
    # A continued search shall not draw the first trials again.
    seed = subject["recipe"]["seed"] + len(study.trials)
    study.sampler = optuna.samplers.TPESampler(seed=seed)
    return study


def _write_table(study: optuna.Study, path: Path) -> None:
    columns = ("trial", "state", *PARAMETERS, "val_loss", "val_accuracy", "epochs", "seconds")
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(columns)
        for trial in study.trials:
            rows.writerow(
                (
                    trial.number,
                    trial.state.name.lower(),
                    *(trial.params.get(name, "") for name in PARAMETERS),
                    "" if trial.value is None else round(trial.value, 5),
                    trial.user_attrs.get("accuracy", ""),
                    trial.user_attrs.get("epochs", ""),
                    round(trial.duration.total_seconds(), 1) if trial.duration else "",
                )
            )
