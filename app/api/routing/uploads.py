"""Multipart bodies: generation options as form fields, pictures as files."""

import sys
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping
from contextlib import aclosing
from typing import Annotated, Any

from fastapi import Request, Response, UploadFile
from pydantic import ConfigDict, Field, WithJsonSchema, model_validator
from starlette.datastructures import FormData, Headers
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException, MultiPartParser

from app.api.routing.short_route import ShortRoute
from app.api.v1.generate.schemas import GenerationOptions
from app.domain.errors import UnsupportedContentTypeError
from app.domain.generation import GenerationRequest, Terms
from app.domain.image import ReceivedImage

# Swagger UI offers a file chooser for this form of the schema only.
File = Annotated[UploadFile, WithJsonSchema({"type": "string", "format": "binary"})]


class MemoryParser(MultiPartParser):
    """Keeps files in memory, which is reserved for every body, and not on disk from 1 MB on.

    Writing a 4 MB file there and reading it again costs three times the parsing. A body that
    breaks off is refused: Starlette drops its last part, the very picture or limit perhaps, in
    silence.
    """

    spool_max_size = sys.maxsize
    ended = False
    """Whether the closing boundary came."""

    def on_end(self) -> None:
        """Note it."""
        self.ended = True

    async def parse(self) -> FormData:
        """Return the form, or raise MultiPartException."""
        form = await super().parse()
        if not self.ended:
            # Not all of them are in the form.
            for file in self._files_to_close_on_error:
                file.close()
            raise MultiPartException("it breaks off before its closing boundary")
        return form


async def read_form(raw: bytes, headers: Headers) -> FormData:
    """Return the form that ``raw`` holds, or raise MultiPartException."""

    async def whole() -> AsyncGenerator[bytes]:
        yield raw
        # As the framework's own streams end.
        yield b""

    return await MemoryParser(headers, whole()).parse()


class UploadRequest(Request):
    """A request whose form is read by `MemoryParser`."""

    # What `Request.form` calls, which has no public place for another parser.
    async def _get_form(self, **limits: Any) -> FormData:  # noqa: ANN401 - Starlette's, passed on
        # The body as a whole is bounded where it comes in.
        limits["max_part_size"] = sys.maxsize
        if self._form is None and _is_multipart(self):
            try:
                async with aclosing(self.stream()) as stream:
                    self._form = await MemoryParser(self.headers, stream, **limits).parse()
            except MultiPartException as error:
                raise HTTPException(400, error.message) from error
        return await super()._get_form(**limits)


class UploadRoute(ShortRoute):
    """A route whose body, where it is a form, is an `UploadRequest`'s."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return what answers a request."""
        usual = super().get_route_handler()

        async def handle(request: Request) -> Response:
            return await usual(UploadRequest(request.scope, request.receive))

        return handle


async def multipart_only(request: Request) -> None:
    """Refuse bodies of another type, which would otherwise read as an empty form."""
    if not _is_multipart(request):
        given = request.headers.get("content-type", "none")
        raise UnsupportedContentTypeError(
            f"Content-Type is {given}; accepted here is multipart/form-data"
        )


def _is_multipart(request: Request) -> bool:
    return request.headers.get("content-type", "").lower().startswith("multipart/form-data")


async def uploaded(file: UploadFile, name: str) -> ReceivedImage:
    """Return the domain's form of ``file``, which stands at ``name``, and let go of the other."""
    data = await file.read()
    await file.close()
    return ReceivedImage(data, file.content_type, name)


def exemplified(values: Mapping[str, Any]) -> Callable[[dict[str, Any]], None]:
    """Return what gives a form's fields that have no default an example: theirs, or a blank.

    Swagger UI makes a value up for a field that has neither, and sends it. A blank is taken for
    nothing; null would be sent as a word.
    """

    def extend(schema: dict[str, Any]) -> None:
        for name, field in schema["properties"].items():
            if field.get("default") is None:
                field["examples"] = [values.get(name, "")]

    return extend


class GenerateForm(GenerationOptions):
    """A prompt, image files, or both."""

    model_config = ConfigDict(extra="forbid", json_schema_extra=exemplified({}))

    images: Annotated[list[File], Field(description="Pictures, one file each.")] = []  # noqa: RUF012 - Pydantic copies it

    @model_validator(mode="before")
    @classmethod
    def _drop_blanks(cls, values: dict[str, Any]) -> dict[str, Any]:
        """Take a field that a browser sent empty for one that was not sent."""
        return {name: value for name, value in values.items() if value not in ("", [""])}

    async def to_request(self, terms: Terms) -> GenerationRequest:
        """Return the domain's request."""
        images = [await uploaded(file, f"images.{i}") for i, file in enumerate(self.images)]
        return self.request(tuple(images), terms)
