"""What the server answers, by path."""

from __future__ import annotations

import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Any, TypeAlias

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from scene_batch.pipeline.engine import Item
from scene_batch.records import Unreadable
from scene_batch_serve.answers import Answers
from scene_batch_serve.bodies import Content
from scene_batch_serve.corrections import Corrections
from scene_batch_serve.desk import Desk, given
from scene_batch_serve.disk_thread import in_thread
from scene_batch_serve.figures import Figures
from scene_batch_serve.intake import Intake
from scene_batch_serve.problems import Problem, unsuitable
from scene_batch_serve.urls import Urls

Endpoint: TypeAlias = Callable[[Request], Awaitable[Response]]

_HERE = Path(__file__).parent
_PAGE = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
}
_DESCRIPTION = json.loads((_HERE / "openapi.json").read_text(encoding="utf-8"))
_PAGE_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self';"
    " img-src blob: data:; connect-src 'self'; base-uri 'none'; form-action 'none';"
    " frame-ancestors 'none'",
    "Cache-Control": "no-cache",
    "Referrer-Policy": "no-referrer",
}


@dataclass(slots=True)
class Service:
    """Answers requests."""

    desk: Desk
    intake: Intake
    answers: Answers
    figures: Figures
    card: dict[str, Any]
    """The model's, as JSON."""
    corrections: Corrections | None = None
    urls: Urls | None = None
    """Which are fetched; None: none."""
    stopping: bool = False
    """Whether the server is about to end."""

    def routes(self) -> list[Route]:
        """All that is answered."""
        return [
            Route("/predict", self.predict, methods=["POST"]),
            Route("/corrections", self.correct, methods=["GET", "POST"]),
            Route("/healthz", self.healthz),
            Route("/readyz", self.readyz),
            Route("/metrics", self.metrics),
            Route("/stats", self.stats),
            Route("/openapi.json", self.openapi),
            Route("/model", self.model),
            *(Route(path, _static(name, kind)) for path, (name, kind) in _PAGE.items()),
        ]

    async def predict(self, request: Request) -> Response:
        """Classify the photos of a request."""
        begun = time.perf_counter()
        top_k = self.answers.number(request.query_params.get("top_k"))
        with self.intake.holding(request):
            content = await self.intake.content(request)
            request.state.bytes = request.state.held
            items = self._items(content)
            content.photos.clear()  # the threads let go of each when it is decoded
            if content.urls:
                self.intake.reserve(request)
            rows = await self.desk.rows(items, top_k)
        request.state.photos = len(rows)
        self.figures.rows(rows, time.perf_counter() - begun)
        if content.is_list:
            return JSONResponse(self.answers.of_each(rows))
        return JSONResponse(self.answers.of_one(rows[0]))

    def _items(self, content: Content) -> list[Item]:
        photos: list[Item] = [given(photo) for photo in content.photos]
        if not content.urls:
            return photos
        if self.urls is None:
            raise Problem.urls_off("start the server with --allow-urls")
        return photos + [self.urls.item(url) for url in content.urls]

    async def correct(self, request: Request) -> Response:
        """Store a photo with the class that a visitor says it has, or say how many there are."""
        stored = self._stored()
        if request.method in ("GET", "HEAD"):
            return JSONResponse(stored.to_json())
        if _is_of_another_site(request):
            message = "corrections come from this server's own page, or from programs"
            raise Problem(HTTPStatus.FORBIDDEN, "other_site", message)
        with self.intake.holding(request):
            content = await self.intake.content(request)
            class_name = stored.check_class(content.fields.get("class"))
            if len(content.photos) != 1:
                raise unsuitable("no_file", "the form must have one field 'file'")
            (row,) = await self.desk.rows([given(content.photos[0])], 1)
            if isinstance(row, Unreadable) and row.code != "no_answer":
                raise Problem.of(row)
            await in_thread(partial(stored.add, content.photos[0], class_name))
        return JSONResponse(stored.to_json())

    def _stored(self) -> Corrections:
        if self.corrections is None:
            message = "this server stores no corrections; start it with --corrections DIR"
            raise Problem(HTTPStatus.NOT_FOUND, "corrections_off", message)
        return self.corrections

    async def healthz(self, _: Request) -> Response:
        """Whether the process does its work; if not, it should be started anew."""
        return _state(self.desk.is_well, "ok", "the model fails")

    async def readyz(self, _: Request) -> Response:
        """Whether requests should be sent here."""
        if self.stopping:
            return _state(False, "", "stopping")
        return _state(self.desk.is_well, "ready", "the model fails")

    async def metrics(self, _: Request) -> Response:
        """Figures for Prometheus."""
        return Response(self.figures.text(), headers={"Content-Type": self.figures.content_type})

    async def stats(self, _: Request) -> Response:
        """Figures for the page."""
        stored = None if self.corrections is None else self.corrections.to_json()
        return JSONResponse({**self.figures.in_short(), "corrections": stored})

    async def openapi(self, _: Request) -> Response:
        """The description of all this."""
        return JSONResponse(_DESCRIPTION)

    async def model(self, _: Request) -> Response:
        """The model's card."""
        return JSONResponse(self.card)


def _is_of_another_site(request: Request) -> bool:
    """Whether a page of another site sends it, as far as browsers say."""
    fetched = request.headers.get("sec-fetch-site")
    if fetched is not None:  # sent where a page came by TLS, or from this machine
        return fetched not in ("same-origin", "none")
    origin = request.headers.get("origin")
    return origin is not None and origin.partition("://")[2] != request.headers.get("host")


def _state(well: bool, text: str, else_text: str) -> Response:
    status = HTTPStatus.OK if well else HTTPStatus.SERVICE_UNAVAILABLE
    return JSONResponse({"status": text if well else else_text}, status)


def _static(name: str, kind: str) -> Endpoint:
    content = (_HERE / "page" / name).read_bytes()

    async def page(_: Request) -> Response:
        return Response(content, headers={"Content-Type": kind, **_PAGE_HEADERS})

    return page
