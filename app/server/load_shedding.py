"""Refuses malformed and surplus requests before an ASGI scope exists.

They get no task and no scope. Where the processor is the bound, the time of refusals is taken from
answers. Through the middlewares a refusal takes twice as long; that way is left to requests for
which a middleware decides something.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus

from app.api.errors import dialects
from app.api.pipeline import response_headers
from app.api.pipeline.admission import FREE
from app.api.pipeline.callers import Callers
from app.api.pipeline.request_body import malformed
from app.api.pipeline.request_context import request_id
from app.api.pipeline.response_headers import Pairs
from app.api.routing.headers import Headers
from app.domain.errors import ServiceError
from app.services.concurrency.admission_queue import AdmissionQueue
from app.services.registry import Services
from app.telemetry import RequestRecord
from app.telemetry.record import NO_TRACER

STATE = "load_shedder"
"""The key under which the lifespan puts the shedder in the server's state."""
_ID = "(request id)"

Form = Callable[[str, Pairs], bytes]
"""Builds an answer from a request's id and further headers."""


@dataclass(frozen=True, slots=True)
class LoadShedder:
    """Refuses requests that the admission queue has no room for, before ASGI."""

    queue: AdmissionQueue
    callers: Callers
    services: Services
    _forms: dict[tuple[str, str], Form] = field(default_factory=dict)
    """Prepared answers, by error code and dialect."""

    @property
    def has_room(self) -> bool:
        """Whether no request would be refused, from any client."""
        return self.queue.has_room

    def refusal(
        self, method: str, path: str, pairs: Pairs, client: tuple[str, int] | None, more: Pairs
    ) -> bytes | None:
        """Return the whole answer, with ``more`` headers, where the request is turned away.

        None where it may come in, or where a middleware has a say: pages of other origins get the
        headers of CORS, traced requests a span, and at shutdown connections end.
        """
        traced = self.services.operations.tracer is not NO_TRACER
        if method in FREE or traced or self.services.drain.draining:
            return None
        # If a header is repeated, the first value wins.
        headers = dict(reversed([*pairs]))
        if b"origin" in headers or self.queue.admits(
            self.callers.share(headers, client[0] if client else "")
        ):
            return None
        return self._answer(self.queue.refusal(), method, path, headers, more)

    def malformed(self, method: str, path: str, pairs: Pairs, more: Pairs) -> bytes:
        """Return the whole answer to a malformed request, given the part that could be read."""
        return self._answer(malformed(), method, path, dict(reversed([*pairs])), more)

    def _answer(
        self, error: ServiceError, method: str, path: str, headers: Headers, more: Pairs
    ) -> bytes:
        identity = request_id(headers)
        record = RequestRecord(
            request_id=identity, method=method, status=error.status, code=error.code
        )
        record.duration_ms = record.elapsed_ms()
        for sink in self.services.operations.sinks:
            sink(record)
        return self._form(error, path)(identity, more)

    def _form(self, error: ServiceError, path: str) -> Form:
        form = error.code, dialects.dialect(path)
        if form not in self._forms:
            self._forms[form] = _form(error, path)
        return self._forms[form]


def _form(error: ServiceError, path: str) -> Form:
    rendered = dialects.render(error, path, _ID)
    known = [pair for pair in rendered.raw_headers if pair[0] != b"content-length"]
    pairs = response_headers.completed(known, [(b"x-request-id", _ID.encode())])
    status = HTTPStatus(rendered.status_code)
    head = f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() + _lines(pairs)
    heads, bodies = head.split(_ID.encode()), bytes(rendered.body).split(_ID.encode())

    def filled(identity: str, more: Pairs) -> bytes:
        body = identity.encode().join(bodies)
        length = b"content-length: %d\r\n\r\n" % len(body)
        return b"".join((identity.encode().join(heads), _lines(more), length, body))

    return filled


def _lines(pairs: Pairs) -> bytes:
    return b"".join(b"%s: %s\r\n" % pair for pair in pairs)
