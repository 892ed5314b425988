"""A route with a declaration that operations do not support stops the start."""

from collections.abc import AsyncIterator, Callable
from typing import Annotated, Any

import pytest
from fastapi import (
    APIRouter,
    BackgroundTasks,
    Body,
    Cookie,
    Depends,
    FastAPI,
    File,
    Header,
    Query,
    Request,
    Response,
    UploadFile,
)
from fastapi.routing import APIRoute
from pydantic import BaseModel
from starlette.middleware.gzip import GZipMiddleware

from app.api.routing.application import Application
from app.api.routing.context import Context
from app.api.routing.headers import CallHeaders, DeadlineHeaders
from app.api.routing.operation import Operation, UnsupportedRouteError, compile_operations
from app.main import create_app
from app.settings import Settings
from app.wiring.services import open_services


class Asked(BaseModel):
    text: str


async def guard() -> None:
    """Refuse every request, if called."""


async def resource() -> AsyncIterator[int]:
    yield 1


async def plain(context: Context, body: Asked) -> Response:
    return Response()


def not_async(body: Asked) -> Response:
    return Response()


async def generator(body: Asked) -> Any:
    yield b""


async def model(body: Asked) -> Asked:
    return body


async def unannotated(body: Asked):
    return Response()


async def depends(body: Asked, value: Annotated[int, Depends(resource)]) -> Response:
    return Response()


async def request(body: Asked, request: Request) -> Response:
    return Response()


async def response(body: Asked, response: Response) -> Response:
    return Response()


async def background(body: Asked, tasks: BackgroundTasks) -> Response:
    return Response()


async def query(body: Asked, limit: Annotated[int, Query()] = 1) -> Response:
    return Response()


async def cookie(body: Asked, session: Annotated[str, Cookie()] = "") -> Response:
    return Response()


async def typed_header(body: Asked, flag: Annotated[bool, Header()] = False) -> Response:
    return Response()


async def required_header(body: Asked, flag: Annotated[str, Header()]) -> Response:
    return Response()


async def several(one: Annotated[Asked, Body()], two: Annotated[Asked, Body()]) -> Response:
    return Response()


async def list_body(body: list[Asked]) -> Response:
    return Response()


async def upload(file: UploadFile) -> Response:
    return Response()


async def raw_file(file: Annotated[bytes, File()]) -> Response:
    return Response()


async def number_in_path(number: int, body: Asked) -> Response:
    return Response()


SHAPES: dict[str, tuple[Callable[..., Any], str]] = {
    "a plain def": (not_async, "not a coroutine function"),
    "a generator": (generator, "not a coroutine function"),
    "a returned model": (model, "does not return a Response"),
    "no annotation": (unannotated, "does not return a Response"),
    "a dependency with yield": (depends, "depends on resource"),
    "the request": (request, "declares the parameter request"),
    "the response": (response, "declares the parameter response"),
    "background tasks": (background, "declares the parameter tasks"),
    "a query parameter": (query, "takes limit"),
    "a cookie": (cookie, "takes session"),
    "a header that is not text": (typed_header, "declares the header flag"),
    "a required header": (required_header, "declares the header flag"),
    "a body of two parameters": (several, "body of several parameters"),
    "a body that is a list": (list_body, "not a pydantic model"),
    "an uploaded file": (upload, "body of several parameters or files"),
    "a file's bytes": (raw_file, "body of several parameters or files"),
}


def compiled(app: FastAPI) -> list[Operation]:
    return [operation for _, operation in compile_operations(app)]


def refused(app: FastAPI, reason: str, path: str = "POST /v1/ask: ") -> None:
    with pytest.raises(UnsupportedRouteError) as raised:
        compiled(app)
    assert str(raised.value).startswith(path)
    assert reason in str(raised.value)


@pytest.mark.parametrize(("endpoint", "reason"), SHAPES.values(), ids=SHAPES)
def test_a_route_with_an_unsupported_declaration_is_refused_by_name(endpoint, reason):
    app = FastAPI()
    app.post("/v1/ask", response_model=None)(endpoint)

    refused(app, reason)


def test_a_path_parameter_that_is_not_a_string_is_refused():
    app = FastAPI()
    app.post("/v1/ask/{number}")(number_in_path)

    refused(app, "a str for the path's number", "POST /v1/ask/{number}: ")


def test_a_global_dependency_is_refused_rather_than_bypassed():
    app = FastAPI(dependencies=[Depends(guard)])
    app.post("/v1/ask")(plain)

    refused(app, "depends on guard")


@pytest.mark.parametrize("where", ["router", "inclusion", "nested router"])
def test_a_routers_dependency_is_refused_rather_than_bypassed(where):
    app = FastAPI()
    dependencies = [Depends(guard)]
    router = APIRouter(prefix="/v1", dependencies=dependencies if where == "router" else None)
    if where == "nested router":
        inner = APIRouter(dependencies=dependencies)
        inner.post("/ask")(plain)
        router.include_router(inner)
    else:
        router.post("/ask")(plain)
    app.include_router(router, dependencies=dependencies if where == "inclusion" else None)

    refused(app, "depends on guard")


def test_a_route_class_that_handles_requests_itself_is_refused():
    class Own(APIRoute):
        """A route class that could handle requests itself."""

    router = APIRouter(prefix="/v1", route_class=Own)
    router.post("/ask")(plain)
    app = FastAPI()
    app.include_router(router)

    refused(app, "is a Own")


@pytest.mark.parametrize("option", [{"status_code": 201}, {"methods": ["POST", "PUT"]}])
def test_an_unsupported_option_of_the_decorator_is_refused(option):
    app = FastAPI()
    app.add_api_route("/v1/ask", plain, **{"methods": ["POST"], **option})

    refused(app, "")


def test_middleware_added_through_fastapi_is_refused():
    app = FastAPI()
    app.add_middleware(GZipMiddleware)

    refused(app, "user_middleware", "the application has ")


def test_an_overridden_dependency_is_refused():
    app = FastAPI()
    app.dependency_overrides[guard] = resource

    refused(app, "dependency_overrides", "the application has ")


async def test_an_unsupported_route_stops_the_start():
    app = create_app(Settings(_env_file=None), open_services)
    app.post("/v1/ask")(not_async)

    with pytest.raises(UnsupportedRouteError, match="POST /v1/ask: "):
        async with app.router.lifespan_context(app):
            raise AssertionError("the service started")


def test_a_route_in_nested_routers_has_its_full_path():
    inner, outer, app = APIRouter(prefix="/b"), APIRouter(prefix="/a"), FastAPI()
    inner.post("/c")(plain)
    outer.include_router(inner)
    app.include_router(outer)

    assert [operation.path for operation in compiled(app)] == ["/a/b/c"]


def test_every_documented_post_is_an_operation_with_its_documented_headers():
    app: Application = create_app(Settings(_env_file=None), open_services)
    operations = {operation.path: operation for operation in compiled(app)}
    documented = {
        path: {
            parameter["name"]
            for parameter in methods["post"].get("parameters", ())
            if parameter["in"] == "header"
        }
        for path, methods in app.openapi()["paths"].items()
        if "post" in methods
    }

    assert len(documented) > 20
    assert documented.keys() <= operations.keys()
    for path, names in documented.items():
        own = {name.decode() for _, name, _ in operations[path].texts}
        assert {name.lower() for name in names} == own | {
            name.lower() for name in operations[path].declared
        }


async def headers_only(headers: CallHeaders) -> Response:
    return Response()


async def timeout_only(
    headers: DeadlineHeaders, accept: Annotated[str, Header()] = "x"
) -> Response:
    return Response()


def test_a_header_model_and_single_string_headers_are_supported():
    app = FastAPI()
    app.post("/a")(headers_only)
    app.post("/b")(timeout_only)
    first, second = compiled(app)

    assert first.declared >= {"X-Request-Timeout", "Idempotency-Key", "X-Allow-Second-Bill"}
    assert second.declared == {"X-Request-Timeout"}
    assert second.texts == (("accept", b"accept", "x"),)
