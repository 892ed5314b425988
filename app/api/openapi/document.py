"""Adds the parts of the OpenAPI document that FastAPI does not generate."""

import warnings
from collections.abc import Iterator
from functools import cache
from typing import Any

from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema
from pydantic.warnings import UnsupportedFieldAttributeWarning

from app.api.errors import dialects
from app.api.errors.problem import Problem
from app.api.openai import errors as openai
from app.api.openai.answer import ChatChunk
from app.api.routing import deferral
from app.api.routing.decode import FORM, OrForm
from app.api.v1.generate.schemas import DoneEvent
from app.api.v1.generate.streaming import DeltaEvent, ErrorEvent, StartEvent
from app.api.v1.tasks.streaming import ProgressEvent

# Schemas of responses in other media types than JSON, for which FastAPI takes no models.
NAMED: tuple[type[BaseModel], ...] = (
    Problem,
    StartEvent,
    DeltaEvent,
    DoneEvent,
    ErrorEvent,
    ProgressEvent,
    ChatChunk,
    openai.ChatErrorBody,
)

LATER: dict[str, Any] = {
    "description": "With `Prefer: respond-async`: a job, whose answer is fetched from the URL "
    "in `Location`.",
    "headers": {
        "Location": {"schema": {"type": "string"}, "description": "`/v1/jobs/{id}`"},
    },
    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/JobOut"}}},
}


def install(app: FastAPI) -> None:
    """Add the schemas in NAMED, forms, jobs and OpenAI's form of errors to ``app``'s document."""
    original = app.openapi

    @cache
    def openapi() -> dict[str, Any]:
        with warnings.catch_warnings():
            # FastAPI itself suppresses this warning for bodies; these are built only now.
            warnings.simplefilter("ignore", UnsupportedFieldAttributeWarning)
            document = original()
        forms = dict(_forms(app))
        _, named = models_json_schema(
            [
                *((model, "serialization") for model in NAMED),
                *((form, "validation") for form in forms.values()),
            ],
            ref_template="#/components/schemas/{model}",
        )
        schemas = document["components"]["schemas"]
        for path, form in forms.items():
            content = document["paths"][path]["post"]["requestBody"]["content"]
            # The form comes first, because Swagger UI then offers a file chooser.
            reference = {"schema": {"$ref": f"#/components/schemas/{form.__name__}"}}
            document["paths"][path]["post"]["requestBody"]["content"] = {FORM: reference, **content}
        for path, operations in document["paths"].items():
            if dialects.shape(path) is openai.SHAPE:
                for operation in operations.values():
                    _correct(operation["responses"])
        for path, operations in document["paths"].items():
            if deferral.generates(path):
                operations["post"]["responses"]["202"] = LATER
        for unused in ("HTTPValidationError", "ValidationError"):
            del schemas[unused]
        document["components"]["schemas"] = dict(sorted({**named["$defs"], **schemas}.items()))
        return document

    app.openapi = openapi  # type: ignore[method-assign] # FastAPI's documented way to extend it


def _forms(app: FastAPI) -> Iterator[tuple[str, type[BaseModel]]]:
    """Yield the paths that accept a form as well as JSON, with the form's model."""
    for route in iter_route_contexts(app.routes):
        body = getattr(route, "body_field", None)
        form = None if body is None else OrForm.beside(body.field_info)
        if form is not None:
            yield str(route.path), form


def _correct(answers: dict[str, Any]) -> None:
    """Remove the 422 that FastAPI adds, as this dialect answers 400.

    Also restore ``param: null``, which these errors have and FastAPI strips from examples.
    """
    answers.pop("422", None)
    for answer in answers.values():
        for example in answer["content"].get("application/json", {}).get("examples", {}).values():
            example["value"]["error"].setdefault("param", None)
