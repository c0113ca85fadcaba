"""What a Lambda function does with an event, once its model is loaded."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self
from urllib.parse import quote

from scene_batch.classifier import Classifier
from scene_batch.errors import SceneBatchError, UsageError
from scene_batch.object_store.address import BUCKET_SCHEMES, Address
from scene_batch.object_store.asking import ask
from scene_batch.object_store.stores import Stores
from scene_batch.records import ImageRef, Row, Unreadable
from scene_batch.sources.reading import Reader
from scene_batch_serve.answers import Answers
from scene_batch_serve.bodies import Content, of_values, read_content
from scene_batch_serve.bounds import Bounds
from scene_batch_serve.lambda_events import (
    HttpRequest,
    as_asked,
    http_answer,
    http_problem,
    new_objects,
    only_post,
)
from scene_batch_serve.problems import Problem
from scene_batch_serve.urls import Urls

_READ_SECONDS = "20"
_ANSWER = ".json"
_ON, _OFF = ("1", "true", "yes", "on"), ("", "0", "false", "no", "off")
_PREFIXES = tuple(f"{scheme}://" for scheme in BUCKET_SCHEMES)


class EventError(Exception):
    """An event that gets no answer: Lambda tells the caller, or tries it again."""


@dataclass(frozen=True, slots=True)
class Function:
    """Answers events."""

    classifier: Classifier
    answers: Answers
    urls: Urls | None
    """Which photos are fetched by their URL; None: none."""
    results: str | None
    """The prefix of a bucket under which answers to S3's events are written; None: nowhere."""

    @classmethod
    def from_environment(cls, variables: Mapping[str, str]) -> Self:
        """Load the model, and read settings.

        Raises:
            SceneBatchError: A setting is wrong, or the model is refused.
        """
        top_k = variables.get("SCENE_BATCH_TOP_K")
        if top_k is not None and not (top_k.isascii() and top_k.isdigit()):
            raise UsageError(f"SCENE_BATCH_TOP_K={top_k}: take a number of classes")
        results = variables.get("SCENE_BATCH_RESULTS") or None
        if results is not None:
            _check_results(results)
        classifier = Classifier.load(
            variables.get("SCENE_BATCH_MODEL") or None,
            model_sha256=variables.get("SCENE_BATCH_MODEL_SHA256") or None,
            top_k=None if top_k is None else int(top_k),
            read_timeout=_seconds(variables),
        )
        allows = _is_on(variables, "SCENE_BATCH_ALLOW_URLS")
        hosts = variables.get("SCENE_BATCH_ALLOW_HOSTS", "").split()
        buckets = variables.get("SCENE_BATCH_ALLOW_BUCKETS", "").split()
        answers = Answers.of(classifier.card, classifier.predictor.top_k)
        return cls(classifier, answers, Urls(hosts, buckets) if allows else None, results)

    def __call__(self, event: object) -> object:
        """The answer to an event.

        Raises:
            EventError: There is none, or storage did not answer.
        """
        if not isinstance(event, Mapping):
            raise EventError("bad_event: an event is a JSON object")
        try:
            request = HttpRequest.of(event)
            if request is not None:
                return as_asked(event, self._http(request))
        except Problem as problem:
            return as_asked(event, http_problem(problem))
        try:
            objects = new_objects(event)
        except (KeyError, TypeError):
            raise EventError("bad_event: a record of S3 without a bucket or a key") from None
        if objects is not None:
            return self._new_objects(objects)
        try:
            return self.answers.of_one(self._rows(of_values(event), self.answers.top_k)[0])
        except Problem as problem:
            raise EventError(f"{problem.code}: {problem.message}") from None

    def _http(self, request: HttpRequest) -> dict[str, Any]:
        only_post(request.method)
        top_k = self.answers.number(request.top_k)
        content = read_content(request.content_type, request.body, Bounds().files)
        rows = self._rows(content, top_k)
        if content.is_list:
            return http_answer(200, self.answers.of_each(rows))
        return http_answer(200, self.answers.of_one(rows[0]))

    def _rows(self, content: Content, top_k: int) -> list[Row]:
        photos: list[bytes | Unreadable] = [*content.photos]
        if content.urls:
            if self.urls is None:
                raise Problem.urls_off("set SCENE_BATCH_ALLOW_URLS=1")
            reader = self.urls.reader(self.classifier.read_timeout, Bounds().body)
            photos += [reader.read(self.urls.item(url)).data for url in content.urls]
        return self._classify(photos, top_k)

    def _classify(self, photos: Sequence[bytes | Unreadable], top_k: int) -> list[Row]:
        """A row for each photo; those that could not be read are rows already."""
        predictor = replace(self.classifier.predictor, top_k=top_k)
        there = [photo for photo in photos if isinstance(photo, bytes)]
        rows = iter(replace(self.classifier, predictor=predictor).classify(there))
        return [next(rows) if isinstance(photo, bytes) else photo for photo in photos]

    def _new_objects(self, objects: Sequence[tuple[str, str]]) -> dict[str, Any]:
        """Answer each object, one after the other; the same event again writes the same."""
        stores = Stores(self.classifier.read_timeout)
        reader, found, failed = Reader(stores), [], []
        for bucket, key in objects:
            path = f"s3://{bucket}/{key}"
            if self._is_ours(path):
                continue
            data = reader.read(ImageRef(path)).data
            (row,) = self._classify([data], self.answers.top_k)
            if isinstance(row, Unreadable) and row.by_storage:
                failed.append(f"{path}: {row.code}: {row.message}")
                continue
            answer = {"path": path, **self.answers.of_each([row])[0]}
            if self.results is not None:
                try:
                    self._write(stores, key, answer)
                except (SceneBatchError, OSError) as error:
                    failed.append(f"{path}: the answer was not written: {error}")
                    continue
            found.append(answer)
        if failed:
            raise EventError(f"{len(failed)} of {len(objects)} photos failed: {failed[0]}")
        return {"results": found}

    def _is_ours(self, path: str) -> bool:
        """Whether we wrote it: then it is no photo."""
        prefix = None if self.results is None else f"{self.results.rstrip('/')}/"
        return prefix is not None and path.startswith(prefix) and path.endswith(_ANSWER)

    def _write(self, stores: Stores, key: str, answer: Mapping[str, Any]) -> None:
        data = json.dumps(answer, ensure_ascii=False).encode()
        prefix = str(self.results).rstrip("/")
        try:
            store, name = stores.find(f"{prefix}/{key}{_ANSWER}", "short")
        except UsageError:  # a key that no address can say, such as a//b
            store, name = stores.find(f"{prefix}/{quote(key, safe='')}{_ANSWER}", "short")
        ask(
            lambda: store.put(name, data),
            seconds=self.classifier.read_timeout,
            size_bytes=len(data),
        )


def _check_results(results: str) -> None:
    """Refuse what is no prefix of a bucket, before the first photo is classified for nothing."""
    try:
        if not results.startswith(_PREFIXES):
            raise UsageError("it has no bucket")
        Address.parse(f"{results.rstrip('/')}/a{_ANSWER}")
    except UsageError as error:
        raise UsageError(
            f"SCENE_BATCH_RESULTS={results}: {error}; say a prefix of a bucket: s3://b/answers"
        ) from None


def _is_on(variables: Mapping[str, str], name: str) -> bool:
    text = variables.get(name, "").lower()
    if text not in _ON + _OFF:
        raise UsageError(f"{name}={text}: say 1 or 0")
    return text in _ON


def _seconds(variables: Mapping[str, str]) -> float:
    text = variables.get("SCENE_BATCH_READ_TIMEOUT", _READ_SECONDS)
    try:
        return float(text.removesuffix("s"))
    except ValueError:
        raise UsageError(f"SCENE_BATCH_READ_TIMEOUT={text}: take a time such as 20s") from None


def use_what_can_be_written() -> None:
    """Keep fetched models where Lambda lets a function write."""
    if "AWS_LAMBDA_FUNCTION_NAME" in os.environ:
        os.environ.setdefault("SCENE_BATCH_CACHE", "/tmp/scene-batch")  # noqa: S108 - its only one
