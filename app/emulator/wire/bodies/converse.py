"""The body of Converse: checked on the way in, written on the way out."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import orjson

from app.emulator.wire.bodies import picture, template
from app.emulator.wire.bodies.conversation import (
    MAX_GENERATION,
    Answer,
    Ask,
    BodyFormat,
    NamedGuardrail,
    Picture,
    Sampling,
    Turn,
)
from app.emulator.wire.bodies.native import MANY_IMAGES
from app.emulator.wire.errors import invalid, refused_by_model

_STOPS = {"stop": "end_turn", "length": "max_tokens", "guardrail": "guardrail_intervened"}
_FIELDS = frozenset(
    {
        "messages",
        "system",
        "inferenceConfig",
        "toolConfig",
        "guardrailConfig",
        "additionalModelRequestFields",
        "additionalModelResponseFieldPaths",
        "promptVariables",
        "requestMetadata",
        "performanceConfig",
    }
)


@dataclass(slots=True)
class _Gathered:
    """Results collected from the messages."""

    pictures: list[Picture] = field(default_factory=list)
    picture_count: int = 0
    marked: list[Turn] = field(default_factory=list)
    plain: list[Turn] = field(default_factory=list)


def parse(body: bytes, *, decode: bool) -> Ask:
    """Return the question in a Converse body, or raise a 400.

    With ``decode`` false pictures are counted and their bytes left alone.
    """
    fields = _fields(body)
    gathered = _Gathered()
    system = _system(fields.get("system") or [])
    if system:
        gathered.marked.append(Turn("system", template.SPECIAL.sub("", system)))
        gathered.plain.append(Turn("system", system))
    _walk(fields.get("messages") or [], gathered, decode=decode)
    if gathered.picture_count > 1:
        raise refused_by_model(MANY_IMAGES)
    return Ask(
        prompt=template.written(gathered.marked),
        turns=tuple(gathered.plain),
        sampling=_sampling(fields.get("inferenceConfig") or {}),
        pictures=tuple(gathered.pictures),
        picture_count=gathered.picture_count,
        guarded=_guarded(fields.get("guardrailConfig")),
        format=BodyFormat.CONVERSE,
    )


def _fields(body: bytes) -> dict[str, Any]:
    try:
        fields = orjson.loads(body or b"{}")
    except orjson.JSONDecodeError:
        raise invalid("The request body is not valid JSON.") from None
    if not isinstance(fields, dict):
        raise invalid("The request body must be a JSON object.")
    unknown = sorted(fields.keys() - _FIELDS)
    if unknown:
        raise invalid(f"Unknown member(s) in the request: {', '.join(unknown)}")
    if fields.get("toolConfig"):
        raise invalid("This model doesn't support tool use.")
    if fields.get("additionalModelRequestFields"):
        raise invalid("Malformed input request: extraneous additionalModelRequestFields.")
    return fields


def _system(blocks: list[Any]) -> str:
    texts = []
    for index, block in enumerate(blocks):
        if not isinstance(block, dict) or list(block) != ["text"]:
            raise invalid(f"system.{index}: this model takes text in system prompts only.")
        texts.append(_text(block["text"], f"system.{index}"))
    return "\n".join(texts)


def _walk(messages: list[Any], gathered: _Gathered, *, decode: bool) -> None:
    if not messages:
        raise invalid("The conversation must hold at least one message.")
    expected = "user"
    for index, message in enumerate(messages):
        role = message.get("role") if isinstance(message, dict) else None
        if role not in ("user", "assistant"):
            raise invalid(f"messages.{index}.role: Value must be one of user, assistant")
        if index == 0 and role != "user":
            raise invalid(
                "A conversation must start with a user message."
                " Try again with a conversation that starts with a user message."
            )
        if role != expected:
            raise invalid(
                "A conversation must alternate between user and assistant roles. Make sure the"
                " conversation alternates between user and assistant roles and try again."
            )
        expected = "assistant" if role == "user" else "user"
        _read_message(role, message.get("content"), f"messages.{index}.content", gathered, decode)
    if expected == "user":
        raise invalid("A conversation must end with a user message.")


def _read_message(
    role: str, content: object, where: str, gathered: _Gathered, decode: bool
) -> None:
    if not isinstance(content, list) or not content:
        raise invalid(f"The content field in the Message object at {where} is empty.")
    marks, texts = [], []
    for index, block in enumerate(content):
        spot = f"{where}.{index}"
        if not isinstance(block, dict) or len(block) != 1:
            raise invalid(f"{spot}: a content block holds exactly one member.")
        if "text" in block:
            texts.append(_text(block["text"], spot))
        elif "image" in block:
            _read_image(role, block["image"], spot, gathered, decode)
            marks.append(template.IMAGE)
        else:
            raise invalid(f"This model doesn't support the {next(iter(block))} content block.")
    text = "\n".join(texts)
    gathered.plain.append(Turn(role, text))
    gathered.marked.append(Turn(role, "".join(marks) + template.SPECIAL.sub("", text)))


def _text(value: object, where: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise invalid(
            f"The text field in the ContentBlock object at {where} is blank."
            " Add text to the text field, and try again."
        )
    return value


def _read_image(role: str, image: object, where: str, gathered: _Gathered, decode: bool) -> None:
    if role != "user":
        raise invalid(f"{where}: images are allowed in messages of the user role only.")
    fields = image if isinstance(image, dict) else {}
    declared, source = fields.get("format"), fields.get("source") or {}
    if declared not in picture.FORMATS:
        raise invalid(
            f"Value {declared!r} at {where}.image.format failed to satisfy constraint:"
            " Member must satisfy enum value set: [gif, jpeg, png, webp]"
        )
    encoded = source.get("bytes") if isinstance(source, dict) else None
    if not isinstance(encoded, str):
        raise invalid(f"{where}: this model takes image bytes only.")
    gathered.picture_count += 1
    # More than one are refused as a whole: decoding the others would be waste.
    if decode and gathered.picture_count == 1:
        data = picture.from_base64(encoded, where)
        gathered.pictures.append(picture.checked(data, where, declared))


def _sampling(config: dict[str, Any]) -> Sampling:
    unknown = sorted(config.keys() - {"maxTokens", "temperature", "topP", "stopSequences"})
    if unknown:
        raise invalid(f"Unknown member(s) in inferenceConfig: {', '.join(unknown)}")
    length = config.get("maxTokens", MAX_GENERATION)
    if isinstance(length, bool) or not isinstance(length, int) or not 1 <= length <= MAX_GENERATION:
        raise invalid(
            f"The maximum tokens you requested exceeds the model limit of {MAX_GENERATION}."
            f" Try again with a maximum tokens value between 1 and {MAX_GENERATION}."
        )
    return Sampling(
        temperature=_share(config, "temperature", 0.5),
        top_p=_share(config, "topP", 0.9),
        max_gen_len=length,
        stop_sequences=_stops(config.get("stopSequences") or []),
    )


def _share(config: dict[str, Any], key: str, default: float) -> float:
    value = config.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise invalid(
            f"Value {value!r} at 'inferenceConfig.{key}' failed to satisfy constraint:"
            " Member must be between 0 and 1"
        )
    return float(value)


def _stops(values: object) -> tuple[str, ...]:
    if not isinstance(values, list) or not all(isinstance(v, str) and v for v in values):
        raise invalid("inferenceConfig.stopSequences holds non-empty strings.")
    return tuple(values)


def _guarded(config: dict[str, Any] | None) -> NamedGuardrail | None:
    if not config:
        return None
    identifier, version = config.get("guardrailIdentifier"), config.get("guardrailVersion")
    if not identifier or not version:
        raise invalid("guardrailConfig needs guardrailIdentifier and guardrailVersion.")
    return NamedGuardrail(identifier, version, config.get("trace", "disabled") != "disabled")


def stop_reason(answer: Answer) -> str:
    """Return Converse's word for why a generation ended."""
    return _STOPS.get(answer.stop, answer.stop)


def usage(answer: Answer) -> dict[str, int]:
    """Return the token counts as Converse reports them."""
    generated = len(answer.pieces)
    return {
        "inputTokens": answer.prompt_tokens,
        "outputTokens": generated,
        "totalTokens": answer.prompt_tokens + generated,
    }


def rendered(answer: Answer, latency_ms: int) -> dict[str, Any]:
    """Return the body of a Converse response."""
    return {
        "output": {"message": {"role": "assistant", "content": [{"text": answer.text}]}},
        "stopReason": stop_reason(answer),
        "usage": usage(answer),
        "metrics": {"latencyMs": latency_ms},
        **trace(answer),
    }


def trace(answer: Answer) -> dict[str, Any]:
    """Return the member that holds a guardrail's assessments, if they were asked for."""
    assessments = answer.guard.trace if answer.guard else None
    if assessments is None:
        return {}
    outputs = {key: [value] for key, value in assessments.get("outputs", {}).items()}
    return {
        "trace": {
            "guardrail": {"inputAssessment": assessments["input"], "outputAssessments": outputs}
        }
    }


def events(answer: Answer) -> Iterator[tuple[str, dict[str, Any]]]:
    """Return the events of a ConverseStream before its metadata, in order."""
    yield "messageStart", {"role": "assistant"}
    for piece in answer.pieces:
        yield "contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": piece}}
    yield "contentBlockStop", {"contentBlockIndex": 0}
    yield "messageStop", {"stopReason": stop_reason(answer)}
