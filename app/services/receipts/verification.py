"""States what a receipt proves about an answer and its pictures, and what it does not."""

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import orjson
import rfc8785
from joserfc import jws
from joserfc.errors import (
    BadSignatureError,
    DecodeError,
    InvalidKeyIdError,
    JoseError,
    MissingKeyError,
    SecurityWarning,
)
from joserfc.jwk import KeySet

from app.services.receipts import issuer
from app.services.receipts.issuer import ERASURE_TYPE, HEAD_TYPE, TYPE

UNPROVED = {
    TYPE: (
        "that the model gave this answer: only the service says so, as AWS signs no answers",
        "that AWS processed it only in these regions: AWS's control plane named them",
        "the time: it is the service's clock's, unless an audit head kept elsewhere bounds it",
        "that there were no other requests: the audit log's proofs are for that",
    ),
    ERASURE_TYPE: (
        "that nothing else was stored: only the service says what it deleted",
        "the time: it is the service's clock's, unless an audit head kept elsewhere bounds it",
    ),
    HEAD_TYPE: ("that the log has this head: python -m app audit verify --head compares them",),
}
"""What no receipt proves, by the kind of the signed document."""
_NO_KEY = "the key set has no key of that name: it belongs to another service, or is older"
_WRONG: dict[type[JoseError], str] = {
    BadSignatureError: "it was changed after it was signed, or signed by another key",
    DecodeError: "it is not a compact JWS: three parts in base64, separated by dots",
    MissingKeyError: _NO_KEY,
    InvalidKeyIdError: _NO_KEY,
}


@dataclass(frozen=True, slots=True)
class Statement:
    """One sentence about a receipt."""

    holds: bool | None
    """None for a statement that no receipt can prove."""
    text: str


@dataclass(frozen=True, slots=True)
class Evidence:
    """The evidence that is compared with a receipt."""

    answer: bytes | None = None
    """The answer's body as it was received, or the model's text."""
    images: Sequence[bytes] = ()
    request: bytes | None = None


def extracted(text: str) -> str:
    """Return the compact receipt in ``text``.

    The receipt stands alone, in a stream's comment, in a header among others, or in a JSON member.
    """
    text = text.strip()
    for line in text.splitlines():
        if line.startswith(": receipt "):
            return line.removeprefix(": receipt ").strip()
        if line[:8].lower() == "receipt:":
            return line[8:].strip()
    if text.startswith("{"):
        receipt = orjson.loads(text).get("receipt")
        if isinstance(receipt, str):
            return receipt
        raise ValueError("the JSON has no member `receipt`")
    return text


def opened(receipt: str, keys: dict[str, Any], kind: str | None = None) -> dict[str, Any]:
    """Return the members of the signed document, or raise ValueError with its fault.

    ``kind`` is the kind required, a receipt, an audit head or an erasure; any if None.
    """
    typ, members = _signed(receipt, keys)
    if kind not in (None, typ):
        raise ValueError(f"it is signed, but it is {typ} instead of {kind}")
    return members


def _signed(receipt: str, keys: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    try:
        with warnings.catch_warnings():
            # EdDSA has a newer name in RFC 9864; receipts keep the one that all readers know.
            warnings.simplefilter("ignore", SecurityWarning)
            key_set = KeySet.import_key_set(keys)  # type: ignore[arg-type]
            read = jws.deserialize_compact(receipt, key_set, algorithms=["EdDSA"])
    except (JoseError, ValueError, TypeError, KeyError, AttributeError) as error:
        why = next((reason for kind, reason in _WRONG.items() if isinstance(error, kind)), None)
        raise ValueError(f"the signature is not valid: {why or type(error).__name__}") from error
    members: dict[str, Any] = orjson.loads(read.payload)
    if rfc8785.dumps(members) != read.payload:
        raise ValueError("the payload is signed, but is not canonical JSON (RFC 8785)")
    return str(read.headers().get("typ")), members


def verify(receipt: str, keys: dict[str, Any], evidence: Evidence) -> Iterator[Statement]:
    """Yield findings on what holds, fails or is unproved; the signature first."""
    try:
        kind, members = _signed(receipt, keys)
    except ValueError as error:
        yield Statement(False, str(error))
        return
    match kind:
        case issuer.TYPE:
            yield from _receipt(members, evidence)
        case issuer.ERASURE_TYPE:
            yield from _erasure(members)
        case issuer.HEAD_TYPE:
            yield Statement(True, "it was signed by a key of the service")
            statement = f"{members['size']} records by {members['time']}, root {members['root']}"
            yield Statement(True, f"it is the head of an audit log: {statement}")
        case _:
            yield Statement(False, f"it was signed by a key of the service, but it is a {kind}")
    if kind != TYPE and (evidence.answer or evidence.images or evidence.request):
        yield Statement(False, "it is not about an answer, so it can't be compared with one")
    for text in UNPROVED.get(kind, ()):
        yield Statement(None, text)


def _receipt(members: dict[str, Any], evidence: Evidence) -> Iterator[Statement]:
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


def _erasure(members: dict[str, Any]) -> Iterator[Statement]:
    yield Statement(True, "it was signed by a key of the service")
    who = f"the caller whose id has the SHA-256 {members['caller_sha256']}"
    yield Statement(True, f"it says that the data of {who} was erased at {members['at']}")
    counted = ", ".join(f"{name} {count}" for name, count in members["deleted"].items())
    yield Statement(True, f"it says that these were deleted: {counted}")
    if members["key_dropped"]:
        yield Statement(
            True,
            "it says that the caller's key was deleted: encrypted copies can no longer be read",
        )
    if members["left"]:
        stores = ", ".join(members["left"])
        yield Statement(False, f"these stores could not be reached, so their data remain: {stores}")


def _call(call: dict[str, Any]) -> Statement:
    where = "in regions that nobody looked up"
    if call["regions"]:
        where = f"in {', '.join(call['regions'])}, {call['residency']} by the operator's rule"
    tokens = f"{call['prompt_tokens']} + {call['generation_tokens']} tokens"
    complete = "" if call["complete"] else ", broken off"
    return Statement(True, f"it says that {call['model']} answered {where}, {tokens}{complete}")


def _answer(members: dict[str, Any], answer: bytes) -> Statement:
    digest = sha256(answer).hexdigest()
    if members["answer"]["sha256"] == digest:
        return Statement(True, "the answer is byte for byte the one that the receipt is for")
    whole, comment, _ = answer.rpartition(b"\n: receipt ")
    if comment and members["answer"]["sha256"] == sha256(whole + b"\n").hexdigest():
        return Statement(
            True, "up to the receipt the stream is byte for byte the one that it is for"
        )
    # The file as it is, and without the line end that editors add.
    for text in (answer, answer.rstrip(b"\n")):
        if any(call["answer_sha256"] == sha256(text).hexdigest() for call in members["calls"]):
            return Statement(True, "the text is word for word what the model answered")
    return Statement(False, "the answer is not the one that the receipt is for")


def _image(members: dict[str, Any], number: int, image: bytes) -> Statement:
    digest = sha256(image).hexdigest()
    for noted in members["images"]:
        if noted["received_sha256"] == digest:
            done = f"{noted['treatment']}, {noted['prepared_width']}x{noted['prepared_height']}"
            return Statement(True, f"picture {number} was in the request; it was sent {done}")
        if noted["prepared_sha256"] == digest:
            return Statement(True, f"picture {number} is what the model was sent")
    return Statement(False, f"picture {number} is not one of those that the receipt is about")


def _is(same: bool) -> str:
    return "is" if same else "is not"
