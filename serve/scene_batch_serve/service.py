"""What the server answers, by path."""

from __future__ import annotations

import json
import time
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from pathlib import Path
from typing import Any, TypeAlias

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from scene_batch.pipeline.engine import Item
from scene_batch_serve.answers import Answers
from scene_batch_serve.bodies import Content
from scene_batch_serve.desk import Desk, given
from scene_batch_serve.figures import Figures
from scene_batch_serve.intake import Intake
from scene_batch_serve.problems import Problem

Endpoint: TypeAlias = Callable[[Request], Awaitable[Response]]

_HERE = Path(__file__).parent
_PAGE = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
}
_PAGE_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self';"
    " img-src 'self' blob:; connect-src 'self'; base-uri 'none'; form-action 'none';"
    " frame-ancestors 'none'",
    "Cache-Control": "no-cache",
    "Referrer-Policy": "no-referrer",
}


class Service:
    """Answers requests."""

    def __init__(
        self,
        desk: Desk,
        intake: Intake,
        answers: Answers,
        figures: Figures,
        card: dict[str, Any],
    ) -> None:
        self._desk, self._intake, self._answers, self._figures = desk, intake, answers, figures
        self._card = card
        self._description = json.loads((_HERE / "openapi.json").read_text(encoding="utf-8"))
        self.stopping = False
        """Whether the server is about to end."""

    def routes(self) -> list[Route]:
        """All that is answered."""
        return [
            Route("/predict", self.predict, methods=["POST"]),
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
        top_k = self._answers.number(request.query_params.get("top_k"))
        with self._intake.holding(request):
            content = await self._intake.content(request)
            items = self._items(content)
            content.photos.clear()  # the threads let go of each when it is decoded
            rows = await self._desk.rows(items, top_k)
            request.state.bytes = request.state.held
        request.state.photos = len(rows)
        self._figures.rows(rows, time.perf_counter() - begun)
        if content.is_list:
            return JSONResponse(self._answers.of_each(rows))
        return JSONResponse(self._answers.of_one(rows[0]))

    def _items(self, content: Content) -> list[Item]:
        if content.urls:
            raise Problem(
                HTTPStatus.FORBIDDEN, "urls_off", "this server fetches no photos by their URL"
            )
        return [given(photo) for photo in content.photos]

    async def healthz(self, _: Request) -> Response:
        """Whether the process does its work; if not, it should be started anew."""
        return _state(self._desk.is_well, "ok", "the model fails")

    async def readyz(self, _: Request) -> Response:
        """Whether requests should be sent here."""
        if self.stopping:
            return _state(False, "", "stopping")
        return _state(self._desk.is_well, "ready", "the model fails")

    async def metrics(self, _: Request) -> Response:
        """Figures for Prometheus."""
        return Response(self._figures.text(), headers={"Content-Type": self._figures.content_type})

    async def stats(self, _: Request) -> Response:
        """Figures for the page."""
        return JSONResponse(self._figures.in_short())

    async def openapi(self, _: Request) -> Response:
        """The description of all this."""
        return JSONResponse(self._description)

    async def model(self, _: Request) -> Response:
        """The model's card."""
        return JSONResponse(self._card)


def _state(well: bool, text: str, else_text: str) -> Response:
    status = HTTPStatus.OK if well else HTTPStatus.SERVICE_UNAVAILABLE
    return JSONResponse({"status": text if well else else_text}, status)


def _static(name: str, kind: str) -> Endpoint:
    content = (_HERE / "page" / name).read_bytes()

    async def page(_: Request) -> Response:
        return Response(content, headers={"Content-Type": kind, **_PAGE_HEADERS})

    return page
