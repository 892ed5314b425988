"""Serves the OpenAPI document, and Swagger UI from local files, so that it works offline."""

import asyncio
import importlib.util
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any

import orjson
from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse, RedirectResponse
from starlette.staticfiles import StaticFiles

router = APIRouter(include_in_schema=False)

_FILES = "/docs/files"


@router.get("/")
async def root(request: Request) -> RedirectResponse:
    return RedirectResponse(request.scope.get("root_path", "") + "/docs")


@router.get("/docs")
async def swagger_ui(request: Request) -> HTMLResponse:
    prefix = request.scope.get("root_path", "")
    return get_swagger_ui_html(
        openapi_url=f"{prefix}/openapi.json",
        title=request.app.title,
        swagger_js_url=f"{prefix}{_FILES}/swagger-ui-bundle.js",
        swagger_css_url=f"{prefix}{_FILES}/swagger-ui.css",
        swagger_favicon_url=f"{prefix}{_FILES}/favicon-32x32.png",
        swagger_ui_parameters={
            "tryItOutEnabled": True,
            "displayRequestDuration": True,
            "persistAuthorization": True,
            "docExpansion": "list",
        },
    )


@dataclass(slots=True)
class Document:
    """The OpenAPI document as JSON. It is built once, which takes a second or more."""

    app: FastAPI
    _rendered: dict[str, bytes] = field(default_factory=dict)
    """The document as JSON, by the path prefix under which the service is reached."""
    _making: Lock = field(default_factory=Lock)

    async def __call__(self, request: Request) -> Response:
        """Answer with the document, which is built in a thread."""
        prefix = request.scope.get("root_path", "").rstrip("/")
        rendered = self._rendered.get(prefix)
        if rendered is None:
            rendered = await asyncio.to_thread(self._render, prefix)
        return Response(rendered, media_type="application/json")

    def _render(self, prefix: str) -> bytes:
        with self._making:
            if prefix not in self._rendered:
                servers: dict[str, Any] = {"servers": [{"url": prefix}]} if prefix else {}
                self._rendered[prefix] = orjson.dumps({**self.app.openapi(), **servers})
            return self._rendered[prefix]


def install(app: FastAPI) -> None:
    """Serve the document, the page and its files, which come from a package."""
    package = importlib.util.find_spec("fastapi_swagger")
    assert package is not None
    assert package.origin is not None
    app.include_router(router)
    app.add_route("/openapi.json", Document(app).__call__, include_in_schema=False)
    app.mount(_FILES, StaticFiles(directory=Path(package.origin).parent / "resources"))
