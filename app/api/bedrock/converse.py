"""Schemas of Converse's request bodies. Pure."""

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, model_validator

from app.api.bedrock.guardrail import GuardrailConfig
from app.api.bedrock.output_config import OutputConfig
from app.api.unsupported_parameters import ForeignParameters
from app.domain.conversation import alternating
from app.domain.generation import CallContext, GenerationRequest, ImageInput, Role, Sampling, Turn
from app.domain.guardrail import GuardrailWish
from app.domain.image import Base64Image, S3Image
from app.services.deferred_model import DeferredModel

MAX_TOKENS = 2048
"""Converse's default: as many tokens as the model can generate."""

REQUEST = ForeignParameters(
    harmless=frozenset({"requestMetadata"}),
    neutral={
        "additionalModelRequestFields": ({},),
        "additionalModelResponseFieldPaths": ([],),
        "performanceConfig": ({}, {"latency": "standard"}),
        "promptVariables": ({},),
        "serviceTier": ({"type": "default"},),
        "toolConfig": (),
    },
    reasons={
        "toolConfig": "the model takes no tools with pictures; for an answer in a given form, "
        "send a json_schema in outputConfig.textFormat"
    },
)

_STRICT = ConfigDict(extra="forbid", strict=True)


class S3Location(DeferredModel):
    """A picture in a bucket that the operator allows."""

    model_config = _STRICT

    uri: Annotated[str, Field(pattern=r"^s3://[A-Za-z0-9._-]{3,63}/.+$", max_length=1100)]
    bucketOwner: Annotated[  # noqa: N815 - AWS's name
        str | None, Field(pattern=r"^[0-9]{12}$")
    ] = None


class ConverseSource(DeferredModel):
    """The source of a picture's bytes."""

    model_config = ConfigDict(extra="forbid", strict=True)

    data: Annotated[str | None, Field(alias="bytes")] = None
    s3Location: S3Location | None = None  # noqa: N815 - AWS's name

    @model_validator(mode="after")
    def _one(self) -> "ConverseSource":
        if (self.data is None) == (self.s3Location is None):
            raise ValueError("give either bytes or s3Location")
        return self


class ConverseImage(DeferredModel):
    """A picture. Its declared format is ignored, as the bytes decide."""

    model_config = _STRICT

    format: Literal["png", "jpeg", "gif", "webp"]
    source: ConverseSource


class ConverseBlock(DeferredModel):
    """One block of a message: a text or a picture; the model takes no other kinds."""

    # Extra members are allowed so that AWS's other kinds of blocks get an error of their own;
    # members that are null don't count.
    model_config = ConfigDict(extra="allow", strict=True)

    text: str | None = None
    image: ConverseImage | None = None

    @model_validator(mode="after")
    def _one(self) -> "ConverseBlock":
        others = [name for name, value in (self.model_extra or {}).items() if value is not None]
        if others:
            names = ", ".join(name[:40] for name in others[:3])
            raise ValueError(f"{names}: the model takes blocks of text and image only")
        if (self.text is None) == (self.image is None):
            raise ValueError("give either text or image")
        return self


class ConverseMessage(DeferredModel):
    """One turn of a conversation."""

    model_config = _STRICT

    role: Literal["user", "assistant"]
    content: list[ConverseBlock]

    @model_validator(mode="after")
    def _only_users_show(self) -> "ConverseMessage":
        if self.role == "assistant" and any(block.image for block in self.content):
            raise ValueError("only the user's messages may hold images")
        return self


class ConverseSystem(DeferredModel):
    """Instructions that precede the conversation."""

    model_config = _STRICT

    text: str


class InferenceConfig(DeferredModel):
    """Sampling parameters and stop sequences."""

    # Frozen, as pydantic copies a default that may change for each request.
    model_config = ConfigDict(**_STRICT, frozen=True)

    maxTokens: Annotated[int | None, Field(ge=1, le=2048)] = None  # noqa: N815 - AWS's name
    temperature: Annotated[float | None, Field(ge=0, le=1)] = None
    topP: Annotated[float | None, Field(ge=0, le=1)] = None  # noqa: N815 - AWS's name
    stopSequences: Annotated[  # noqa: N815 - AWS's name
        list[Annotated[str, Field(min_length=1, max_length=256)]] | None, Field(max_length=64)
    ] = None


class ConverseIn(DeferredModel):
    """A conversation to continue."""

    model_config = ConfigDict(extra="allow", strict=True)

    messages: Annotated[list[ConverseMessage], Field(min_length=1)]
    system: list[ConverseSystem] | None = None
    inferenceConfig: InferenceConfig = InferenceConfig()  # noqa: N815 - AWS's name
    outputConfig: OutputConfig = OutputConfig()  # noqa: N815 - AWS's name
    guardrailConfig: GuardrailConfig | None = None  # noqa: N815 - AWS's name

    def guardrail_wish(self) -> GuardrailWish | None:
        """Return the request's wishes for the guardrail policy."""
        return None if self.guardrailConfig is None else self.guardrailConfig.wish()

    def ignored(self) -> tuple[str, ...]:
        """Return the ignored parameters. Raises a RequestError for one that would matter."""
        return REQUEST.ignored(self.model_extra or {})

    def to_request(self, call_context: CallContext) -> GenerationRequest:
        """Return the domain's request."""
        config, default = self.inferenceConfig, Sampling()
        return GenerationRequest(
            turns=alternating(self._turns()),
            whole_conversation=True,
            system="\n\n".join(block.text for block in self.system or ()) or None,
            sampling=Sampling(
                default.temperature if config.temperature is None else config.temperature,
                default.top_p if config.topP is None else config.topP,
                config.maxTokens or MAX_TOKENS,
            ),
            stop=tuple(config.stopSequences or ()),
            call_context=call_context,
            shows_blocked=True,
        )

    def _turns(self) -> Iterator[Turn[ImageInput]]:
        for i, message in enumerate(self.messages):
            text = "\n".join(block.text for block in message.content if block.text is not None)
            images = tuple(
                _image(block.image, f"messages.{i}.content.{j}.image")
                for j, block in enumerate(message.content)
                if block.image is not None
            )
            yield Turn(Role(message.role), text, images)


def _image(image: ConverseImage, name: str) -> ImageInput:
    location = image.source.s3Location
    if location is not None:
        bucket, _, key = location.uri.removeprefix("s3://").partition("/")
        return S3Image(bucket, key, None, name, location.bucketOwner)
    return Base64Image(image.source.data or "", f"image/{image.format}", name)
