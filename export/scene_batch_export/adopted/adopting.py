"""An adoption, from a foreign file to one of ours; nothing is written that answers otherwise."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto

from scene_batch.errors import ModelError, UsageError
from scene_batch.model.card import GoldenVector, ModelCard, Precision, is_class_name
from scene_batch.model.compute_options import ComputeOptions
from scene_batch.model.golden import pixels_sha256
from scene_batch.model.model_file import sha256
from scene_batch.model.predictor import Predictor
from scene_batch.records import ImageRef, Pixels
from scene_batch_export import photos
from scene_batch_export.adopted import made_up, original
from scene_batch_export.adopted.activation import is_logits
from scene_batch_export.adopted.finding import Found, Given, find, in_words
from scene_batch_export.adopted.known import Known
from scene_batch_export.adopted.labels import made_unique
from scene_batch_export.adopted.proof import TOLERANCE, Original, prove, softmax
from scene_batch_export.adopted.reference import hold_against, read_reference
from scene_batch_export.adopted.wrapping import wrapped
from scene_batch_export.lowering import lowered
from scene_batch_export.measuring import figures_on_test, outputs
from scene_batch_export.measuring import in_words as figures_in_words
from scene_batch_export.parity import compare, refuse_lowered
from scene_batch_export.writing import check_place, publish, save, workshop
from scene_batch_train.figures import Probabilities

_NOISE, _TEXTURES, _PHOTOS = 8, 24, 32
"""How many are looked at: random pixels, made-up textures, and photos where some are named."""
_ORIGIN = ("license", "author", "description", "version")


@dataclass(frozen=True, slots=True)
class Wish:
    """What is asked for."""

    model: Path
    out: Path
    given: Given = field(default_factory=Given)
    precision: Precision | None = None
    """None: the original's own."""
    name: str | None = None
    """The model's name; None: the file's."""
    version: str = "1"
    calibrate: Path | None = None
    """A folder of photos to calibrate int8 on, and to prove the graph on."""
    golden: Path | None = None
    """A folder of photos to put in the file; None: made-up ones."""
    test: Path | None = None
    """Labelled photos, a folder for each class."""
    reference: Path | None = None
    """A table of what the user's own pipeline says."""
    reference_agreement: float = 0.99
    reference_difference: float = 0.01
    min_agreement: float = 0.98
    overwrite: bool = False


def adopt(wish: Wish, say: Callable[[str], None]) -> None:
    """Find out, wrap, prove and write.

    Args:
        wish: What is asked for.
        say: Takes each finding as a line.

    Raises:
        UsageError: Something is not known; the message names the option that says it.
        ModelError: It is no classifier of photos.
        ParityError: The file would answer otherwise; nothing is written.
        OutputError: The file cannot be written.
    """
    check_place(wish.out, overwrite=wish.overwrite)
    read = [wish.model, *original.external_files(wish.model)]
    if wish.out.exists() and any(file.exists() and wish.out.samefile(file) for file in read):
        raise UsageError(f"--out {str(wish.out)!r} is the model itself; name another file")
    if wish.precision == "int8" and wish.calibrate is None:
        raise UsageError("int8 needs photos like yours to calibrate on: --calibrate DIR")
    for option, text in (
        ("--name", wish.name or wish.model.stem),
        ("--model-version", wish.version),
    ):
        if not is_class_name(text):
            raise UsageError(f"{option} {text!r}: say a line of text")
    foreign, known = original.load(wish.model), Known()
    if any(each.key.startswith("scene_batch.") for each in foreign.metadata_props):
        raise UsageError(f"{str(wish.model)!r} is one of ours already: run takes it as it is")
    found = find(foreign, wish.model, wish.given, known)
    for line in in_words(found, known):
        say(line)
    classes, changed = made_unique(found.classes or ())
    for line in changed:
        say(line)
    _Adoption(wish, foreign, found, known, classes, say).run()


@dataclass(slots=True)
class _Adoption:
    """One adoption on its way."""

    wish: Wish
    foreign: onnx.ModelProto
    found: Found
    known: Known
    classes: tuple[str, ...]
    say: Callable[[str], None]

    def run(self) -> None:
        wish, signature = self.wish, self.found.signature
        half = signature.input.type == TensorProto.FLOAT16
        own: Precision = "fp16" if half else "fp32"
        precision = wish.precision or own
        if half and precision != "fp16":
            raise UsageError(f"the original is float16: {precision} cannot be made of it")
        source = Original(self.foreign, signature, wish.model)
        pixels = self._pixels()
        answers = source.answers(self.found.pipeline.numbers(pixels))
        if answers.shape[1] != len(self.classes):
            raise ModelError(
                f"it has {answers.shape[1]} outputs and {len(self.classes)} class names"
                f" ({self.known.sources['classes']}): name the right ones by --classes"
            )
        if len(self.classes) < 2:  # noqa: PLR2004 - of one alone, each photo is
            raise ModelError("it has one output: a table needs at least two classes")
        is_logit = is_logits(answers, self.known)
        self.say(f"softmax: {'added' if is_logit else 'none'} ({self.known.sources['activation']})")
        expected = softmax(answers) if is_logit else answers.astype(np.float32)
        card = self._card(own)
        with workshop() as folder:
            file = folder / "model.onnx"
            model = wrapped(
                self.foreign,
                signature,
                self.found.pipeline,
                classes=len(self.classes),
                softmax=is_logit,
            )
            tolerance = TOLERANCE[np.float16 if half else np.float32]
            difference = prove(model, card, pixels, expected, file, tolerance)
            self.say(f"wrapped against the original, {difference}; three at once as one by one")
            exported, metrics = model, dict[str, Any]()
            if precision != own:
                card = replace(card, precision=precision)
                exported, metrics = self._lowered(model, card, file)
            if wish.test is not None:
                test = photos.labelled_folder(wish.test, self.classes, card.preprocess)
                metrics["test"] = figures_on_test(
                    exported, card, test, min(5, len(self.classes)), file
                )
                self.say(figures_in_words(metrics["test"]))
            if wish.reference is not None:
                metrics["reference"] = self._hold_against_reference(exported, card, file)
            golden = self._golden(source, exported, card, pixels, file, softmax_too=is_logit)
            save(exported, replace(card, metrics=metrics, golden=golden), file)
            publish(file, wish.out)

    def _pixels(self) -> list[Pixels]:
        """Photos of the folders that were named, made-up ones, and random pixels."""
        preprocess = self.found.pipeline.preprocess
        real: list[Pixels] = []
        for folder in {self.wish.calibrate, self.wish.golden} - {None}:
            assert folder is not None  # noqa: S101 - for mypy
            loaded = list(photos.loaded(photos.of_folder(folder), preprocess, _PHOTOS))
            if not loaded:
                raise UsageError(f"no photo in {str(folder)!r} can be read")
            real += loaded
        made = made_up.textures(preprocess.size, _TEXTURES)
        return [*real, *made, *made_up.noise(preprocess.size, _NOISE)]

    def _card(self, precision: Precision) -> ModelCard:
        path = self.wish.model
        tool = f"{self.foreign.producer_name} {self.foreign.producer_version}".strip()
        values = {name: self.known.get(name) for name in _ORIGIN}
        origin = {"file": path.name, "sha256": sha256(path), "made by": tool, **values}
        return ModelCard(
            classes=self.classes,
            preprocess=self.found.pipeline.preprocess,
            name=self.wish.name or path.stem,
            version=self.wish.version,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            precision=precision,
            origin={name: _one_line(value) for name, value in origin.items() if value},
        )

    def _lowered(
        self, model: onnx.ModelProto, card: ModelCard, file: Path
    ) -> tuple[onnx.ModelProto, dict[str, Any]]:
        """The network in int8 or fp16, and how it agrees with fp32; ParityError where too little.

        Photos that were not calibrated on are compared, where there are enough.
        """
        wish = self.wish
        refs = photos.of_folder(wish.calibrate) if wish.calibrate else []
        chosen = set(photos.choose(refs, photos.CALIBRATION_PHOTOS))
        others: Sequence[ImageRef] = [ref for ref in refs if ref not in chosen]
        others = others if len(others) >= photos.CALIBRATION_PHOTOS else refs
        compared = list(photos.loaded(others, card.preprocess, photos.COMPARED_PHOTOS))
        compared = compared or made_up.textures(card.preprocess.size, _TEXTURES)
        fp32 = outputs(model, replace(card, precision="fp32"), compared, file)
        calibrating = partial(self._calibrating, refs)
        try:
            found = lowered(model, card.precision, calibrating)
        except Exception as error:
            reason = " ".join(str(error).split())[:160] or type(error).__name__
            raise ModelError(
                f"{card.precision} cannot be made of this graph ({reason}); keep fp32"
            ) from error
        difference = compare(outputs(found, card, compared, file), fp32)
        self.say(f"{card.precision} against fp32, {difference}")
        refuse_lowered(card.precision, difference, wish.min_agreement)
        return found, {"agreement": round(difference.agreement, 4)}

    def _calibrating(self, refs: Sequence[ImageRef]) -> list[Pixels]:
        preprocess = self.found.pipeline.preprocess
        return list(photos.loaded(refs, preprocess, photos.CALIBRATION_PHOTOS))

    def _hold_against_reference(self, model: onnx.ModelProto, card: ModelCard, file: Path) -> str:
        assert self.wish.reference is not None  # noqa: S101 - the caller has looked
        reference = read_reference(self.wish.reference, self.classes)
        save(model, card, file)
        said = hold_against(
            Predictor.open(file, ComputeOptions("cpu")),
            reference,
            min_agreement=self.wish.reference_agreement,
            max_difference=self.wish.reference_difference,
        )
        self.say(said)
        return said

    def _golden(  # noqa: PLR0913 - each is a part of the vectors
        self,
        source: Original,
        model: onnx.ModelProto,
        card: ModelCard,
        pixels: Sequence[Pixels],
        file: Path,
        *,
        softmax_too: bool,
    ) -> tuple[GoldenVector, ...]:
        """Photos of --golden, or else those made-up ones of which the model is surest."""
        if self.wish.golden is not None:
            refs = photos.of_folder(self.wish.golden)
            chosen = list(photos.loaded(refs, card.preprocess, photos.GOLDEN_PHOTOS))
        else:
            made = pixels[-_TEXTURES - _NOISE : -_NOISE]
            surest = np.argsort(-_margins(outputs(model, card, made, file)), kind="stable")
            chosen = [made[index] for index in surest[: photos.GOLDEN_PHOTOS]]
        images = photos.golden_photos(chosen)
        seen = photos.golden_pixels(images, card.preprocess)
        answers = source.answers(self.found.pipeline.numbers(seen))
        theirs = softmax(answers) if softmax_too else answers
        ours = outputs(model, card, seen, file)
        return tuple(
            GoldenVector(image, pixels_sha256(p), tuple(t.tolist()), tuple(o.tolist()))
            for image, p, t, o in zip(images, seen, theirs, ours, strict=True)
        )


def _margins(probabilities: Probabilities) -> Any:  # noqa: ANN401 - float32 (photos,)
    """How much more probable the first class is than the second."""
    best = np.sort(probabilities, axis=1)
    return best[:, -1] - best[:, -2]


def _one_line(value: object) -> str:
    return " ".join(str(value).split())[:300]
