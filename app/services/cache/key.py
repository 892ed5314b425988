"""Keys of answers, which are equal exactly if everything that decides the answer is equal. Pure."""

import json
from collections.abc import Iterable, Sequence
from hashlib import sha256

from app.domain.generation import ModelRequest
from app.domain.output import Choice, JsonObject, JsonSchema, OutputForm

VERSION = "llama-vision answer 2"
"""Changes with the record below, so that older entries do not match."""


def answer_key(
    scope: str, request: ModelRequest, *, model: str, pixels: Sequence[str], policy: str
) -> str:
    """Return the SHA-256 of the canonical record of a request, lower-case hexadecimal.

    ``scope`` names the callers who share the answer; ``model`` all that may answer, dialects
    included; ``pixels`` are the digests of the pictures' pixels in order; ``policy`` is the
    guardrail policy's fingerprint.
    """
    sampling = request.sampling
    digests = iter(pixels)
    texts = [VERSION, scope, model, policy, request.call_context.task]
    # None differs from the empty text.
    texts += ("none",) if request.system is None else ("some", request.system)
    texts += (repr(request.raw_prompt), request.begun, repr(len(request.turns)))
    for turn in request.turns:
        texts += (turn.role, turn.text, repr(len(turn.images)))
        texts += [next(digests) for _ in turn.images]
    texts += map(repr, (float(sampling.temperature), float(sampling.top_p), sampling.max_gen_len))
    texts += (repr(len(request.stop)), *request.stop, repr(request.logprobs), *_form(request.form))
    return sha256(record(texts)).hexdigest()


def record(texts: Iterable[str]) -> bytes:
    """Return texts, each preceded by its length, so that no two lists yield the same bytes."""
    # Half a surrogate pair may come in JSON; two of them are not the same.
    return "".join([f"{len(text)}:{text}" for text in texts]).encode("utf-8", "surrogatepass")


def _form(form: OutputForm | None) -> tuple[str, ...]:
    match form:
        case None:
            return ("none",)
        case JsonObject():
            return ("object",)
        case JsonSchema(name, schema):
            # The order of properties is the order in which they are written.
            return ("schema", name, json.dumps(schema))
        case Choice(options):
            return ("choice", *options)
