"""Bodies and answers of the service's own dialect."""

from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag

from app.domain.cost import Cost
from app.domain.generation import (
    Generation,
    GenerationRequest,
    ImageInput,
    Role,
    Sampling,
    StopReason,
    Terms,
    Turn,
)
from app.domain.image import Base64Image, Caveat, ImageReport
from app.domain.model import Dialect, Language


class ImageBase64(BaseModel):
    """A picture as base64 text."""

    model_config = ConfigDict(extra="forbid", strict=True)

    base64: Annotated[str, Field(description="Standard base64 with padding, or a data URI.")]
    media_type: Annotated[
        str | None,
        Field(description="Declared type; what counts is the type found in the bytes."),
    ] = None


def _image_form(value: object) -> str:
    return "text" if isinstance(value, str) else "base64"


ImageIn = Annotated[
    Annotated[str, Tag("text"), Field(title="Base64 or data URI")]
    | Annotated[ImageBase64, Tag("base64")],
    Discriminator(_image_form),
]


class GenerationOptions(BaseModel):
    """What every generation endpoint takes beside its images."""

    model_config = ConfigDict(extra="forbid")

    prompt: Annotated[
        str,
        Field(
            description="What is asked. Required unless images are given; pictures alone are "
            "described. Special tokens of the Llama template in it are made harmless."
        ),
    ] = ""
    system: Annotated[
        str | None, Field(description="Instructions that stand above the prompt.")
    ] = None
    temperature: Annotated[
        float, Field(ge=0, le=1, description="Randomness, 0 to 1. 0 is the most repeatable.")
    ] = 0.5
    top_p: Annotated[
        float, Field(ge=0, le=1, description="Nucleus sampling, 0 to 1. 1 turns it off.")
    ] = 0.9
    max_gen_len: Annotated[
        int,
        Field(
            ge=1,
            le=2048,
            description="Most tokens to generate. Bedrock reserves them from its quota up front.",
        ),
    ] = 512
    language: Annotated[
        Language | None,
        Field(
            strict=False,
            description="Language to answer in. With an image Meta supports English only; others "
            "are answered with a warning.",
        ),
    ] = None
    stream: Annotated[
        bool, Field(description="Answer with server-sent events, piece by piece.")
    ] = False
    raw_prompt: Annotated[
        bool,
        Field(
            description="Send the prompt exactly as written, for callers who write the Llama "
            "template themselves: one `<|image|>` for each image. Needs the invoke dialect."
        ),
    ] = False

    def request(self, images: tuple[ImageInput, ...], terms: Terms) -> GenerationRequest:
        """Return the domain's request."""
        return GenerationRequest(
            turns=(Turn(Role.USER, self.prompt, images),),
            system=self.system,
            sampling=Sampling(self.temperature, self.top_p, self.max_gen_len),
            language=self.language,
            raw_prompt=self.raw_prompt,
            terms=terms,
        )


class GenerateIn(GenerationOptions):
    """A prompt, an image, or both."""

    model_config = ConfigDict(extra="forbid", strict=True)

    images: Annotated[
        list[ImageIn], Field(description="Pictures, each as base64 text or a data URI.")
    ] = []

    def to_request(self, terms: Terms) -> GenerationRequest:
        """Return the domain's request."""
        images = tuple(_image(image, f"images.{i}") for i, image in enumerate(self.images))
        return self.request(images, terms)


def _image(image: str | ImageBase64, name: str) -> Base64Image:
    match image:
        case str():
            return Base64Image(image, None, name)
        case ImageBase64():
            return Base64Image(image.base64, image.media_type, name)


class WarningOut(BaseModel):
    """Something worth knowing about an answer that was given all the same."""

    code: str
    message: str

    @classmethod
    def of(cls, warning: Caveat) -> "WarningOut":
        """Render ``warning``."""
        return cls(code=warning.code, message=warning.message)


class ImageOut(BaseModel):
    """One picture as it was received."""

    media_type: Annotated[str, Field(description="As found in the bytes.")]
    width: Annotated[int, Field(description="Pixels.")]
    height: Annotated[int, Field(description="Pixels.")]
    bytes: Annotated[int, Field(description="Bytes.")]

    @classmethod
    def of(cls, report: ImageReport) -> "ImageOut":
        """Render ``report``."""
        received = report.received
        return cls(
            media_type=received.media_type,
            width=received.width,
            height=received.height,
            bytes=received.bytes,
        )


class CostOut(BaseModel):
    """US dollars at the listed price."""

    input: Annotated[float, Field(description="Of the tokens in.")]
    output: Annotated[float, Field(description="Of the tokens out.")]
    total: Annotated[float, Field(description="Both together.")]

    @classmethod
    def of(cls, cost: Cost | None) -> "CostOut | None":
        """Render ``cost``."""
        return None if cost is None else cls.model_validate(cost, from_attributes=True)


class LatencyOut(BaseModel):
    """Milliseconds."""

    total: Annotated[int, Field(description="From the request's arrival to its answer, ms.")]
    model: Annotated[int, Field(description="Of that, the model's, ms.")]


class StreamLatencyOut(LatencyOut):
    """Milliseconds."""

    first_token: Annotated[
        int | None, Field(description="From the request's arrival to the first text, ms.")
    ]


class TargetOut(BaseModel):
    """One way to reach the model."""

    region: Annotated[str, Field(description="AWS region.")]
    model_id: Annotated[str, Field(description="As sent to Bedrock.")]
    dialect: Annotated[Dialect, Field(description="The Bedrock operation.")]


class GenerationFacts(BaseModel):
    """All of an answer but its text."""

    id: Annotated[str, Field(description="Of this answer.")]
    model: Annotated[str, Field(description="The model id that was called.")]
    prompt_token_count: Annotated[
        int | None, Field(description="Tokens in; null where Bedrock did not say.")
    ]
    generation_token_count: Annotated[
        int | None, Field(description="Tokens out; null where Bedrock did not say.")
    ]
    total_token_count: Annotated[int | None, Field(description="Both together.")]
    cost_usd: Annotated[
        CostOut | None, Field(description="null where the price or a count is unknown.")
    ]
    stop_reason: Annotated[
        StopReason,
        Field(
            description="`stop`: finished. `length`: cut at max_gen_len. `guardrail`: a guardrail "
            "stepped in. `other`: see stop_reason_raw."
        ),
    ]
    stop_reason_raw: Annotated[str | None, Field(description="As Bedrock spelled it.")]
    images: Annotated[list[ImageOut], Field(description="The pictures, in order.")]
    warnings: list[WarningOut]
    target: Annotated[
        TargetOut | None, Field(description="Which of the configured targets answered.")
    ]

    @staticmethod
    def facts(generation: Generation) -> dict[str, Any]:
        """Return these fields of ``generation``."""
        completion, usage = generation.completion, generation.completion.usage
        return {
            "id": generation.id,
            "model": generation.model,
            "prompt_token_count": usage.prompt_token_count,
            "generation_token_count": usage.generation_token_count,
            "total_token_count": usage.total_token_count,
            "cost_usd": CostOut.of(usage.cost),
            "stop_reason": completion.stop_reason,
            "stop_reason_raw": completion.stop_reason_raw,
            "images": [ImageOut.of(report) for report in generation.images],
            "warnings": [WarningOut.of(warning) for warning in generation.warnings],
            "target": completion.target
            and TargetOut.model_validate(completion.target, from_attributes=True),
        }


class GenerationOut(GenerationFacts):
    """A normalised answer."""

    generation: Annotated[str, Field(description="The generated text.")]
    latency_ms: LatencyOut

    @classmethod
    def of(cls, generation: Generation) -> Self:
        """Render ``generation``."""
        latency = LatencyOut.model_validate(generation.latency, from_attributes=True)
        text = generation.completion.text
        return cls(generation=text, latency_ms=latency, **cls.facts(generation))


class DoneEvent(GenerationFacts):
    """`event: done`: the terminal event of a stream that succeeded. All but the text."""

    latency_ms: StreamLatencyOut

    @classmethod
    def of(cls, generation: Generation) -> Self:
        """Render ``generation``."""
        latency = StreamLatencyOut.model_validate(generation.latency, from_attributes=True)
        return cls(latency_ms=latency, **cls.facts(generation))
