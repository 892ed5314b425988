"""OpenAI's chat completion, the one body in which an imported model sees pictures."""

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from app.emulator.wire.bodies import native, openai, picture, structured_output, template
from app.emulator.wire.bodies.conversation import (
    Answer,
    Ask,
    BodyFormat,
    NamedGuardrail,
    Picture,
    TokenScore,
    Turn,
)
from app.emulator.wire.errors import refused_by_model

MAX_PICTURES = 3
MAX_SIDE = 8000
_KEYS = openai.SHARED_KEYS | {"messages", "max_completion_tokens", "top_logprobs"}
_DATA_URI = re.compile(r"data:image/(?P<kind>png|jpeg|gif|webp);base64,", re.ASCII)


@dataclass(slots=True)
class _Gathered:
    """Results collected from the messages."""

    decode: bool
    pictures: list[Picture] = field(default_factory=list)
    uris: list[tuple[str, str]] = field(default_factory=list)
    """Each picture's URI with its place."""
    marked: list[Turn] = field(default_factory=list)
    plain: list[Turn] = field(default_factory=list)


def parse(fields: dict[str, Any], guarded: NamedGuardrail | None, *, decode: bool) -> Ask:
    """Return the question in a chat completion, or raise a 400.

    With ``decode`` false pictures are counted and their bytes left alone.
    """
    openai.check_keys(fields, _KEYS)
    gathered = _Gathered(decode)
    _walk(fields["messages"], gathered)
    _check_pictures(gathered)
    return Ask(
        prompt=template.written(gathered.marked),
        turns=tuple(gathered.plain),
        sampling=openai.sampling(fields),
        pictures=tuple(_decoded(gathered)) if decode else (),
        picture_count=len(gathered.uris),
        guarded=guarded,
        format=BodyFormat.OPENAI_CHAT,
        constraint=structured_output.constraint(fields, bare_schema=False),
        logprobs=openai.demand(_top(fields), openai.prompt_logprobs(fields)),
    )


def _top(fields: dict[str, Any]) -> int | None:
    wanted, top = fields.get("logprobs"), fields.get("top_logprobs")
    if wanted not in (None, True, False) or (
        isinstance(wanted, int) and not isinstance(wanted, bool)
    ):
        raise refused_by_model("logprobs must be a boolean.")
    if top is not None and not wanted:
        raise refused_by_model("when using `top_logprobs`, `logprobs` must be set to true.")
    if not wanted:
        return None
    return openai.whole(top or 0, "top_logprobs", 0, openai.MAX_LOGPROBS)


def _walk(messages: object, gathered: _Gathered) -> None:
    if not isinstance(messages, list) or not messages:
        raise refused_by_model("messages must hold at least one message.")
    for index, message in enumerate(messages):
        role = message.get("role") if isinstance(message, dict) else None
        if role not in ("system", "user", "assistant"):
            raise refused_by_model(f"messages.{index}.role must be system, user or assistant.")
        if role == "system" and index:
            raise refused_by_model(f"messages.{index}: a system message comes first.")
        _read(role, message.get("content"), f"messages.{index}.content", gathered)
    if gathered.plain[-1].role != "user":
        raise refused_by_model("the last message must be the user's.")


def _read(role: str, content: object, where: str, gathered: _Gathered) -> None:
    parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
    if not isinstance(parts, list) or not parts:
        raise refused_by_model(f"{where} must be a string or a list of parts.")
    marked, plain = [], []
    for index, part in enumerate(parts):
        place = f"{where}.{index}"
        match part:
            case {"type": "text", "text": str(text)}:
                marked.append(template.SPECIAL.sub("", text))
                plain.append(text)
            case {"type": "image_url", "image_url": {"url": str(url)}}:
                if role != "user":
                    raise refused_by_model(f"{place}: images only in user messages.")
                gathered.uris.append((url, place))
                marked.append(template.IMAGE)
            case _:
                raise refused_by_model(f"{place} must be a text or an image_url part.")
    gathered.marked.append(Turn(role, "".join(marked)))
    gathered.plain.append(Turn(role, "\n".join(plain)))


def _check_pictures(gathered: _Gathered) -> None:
    if len(gathered.uris) > MAX_PICTURES:
        raise refused_by_model(f"At most {MAX_PICTURES} image(s) may be provided in one prompt.")
    # The words of Meta's own template, which raises them.
    if gathered.uris and gathered.plain[0].role == "system":
        raise refused_by_model("Prompting with images is incompatible with system messages.")
    for uri, where in gathered.uris:
        if _DATA_URI.match(uri) is None:
            raise refused_by_model(
                f"{where}: image URLs are not supported. Send a data URI:"
                " data:image/{png,jpeg,gif,webp};base64,..."
            )


def _decoded(gathered: _Gathered) -> Iterator[Picture]:
    for uri, where in gathered.uris:
        match = _DATA_URI.match(uri)
        assert match is not None
        data = picture.from_base64(uri[match.end() :], where)
        yield picture.checked(data, where, match["kind"], most_bytes=len(data), most_side=MAX_SIDE)


def rendered(ask: Ask, answer: Answer, model: str) -> dict[str, Any]:
    """Return the body of a chat completion."""
    return {
        **openai.identity("chatcmpl", "chat.completion", model, round(time.time())),
        "choices": [
            {
                "index": 0,
                "message": {
                    "role": "assistant",
                    "content": answer.text,
                    "refusal": None,
                    "annotations": None,
                    "audio": None,
                    "function_call": None,
                    "tool_calls": [],
                    "reasoning_content": None,
                },
                "logprobs": _logprobs(answer.scores) if _wanted(ask) else None,
                "finish_reason": openai.finish_reason(answer),
                "stop_reason": None,
                "token_ids": None,
            }
        ],
        "service_tier": None,
        "system_fingerprint": None,
        "usage": openai.usage(answer),
        "prompt_logprobs": openai.prompt_scores(answer),
        "prompt_token_ids": None,
        "kv_transfer_params": None,
        **native.guarded(answer),
    }


def _wanted(ask: Ask) -> bool:
    return ask.logprobs is not None and ask.logprobs.top is not None


def _logprobs(scores: tuple[TokenScore, ...]) -> dict[str, Any]:
    return {"content": [_entry(score) for score in scores]}


def _entry(score: TokenScore) -> dict[str, Any]:
    return {
        "token": score.token,
        "logprob": score.logprob,
        "bytes": list(score.token.encode()),
        "top_logprobs": [
            {"token": top.token, "logprob": top.logprob, "bytes": list(top.token.encode())}
            for top in score.top
        ],
    }


def chunks(ask: Ask, answer: Answer, model: str) -> Iterator[dict[str, Any]]:
    """Yield the chunks of a streamed chat completion: role, text, end, usage."""
    head = openai.identity("chatcmpl", "chat.completion.chunk", model, round(time.time()))
    yield _chunk(head, {"role": "assistant", "content": ""})
    for index, piece in enumerate(answer.pieces):
        scores = answer.scores[index : index + 1] if _wanted(ask) else ()
        yield _chunk(head, {"content": piece}, scores)
    end = _chunk(head, {})
    end["choices"][0]["finish_reason"] = openai.finish_reason(answer)
    yield {**end, **native.guarded(answer)}
    yield {**head, "choices": [], "usage": openai.usage(answer)}


def _chunk(
    head: dict[str, Any], delta: dict[str, Any], scores: tuple[TokenScore, ...] = ()
) -> dict[str, Any]:
    return {
        **head,
        "choices": [
            {
                "index": 0,
                "delta": delta,
                "logprobs": _logprobs(scores) if scores else None,
                "finish_reason": None,
            }
        ],
    }
