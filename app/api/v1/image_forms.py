"""The forms of a picture in a JSON body."""

from typing import Annotated

from pydantic import BeforeValidator, ConfigDict, Discriminator, Field, Tag

from app.api.file_id import FileId
from app.domain.generation import ImageInput
from app.domain.image import Base64Image, FileImage, S3Image, UrlImage
from app.services.deferred_model import DeferredModel


class ImageBase64(DeferredModel):
    """A picture as base64 text."""

    model_config = ConfigDict(extra="forbid", strict=True)

    base64: Annotated[
        str, Field(description="Base64 text (URL-safe and unpadded text too), or a data URI.")
    ]
    media_type: Annotated[
        str | None,
        Field(description="Declared media type; the type detected from the bytes is what counts."),
    ] = None


class ImageUrl(DeferredModel):
    """A picture's URL, from which this service fetches it."""

    model_config = ConfigDict(extra="forbid", strict=True)

    url: Annotated[
        str,
        Field(
            max_length=8192,
            description="An `https` URL on a host that the operator allows.",
            examples=["https://images.example.com/cat.jpg"],
        ),
    ]


class ImageS3(DeferredModel):
    """A picture in Amazon S3, read with this service's own AWS identity."""

    model_config = ConfigDict(extra="forbid", strict=True)

    s3_uri: Annotated[
        str,
        Field(
            pattern=r"^s3://[A-Za-z0-9._-]{3,63}/.+$",
            max_length=1100,
            description="`s3://bucket/key`, in a bucket that the operator allows. The key is "
            "not percent-encoded.",
        ),
    ]
    version_id: Annotated[
        str | None,
        Field(
            min_length=1,
            max_length=1024,
            description="Version of the object; by default the latest.",
        ),
    ] = None


class ImageFile(DeferredModel):
    """A picture that was uploaded to `/v1/files`."""

    model_config = ConfigDict(extra="forbid", strict=True)

    file_id: Annotated[
        FileId,
        Field(description="Id of the caller's own file, uploaded with the purpose `vision`."),
    ]


def _image_form(value: object) -> str | None:
    if isinstance(value, str):
        return "text"
    fields = value if isinstance(value, dict) else getattr(value, "__dict__", {})
    return next((form for form in ("url", "s3_uri", "file_id", "base64") if form in fields), None)


_MEMBERS = frozenset(
    name for form in (ImageBase64, ImageUrl, ImageS3, ImageFile) for name in form.model_fields
)


def _without_nulls(value: object) -> object:
    """Return ``value`` without members of other forms that are null."""
    if not isinstance(value, dict):
        return value
    return {n: member for n, member in value.items() if member is not None or n not in _MEMBERS}


ImageIn = Annotated[
    Annotated[
        Annotated[str, Tag("text"), Field(title="Base64 or data URI")]
        | Annotated[ImageBase64, Tag("base64")]
        | Annotated[ImageUrl, Tag("url")]
        | Annotated[ImageS3, Tag("s3_uri")]
        | Annotated[ImageFile, Tag("file_id")],
        Discriminator(
            _image_form,
            custom_error_type="image_form",
            custom_error_message="give base64 text, a data URI, or an object with `base64`, "
            "`url`, `s3_uri` or `file_id`",
        ),
    ],
    BeforeValidator(_without_nulls),
]


def received(
    image: str | ImageBase64 | ImageUrl | ImageS3 | ImageFile, name: str, owner: str
) -> ImageInput:
    """Return the domain's form of ``image``, which ``owner`` sent at the path ``name``."""
    match image:
        case str():
            return Base64Image(image, None, name)
        case ImageBase64():
            return Base64Image(image.base64, image.media_type, name)
        case ImageUrl():
            return UrlImage(image.url, name)
        case ImageFile():
            return FileImage(image.file_id, owner, name)
        case ImageS3():
            bucket, _, key = image.s3_uri.removeprefix("s3://").partition("/")
            return S3Image(bucket, key, image.version_id, name)
