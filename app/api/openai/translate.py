"""Translates requests in OpenAI's form into the domain's. Pure."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from app.api.openai import unsupported_parameters
from app.api.openai.schemas import (
    ChatAssistantMessage,
    ChatFilePart,
    ChatImagePart,
    ChatIn,
    ChatJsonFormat,
    ChatJsonSchemaFormat,
    ChatRefusalPart,
    ChatSystemMessage,
    ChatTextFormat,
    ChatTextPart,
    ChatUserMessage,
)
from app.domain.conversation import alternating
from app.domain.errors import InvalidParameterError
from app.domain.generation import (
    CallContext,
    GenerationRequest,
    ImageInput,
    ImageStrategy,
    Role,
    Sampling,
    Turn,
)
from app.domain.image import AnswerWarning, Base64Image, FileImage, UrlImage
from app.domain.model import Capabilities
from app.services.answers.exact import AnyObject, SchemaForm
from app.services.answers.form import Form
from app.services.answers.schemas.schema import SchemaError

_STRATEGIES = {
    strategy.value: strategy for strategy in (ImageStrategy.SINGLE, ImageStrategy.CONTACT_SHEET)
}
MAX_TOKENS = 2048
"""OpenAI's default: as many tokens as the model can generate."""


_LONGEST_SCHEME = 20
"""Characters within which an address has its ``://``: its other part may be megabytes."""


@dataclass(frozen=True, slots=True)
class TranslatedRequest:
    """A translated request."""

    request: GenerationRequest
    ignored: tuple[str, ...]
    """Names of the parameters that were sent and are ignored."""
    form: Form[Any] | None = None
    """The form of the answer, if JSON is requested."""


def translated(
    body: ChatIn, call_context: CallContext, capabilities: Capabilities
) -> TranslatedRequest:
    """Return ``body`` as a GenerationRequest for ``capabilities``. Raises a RequestError."""
    extra, unused = unsupported_parameters.without_unused_tools(body.model_extra or {})
    foreign = dict(extra)
    if not capabilities.logprobs and (body.logprobs, body.top_logprobs) != (None, None):
        foreign |= {name: getattr(body, name) for name in unsupported_parameters.LOGPROBS}
    ignored = unsupported_parameters.REQUEST.ignored(foreign) + unused
    if body.stream_options is not None:
        of_stream = body.stream_options.model_extra or {}
        ignored += unsupported_parameters.STREAM.ignored(of_stream, "stream_options.")
    if isinstance(body.response_format, ChatTextFormat | ChatJsonFormat):
        of_form = body.response_format.model_extra or {}
        ignored += unsupported_parameters.FORMAT.ignored(of_form, "response_format.")
    ignored += tuple(_of_messages(body))
    request = GenerationRequest(
        turns=alternating(_turns(body, call_context.call.caller.id)),
        whole_conversation=True,
        system="\n\n".join(_system(body)) or None,
        sampling=sampling(
            body.temperature, body.top_p, body.max_completion_tokens or body.max_tokens
        ),
        call_context=call_context,
        strategy=_STRATEGIES[body.image_strategy],
        strategies=(ImageStrategy.CONTACT_SHEET,),
        stop=_stop(body),
        warnings=moved(isinstance(message, ChatSystemMessage) for message in body.messages),
        logprobs=_logprobs(body),
        shows_blocked=True,
    )
    return TranslatedRequest(request, ignored, _form(body))


def sampling(temperature: float | None, top_p: float | None, tokens: int | None) -> Sampling:
    """Return the sampling parameters, with defaults in place of None."""
    default = Sampling()
    return Sampling(
        default.temperature if temperature is None else temperature,
        default.top_p if top_p is None else top_p,
        tokens or MAX_TOKENS,
    )


def _logprobs(body: ChatIn) -> int | None:
    if not body.logprobs:
        if body.top_logprobs:
            raise InvalidParameterError.at("top_logprobs", "needs logprobs to be true")
        return None
    return body.top_logprobs or 0


def _stop(body: ChatIn) -> tuple[str, ...]:
    return (body.stop,) if isinstance(body.stop, str) else tuple(body.stop or ())


def _system(body: ChatIn) -> Iterator[str]:
    for message in body.messages:
        if isinstance(message, ChatSystemMessage):
            yield _text(message.content)


def moved(system: Iterable[bool]) -> tuple[AnswerWarning, ...]:
    """Return a warning if a system message follows another message."""
    others = [not of_system for of_system in system]
    if others == sorted(others):
        return ()
    message = "the model's template has one system turn, at the beginning: later ones joined it"
    return (AnswerWarning("system_message_moved", message),)


def unread(parts: Iterable[BaseModel], place: str) -> Iterator[str]:
    """Yield the paths of the members of ``parts`` that are not read."""
    for position, part in enumerate(parts):
        for name, value in (part.model_extra or {}).items():
            if value is not None:
                yield f"{place}.{position}.{name}"


def _of_messages(body: ChatIn) -> Iterator[str]:
    """Yield the paths of ignored members of messages. Raises a RequestError."""
    for position, message in enumerate(body.messages):
        place = f"messages.{position}"
        yield from unsupported_parameters.MESSAGE.ignored(message.model_extra or {}, f"{place}.")
        if isinstance(message.content, list):
            yield from unread(message.content, f"{place}.content")
            yield from _of_pictures(message.content, f"{place}.content")


def _of_pictures(parts: Sequence[BaseModel], place: str) -> Iterator[str]:
    for position, part in enumerate(parts):
        if isinstance(part, ChatImagePart):
            for name, value in (part.image_url.model_extra or {}).items():
                if value is not None:
                    yield f"{place}.{position}.image_url.{name}"


def _turns(body: ChatIn, owner: str) -> Iterator[Turn[ImageInput]]:
    for position, message in enumerate(body.messages):
        place = f"messages.{position}"
        match message:
            case ChatUserMessage():
                images = tuple(_images(message, place, owner))
                yield Turn(Role.USER, _text(message.content), images)
            case ChatAssistantMessage():
                yield Turn(Role.ASSISTANT, _text(message.content))


def _text(content: str | Sequence[BaseModel] | None) -> str:
    if isinstance(content, str):
        return content
    return "\n".join(_words(content or ()))


def _words(parts: Iterable[BaseModel]) -> Iterator[str]:
    for part in parts:
        match part:
            case ChatTextPart(text=words) | ChatRefusalPart(refusal=words):
                yield words


def _images(message: ChatUserMessage, place: str, owner: str) -> Iterator[ImageInput]:
    if isinstance(message.content, str):
        return
    for position, part in enumerate(message.content):
        where = f"{place}.content.{position}"
        match part:
            case ChatImagePart(image_url=named):
                yield named_image(named.url, named.file_id, owner, f"{where}.image_url")
            case ChatFilePart(file=named_file):
                yield FileImage(named_file.file_id, owner, f"{where}.file.file_id")


def named_image(url: str | None, file_id: str | None, owner: str, name: str) -> ImageInput:
    """Return the picture named by URL or file id. Raises InvalidParameterError."""
    if url is not None and file_id is None:
        return image(url, f"{name}.url")
    if file_id is not None and url is None:
        return FileImage(file_id, owner, f"{name}.file_id")
    raise InvalidParameterError.at(f"{name}.url", "give an address or data URI, or a file_id")


def image(url: str, name: str) -> ImageInput:
    """Return the picture in or at ``url``; ``name`` is its path in the body.

    Raises InvalidParameterError if it is neither a data URI nor an address.
    """
    if url.lstrip()[:5].lower() == "data:":
        return Base64Image(url, None, name)
    if "://" not in url[:_LONGEST_SCHEME]:
        raise InvalidParameterError.at(
            name,
            "is neither an address nor a data URI; a picture's base64 stands behind "
            "data:image/png;base64,",
        )
    return UrlImage(url, name)


def _form(body: ChatIn) -> Form[Any] | None:
    match body.response_format:
        case ChatJsonFormat():
            return AnyObject()
        case ChatJsonSchemaFormat(json_schema=asked):
            return schema_form(asked.json_schema, "response_format.json_schema.schema")
    return None


def schema_form(schema: dict[str, Any], place: str) -> SchemaForm:
    """Return the form of answers under ``schema``, which stands at ``place`` in the body.

    Raises InvalidParameterError if it can't be used.
    """
    try:
        return SchemaForm(schema)
    except (SchemaError, RecursionError) as error:
        raise InvalidParameterError.at(place, str(error)) from error
