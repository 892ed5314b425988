"""Multipart bodies: generation options as form fields, pictures as files."""

from typing import Annotated, Any

from fastapi import Request, UploadFile
from pydantic import ConfigDict, Field, WithJsonSchema, model_validator

from app.api.v1.schemas import GenerationOptions
from app.domain.errors import UnsupportedContentTypeError
from app.domain.generation import GenerationRequest, Terms
from app.domain.image import ReceivedImage

# Swagger UI offers a file chooser for this form of the schema only.
File = Annotated[UploadFile, WithJsonSchema({"type": "string", "format": "binary"})]


async def multipart_only(request: Request) -> None:
    """Refuse bodies of another type, which would otherwise read as an empty form."""
    given = request.headers.get("content-type", "none")
    if not given.lower().startswith("multipart/form-data"):
        raise UnsupportedContentTypeError(
            f"Content-Type is {given}; accepted here is multipart/form-data"
        )


class GenerateForm(GenerationOptions):
    """A prompt, image files, or both."""

    model_config = ConfigDict(extra="forbid")

    images: Annotated[list[File], Field(description="Pictures, one file each.")] = []  # noqa: RUF012 - Pydantic copies it

    @model_validator(mode="before")
    @classmethod
    def _drop_blanks(cls, values: dict[str, Any]) -> dict[str, Any]:
        """Take a field that a browser sent empty for one that was not sent."""
        return {name: value for name, value in values.items() if value not in ("", [""])}

    async def to_request(self, terms: Terms) -> GenerationRequest:
        """Return the domain's request."""
        images = [
            ReceivedImage(await file.read(), file.content_type, f"images.{i}")
            for i, file in enumerate(self.images)
        ]
        return self.request(tuple(images), terms)
