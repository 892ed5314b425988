"""Operations: FastAPI's knowledge of each POST route, compiled once at the start.

FastAPI describes the routes; a request never passes through it. An operation supports exactly what
the service's routes need, and a route that declares anything else prevents the start.
"""

import inspect
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI, Response
from fastapi.dependencies.models import Dependant
from fastapi.exceptions import RequestValidationError
from fastapi.params import Body, File, Form
from fastapi.routing import APIRoute, RouteContext, iter_route_contexts
from pydantic import BaseModel
from starlette.convertors import PathConvertor, StringConvertor
from starlette.routing import Mount
from starlette.types import Receive

from app.api.routing.context import RequestContext, current_context
from app.api.routing.decode import (
    ANY_TYPE,
    Decoder,
    EitherDecoder,
    FormDecoder,
    JsonDecoder,
    OrForm,
    StreamedFormDecoder,
)
from app.api.routing.form_stream import StreamedForm
from app.api.routing.headers import RequestHeaders, faults
from app.services.concurrency.threads import Threads

JSON_THREADS = 2
"""Number of large bodies parsed at a time; more would only compete for the interpreter."""


class UnsupportedRouteError(Exception):
    """A route declares something that operations do not support."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One POST route: its endpoint and the arguments that this is called with."""

    path: str
    endpoint: Callable[..., Awaitable[Response]]
    context: str | None = None
    """Name of the parameter for the `RequestContext`."""
    headers: str | None = None
    """Name of the parameter for the `RequestHeaders`."""
    declared: frozenset[str] = frozenset()
    """Names of the headers that the route declares; it ignores others."""
    texts: tuple[tuple[str, bytes, str], ...] = ()
    """Other headers, passed on as text: parameter, header and default."""
    body: str | None = None
    """Name of the parameter for the body."""
    decoder: Decoder | None = None

    @property
    def field_names(self) -> frozenset[str] | None:
        """The names of its JSON body's fields; None if other fields are not refused."""
        decoder = self.decoder.json if isinstance(self.decoder, EitherDecoder) else self.decoder
        if not isinstance(decoder, JsonDecoder):
            return None
        if decoder.model.model_config.get("extra") != "forbid":
            return None
        fields = decoder.model.model_fields.items()
        return frozenset(field.alias or name for name, field in fields)

    async def answer(
        self, context: RequestContext, receive: Receive, arguments: dict[str, Any]
    ) -> Response:
        """Call the endpoint with ``arguments`` (those in the path) and all others.

        Raises a ServiceError, or a RequestValidationError with all faults of headers and body.
        """
        return await self.endpoint(**arguments, **await self.bound(context, receive))

    async def bound(self, context: RequestContext, receive: Receive) -> dict[str, Any]:
        """Return the arguments from headers and body. Raises as `answer` does."""
        options = context.options
        arguments: dict[str, Any] = {}
        faulty = faults(options, self.declared) if options.faults else []
        if self.decoder is not None and self.body is not None:
            try:
                arguments[self.body] = await self.decoder.decode(context.headers, receive)
            except RequestValidationError as error:
                raise RequestValidationError([*faulty, *error.errors()], body=error.body) from error
        if faulty:
            raise RequestValidationError(faulty)
        if self.context is not None:
            arguments[self.context] = context
        if self.headers is not None:
            arguments[self.headers] = options.values
        for name, header, default in self.texts:
            arguments[name] = _text(context.headers, header, default)
        return arguments


def _text(headers: Mapping[bytes, bytes], name: bytes, default: str) -> str:
    return headers[name].decode("latin-1") if name in headers else default


def compile_operations(app: FastAPI) -> Iterator[tuple[RouteContext, Operation]]:
    """Yield every POST route of ``app`` with its operation.

    Raises UnsupportedRouteError for the first route that can't be compiled.
    """
    threads = Threads("json", JSON_THREADS)
    for what in ("user_middleware", "dependency_overrides"):
        if getattr(app, what):
            raise UnsupportedRouteError(f"the application has {what}, which POST routes bypass")
    for route in iter_route_contexts(app.routes):
        original = route.original_route
        if isinstance(original, Mount) or "POST" not in (route.methods or ()):
            continue
        try:
            yield route, _compiled(route, threads)
        except _NotHonouredError as error:
            raise UnsupportedRouteError(f"POST {route.path}: {error}") from error


class _NotHonouredError(Exception):
    """A route's declaration is not supported; the message names it."""


def _compiled(route: RouteContext, threads: Threads) -> Operation:
    if type(route.original_route) is not APIRoute:
        raise _NotHonouredError(f"is a {type(route.original_route).__name__}, not an APIRoute")
    _check_route(route)
    dependant: Dependant = route.dependant
    body = _body(route, threads)
    names = [dependency.name for dependency in dependant.dependencies]
    model, texts = _header_parameters(dependant)
    return Operation(
        path=str(route.path),
        endpoint=_endpoint(route),
        context=names[0] if names else None,
        headers=None if model is None else model[0],
        declared=frozenset() if model is None else _aliases(model[1]),
        texts=texts,
        body=None if body is None else body[0],
        decoder=None if body is None else body[1],
    )


_OTHER_PARAMETERS = (
    "request_param_name",
    "websocket_param_name",
    "http_connection_param_name",
    "response_param_name",
    "background_tasks_param_name",
    "security_scopes_param_name",
)


def _check_route(route: RouteContext) -> None:
    if route.methods != {"POST"}:
        raise _NotHonouredError("also takes other methods")
    for what in ("status_code", "max_body_size"):
        if getattr(route, what) is not None:
            raise _NotHonouredError(f"declares {what}")
    for name, convertor in route.param_convertors.items():
        if not isinstance(convertor, StringConvertor | PathConvertor):
            raise _NotHonouredError(f"converts the path's {name}")
    _check_parameters(route.dependant)


def _check_parameters(dependant: Dependant) -> None:
    for dependency in dependant.dependencies:
        if dependency.call is not current_context or dependency.name is None:
            name = getattr(dependency.call, "__qualname__", repr(dependency.call))
            raise _NotHonouredError(f"depends on {name}; only `current_context` is honoured")
    for parameter in (*dependant.query_params, *dependant.cookie_params):
        raise _NotHonouredError(f"takes {parameter.name} from the query or a cookie")
    for kind in _OTHER_PARAMETERS:
        if (name := getattr(dependant, kind)) is not None:
            raise _NotHonouredError(f"declares the parameter {name}; take a Context")
    for parameter in dependant.path_params:
        if parameter.field_info.annotation is not str or parameter.field_info.metadata:
            raise _NotHonouredError(f"takes more than a str for the path's {parameter.name}")


def _endpoint(route: RouteContext) -> Callable[..., Awaitable[Response]]:
    endpoint: Any = route.endpoint
    if not inspect.iscoroutinefunction(endpoint):
        raise _NotHonouredError("its function is not a coroutine function")
    returned = inspect.signature(endpoint, eval_str=True).return_annotation
    if not (isinstance(returned, type) and issubclass(returned, Response)):
        raise _NotHonouredError("its function does not return a Response")
    return endpoint  # type: ignore[no-any-return]


def _header_parameters(
    dependant: Dependant,
) -> tuple[tuple[str, type[BaseModel]] | None, tuple[tuple[str, bytes, str], ...]]:
    model: tuple[str, type[BaseModel]] | None = None
    texts = []
    for parameter in dependant.header_params:
        annotation: Any = parameter.field_info.annotation
        if isinstance(annotation, type) and issubclass(RequestHeaders, annotation):
            model = (parameter.name, annotation)
        elif annotation is str and isinstance(parameter.default, str):
            texts.append((parameter.name, parameter.alias.lower().encode(), parameter.default))
        else:
            raise _NotHonouredError(f"declares the header {parameter.name}")
    return model, tuple(texts)


def _aliases(model: type[BaseModel]) -> frozenset[str]:
    return frozenset(field.alias or name for name, field in model.model_fields.items())


def _body(route: RouteContext, threads: Threads) -> tuple[str, Decoder] | None:
    parameters = route.dependant.body_params
    if not parameters:
        return None
    info, name = route.body_field.field_info, parameters[0].name
    model = info.annotation
    if len(parameters) > 1 or isinstance(info, File) or not isinstance(info, Body):
        raise _NotHonouredError("declares a body of several parameters or files")
    if not (isinstance(model, type) and issubclass(model, BaseModel)):
        raise _NotHonouredError(f"its body {name} is not a pydantic model")
    if isinstance(info, Form) and issubclass(model, StreamedForm):
        return name, StreamedFormDecoder(model)
    if isinstance(info, Form):
        return name, FormDecoder(model)
    decoder = JsonDecoder(model, threads, any_type=info.media_type == ANY_TYPE)
    form = OrForm.beside(info)
    return name, decoder if form is None else EitherDecoder(decoder, FormDecoder(form))
