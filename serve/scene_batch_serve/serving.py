"""Puts the server together: a classifier, its threads, and what answers over HTTP."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from scene_batch import __version__
from scene_batch.classifier import Classifier
from scene_batch.model.page import to_json
from scene_batch.pipeline.live import Patience
from scene_batch_serve.answers import Answers
from scene_batch_serve.app import make_app
from scene_batch_serve.bounds import Bounds
from scene_batch_serve.corrections import Corrections
from scene_batch_serve.desk import Desk
from scene_batch_serve.figures import Figures
from scene_batch_serve.intake import Intake
from scene_batch_serve.logs import log
from scene_batch_serve.server import Server, listen
from scene_batch_serve.service import Service
from scene_batch_serve.urls import Urls

_OTHER_FILES = 64
"""Descriptors that are not connections."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How photos are answered."""

    workers: int | None = None
    """Threads that decode; None: as many as this process may use."""
    patience: Patience = field(default_factory=Patience)
    bounds: Bounds = field(default_factory=Bounds)
    corrections: Path | None = None
    """Where corrections are stored; None: nowhere."""
    urls: Urls | None = None
    """Which photos are fetched by their URL; None: none."""


def serve(classifier: Classifier, address: tuple[str, int], settings: Settings) -> None:
    """Answer requests until a signal comes.

    Raises:
        UsageError: Nothing can listen at the address, or a class cannot be a folder.
        OutputError: The folder of corrections cannot be written.
    """
    files = _allow_files(settings.bounds.connections + _OTHER_FILES)
    connections = max(1, min(settings.bounds.connections, files - _OTHER_FILES))
    bounds, corrections = replace(settings.bounds, connections=connections), settings.corrections
    session, card = classifier.predictor.session, classifier.card
    figures = Figures(card.name, card.version, session.provider)
    intake = Intake(bounds)
    stored = None if corrections is None else Corrections(corrections, card.classes)
    urls = settings.urls
    reader = urls.reader(classifier.read_timeout, bounds.body) if urls else None
    threads = classifier.live(settings.patience, reader=reader, workers=settings.workers)
    with listen(*address) as socket, threads as live:
        live.batches = figures.call
        figures.watch("in_hand", "Photos that wait or are computed.", lambda: live.in_hand)
        figures.watch("held_bytes", "Bytes of requests.", lambda: intake.held.bytes)
        service = Service(
            Desk(live),
            intake,
            Answers.of(card, classifier.predictor.top_k),
            figures,
            to_json(card, session.path.stat().st_size, session.sha256),
            stored,
            urls,
        )
        host, port = socket.getsockname()[:2]
        server = Server(make_app(service), service, intake, bounds)
        server.begun = partial(
            log,
            "serving",
            url=f"http://{f'[{host}]' if ':' in host else host}:{port}",
            model=card.name,
            version=card.version,
            provider=session.provider,
            batch_size=session.batch_size,
            queue=live.most,
            connections=connections,
            scene_batch=__version__,
            **({"note": session.note} if session.note else {}),
        )
        server.run([socket])
    log("stopped")


def _allow_files(files: int) -> int:
    """Allow so many open files, if the system lets us; how many there may be of them."""
    if sys.platform != "win32":
        import resource

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        files = files if hard == resource.RLIM_INFINITY else min(files, hard)
        if soft != resource.RLIM_INFINITY and soft < files:
            resource.setrlimit(resource.RLIMIT_NOFILE, (files, hard))
    return files
