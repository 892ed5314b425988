"""Decodes a request's body to the model that its route declares."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol, get_args, get_origin

from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive

from app.api.routing import json_body
from app.api.routing.form_stream import StreamedForm
from app.api.routing.headers import Headers
from app.api.routing.multipart import FormFile, FormParser, FormValue
from app.domain.errors import UnsupportedContentTypeError
from app.services.concurrency.threads import Threads

INLINE = 2**20
"""Bodies of fewer bytes are decoded on the event loop, in about 0.2 ms."""
INLINE_VALUES = 500
"""Bodies with more values are decoded in a thread, as each may be a fault to describe."""
JSON, FORM = "application/json", "multipart/form-data"
ANY_TYPE = "*/*"
"""Media type for JSON bodies that may declare any type, as AWS's SDKs declare none."""


def media_type(headers: Headers) -> bytes:
    """Return the declared media type without its parameters, in lower case."""
    return headers.get(b"content-type", b"").partition(b";")[0].strip().lower()


def is_json(headers: Headers) -> bool:
    """Tell whether a body is declared as JSON or as a type that is based on it (`+json`)."""
    declared = media_type(headers)
    built_on = declared.startswith(b"application/") and declared.endswith(b"+json")
    return declared == b"application/json" or built_on


def is_form(headers: Headers) -> bool:
    """Tell whether a body is declared as a multipart form."""
    return media_type(headers) == b"multipart/form-data"


def check_encoding(headers: Headers) -> None:
    """Raise UnsupportedContentTypeError for a compressed body: unpacked, it may be huge."""
    encoding = headers.get(b"content-encoding", b"identity")
    if encoding.strip().lower() not in (b"", b"identity"):
        raise UnsupportedContentTypeError(
            f"Content-Encoding is {encoding.decode('latin-1')}; send the body uncompressed"
        )


class Decoder(Protocol):
    """Decodes a body to a model."""

    async def decode(self, headers: Headers, receive: Receive) -> BaseModel:
        """Return the model. Raises a ServiceError or RequestValidationError."""
        ...


@dataclass(frozen=True, slots=True)
class ReadBody:
    """A `Receive` of a JSON body that is already in memory."""

    raw: bytes
    """The body, which bounds are checked on even if ``value`` is set."""
    value: Mapping[str, object] | None
    """The parsed body; None if it has to be parsed."""

    async def __call__(self) -> Message:
        """Return the body in one piece."""
        return {"type": "http.request", "body": self.raw, "more_body": False}


@dataclass(frozen=True)
class JsonDecoder:
    """Decodes JSON bodies."""

    model: type[BaseModel]
    threads: Threads
    """Threads for large bodies."""
    any_type: bool = False
    """Whether a body may be declared as any media type."""

    async def decode(self, headers: Headers, receive: Receive) -> BaseModel:
        """Return the model."""
        raw = await whole_body(receive)
        if not raw:
            raise RequestValidationError(
                [{"type": "missing", "loc": ("body",), "msg": "Field required"}]
            )
        plain = headers.get(b"content-type") == b"application/json"
        if not (plain or self.any_type or is_json(headers)):
            message = f"is not declared as JSON; send Content-Type: {JSON}"
            if is_form(headers):
                message += ", or a form to the path that ends in /upload"
            raise UnsupportedContentTypeError.at("body", message)
        if b"content-encoding" in headers:
            check_encoding(headers)
        few = not json_body.has_more_than(INLINE_VALUES, raw)
        known = receive.value if isinstance(receive, ReadBody) else None
        if few and len(raw) < INLINE:
            return self._decoded(raw, few, known)
        return await self.threads.run(self._decoded, raw, few, known)

    def _decoded(self, raw: bytes, few: bool, known: Mapping[str, object] | None) -> BaseModel:
        value: object = known
        if known is None:
            # `model_validate_json` would copy each picture's text once more for each form that it
            # may have.
            value = json_body.loads(raw, few=few)
        elif not few:
            json_body.check_count(raw)
        if isinstance(value, dict) and None in value.values():
            value = {k: v for k, v in value.items() if v is not None or k not in self._names}
        return validated(self.model, value)

    @cached_property
    def _names(self) -> frozenset[str]:
        """The names of the model's fields; a field that is null counts as left out."""
        fields = self.model.model_fields.items()
        return frozenset(field.alias or name for name, field in fields)


@dataclass(frozen=True)
class FormDecoder:
    """Decodes multipart forms."""

    model: type[BaseModel]

    async def decode(self, headers: Headers, receive: Receive) -> BaseModel:
        """Return the model."""
        if not is_form(headers):
            raise _unsupported(headers, f"is {FORM}")
        check_encoding(headers)
        parser = FormParser(headers[b"content-type"])
        async for piece in _pieces(receive):
            for start in range(0, len(piece), INLINE):
                if start:
                    # Other tasks run between the pieces of a large body.
                    await asyncio.sleep(0)
                parser.feed(piece[start : start + INLINE] if len(piece) > INLINE else piece)
        return validated(self.model, self._fields(parser.close()))

    def _fields(self, values: list[tuple[str, FormValue]]) -> dict[str, Any]:
        """Return the fields by name. Lists keep every value, other repeated fields the last one."""
        fields: dict[str, Any] = {}
        for name, value in values:
            # Browsers send empty values for fields that were not filled in.
            if value == "" or (isinstance(value, FormFile) and not (value.name or value.data)):
                continue
            if isinstance(value, FormFile):
                name = self._file_names.get(name, name)
            if name in self._lists:
                fields.setdefault(name, []).append(value)
            else:
                fields[name] = value
        return fields

    @cached_property
    def _lists(self) -> frozenset[str]:
        fields = self.model.model_fields.items()
        return frozenset(name for name, field in fields if get_origin(field.annotation) is list)

    @cached_property
    def _file_names(self) -> Mapping[str, str]:
        """Other names that callers use for the form's file field, each with the field's name."""
        fields = self.model.model_fields
        own = next((name for name, field in fields.items() if _takes_files(field.annotation)), None)
        return {} if own is None else {name: own for name in _FILE_NAMES if name not in fields}


@dataclass(frozen=True, slots=True)
class StreamedFormDecoder:
    """Decodes multipart forms whose file is read by the route while it arrives."""

    model: type[StreamedForm]

    async def decode(self, headers: Headers, receive: Receive) -> BaseModel:
        """Return the form before any of it is read."""
        if not is_form(headers):
            raise _unsupported(headers, f"is {FORM}")
        check_encoding(headers)
        return self.model.arriving(headers[b"content-type"], receive)


_FILE_NAMES = ("image", "images", "file", "files", "image[]", "images[]", "file[]", "files[]")


def _takes_files(annotation: Any) -> bool:  # noqa: ANN401 - any type
    if annotation is FormFile:
        return True
    return any(_takes_files(part) for part in get_args(annotation))


@dataclass(frozen=True, slots=True)
class OrForm:
    """Type metadata of a JSON body: the same path also takes the form ``form``."""

    form: type[BaseModel]

    @classmethod
    def beside(cls, body: FieldInfo) -> type[BaseModel] | None:
        """Return the model of the form that is accepted in place of ``body``, if there is one."""
        return next((extra.form for extra in body.metadata if isinstance(extra, cls)), None)


@dataclass(frozen=True, slots=True)
class EitherDecoder:
    """Decodes JSON or a multipart form."""

    json: JsonDecoder
    form: FormDecoder

    async def decode(self, headers: Headers, receive: Receive) -> BaseModel:
        """Return the model of the kind of body that was sent."""
        if is_form(headers):
            return await self.form.decode(headers, receive)
        if not is_json(headers):
            raise _unsupported(headers, f"are {JSON} and {FORM}")
        return await self.json.decode(headers, receive)


def validated(model: type[BaseModel], value: object) -> BaseModel:
    """Return ``value`` as ``model``, or raise RequestValidationError."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        faults = error.errors(include_url=False)
        raise RequestValidationError(
            [
                {**fault, "loc": ("body", *fault["loc"]), "ctx": _context(model, dict(fault))}
                for fault in faults
            ],
            body=value,
        ) from error


def _context(model: type[BaseModel], fault: dict[str, Any]) -> dict[str, Any]:
    """Return pydantic's context of the fault; for an unknown field, the names of the known ones."""
    if fault["type"] == "extra_forbidden" and len(fault["loc"]) == 1:
        fields = model.model_fields.items()
        return {"fields": tuple(field.alias or name for name, field in fields)}
    context: dict[str, Any] = fault.get("ctx", {})
    return context


def _unsupported(headers: Headers, accepted: str) -> UnsupportedContentTypeError:
    declared = headers.get(b"content-type", b"none").decode("latin-1")
    return UnsupportedContentTypeError(f"Content-Type is {declared}; accepted here {accepted}")


async def whole_body(receive: Receive) -> bytes:
    """Return the whole body. Raises ClientDisconnect."""
    message = await receive()
    if message["type"] == "http.request" and not message.get("more_body"):
        first: bytes = message.get("body", b"")
        return first
    parts = [message.get("body", b"")]
    while message["type"] == "http.request" and message.get("more_body"):
        message = await receive()
        parts.append(message.get("body", b""))
    if message["type"] != "http.request":
        raise ClientDisconnect
    return b"".join(parts)


async def _pieces(receive: Receive) -> AsyncIterator[bytes]:
    more = True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            raise ClientDisconnect
        more = message.get("more_body", False)
        if piece := message.get("body"):
            yield piece
