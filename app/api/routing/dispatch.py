"""Dispatches POST requests: from path to operation, from error to answer."""

import re
from dataclasses import dataclass, field
from typing import Any

from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse
from starlette.routing import Mount
from starlette.types import ASGIApp, Receive, Scope, Send

from app.api.errors import dialects
from app.api.routing import deferral
from app.api.routing.context import request_context
from app.api.routing.operation import Operation, compile_operations


@dataclass(slots=True)
class Dispatcher:
    """Answers POST requests by their operations, and leaves other methods and paths to FastAPI.

    It adds three answers that FastAPI lacks: HEAD on GET routes, redirects from paths with a
    trailing slash, and refusals of a method that name every other method of the path.
    """

    framework: ASGIApp
    literal: dict[str, Operation] = field(default_factory=dict)
    """Operations of paths without parameters."""
    patterns: list[tuple[re.Pattern[str], Operation]] = field(default_factory=list)
    """Operations of paths with parameters, by the path's pattern."""
    paths: tuple[tuple[re.Pattern[str], str, frozenset[str]], ...] = ()
    """The pattern, path and methods of every route."""

    def compile(self, app: FastAPI) -> None:
        """Compile the routes of ``app``. Raises UnsupportedRouteError."""
        self.literal.clear()
        self.patterns.clear()
        self.paths = tuple(
            (route.path_regex, str(route.path), frozenset(route.methods or ()))
            for route in iter_route_contexts(app.routes)
            if not isinstance(route.original_route, Mount)
        )
        for route, operation in compile_operations(app):
            if route.param_convertors:
                self.patterns.append((route.path_regex, operation))
            else:
                self.literal.setdefault(operation.path, operation)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        path: str = scope["path"].removeprefix(scope.get("root_path", ""))
        operation: Operation | None = None
        if scope["method"] == "POST":
            operation, arguments = self.operation(path)
        if operation is None:
            await self._other(path, scope, receive, send)
            return
        context = request_context(scope)
        context.record.route = operation.path
        try:
            if b"prefer" in context.headers and deferral.wanted(context, path):
                response = await deferral.accept(context, operation, path, receive)
            else:
                response = await operation.answer(context, receive, arguments)
        except dialects.EXPECTED as error:
            response = dialects.response(error, scope)
        await response(scope, receive, send)

    def operation(self, path: str) -> tuple[Operation | None, dict[str, Any]]:
        """Return the operation of ``path``, None if there is none, and the path's arguments."""
        operation = self.literal.get(path)
        return (operation, {}) if operation is not None else self._matching(path)

    async def _other(self, path: str, scope: Scope, receive: Receive, send: Send) -> None:
        shorter = path.rstrip("/")
        if shorter != path and self._routes(shorter):
            await _redirect(scope, shorter)(scope, receive, send)
            return
        routes = self._routes(path)
        methods = {method for _, served in routes for method in served}
        if "GET" in methods:
            methods.add("HEAD")
        if routes and scope["method"] not in methods:
            # The framework names the methods of the first route only.
            request_context(scope).record.route = routes[0][0]
            refused = HTTPException(405, headers={"Allow": ", ".join(sorted(methods))})
            await dialects.response(refused, scope)(scope, receive, send)
        elif scope["method"] == "HEAD":
            # The server drops the body.
            got = {**scope, "method": "GET"}
            await self.framework(got, receive, send)
            scope["route"] = got.get("route")
        else:
            await self.framework(scope, receive, send)

    def _routes(self, path: str) -> list[tuple[str, frozenset[str]]]:
        return [(known, methods) for pattern, known, methods in self.paths if pattern.match(path)]

    def _matching(self, path: str) -> tuple[Operation | None, dict[str, Any]]:
        for pattern, operation in self.patterns:
            if match := pattern.match(path):
                return operation, match.groupdict()
        return None, {}


def _redirect(scope: Scope, path: str) -> RedirectResponse:
    """Return a redirect to ``path`` without a host, so that it stays on the host of the request."""
    query = scope.get("query_string", b"").decode("latin-1")
    return RedirectResponse(f"{scope.get('root_path', '')}{path}{query and '?'}{query}")
