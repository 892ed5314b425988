"""From OpenAI's form of a request to the domain's. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from app.api.openai import unsupported_parameters
from app.api.openai.schemas import (
    ChatAssistantMessage,
    ChatImagePart,
    ChatIn,
    ChatJsonFormat,
    ChatJsonSchemaFormat,
    ChatPart,
    ChatSystemMessage,
    ChatTextPart,
    ChatUserMessage,
)
from app.domain.conversation import alternating
from app.domain.errors import FieldError, InvalidParameterError
from app.domain.generation import (
    CallContext,
    GenerationRequest,
    ImageInput,
    ImageStrategy,
    Role,
    Sampling,
    Turn,
)
from app.domain.image import AnswerWarning, Base64Image, UrlImage
from app.domain.model import Capabilities
from app.services.answers.exact import AnyObject, SchemaForm
from app.services.answers.form import Form
from app.services.answers.schema import SchemaError

MAX_TOKENS = 2048
"""OpenAI's default is as much as the model can."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A request in the domain's words."""

    request: GenerationRequest
    ignored: tuple[str, ...]
    """Parameters that were given and make no difference."""
    form: Form[Any] | None = None
    """What the answer has to be, where it is to be JSON."""


def translated(body: ChatIn, call_context: CallContext, capabilities: Capabilities) -> Asked:
    """Return what ``body`` asks for of a model with ``capabilities``, or raise a RequestError."""
    foreign = dict(body.model_extra or {})
    if not capabilities.logprobs:
        foreign |= {name: getattr(body, name) for name in unsupported_parameters.LOGPROBS}
    ignored = unsupported_parameters.REQUEST.ignored(foreign)
    if body.stream_options is not None:
        extra = body.stream_options.model_extra or {}
        ignored += unsupported_parameters.STREAM.ignored(extra, "stream_options.")
    request = GenerationRequest(
        turns=alternating(_turns(body)),
        whole_conversation=True,
        system="\n\n".join(_system(body)) or None,
        sampling=_sampling(body),
        call_context=call_context,
        strategy=ImageStrategy(body.image_strategy),
        strategies=(ImageStrategy.CONTACT_SHEET,),
        stop=_stop(body),
        warnings=tuple(_moved(body)),
        logprobs=_logprobs(body),
    )
    return Asked(request, ignored, _form(body))


def _sampling(body: ChatIn) -> Sampling:
    default = Sampling()
    return Sampling(
        default.temperature if body.temperature is None else body.temperature,
        default.top_p if body.top_p is None else body.top_p,
        body.max_completion_tokens or body.max_tokens or MAX_TOKENS,
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


def _moved(body: ChatIn) -> Iterator[AnswerWarning]:
    others = [not isinstance(message, ChatSystemMessage) for message in body.messages]
    if others != sorted(others):
        yield AnswerWarning(
            "system_message_moved",
            "the model's template has one system turn, at the beginning: later ones joined it",
        )


def _turns(body: ChatIn) -> Iterator[Turn[ImageInput]]:
    for position, message in enumerate(body.messages):
        place = f"messages.{position}"
        match message:
            case ChatUserMessage():
                images = tuple(_images(message, place))
                yield Turn(Role.USER, _text(message.content), images)
            case ChatAssistantMessage():
                unsupported_parameters.ASSISTANT.ignored(message.model_extra or {}, f"{place}.")
                yield Turn(Role.ASSISTANT, _text(message.content))


def _text(content: str | list[ChatTextPart] | list[ChatPart] | None) -> str:
    if isinstance(content, str):
        return content
    return "\n".join(part.text for part in content or () if isinstance(part, ChatTextPart))


def _images(message: ChatUserMessage, place: str) -> Iterator[ImageInput]:
    if isinstance(message.content, str):
        return
    for position, part in enumerate(message.content):
        if isinstance(part, ChatImagePart):
            yield _image(part.image_url.url, f"{place}.content.{position}.image_url.url")


def _image(url: str, name: str) -> ImageInput:
    return Base64Image(url, None, name) if url[:5].lower() == "data:" else UrlImage(url, name)


def _form(body: ChatIn) -> Form[Any] | None:
    match body.response_format:
        case ChatJsonFormat():
            return AnyObject()
        case ChatJsonSchemaFormat(json_schema=asked):
            return _schema_form(asked.json_schema)
    return None


def _schema_form(schema: dict[str, Any]) -> SchemaForm:
    try:
        return SchemaForm(schema)
    except (SchemaError, RecursionError) as error:
        place = "response_format.json_schema.schema"
        raise InvalidParameterError(
            f"{place}: {error}",
            errors=(FieldError(place, InvalidParameterError.code, str(error)),),
        ) from error
