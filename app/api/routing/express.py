"""The short way to routes with a body of JSON or a form: its bytes straight into pydantic's model.

FastAPI's own way tries every router's patterns, looks up every parameter anew for each request
and parses JSON more slowly: for a small prompt a third of all the work. Here that way is left to
requests for which it decides something: those whose body is not valid, and those with one of the
optional headers. So the document, the checks and the errors stay FastAPI's.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any, get_origin

from fastapi import Request, Response
from fastapi.dependencies.models import Dependant
from fastapi.params import Form
from fastapi.routing import APIRoute, APIRouter
from pydantic import BaseModel, ValidationError
from pydantic_core import from_json
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.errors import dialects
from app.api.routing.short_route import ShortRoute
from app.api.routing.uploads import multipart_only, read_form

INLINE = 2**20
"""Bytes of a body up to which it is read on the event loop, in about 0.2 ms."""
JSON, FORM = b"application/json", b"multipart/form-data"

Called = Callable[..., Coroutine[Any, Any, Any]]
Parse = Callable[[bytes, Request], Awaitable[BaseModel | None]]
"""Makes the model of a body; None where FastAPI is to say what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How a route's parameters are found, and what it calls."""

    route: APIRoute
    kind: bytes
    """The body's media type."""
    parse: Parse
    body: str
    """The name of that parameter."""
    dependencies: tuple[tuple[str, Called], ...]
    headers: frozenset[bytes]
    """Those that FastAPI has to read, in lower case."""

    def suits(self, headers: Mapping[bytes, bytes]) -> bool:
        """Tell whether a request with ``headers`` may go the short way."""
        kind = headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
        return (
            kind == self.kind
            and self.headers.isdisjoint(headers)
            # Larger forms are read as they come in, so that the event loop turns in between.
            and (kind == JSON or _length(headers) < INLINE)
        )

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
        scope["route"] = plan.route
        try:
            raw = await _read(receive)
        except (HTTPException, ClientDisconnect):
            # The same will be met again by what renders it.
            await self.app(scope, receive, send)
            return
        request = Request(scope, receive)
        body = await plan.parse(raw, request)
        if body is None:
            await self.app(scope, _again(raw, receive), send)
            return
        # A picture's text is in the parsed body. Kept twice while the model thinks, the bodies in
        # flight would be a quarter of the memory.
        del raw
        try:
            response = await plan.answer(request, body)
        except dialects.EXPECTED as error:
            response = dialects.of(error, request)
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
    """Return the plan of each `ShortRoute`, by its path."""
    routes = (route for router in routers for route in router.routes)
    found = (_plan_of(route) for route in routes if isinstance(route, ShortRoute))
    return {plan.route.path: plan for plan in found if plan is not None}


def _plan_of(route: APIRoute) -> Plan | None:
    """Return a plan where one can be made of what FastAPI found out about the endpoint."""
    dependant, field = route.dependant, route.body_field
    if field is None or not _plain(dependant, body=True):
        return None
    if not all(map(_plain, dependant.dependencies)):
        return None
    model: Any = field.field_info.annotation
    form = isinstance(field.field_info, Form)
    kind, parse = (FORM, _form(model)) if form else (JSON, _json(model))
    # Checked by the plan.
    needed = [found for found in dependant.dependencies if found.call is not multipart_only]
    dependencies = tuple(
        (found.name, found.call)
        for found in needed
        if found.name is not None and found.call is not None
    )
    if len(dependencies) < len(needed):
        return None
    headers = frozenset(
        parameter.alias.lower().encode()
        for found in dependant.dependencies
        for parameter in found.header_params
    )
    return Plan(route, kind, parse, dependant.body_params[0].name, dependencies, headers)


def _json(model: type[BaseModel]) -> Parse:
    def read(raw: bytes) -> BaseModel:
        # Not by `model_validate_json`, which copies each picture's text once more, and again for
        # each form that it may have.
        return model.model_validate(from_json(raw))

    async def parse(raw: bytes, _: Request) -> BaseModel | None:
        try:
            return read(raw) if len(raw) < INLINE else await asyncio.to_thread(read, raw)
        except ValueError:
            return None

    return parse


def _form(model: type[BaseModel]) -> Parse:
    lists = {name for name, f in model.model_fields.items() if get_origin(f.annotation) is list}

    async def parse(raw: bytes, request: Request) -> BaseModel | None:
        try:
            form = await read_form(raw, request.headers)
        except MultiPartException:
            return None
        try:
            # Its files are closed when they are read.
            return model.model_validate(_values(form, lists))
        except (_UnclearError, ValidationError):
            await form.close()
            return None

    return parse


class _UnclearError(Exception):
    """FastAPI is to judge."""


def _values(form: FormData, lists: AbstractSet[str]) -> dict[str, Any]:
    single = {name: value for name, value in form.items() if name not in lists}
    several = {name: form.getlist(name) for name in lists & form.keys()}
    count = len(single) + sum(map(len, several.values()))
    sent = [value for _, value in form.multi_items()]
    # Fields that are repeated, and files that nobody chose.
    if count < len(sent) or any(map(_unchosen, sent)):
        raise _UnclearError
    return {**single, **several}


def _unchosen(value: object) -> bool:
    return isinstance(value, UploadFile) and not value.filename


def _length(headers: Mapping[bytes, bytes]) -> float:
    declared = headers.get(b"content-length", b"")
    return int(declared) if declared.isdigit() else math.inf


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
