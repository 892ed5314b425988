"""The way of every POST request: from its path to its operation, from an error to its answer."""

import re
from dataclasses import dataclass, field
from typing import Any

from fastapi import FastAPI
from starlette.types import ASGIApp, Receive, Scope, Send

from app.api.errors import dialects
from app.api.routing.context import request_context
from app.api.routing.operation import Operation, compile_operations


@dataclass(slots=True)
class Dispatcher:
    """Answers POST requests by their operations; leaves other methods and paths to FastAPI."""

    framework: ASGIApp
    literal: dict[str, Operation] = field(default_factory=dict)
    """By path."""
    patterns: list[tuple[re.Pattern[str], Operation]] = field(default_factory=list)
    """Of paths with parameters."""

    def compile(self, app: FastAPI) -> None:
        """Learn the routes of ``app``, or raise UnsupportedRouteError."""
        self.literal.clear()
        self.patterns.clear()
        for route, operation in compile_operations(app):
            if route.param_convertors:
                self.patterns.append((route.path_regex, operation))
            else:
                self.literal.setdefault(operation.path, operation)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        operation, arguments = self._find(scope)
        if operation is None:
            await self.framework(scope, receive, send)
            return
        context = request_context(scope)
        context.record.route = operation.path
        try:
            response = await operation.answer(context, receive, arguments)
        except dialects.EXPECTED as error:
            response = dialects.response(error, scope)
        await response(scope, receive, send)

    def _find(self, scope: Scope) -> tuple[Operation | None, dict[str, Any]]:
        if scope["method"] != "POST":
            return None, {}
        path: str = scope["path"].removeprefix(scope.get("root_path", ""))
        if path in self.literal:
            return self.literal[path], {}
        for pattern, operation in self.patterns:
            if match := pattern.match(path):
                return operation, match.groupdict()
        return None, {}
