"""Keys of answers: equal exactly where all that decides the answer is equal. Pure."""

import json
from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256

from app.domain.generation import ModelRequest
from app.domain.output import Choice, JsonObject, JsonSchema, OutputForm

VERSION = "llama-vision answer 1"
"""Changes with the record below, so that no older entry is mistaken for one of it."""


def answer_key(
    scope: str, request: ModelRequest, *, model: str, pixels: Sequence[str], policy: str
) -> str:
    """Return the SHA-256 of the canonical record of a request, lower-case hexadecimal.

    ``scope`` is whose answers it is among; ``model`` what may answer, dialects included; ``pixels``
    are the digests of the pictures' pixels in order; ``policy`` is the guardrail policy's
    fingerprint.
    """
    return sha256(b"".join(_record(scope, request, model, pixels, policy))).hexdigest()


def _record(
    scope: str, request: ModelRequest, model: str, pixels: Sequence[str], policy: str
) -> Iterator[bytes]:
    sampling = request.sampling
    digests = iter(pixels)
    yield from _texts((VERSION, scope, model, policy, request.call_context.task))
    yield from _optional(request.system)
    yield from _texts((repr(request.raw_prompt), repr(len(request.turns))))
    for turn in request.turns:
        yield from _texts((turn.role, turn.text, repr(len(turn.images))))
        for _ in turn.images:
            yield from _texts((next(digests),))
    yield from _texts(
        map(repr, (float(sampling.temperature), float(sampling.top_p), sampling.max_gen_len))
    )
    yield from _texts((repr(len(request.stop)), *request.stop))
    yield from _texts((repr(request.logprobs), *_form(request.form)))


def _texts(texts: Iterable[str]) -> Iterator[bytes]:
    """Yield texts, each behind its length: no two records run together into the same bytes."""
    for text in texts:
        # Half a surrogate pair may come in JSON; two of them are not the same.
        data = text.encode("utf-8", "surrogatepass")
        yield len(data).to_bytes(8, "big")
        yield data


def _optional(text: str | None) -> Iterator[bytes]:
    # None and the empty text are two things.
    return _texts(("none",) if text is None else ("some", text))


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
