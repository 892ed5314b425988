"""A body with one picture: JSON or a multipart form, on one path."""

from typing import Annotated

from fastapi import Body
from pydantic import ConfigDict, Field

from app.api.openapi.examples import PICTURE
from app.api.routing.decode import OrForm
from app.api.routing.multipart import FormFile
from app.api.v1.image_forms import ImageIn, received
from app.domain.generation import ImageInput
from app.domain.image import ReceivedImage
from app.services.deferred_model import DeferredModel

_NAME = "image"


class PrepareIn(DeferredModel):
    """One picture."""

    model_config = ConfigDict(extra="forbid", strict=True)

    image: Annotated[
        ImageIn,
        Field(description="The picture: base64 text, a data URI, a URL, an S3 object or a file."),
    ]

    def to_image(self, owner: str) -> ImageInput:
        """Return the domain's form of the picture; ``owner`` is the caller who sent it."""
        return received(self.image, _NAME, owner)


class PictureForm(DeferredModel):
    """One picture as a file."""

    model_config = ConfigDict(extra="forbid")

    image: Annotated[FormFile, Field(description="The picture's file.")]

    def to_image(self, owner: str) -> ImageInput:  # noqa: ARG002 - the same signature as the JSON
        # body's
        """Return the domain's form of the picture."""
        return ReceivedImage(self.image.data, self.image.content_type, _NAME)


Picture = Annotated[
    PrepareIn,
    OrForm(PictureForm),
    Body(openapi_examples={"picture": {"summary": "A picture", "value": {_NAME: PICTURE}}}),
]
