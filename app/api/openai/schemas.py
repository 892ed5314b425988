"""Schemas of the bodies of POST /v1/chat/completions.

OpenAI's parameters that this model lacks are in `unsupported_parameters`.
"""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Discriminator, Field, Tag
from pydantic_core import PydanticCustomError

from app.api.file_id import FileId
from app.services.deferred_model import DeferredModel

_STRICT = ConfigDict(extra="forbid", strict=True)
# Unknown members of these objects have no effect and are listed in a header.
PART = ConfigDict(extra="allow", strict=True)
JUDGED = ConfigDict(extra="allow", strict=True)
"""Accepts unknown members, which `translate` judges by name."""


def _form(value: object) -> str | None:
    if isinstance(value, str):
        return "text"
    return "list" if isinstance(value, list) else None


# Chosen by the value's type: Pydantic would otherwise report the faults of both forms.
TextOrList = Discriminator(
    _form, custom_error_type="text_or_list", custom_error_message="give text or a list"
)
Text = Annotated[str, Tag("text")]


Detail = Annotated[
    str | None,
    Field(description="Ignored: a picture is always prepared for the model's own resolution."),
]


class ChatTextPart(DeferredModel):
    """A piece of text."""

    model_config = PART

    type: Literal["text"]
    text: str


class ChatImageUrl(DeferredModel):
    """A picture as a data URI, or by its URL if the operator allows its host."""

    model_config = PART

    url: str | None = None
    file_id: Annotated[
        FileId | None, Field(description="Id of the caller's own file, instead of `url`.")
    ] = None
    detail: Detail = None


class ChatImagePart(DeferredModel):
    """A picture."""

    model_config = PART

    type: Literal["image_url"]
    image_url: ChatImageUrl


class ChatFile(DeferredModel):
    """A picture that was uploaded to `/v1/files`."""

    model_config = PART

    file_id: FileId


class ChatFilePart(DeferredModel):
    """A picture by its file's id, in the form of OpenAI's SDKs."""

    model_config = PART

    type: Literal["file"]
    file: ChatFile


class ChatRefusalPart(DeferredModel):
    """The text of a refusal by the assistant."""

    model_config = PART

    type: Literal["refusal"]
    refusal: str


ChatPart = Annotated[ChatTextPart | ChatImagePart | ChatFilePart, Discriminator("type")]
ChatSaidPart = Annotated[ChatTextPart | ChatRefusalPart, Discriminator("type")]


class ChatSystemMessage(DeferredModel):
    """Instructions that precede the conversation."""

    model_config = JUDGED

    role: Literal["system", "developer"]
    content: Annotated[Text | Annotated[list[ChatTextPart], Tag("list")], TextOrList]
    name: str | None = None


class ChatUserMessage(DeferredModel):
    """A message of the user, with text and pictures."""

    model_config = JUDGED

    role: Literal["user"]
    content: Annotated[Text | Annotated[list[ChatPart], Tag("list")], TextOrList]
    name: str | None = None


class ChatAssistantMessage(DeferredModel):
    """An earlier answer of the model, which may be sent back unchanged."""

    model_config = JUDGED

    role: Literal["assistant"]
    content: Annotated[Text | Annotated[list[ChatSaidPart], Tag("list")], TextOrList] | None = None


def _with_known_role(message: object) -> object:
    """Return ``message``; raise an error for the roles of tools, which are not supported."""
    role = message.get("role") if isinstance(message, dict) else None
    if role in ("tool", "function"):
        raise PydanticCustomError(
            "role_of_tools",
            "role {role}: the model takes no tools with pictures, so there are no results of them; "
            "put what they found into a message of the user",
            {"role": role},
        )
    return message


ChatMessage = Annotated[
    Annotated[ChatSystemMessage | ChatUserMessage | ChatAssistantMessage, Discriminator("role")],
    BeforeValidator(_with_known_role),
]


class ChatStreamOptions(DeferredModel):
    """Options of a stream."""

    model_config = JUDGED

    include_usage: Annotated[
        bool | None, Field(description="Send a final chunk with `usage` and no choices.")
    ] = False


class ChatTextFormat(DeferredModel):
    """Text, as the model writes it."""

    model_config = JUDGED

    type: Literal["text"]


class ChatJsonFormat(DeferredModel):
    """One JSON object."""

    model_config = JUDGED

    type: Literal["json_object"]


class ChatJsonSchema(DeferredModel):
    """The schema of a JSON object."""

    model_config = _STRICT

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


class ChatJsonSchemaFormat(DeferredModel):
    """A JSON object that follows a schema."""

    model_config = _STRICT

    type: Literal["json_schema"]
    json_schema: ChatJsonSchema


ChatFormat = Annotated[
    ChatTextFormat | ChatJsonFormat | ChatJsonSchemaFormat, Discriminator("type")
]

StopText = Annotated[str, Field(min_length=1, max_length=256)]
Tokens = Annotated[int, Field(ge=1, le=2048)]


class ChatKnowledgeBase(DeferredModel):
    """The knowledge base from which the last question is answered."""

    model_config = _STRICT

    name: Annotated[str, Field(min_length=1, max_length=64)]
    filter: Annotated[
        dict[str, Any] | None,
        Field(description="A filter on metadata, as in `POST /v1/rag/query`."),
    ] = None
    max_results: Annotated[int, Field(ge=1, le=100)] = 5
    search: Literal["semantic", "hybrid"] | None = None
    rerank: bool = False


def _without_nulls(value: object) -> object:
    if isinstance(value, dict):
        return {name: member for name, member in value.items() if member is not None}
    return value


def _base_form(value: object) -> str | None:
    if isinstance(value, str):
        return "text"
    return "object" if isinstance(value, dict | ChatKnowledgeBase) else None


class ChatIn(DeferredModel):
    """A conversation to continue."""

    model_config = JUDGED

    model: Annotated[str, Field(description="The configured model's id or an alias.")]
    messages: Annotated[
        list[ChatMessage],
        Field(
            min_length=1,
            description="The messages, which begin and end with the user's. If several messages "
            "have pictures, the model sees only those of the newest, with a warning.",
        ),
    ]
    max_tokens: Annotated[
        Tokens | None, Field(description="Maximum tokens to generate, by default 2048.")
    ] = None
    max_completion_tokens: Annotated[
        Tokens | None,
        Field(description="The newer name of `max_tokens`; it takes precedence."),
    ] = None
    temperature: Annotated[
        float | None, Field(ge=0, le=1, description="0 to 1, by default 0.5.")
    ] = None
    top_p: Annotated[float | None, Field(ge=0, le=1, description="0 to 1, by default 0.9.")] = None
    stop: Annotated[
        Annotated[
            Annotated[StopText, Tag("text")]
            | Annotated[list[StopText], Field(max_length=64), Tag("list")],
            TextOrList,
        ]
        | None,
        Field(description="Texts before which the answer ends. This service applies them."),
    ] = None
    n: Annotated[Literal[1] | None, Field(description="Number of answers: only one.")] = None
    stream: Annotated[
        bool | None, Field(description="Answer with server-sent events, piece by piece.")
    ] = None
    stream_options: Annotated[
        ChatStreamOptions | None, Field(description="Options of a stream.")
    ] = None
    response_format: Annotated[
        ChatFormat | None,
        Field(
            description="`json_object` and `json_schema` are enforced while the answer is "
            "generated, if the model supports that; otherwise the prompt asks for them. The "
            "answer is checked, and asked for again once. `refusal` says in what respect it "
            "still misses the form."
        ),
    ] = None
    logprobs: Annotated[
        bool | None,
        Field(
            description="Return each token's log probability. Refused if the model does not "
            "provide them."
        ),
    ] = None
    top_logprobs: Annotated[
        int | None,
        Field(
            ge=0,
            le=20,
            description="Number of likeliest alternatives for each token, with `logprobs`.",
        ),
    ] = None
    user: Annotated[str | None, Field(description="Accepted and ignored.")] = None
    image_strategy: Annotated[
        Literal["single", "contact_sheet"],
        Field(
            description="Not part of OpenAI's API: what to do with several images in one "
            "message. `single` refuses them, `contact_sheet` lays them out on one picture.",
        ),
    ] = "single"
    knowledge_base: Annotated[
        Annotated[
            Text | Annotated[ChatKnowledgeBase, BeforeValidator(_without_nulls), Tag("object")],
            Discriminator(
                _base_form,
                custom_error_type="text_or_object",
                custom_error_message="give a name, or an object with one",
            ),
        ]
        | None,
        Field(
            description="Not part of OpenAI's API: the knowledge base from which the last "
            "question is answered, by name or with options. Citations are annotations of the "
            "message."
        ),
    ] = None
