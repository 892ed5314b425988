"""Writes the body of a whole answer, in the format of the call."""

from typing import Any

from app.emulator.wire.bodies import (
    bedrock_completion,
    converse,
    native,
    openai_chat,
    openai_completion,
)
from app.emulator.wire.bodies.conversation import Answer, Ask, BodyFormat


def rendered(ask: Ask, answer: Answer, model: str, latency_ms: int) -> dict[str, Any]:
    """Return the body; ``model`` is the name that OpenAI's formats repeat."""
    match ask.format:
        case BodyFormat.CONVERSE:
            return converse.rendered(answer, latency_ms)
        case BodyFormat.OPENAI_CHAT:
            return openai_chat.rendered(ask, answer, model)
        case BodyFormat.OPENAI_COMPLETION:
            return openai_completion.rendered(ask, answer, model)
        case BodyFormat.BEDROCK_COMPLETION:
            return bedrock_completion.rendered(ask, answer)
    return native.rendered(answer)
