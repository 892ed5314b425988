"""The short way to routes with a JSON body: from its bytes straight into pydantic's model.

FastAPI's own way makes Python objects of the JSON first, then the model of those, tries every
router's patterns, and looks up every parameter anew for each request: for a small prompt a third
of all the work. Here that way is left to requests for which it decides something: those whose
body is not valid, and those with one of the optional headers. So the document, the checks and the
errors stay FastAPI's.
"""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any

from fastapi import Request, Response
from fastapi.dependencies.models import Dependant
from fastapi.params import Form
from fastapi.routing import APIRoute, APIRouter
from pydantic import BaseModel, ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api import rendering
from app.api.json_route import JsonRoute

INLINE = 2**20
"""Bytes of a body up to which it is read on the event loop, in about 0.2 ms."""

Called = Callable[..., Coroutine[Any, Any, Any]]


@dataclass(frozen=True, slots=True)
class Plan:
    """How a route's parameters are found, and what it calls."""

    route: APIRoute
    body: str
    """The name of that parameter."""
    model: type[BaseModel]
    dependencies: tuple[tuple[str, Called], ...]
    headers: frozenset[bytes]
    """Those that FastAPI has to read, in lower case."""

    def suits(self, headers: Mapping[bytes, bytes]) -> bool:
        """Tell whether a request with ``headers`` may go the short way."""
        kind = headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
        return kind == b"application/json" and self.headers.isdisjoint(headers)

    async def parsed(self, raw: bytes) -> BaseModel | None:
        """Return the body, None where FastAPI is to say what is wrong with it."""
        try:
            if len(raw) < INLINE:
                return self.model.model_validate_json(raw)
            return await asyncio.to_thread(self.model.model_validate_json, raw)
        except ValidationError:
            return None

    async def answer(self, request: Request, body: BaseModel) -> Response:
        """Call the endpoint."""
        found = {name: await dependency(request) for name, dependency in self.dependencies}
        response: Response = await self.route.endpoint(**found, **{self.body: body})
        return response


class ExpressMiddleware:
    """Answers what can go the short way, and passes on the rest."""

    def __init__(self, app: ASGIApp, routers: tuple[APIRouter, ...]) -> None:
        self.app = app
        self.plans = plans(routers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        plan = self._plan(scope)
        if plan is None:
            await self.app(scope, receive, send)
            return
        try:
            raw = await _read(receive)
        except (HTTPException, ClientDisconnect):
            # The same will be met again by what renders it.
            await self.app(scope, receive, send)
            return
        request = Request(scope, receive)
        body = await plan.parsed(raw)
        if body is None:
            await self.app(scope, _again(raw, receive), send)
            return
        # A picture's text is in the parsed body. Kept twice while the model thinks, the bodies in
        # flight would be a quarter of the memory.
        del raw
        scope["route"] = plan.route
        try:
            response = await plan.answer(request, body)
        except rendering.EXPECTED as error:
            response = rendering.of(error, request)
        await response(scope, receive, send)

    def _plan(self, scope: Scope) -> Plan | None:
        if scope["type"] != "http" or scope["method"] != "POST":
            return None
        plan = self.plans.get(scope["path"].removeprefix(scope.get("root_path", "")))
        return plan if plan is not None and plan.suits(scope["state"]["headers"]) else None


async def _read(receive: Receive) -> bytes:
    """Return the whole body; Starlette's own way is a generator over each part."""
    parts: list[bytes] = []
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise ClientDisconnect
        if not message.get("more_body"):
            last: bytes = message.get("body", b"")
            return b"".join((*parts, last)) if parts else last
        parts.append(message["body"])


def _again(raw: bytes, receive: Receive) -> Receive:
    """Return a ``receive`` that begins with the body that was read."""
    unread = True

    async def receive_again() -> Message:
        nonlocal unread
        if unread:
            unread = False
            return {"type": "http.request", "body": raw, "more_body": False}
        return await receive()

    return receive_again


def plans(routers: tuple[APIRouter, ...]) -> dict[str, Plan]:
    """Return the plan of each `JsonRoute`, by its path."""
    routes = (route for router in routers for route in router.routes)
    found = (_plan_of(route) for route in routes if isinstance(route, JsonRoute))
    return {plan.route.path: plan for plan in found if plan is not None}


def _plan_of(route: APIRoute) -> Plan | None:
    """Return a plan where one can be made of what FastAPI found out about the endpoint."""
    dependant, field = route.dependant, route.body_field
    if field is None or isinstance(field.field_info, Form) or not _plain(dependant, body=True):
        return None
    if not all(map(_plain, dependant.dependencies)):
        return None
    model: Any = field.field_info.annotation
    dependencies = tuple(
        (found.name, found.call)
        for found in dependant.dependencies
        if found.name is not None and found.call is not None
    )
    headers = frozenset(
        parameter.alias.lower().encode()
        for found in dependant.dependencies
        for parameter in found.header_params
    )
    return Plan(route, dependant.body_params[0].name, model, dependencies, headers)


def _plain(dependant: Dependant, *, body: bool = False) -> bool:
    """Tell whether it needs the request and optional headers at most, and a body where said."""
    others = (
        dependant.path_params,
        dependant.query_params,
        dependant.cookie_params,
        [header for header in dependant.header_params if header.field_info.is_required()],
        [] if body else [*dependant.dependencies, *dependant.body_params],
    )
    return not any(others) and len(dependant.body_params) <= 1
