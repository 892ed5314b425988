"""Issues receipts for requests."""

import time
from base64 import urlsafe_b64encode
from collections.abc import Collection
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from typing import Any, Literal, Protocol

import orjson

from app import __version__
from app.services.receipts.canonical import canonical
from app.services.receipts.instant import instant
from app.telemetry.record import RequestRecord

TYPE = "llama-vision-receipt+jws"
HEAD_TYPE = "llama-vision-audit-head+jws"
ERASURE_TYPE = "llama-vision-erasure+jws"
PREFERENCE = "receipt"


class Signer(Protocol):
    """Signs with Ed25519 by a key that others can look up."""

    @property
    def key_id(self) -> str:
        """The name of the key that signs now."""
        ...

    def sign(self, data: bytes) -> bytes:
        """Return the signature, 64 bytes."""
        ...

    def jwks(self) -> dict[str, Any]:
        """Return the public keys that signed or sign, as a JSON Web Key Set."""
        ...


class NoKeys:
    """Signs nothing, as no key is configured."""

    key_id = ""

    def sign(self, data: bytes) -> bytes:
        """Raise an error, as there is no key."""
        raise NotImplementedError

    def jwks(self) -> dict[str, Any]:
        """Return an empty set."""
        return {"keys": []}


def signed(signer: Signer, payload: bytes, kind: str) -> str:
    """Return ``payload`` as a compact JSON Web Signature.

    Put together here rather than by joserfc, which takes as long again as the signature; tests and
    the command line read it with joserfc.
    """
    signing = _header(signer.key_id, kind) + b"." + _encoded(payload)
    return (signing + b"." + _encoded(signer.sign(signing))).decode()


@lru_cache(maxsize=16)  # few keys and kinds, and each receipt's is the same
def _header(key_id: str, kind: str) -> bytes:
    return _encoded(orjson.dumps({"alg": "EdDSA", "kid": key_id, "typ": kind}))


def _encoded(data: bytes) -> bytes:
    return urlsafe_b64encode(data).rstrip(b"=")


@dataclass(frozen=True, slots=True)
class BodyDigests:
    """The digests of both bodies on the wire."""

    request_sha256: str
    request_bytes: int
    answer_sha256: str
    answer_bytes: int
    media_type: str


@dataclass(frozen=True, slots=True)
class Receipts:
    """Issues receipts on request, or for every paid answer."""

    signer: Signer
    enabled: bool = False
    always: bool = False
    """Whether every paid answer has a receipt, even without a request for one."""
    caller: Literal["id", "hash"] = "id"
    """How the receipt names the caller."""

    def wanted(self, preferences: Collection[str]) -> bool:
        """Tell whether a request with these preferences gets a receipt."""
        return self.enabled and (self.always or PREFERENCE in preferences)

    def issue(self, record: RequestRecord, exchanged: BodyDigests) -> str | None:
        """Return the receipt; None if the request's answer has no model answer in it."""
        trail = record.trail
        if trail is not None:
            trail.settle()
        if trail is None or not trail.calls:
            return None
        return signed(self.signer, canonical(self._facts(record, exchanged), checked=False), TYPE)

    def _facts(self, record: RequestRecord, exchanged: BodyDigests) -> dict[str, Any]:
        trail = record.trail
        assert trail is not None
        now = time.time()
        task = None if record.task is None else {"name": record.task}
        return {
            "version": 1,
            "service": f"llama-vision/{__version__}",
            "request_id": record.request_id,
            "route": record.route,
            "caller": self._named(record.caller),
            "received_at": instant(now - record.elapsed_ms() / 1000),
            "answered_at": instant(now),
            "request": {"sha256": exchanged.request_sha256, "bytes": exchanged.request_bytes},
            "answer": {
                "sha256": exchanged.answer_sha256,
                "bytes": exchanged.answer_bytes,
                "media_type": exchanged.media_type,
            },
            "task": task,
            "images": trail.images,
            "calls": trail.calls,
            "guardrails": trail.verdicts,
            "shared": trail.shared,
        }

    def _named(self, caller: str | None) -> dict[str, str] | None:
        if caller is None:
            return None
        if self.caller == "id":
            return {"id": caller}
        return {"sha256": sha256(caller.encode("utf-8", "surrogatepass")).hexdigest()}
