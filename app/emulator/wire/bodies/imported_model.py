"""The three bodies that an imported model takes on InvokeModel, told apart by their keys."""

from app.emulator.wire.bodies import bedrock_completion, native, openai_chat, openai_completion
from app.emulator.wire.bodies.conversation import Ask, NamedGuardrail
from app.emulator.wire.errors import malformed


def parse(body: bytes, guarded: NamedGuardrail | None, *, decode: bool) -> Ask:
    """Return the question in a body, or raise a 400.

    ``messages`` makes it OpenAI's chat completion, ``max_tokens`` OpenAI's completion, and
    anything else Bedrock's own. With ``decode`` false the bytes of pictures are left alone.
    """
    fields = native.loaded(body)
    if "messages" in fields and "prompt" in fields:
        raise malformed("#: prompt and messages exclude each other")
    if "messages" in fields:
        return openai_chat.parse(fields, guarded, decode=decode)
    if "max_tokens" in fields and "prompt" in fields:
        return openai_completion.parse(fields, guarded)
    if "images" in fields:
        raise malformed(
            "#: extraneous key [images] is not permitted: an imported model sees pictures in"
            " OpenAIChatCompletion only"
        )
    return bedrock_completion.parse(fields, guarded)
