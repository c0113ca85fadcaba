"""A model's card as a page for people, in Markdown, and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from scene_batch.model.card import ModelCard
from scene_batch.model.preprocess import Preprocess
from scene_batch.records import listed

_MOST_PAIRS = 8
"""Most mistakes that are named, the most frequent first."""
_MOST_CLASSES = 40
"""Most classes that are listed with figures of their own, the hardest first."""


def to_markdown(card: ModelCard, size_bytes: int, sha256: str) -> str:
    """Write the page of a model file; sections for which the card has nothing are left out."""
    sections = (
        _model(card, size_bytes, sha256),
        _origin(card),
        _training(card),
        _figures(card),
        _calibration(card),
        _limits(card),
    )
    return "\n".join(line for section in sections for line in section) + "\n"


def to_json(card: ModelCard, size_bytes: int, sha256: str) -> dict[str, Any]:
    """All of the card, but of the golden vectors their number; values of JSON."""
    return {
        "size_bytes": size_bytes,
        "sha256": sha256,
        "name": card.name,
        "version": card.version,
        "created": card.created,
        "precision": card.precision,
        "classes": list(card.classes),
        "preprocess": card.preprocess.to_json(),
        "preprocess_in_words": preprocess_in_words(card.preprocess),
        "training": dict(card.training),
        "metrics": dict(card.metrics),
        "calibration": dict(card.calibration),
        "golden": len(card.golden),
        **({"origin": dict(card.origin)} if card.origin else {}),
    }


def preprocess_in_words(preprocess: Preprocess) -> dict[str, str]:
    """What becomes of a photo before the model sees it, by subject."""
    height, width = preprocess.resize or (preprocess.height, preprocess.width)
    to = f"{width if width == height else f'{width}x{height}'} pixels, the other edge "
    to += {"down": "rounded down", "nearest": "rounded"}[preprocess.rounding]
    fit = {
        "crop": "the middle of the photo",
        "stretch": f"the photo stretched to {width}x{height}",
        "shorter": f"its shorter edge resized to {to}",
        "longer": f"its longer edge resized to {to}",
    }[preprocess.fit]
    if preprocess.fit == "shorter" or (preprocess.fit != "crop" and preprocess.resize):
        fit += ", then the middle, an odd margin "
        fit += {"rounded": "rounded", "floor": "rounded down"}[preprocess.centre]
    if preprocess.fit == "longer":
        fit += "; what is missing is filled with rgb({}, {}, {})".format(*preprocess.pad)
    return {
        "input": f"{preprocess.width}x{preprocess.height} pixels: {fit}",
        "resampling": preprocess.filter,
        "transparency": _ALPHAS[preprocess.alpha],
        "orientation": _ORIENTATIONS[preprocess.orientation],
        "decoding": _DECODINGS[preprocess.decoding],
    }


_ALPHAS = {"white": "laid on white", "dropped": "dropped: the colours below are seen"}
_ORIENTATIONS = {
    "exif": "turned as EXIF says",
    "exif-first": "turned as EXIF says, before resizing",
    "stored": "as the pixels lie in the file, whatever EXIF says",
}
_DECODINGS = {"full": "in full", "scaled": "large JPEGs at 1/2, 1/4 or 1/8 of their size"}


def _model(card: ModelCard, size_bytes: int, sha256: str) -> Iterator[str]:
    yield f"# {_text(card.name)} {_text(card.version)}\n"
    names = ", ".join(_text(listed(name)) for name in card.classes)
    yield f"Classifies a photo as one of {len(card.classes)} classes: {names}.\n"
    yield from _table(
        ("", ""),
        [
            ("made", card.created),
            ("file", f"{size_bytes / 1e6:.1f} MB, {card.precision}, sha256 `{sha256}`"),
            *preprocess_in_words(card.preprocess).items(),
        ],
    )


def _origin(card: ModelCard) -> Iterator[str]:
    if card.origin:
        yield "\n## Origin\n"
        yield from _table(("", ""), [tuple(map(_text, item)) for item in card.origin.items()])


def _training(card: ModelCard) -> Iterator[str]:
    training, metrics = card.training, card.metrics
    if not training:
        return
    config, data = training.get("config", {}), training.get("data", {})
    stage, head = config.get("fine_tune", {}), config.get("head", {})
    yield "\n## Data and training\n"
    rows = [
        ("photos", f"{metrics.get('train_photos', '?')} of the folder `{data.get('folder')}`"),
        ("fingerprint", f"`{data.get('sha256')}`"),
        ("starting weights", config.get("weights")),
        ("epochs", f"{training.get('epochs')} (top alone: {head.get('epochs')})"),
        (
            "peak rate",
            stage.get("learning_rate") if stage.get("epochs") else head.get("learning_rate"),
        ),
        ("label smoothing", config.get("label_smoothing")),
        ("seed", training.get("seed")),
        ("augmentation", ", ".join(f"{k} {v}" for k, v in config.get("augment", {}).items() if v)),
    ]
    if "network" in training:
        rows.insert(0, ("network", training["network"]))
    if "teacher" in training:
        teacher = training["teacher"]
        rows.append(("teacher", f"{teacher['name']}, version {teacher['version']}"))
    if "from" in training:
        rows.append(("retrained from", f"version {training['from']['version']}"))
    yield from _table(("", ""), rows)


def _figures(card: ModelCard) -> Iterator[str]:
    metrics = card.metrics
    measured = [
        ("validation, Keras", metrics.get("validation")),
        *((f"validation, {name}", found) for name, found in metrics.get("exported", {}).items()),
        (f"test, {card.precision}", metrics.get("test")),
    ]
    measured = [(name, found) for name, found in measured if found]
    if not measured:
        return
    yield "\n## Figures\n"
    yield from _table(
        ("photos", "how many", "accuracy", "95 %", "calibration error"),
        [
            (
                name,
                found.get("photos", ""),
                found["accuracy"],
                " to ".join(map(str, found.get("accuracy_interval", ()))),
                found["calibration_error"],
            )
            for name, found in measured
        ],
    )
    found = metrics.get("test") or metrics.get("validation")
    if found:
        yield f"\nOf each class, on the {'test' if 'test' in metrics else 'validation'} photos:\n"
        hardest = sorted(found["per_class"].items(), key=lambda item: item[1]["f1"])
        yield from _table(
            ("class", "photos", "precision", "recall", "F1"),
            [
                (_text(name), f["photos"], f["precision"], f["recall"], f["f1"])
                for name, f in hardest[:_MOST_CLASSES]
            ],
        )
        yield from _confusions(found["confusion"], card.classes)


def _confusions(counts: Sequence[Sequence[int]], classes: Sequence[str]) -> Iterator[str]:
    pairs = sorted(
        (
            (count, classes[row], classes[column])
            for row, line in enumerate(counts)
            for column, count in enumerate(line)
            if row != column and count
        ),
        reverse=True,
    )
    if pairs:
        mistakes = [
            f"{_text(label)} called {_text(said)} {count} times"
            for count, label, said in pairs[:_MOST_PAIRS]
        ]
        yield f"\nMost frequent mistakes: {'; '.join(mistakes)}."


def _calibration(card: ModelCard) -> Iterator[str]:
    before = card.calibration.get("calibration_error_before")
    if before is None:  # nothing was fitted
        return
    yield "\n## Probabilities\n"
    yield (
        f"The logits are divided by a temperature of {card.calibration['temperature']}, fitted on"
        " the validation photos and folded into the graph; without it the calibration error there"
        f" was {before}."
    )


def _limits(card: ModelCard) -> Iterator[str]:
    yield "\n## Limits\n"
    yield (
        f"It always answers with one of its {len(card.classes)} classes, whatever the photo shows,"
        " and its probabilities were fitted to photos like those that it was trained on: look at"
        " a sample of its answers on yours."
    )
    found: Mapping[str, Any] = card.metrics.get("robustness", {})
    if found:
        yield "\nAccuracy on validation photos that were changed as other photos may be:\n"
        yield from _table(("photos", "accuracy"), list(found.items()))


def _text(value: object) -> str:
    """A name or text that comes from elsewhere, which must be no markup."""
    return str(value).replace("&", "&amp;").replace("<", "&lt;").replace("[", "\\[")


def _table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"|{' --- |' * len(head)}"
    for row in rows:
        yield f"| {' | '.join(str(value).replace('|', chr(92) + '|') for value in row)} |"
