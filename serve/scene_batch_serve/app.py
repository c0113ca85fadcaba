"""The application: routes, and around them request IDs, logs, counts and errors as JSON."""

from __future__ import annotations

import asyncio
import time
from http import HTTPStatus
from typing import Any

from starlette.exceptions import HTTPException
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Router
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from scene_batch_serve.figures import Figures
from scene_batch_serve.logs import log, log_failure, request_id, short
from scene_batch_serve.problems import Problem, failed, stopping
from scene_batch_serve.service import Service

_NEVER_SENT = 499
"""In logs and counts: the client had gone before there was an answer."""


def make_app(service: Service) -> ASGIApp:
    """The application of a service."""
    routes = service.routes()
    app = ExceptionMiddleware(
        Router(routes, redirect_slashes=False),
        handlers={Problem: _problem, HTTPException: _http_problem},
    )
    return Watched(app, service.figures, frozenset(route.path for route in routes))


def _problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)  # noqa: S101 - Starlette looked it up by that
    request.state.code = error.code
    return JSONResponse(error.to_json(), error.status, error.headers)


def _http_problem(request: Request, error: Exception) -> Response:
    """What Starlette itself refuses: unknown paths and methods."""
    assert isinstance(error, HTTPException)  # noqa: S101 - Starlette looked it up by that
    status = HTTPStatus(error.status_code)
    code = status.phrase.lower().replace(" ", "_")
    problem = Problem(status, code, f"{status.phrase.lower()}; see /openapi.json", error.headers)
    return _problem(request, problem)


class Watched:
    """Gives requests their IDs, logs and counts them, and answers what nobody foresaw."""

    def __init__(self, app: ASGIApp, figures: Figures, routes: frozenset[str]) -> None:
        self._app, self._figures, self._routes = app, figures, routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            return
        begun, status = time.perf_counter(), _NEVER_SENT
        headers = dict(scope["headers"])
        identity = request_id(headers.get(b"x-request-id", b"").decode("latin-1"))
        state: dict[str, Any] = scope.setdefault("state", {})
        scope["app"] = self  # without one, what is not found would be no exception

        async def told(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [
                    *message.get("headers", ()),
                    (b"x-request-id", identity.encode()),
                    (b"x-content-type-options", b"nosniff"),
                ]
            await send(message)

        try:
            await self._app(scope, receive, told)
        except ClientDisconnect:
            state["code"] = "gone"
        except asyncio.CancelledError:  # the server ends, and this took too long
            problem = stopping()
            state["code"] = problem.code
            if status == _NEVER_SENT:
                answer = JSONResponse(problem.to_json(), problem.status, problem.headers)
                await answer(scope, receive, told)
        except Exception as error:  # noqa: BLE001 - one request's failure, told to it alone
            log_failure("failure", error, id=identity)
            problem = failed()
            state["code"] = problem.code
            if status == _NEVER_SENT:
                await JSONResponse(problem.to_json(), problem.status)(scope, receive, told)
        finally:
            path = scope["path"]
            self._figures.request(path if path in self._routes else "other", status)
            log(
                "request",
                id=identity,
                method=short(scope["method"]),
                path=short(path),
                status=status,
                ms=round((time.perf_counter() - begun) * 1000, 1),
                **{key: state[key] for key in ("code", "photos", "bytes") if key in state},
            )
