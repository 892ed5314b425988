"""Translates bodies of POST /v1/responses to the domain's requests. Pure."""

from collections.abc import Iterable, Iterator
from typing import Any

from pydantic import BaseModel

from app.api.openai import unsupported_parameters
from app.api.openai.responses.schemas import (
    ResponsesAnswerPart,
    ResponsesAssistantMessage,
    ResponsesImagePart,
    ResponsesIn,
    ResponsesJsonFormat,
    ResponsesMessage,
    ResponsesRefusalPart,
    ResponsesSchemaFormat,
    ResponsesSystemMessage,
    ResponsesTextPart,
    ResponsesUserMessage,
)
from app.api.openai.translate import TranslatedRequest, image, moved, sampling, schema_form, unread
from app.domain.conversation import alternating
from app.domain.errors import InvalidParameterError, UnsupportedParameterError
from app.domain.generation import (
    CallContext,
    GenerationRequest,
    ImageInput,
    ImageStrategy,
    Role,
    Turn,
)
from app.domain.image import FileImage
from app.services.answers.exact import AnyObject
from app.services.answers.form import Form

LOGPROBS = "message.output_text.logprobs"


def translated(body: ResponsesIn, call_context: CallContext) -> TranslatedRequest:
    """Return ``body`` as a GenerationRequest. Raises a RequestError."""
    messages = _messages(body)
    request = GenerationRequest(
        turns=alternating(_turns(messages, call_context.call.caller.id), "input"),
        whole_conversation=True,
        system="\n\n".join(_system(body, messages)) or None,
        sampling=sampling(body.temperature, body.top_p, body.max_output_tokens),
        call_context=call_context,
        strategy=ImageStrategy(body.image_strategy),
        strategies=(ImageStrategy.CONTACT_SHEET,),
        warnings=moved(isinstance(message, ResponsesSystemMessage) for message in messages),
        shows_blocked=True,
    )
    return TranslatedRequest(request, tuple(_ignored(body, messages)), _form(body))


def _messages(body: ResponsesIn) -> list[ResponsesMessage]:
    if isinstance(body.input, str):
        return [ResponsesUserMessage(role="user", content=body.input)]
    return body.input


def _system(body: ResponsesIn, messages: Iterable[ResponsesMessage]) -> Iterator[str]:
    if body.instructions:
        yield body.instructions
    for message in messages:
        if isinstance(message, ResponsesSystemMessage):
            yield _text(message)


def _turns(messages: Iterable[ResponsesMessage], owner: str) -> Iterator[Turn[ImageInput]]:
    for position, message in enumerate(messages):
        match message:
            case ResponsesUserMessage():
                images = tuple(_images(message, f"input.{position}", owner))
                yield Turn(Role.USER, _text(message), images)
            case ResponsesAssistantMessage():
                yield Turn(Role.ASSISTANT, _text(message))


def _text(message: ResponsesMessage) -> str:
    content = message.content
    return content if isinstance(content, str) else "\n".join(_words(content))


def _words(parts: Iterable[BaseModel]) -> Iterator[str]:
    for part in parts:
        match part:
            case ResponsesTextPart(text=words) | ResponsesAnswerPart(text=words):
                yield words
            case ResponsesRefusalPart(refusal=words):
                yield words


def _images(message: ResponsesUserMessage, place: str, owner: str) -> Iterator[ImageInput]:
    if isinstance(message.content, str):
        return
    for position, part in enumerate(message.content):
        if not isinstance(part, ResponsesImagePart):
            continue
        where = f"{place}.content.{position}"
        if part.image_url is not None:
            yield image(part.image_url, f"{where}.image_url")
        elif part.file_id is not None:
            yield FileImage(part.file_id, owner, f"{where}.file_id")
        else:
            raise InvalidParameterError.at(f"{where}.image_url", "give a data URI or an address")


def _ignored(body: ResponsesIn, messages: Iterable[ResponsesMessage]) -> Iterator[str]:
    """Yield the ignored parameters. Raises a RequestError for one that would matter."""
    extra, unused = unsupported_parameters.without_unused_tools(body.model_extra or {})
    yield from unsupported_parameters.RESPONSES.ignored(extra)
    yield from unused
    for name, judge in (
        ("text", unsupported_parameters.TEXT),
        ("reasoning", unsupported_parameters.REASONING),
        ("stream_options", unsupported_parameters.STREAM),
    ):
        part: BaseModel | None = getattr(body, name)
        if part is not None:
            yield from judge.ignored(part.model_extra or {}, f"{name}.")
    if body.include:
        yield _include(body.include)
    for position, message in enumerate(messages):
        place = f"input.{position}"
        yield from unsupported_parameters.MESSAGE.ignored(message.model_extra or {}, f"{place}.")
        if isinstance(message.content, list):
            yield from unread(message.content, f"{place}.content")


def _include(names: list[str]) -> str:
    if LOGPROBS in names:
        raise UnsupportedParameterError.at(
            "include", f"{LOGPROBS}: Bedrock has none for this model"
        )
    return "include"


def _form(body: ResponsesIn) -> Form[Any] | None:
    match body.text.format if body.text else None:
        case ResponsesJsonFormat():
            return AnyObject()
        case ResponsesSchemaFormat(json_schema=schema):
            return schema_form(schema, "text.format.schema")
    return None
