"""Schemas of the bodies and answers of the service's own dialect."""

from collections.abc import Iterable
from typing import Annotated

from pydantic import ConfigDict, Field

from app.api.errors.problem import Fault
from app.api.file_id import FileId
from app.api.openapi.form import exemplified
from app.api.responses.cost import CostOut
from app.api.responses.guardrail import GuardrailOut
from app.api.responses.warnings import WarningOut
from app.api.routing.multipart import FormFile
from app.api.v1.image_forms import ImageIn, received
from app.domain.generation import (
    CallContext,
    GenerationRequest,
    ImageInput,
    ImageStrategy,
    Role,
    Sampling,
    StopReason,
    Turn,
)
from app.domain.image import FileImage, ReceivedImage, Treatment
from app.domain.model import Dialect, Language
from app.services.deferred_model import DeferredModel
from app.services.generation.validation import MAX_SEVERAL

_STRATEGIES = (ImageStrategy.CONTACT_SHEET, ImageStrategy.EACH)


class GenerationOptions(DeferredModel):
    """Parameters of all generation endpoints, besides the images."""

    model_config = ConfigDict(extra="forbid")

    prompt: Annotated[
        str,
        Field(
            description=(
                "The prompt. Required unless images are given; pictures alone are "
                "described. Special tokens of the Llama template in it are "
                "neutralised."
            )
        ),
    ] = ""
    system: Annotated[str | None, Field(description="Instructions that precede the prompt.")] = None
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
            description=(
                "Maximum tokens to generate. Bedrock reserves them from its quota up front."
            ),
        ),
    ] = 512
    language: Annotated[
        Language | None,
        Field(
            strict=False,
            description="Language to answer in. With an image Meta supports English only; other "
            "languages are answered with a warning.",
        ),
    ] = None
    stream: Annotated[
        bool, Field(description="Answer with server-sent events, piece by piece.")
    ] = False
    raw_prompt: Annotated[
        bool,
        Field(
            description="Send the prompt exactly as written, for callers who write the Llama "
            "template themselves, with one `<|image|>` for each image. Needs the dialect "
            "`invoke`."
        ),
    ] = False

    image_strategy: Annotated[
        ImageStrategy,
        Field(
            strict=False,
            description="What to do with several images, of which the model takes one at a time. "
            "`single`: refuse them. `contact_sheet`: lay them out on one picture, labelled 1 to n, "
            "and tell the model. `each`: make a call for each; `generations` has the answers, "
            "the counts are summed, and a stream carries the text in one piece. "
            f"At most {MAX_SEVERAL} images.",
        ),
    ] = ImageStrategy.SINGLE

    def request(
        self, images: tuple[ImageInput, ...], call_context: CallContext
    ) -> GenerationRequest:
        """Return the domain's request."""
        return GenerationRequest(
            turns=(Turn(Role.USER, self.prompt, images),),
            system=self.system,
            sampling=Sampling(self.temperature, self.top_p, self.max_gen_len),
            language=self.language,
            raw_prompt=self.raw_prompt,
            strategy=self.image_strategy,
            strategies=_STRATEGIES,
            call_context=call_context,
        )


class GenerateIn(GenerationOptions):
    """A prompt, an image, or both."""

    model_config = ConfigDict(extra="forbid", strict=True)

    images: Annotated[
        list[ImageIn],
        Field(
            description="Pictures, each as base64 text, a data URI, a URL, an S3 object or a file.",
            # A default of [] would be deep-copied for each request.
            default_factory=list,
            json_schema_extra={"default": []},
        ),
    ]

    def to_request(self, call_context: CallContext) -> GenerationRequest:
        """Return the domain's request."""
        owner = call_context.call.caller.id
        images = tuple(received(image, f"images.{i}", owner) for i, image in enumerate(self.images))
        return self.request(images, call_context)


FileIds = Annotated[
    list[FileId],
    Field(description="Pictures that were uploaded to `/v1/files`; they follow those sent here."),
]


def uploaded(files: Iterable[FormFile], kept: Iterable[str], owner: str) -> tuple[ImageInput, ...]:
    """Return the domain's form of the ``files`` of ``images`` and of the ``kept`` ones."""
    sent = tuple(
        ReceivedImage(file.data, file.content_type, f"images.{i}") for i, file in enumerate(files)
    )
    named = tuple(FileImage(file_id, owner, f"file_ids.{i}") for i, file_id in enumerate(kept))
    return (*sent, *named)


class GenerateForm(GenerationOptions):
    """A prompt, image files, or both."""

    model_config = ConfigDict(extra="forbid", json_schema_extra=exemplified({}))

    images: Annotated[list[FormFile], Field(description="Pictures, one file each.")] = []
    file_ids: FileIds = []

    def to_request(self, call_context: CallContext) -> GenerationRequest:
        """Return the domain's request."""
        images = uploaded(self.images, self.file_ids, call_context.call.caller.id)
        return self.request(images, call_context)


class ReceivedOut(DeferredModel):
    """A picture as received."""

    declared_type: Annotated[
        str | None, Field(description="Declared media type; null if none was declared.")
    ]
    media_type: Annotated[str, Field(description="The type detected from the bytes.")]
    width: Annotated[
        int, Field(description="Width in pixels as stored, before the picture is turned upright.")
    ]
    height: Annotated[int, Field(description="Height in pixels as stored.")]
    bytes: Annotated[int, Field(description="Size in bytes.")]
    orientation: Annotated[int, Field(description="EXIF orientation, 1 to 8; 1 is upright.")]
    frames: Annotated[
        int, Field(description="Number of frames or pages; the model sees the first.")
    ]


class PreparedOut(DeferredModel):
    """A picture as sent to the model."""

    media_type: str
    width: Annotated[int, Field(description="Pixels.")]
    height: Annotated[int, Field(description="Pixels.")]
    bytes: Annotated[int, Field(description="Bytes, before base64.")]
    sha256: Annotated[str, Field(description="SHA-256 of these bytes, hexadecimal.")]


class CanvasOut(DeferredModel):
    """The grid of 560-pixel tiles on which Llama places the picture."""

    columns: int
    rows: int
    tiles: Annotated[int, Field(description="Number of tiles, 1 to 4.")]


class ImageOut(DeferredModel):
    """One picture: as received, as prepared, with warnings about losses."""

    media_type: Annotated[str, Field(description="The type detected from the bytes.")]
    width: Annotated[int, Field(description="Pixels.")]
    height: Annotated[int, Field(description="Pixels.")]
    bytes: Annotated[int, Field(description="Size in bytes.")]
    received: ReceivedOut
    prepared: PreparedOut
    canvas: CanvasOut
    scale: Annotated[
        float, Field(description="Longer side as prepared divided by that as received, at most 1.")
    ]
    treatment: Annotated[
        Treatment,
        Field(
            description="`unchanged`: sent byte for byte. `stripped`: sent without metadata and "
            "trailing data. `encoded`: decoded and encoded again."
        ),
    ]
    warnings: list[WarningOut]


class LatencyOut(DeferredModel):
    """Milliseconds."""

    total: Annotated[int, Field(description="Time from the request's arrival to its answer.")]
    model: Annotated[int, Field(description="The model's part of that time.")]


class StreamLatencyOut(LatencyOut):
    """Milliseconds."""

    first_token: Annotated[
        int | None, Field(description="Time from the request's arrival to the first text.")
    ]


class TargetOut(DeferredModel):
    """A configured way to reach the model."""

    region: Annotated[str, Field(description="AWS region.")]
    model_id: Annotated[str, Field(description="The id as sent to Bedrock.")]
    dialect: Annotated[Dialect, Field(description="The wire format of calls.")]


class PartOut(DeferredModel):
    """The outcome for one of several images: an answer or an error."""

    image: Annotated[str, Field(description="The image's path in the request: `images.0`.")]
    id: str | None = None
    generation: Annotated[str | None, Field(description="The generated text; null on error.")] = (
        None
    )
    prompt_token_count: int | None = None
    generation_token_count: int | None = None
    total_token_count: int | None = None
    stop_reason: StopReason | None = None
    stop_reason_raw: str | None = None
    error: Annotated[Fault | None, Field(description="The error, if there is no answer.")] = None


class Identified(DeferredModel):
    """Identifies an answer and the model that gave it."""

    id: Annotated[str, Field(description="The answer's id.")]
    model: Annotated[str, Field(description="The model id that was called.")]


class Worded(Identified):
    """The answer's text, which comes first because people look for it."""

    generation: Annotated[str, Field(description="The generated text.")]


class GenerationFacts(Identified):
    """All parts of an answer except its text."""

    prompt_token_count: Annotated[
        int | None, Field(description="Input tokens; null if Bedrock did not return them.")
    ]
    generation_token_count: Annotated[
        int | None, Field(description="Output tokens; null if Bedrock did not return them.")
    ]
    total_token_count: Annotated[int | None, Field(description="Input and output tokens together.")]
    cost_usd: Annotated[
        CostOut | None, Field(description="The cost; null if the price or a count is unknown.")
    ]
    guardrail: Annotated[
        GuardrailOut | None,
        Field(description="The guardrails' report; null if no guardrail was called."),
    ] = None
    cached: Annotated[
        bool, Field(description="Whether the answer comes from the cache; it then cost nothing.")
    ] = False
    age_seconds: Annotated[
        float | None, Field(description="Age of a cached answer in seconds.")
    ] = None
    stop_reason: Annotated[
        StopReason,
        Field(
            description="`stop`: the answer is complete. `length`: it was cut at `max_gen_len`. "
            "`repetition`: this service ended a stream that kept repeating itself. "
            "`guardrail`: a guardrail intervened. `other`: see `stop_reason_raw`."
        ),
    ]
    stop_reason_raw: Annotated[
        str | None, Field(description="The stop reason as Bedrock returned it.")
    ]
    images: Annotated[list[ImageOut], Field(description="The pictures in order.")]
    warnings: list[WarningOut]
    target: Annotated[
        TargetOut | None,
        Field(
            description="The target that answered; null if several calls were made and "
            "different targets answered."
        ),
    ]
    generations: Annotated[
        list[PartOut],
        Field(
            description="The answers to the single images in order, with `image_strategy` "
            "`each` and several images."
        ),
    ] = []


class GenerationOut(GenerationFacts, Worded):
    """A normalised answer."""

    latency_ms: LatencyOut


class DoneEvent(GenerationFacts):
    """`event: done`: the terminal event of a stream that succeeded; all of it but the text."""

    latency_ms: StreamLatencyOut
