"""Swagger UI from the service's own files: it works with no internet."""

import importlib.util
from pathlib import Path

from fastapi import APIRouter, FastAPI, Request
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


def install(app: FastAPI) -> None:
    """Serve the page and its files, which a package carries."""
    found = importlib.util.find_spec("fastapi_swagger")
    assert found is not None
    assert found.origin is not None
    app.include_router(router)
    app.mount(_FILES, StaticFiles(directory=Path(found.origin).parent / "resources"))
