"""Schemas of the request bodies of POST /v1/responses.

OpenAI's parameters that this model lacks are in `app.api.openai.unsupported_parameters`.
"""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Discriminator, Field, Tag
from pydantic_core import PydanticCustomError

from app.api.file_id import FileId
from app.api.openai.schemas import JUDGED, PART, Detail, Text, TextOrList, Tokens
from app.services.deferred_model import DeferredModel


class ResponsesTextPart(DeferredModel):
    """A piece of text."""

    model_config = PART

    type: Literal["input_text"]
    text: str


class ResponsesImagePart(DeferredModel):
    """A picture."""

    model_config = PART

    type: Literal["input_image"]
    image_url: Annotated[
        str | None,
        Field(description="A data URI, or the picture's URL if the operator allows its host."),
    ] = None
    file_id: Annotated[
        FileId | None, Field(description="Id of the caller's own file, instead of a URL.")
    ] = None
    detail: Detail = None


class ResponsesAnswerPart(DeferredModel):
    """The text of an earlier answer of the model."""

    model_config = PART

    type: Literal["output_text"]
    text: str


class ResponsesRefusalPart(DeferredModel):
    """The text of an earlier refusal of the model."""

    model_config = PART

    type: Literal["refusal"]
    refusal: str


ResponsesPart = Annotated[ResponsesTextPart | ResponsesImagePart, Discriminator("type")]
ResponsesSaidPart = Annotated[
    ResponsesAnswerPart | ResponsesTextPart | ResponsesRefusalPart, Discriminator("type")
]


class ResponsesSystemMessage(DeferredModel):
    """Instructions that precede the conversation."""

    model_config = JUDGED

    type: Literal["message"] | None = "message"
    role: Literal["system", "developer"]
    content: Annotated[Text | Annotated[list[ResponsesTextPart], Tag("list")], TextOrList]


class ResponsesUserMessage(DeferredModel):
    """A message of the user, with text and pictures."""

    model_config = JUDGED

    type: Literal["message"] | None = "message"
    role: Literal["user"]
    content: Annotated[Text | Annotated[list[ResponsesPart], Tag("list")], TextOrList]


class ResponsesAssistantMessage(DeferredModel):
    """An earlier answer of the model; an item of `output` may be sent back unchanged."""

    model_config = JUDGED

    type: Literal["message"] | None = "message"
    role: Literal["assistant"]
    content: Annotated[Text | Annotated[list[ResponsesSaidPart], Tag("list")], TextOrList]


ResponsesMessage = ResponsesSystemMessage | ResponsesUserMessage | ResponsesAssistantMessage

_OTHER_ITEMS = {
    "item_reference": "nothing is stored here: send the message itself (SDKs do with store: false, "
    "Vercel's AI SDK with providerOptions: {openai: {store: false}})",
    "input_text": 'a part stands in a message: {"role": "user", "content": [part]}',
    "input_image": 'a part stands in a message: {"role": "user", "content": [part]}',
    "reasoning": "the model does not reason apart from its answer: leave this item out",
}


def _message(item: object) -> object:
    """Return ``item`` if it may be a message; raise an error if it is another item."""
    kind = item.get("type") if isinstance(item, dict) else None
    if kind in (None, "message") or not isinstance(kind, str):
        return item
    reason = _OTHER_ITEMS.get(kind, "the model takes no tools, so there are messages only")
    raise PydanticCustomError(
        "item_type", "type {kind}: {reason}", {"kind": kind[:40], "reason": reason}
    )


ResponsesItem = Annotated[
    Annotated[ResponsesMessage, Discriminator("role")], BeforeValidator(_message)
]


class ResponsesTextFormat(DeferredModel):
    """Text, as the model writes it."""

    model_config = PART

    type: Literal["text"]


class ResponsesJsonFormat(DeferredModel):
    """One JSON object."""

    model_config = PART

    type: Literal["json_object"]


class ResponsesSchemaFormat(DeferredModel):
    """A JSON object that follows a schema."""

    model_config = ConfigDict(extra="forbid", strict=True)

    type: Literal["json_schema"]
    name: str
    description: str | None = None
    json_schema: Annotated[
        dict[str, Any],
        Field(
            alias="schema",
            description="JSON Schema (draft 2020-12) of an object with properties. References "
            "to its own `$defs` are resolved, others are refused.",
        ),
    ]
    strict: Annotated[
        bool | None, Field(description="Ignored: answers are always checked against the schema.")
    ] = None


ResponsesFormat = Annotated[
    ResponsesTextFormat | ResponsesJsonFormat | ResponsesSchemaFormat, Discriminator("type")
]


class ResponsesText(DeferredModel):
    """The form of the answer's text."""

    model_config = JUDGED

    format: Annotated[
        ResponsesFormat | None,
        Field(
            description="With `json_object` and `json_schema` the prompt asks for the form; the "
            "answer is checked, and asked for again once. A `refusal` says in what respect it "
            "still misses the form."
        ),
    ] = None


class ResponsesReasoning(DeferredModel):
    """Settings for models that reason separately, which this one does not."""

    model_config = JUDGED


class ResponsesStreamOptions(DeferredModel):
    """Options of a stream."""

    model_config = JUDGED


class ResponsesIn(DeferredModel):
    """A request with the whole conversation so far, as nothing is stored."""

    model_config = JUDGED

    model: Annotated[str, Field(description="The configured model's id or an alias.")]
    input: Annotated[
        Text | Annotated[list[ResponsesItem], Field(min_length=1), Tag("list")],
        TextOrList,
        Field(
            description="The user's message, or the messages of a conversation that begins and "
            "ends with the user. If several messages have pictures, the model sees only those "
            "of the newest, with a warning."
        ),
    ]
    instructions: Annotated[
        str | None,
        Field(description="Instructions that precede the conversation and its system messages."),
    ] = None
    max_output_tokens: Annotated[
        Tokens | None, Field(description="Maximum tokens to generate, by default 2048.")
    ] = None
    temperature: Annotated[
        float | None, Field(ge=0, le=1, description="0 to 1, by default 0.5.")
    ] = None
    top_p: Annotated[float | None, Field(ge=0, le=1, description="0 to 1, by default 0.9.")] = None
    text: Annotated[ResponsesText | None, Field(description="The answer's form.")] = None
    include: Annotated[
        list[str] | None,
        Field(description="Nothing can be included; log probabilities are refused."),
    ] = None
    reasoning: Annotated[
        ResponsesReasoning | None, Field(description="The model does not reason separately.")
    ] = None
    stream: Annotated[
        bool | None, Field(description="Answer with server-sent events, piece by piece.")
    ] = None
    stream_options: Annotated[
        ResponsesStreamOptions | None, Field(description="The options have no effect here.")
    ] = None
    user: Annotated[str | None, Field(description="Accepted and ignored.")] = None
    image_strategy: Annotated[
        Literal["single", "contact_sheet"],
        Field(
            description="Not part of OpenAI's API: what to do with several images in one "
            "message. `single` refuses them, `contact_sheet` lays them out on one picture.",
        ),
    ] = "single"
