"""The requests received, for tests against the emulator: digests, sizes, no secrets."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

from app.emulator.wire.bodies.conversation import Ask
from app.emulator.wire.exchange import Headers, Request

_SECRET = frozenset({b"authorization", b"x-amz-security-token", b"cookie", b"proxy-authorization"})
RUNNING, ANSWERED, REFUSED = "running", "answered", "refused"
CLIENT_LEFT, HUNG_UP, FAILED = "client_left", "hung_up", "failed"


@dataclass(slots=True)
class Entry:
    """One request and its outcome."""

    number: int
    at: datetime
    headers: Headers
    body_bytes: int
    operation: str | None = None
    model_id: str | None = None
    ask: dict[str, Any] | None = None
    """Parameters, picture digests and prompt, once the body was read."""
    status: int | None = None
    """The status of the reply, None if none was begun."""
    outcome: str = RUNNING

    def rendered(self) -> dict[str, Any]:
        """Return the request as the admin endpoint shows it."""
        return {
            "number": self.number,
            "at": self.at.isoformat(),
            "operation": self.operation,
            "model_id": self.model_id,
            "headers": {k.decode("latin-1"): v.decode("latin-1") for k, v in self.headers},
            "body_bytes": self.body_bytes,
            **(self.ask or {}),
            "status": self.status,
            "outcome": self.outcome,
        }


def rendered_ask(ask: Ask, *, prompt: bool) -> dict[str, Any]:
    """Return the recorded parts of an ask; the prompt's text only if ``prompt`` is true."""
    return {
        "parameters": {
            "temperature": ask.sampling.temperature,
            "top_p": ask.sampling.top_p,
            "max_gen_len": ask.sampling.max_gen_len,
            "stop_sequences": list(ask.sampling.stop_sequences),
        },
        "prompt": {
            "characters": len(ask.prompt),
            "sha256": sha256(ask.prompt.encode()).hexdigest(),
            **({"text": ask.prompt} if prompt else {}),
        },
        "images": [
            {
                "sha256": picture.sha256,
                "bytes": len(picture.data),
                "format": picture.format,
                "width": picture.width,
                "height": picture.height,
            }
            for picture in ask.pictures
        ],
        "image_count": ask.picture_count,
        "format": ask.format,
        "constraint": ask.constraint.kind if ask.constraint else None,
        "logprobs": ask.logprobs is not None,
    }


class RequestLog:
    """The latest requests, oldest first, and counts of all."""

    def __init__(self, size: int) -> None:
        self._entries: deque[Entry] = deque(maxlen=size)
        self._number = 0

    def open(self, request: Request) -> Entry:
        """Record a request."""
        self._number += 1
        entry = Entry(
            number=self._number,
            at=datetime.now(tz=UTC),
            headers=[(k, v) for k, v in request.raw_headers if k not in _SECRET],
            body_bytes=len(request.body),
        )
        self._entries.append(entry)
        return entry

    def matching(self, model_id: str | None, operation: str | None) -> Iterator[Entry]:
        """Yield the entries of a model id (without faults) and an operation, or of all."""
        for entry in self._entries:
            if model_id in (None, entry.model_id) and operation in (None, entry.operation):
                yield entry

    def forget(self, model_id: str | None) -> None:
        """Delete the entries of a model id, or all."""
        kept = [e for e in self._entries if model_id not in (None, e.model_id)]
        self._entries.clear()
        self._entries.extend(kept)


def summary(entries: list[Entry]) -> dict[str, Any]:
    """Return entries and their counts as the admin endpoint shows them."""
    outcomes = [entry.outcome for entry in entries]
    return {
        "received": len(entries),
        "active": outcomes.count(RUNNING),
        ANSWERED: outcomes.count(ANSWERED),
        REFUSED: outcomes.count(REFUSED),
        CLIENT_LEFT: outcomes.count(CLIENT_LEFT),
        HUNG_UP: outcomes.count(HUNG_UP),
        FAILED: outcomes.count(FAILED),
        "requests": [entry.rendered() for entry in entries],
    }
