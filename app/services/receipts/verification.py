"""Says in words what a receipt proves of an answer and its pictures, and what it does not."""

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import orjson
import rfc8785
from joserfc import jws
from joserfc.errors import JoseError, SecurityWarning
from joserfc.jwk import KeySet

UNPROVED = (
    "that the model said this: the service says so, and AWS signs no answers",
    "that AWS processed it in these regions alone: they are what AWS's control plane said",
    "the time: it is by the service's clock, unless an audit head that others keep bounds it",
    "that this is all that was asked: the audit log's proofs are for that",
)


@dataclass(frozen=True, slots=True)
class Statement:
    """One sentence about a receipt."""

    holds: bool
    text: str


@dataclass(frozen=True, slots=True)
class Evidence:
    """The evidence that somebody holds beside a receipt."""

    answer: bytes | None = None
    """The answer's body as it was received, or the model's text."""
    images: Sequence[bytes] = ()
    request: bytes | None = None


def extracted(text: str) -> str:
    """Return the compact receipt in ``text``: alone, as a stream's comment, or as JSON's member."""
    text = text.strip()
    for line in text.splitlines():
        if line.startswith(": receipt "):
            return line.removeprefix(": receipt ").strip()
    if text.startswith("{"):
        found = orjson.loads(text).get("receipt")
        if isinstance(found, str):
            return found
        raise ValueError("the JSON has no member receipt")
    return text.removeprefix("receipt:").removeprefix("Receipt:").strip()


def opened(receipt: str, keys: dict[str, Any]) -> dict[str, Any]:
    """Return the receipt's members, or raise ValueError with what is wrong with it."""
    try:
        with warnings.catch_warnings():
            # EdDSA has a newer name in RFC 9864; receipts keep the one that all readers know.
            warnings.simplefilter("ignore", SecurityWarning)
            key_set = KeySet.import_key_set(keys)  # type: ignore[arg-type]
            read = jws.deserialize_compact(receipt, key_set, algorithms=["EdDSA"])
    except (JoseError, ValueError, TypeError, KeyError) as error:
        raise ValueError(f"the signature does not hold: {type(error).__name__}") from error
    members: dict[str, Any] = orjson.loads(read.payload)
    if rfc8785.dumps(members) != read.payload:
        raise ValueError("the payload is signed, but is no canonical JSON (RFC 8785)")
    return members


def verify(receipt: str, keys: dict[str, Any], evidence: Evidence) -> Iterator[Statement]:
    """Yield what holds and what does not; the first statement is about the signature."""
    try:
        members = opened(receipt, keys)
    except ValueError as error:
        yield Statement(False, str(error))
        return
    yield Statement(True, f"it was signed by a key of the service, {members['service']}")
    yield Statement(
        True,
        f"it is about request {members['request_id']}, answered at {members['answered_at']}",
    )
    yield from map(_call, members["calls"])
    if evidence.answer is not None:
        yield _answer(members, evidence.answer)
    if evidence.request is not None:
        same = members["request"]["sha256"] == sha256(evidence.request).hexdigest()
        yield Statement(same, f"the request {_is(same)} the one it was given")
    for number, image in enumerate(evidence.images):
        yield _image(members, number, image)


def _call(call: dict[str, Any]) -> Statement:
    where = "in a place that nobody looked up"
    if call["regions"]:
        where = f"in {', '.join(call['regions'])}, {call['residency']} by the operator's rule"
    tokens = f"{call['prompt_tokens']} + {call['generation_tokens']} tokens"
    complete = "" if call["complete"] else ", broken off"
    return Statement(True, f"it says that {call['model']} answered {where}, {tokens}{complete}")


def _answer(members: dict[str, Any], answer: bytes) -> Statement:
    digest = sha256(answer).hexdigest()
    if members["answer"]["sha256"] == digest:
        return Statement(True, "the answer is byte for byte the one it was given for")
    # As a file is saved, with a line's end; and without what an editor adds.
    for text in (answer, answer.rstrip(b"\n")):
        if any(call["answer_sha256"] == sha256(text).hexdigest() for call in members["calls"]):
            return Statement(True, "the text is word for word what the model answered")
    return Statement(False, "the answer is another than the one it was given for")


def _image(members: dict[str, Any], number: int, image: bytes) -> Statement:
    digest = sha256(image).hexdigest()
    for noted in members["images"]:
        if noted["received_sha256"] == digest:
            done = f"{noted['treatment']}, {noted['prepared_width']}x{noted['prepared_height']}"
            return Statement(True, f"picture {number} is one that was received; it went on {done}")
        if noted["prepared_sha256"] == digest:
            return Statement(True, f"picture {number} is what the model was sent")
    return Statement(False, f"picture {number} is none of those it is about")


def _is(same: bool) -> str:
    return "is" if same else "is not"
