"""Refuses malformed and surplus requests before an ASGI scope exists.

Such requests get no task and no scope. Under full CPU load, refusals take time away from answers,
and a refusal by the middleware takes twice as long; so only requests for which the middleware
matters are refused there.
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

LOAD_SHEDDER = "load_shedder"
"""The shedder's key in the server's state, which the lifespan sets."""
_ID = "(request id)"

Form = Callable[[str, Pairs], bytes]
"""Builds an answer from a request's id and more headers."""


@dataclass(frozen=True, slots=True)
class LoadShedder:
    """Refuses requests for which the admission queue has no room, before ASGI."""

    queue: AdmissionQueue
    callers: Callers
    services: Services
    _forms: dict[tuple[str, str], Form] = field(default_factory=dict)
    """Prepared answers, by error code and dialect."""

    @property
    def has_room(self) -> bool:
        """Whether the queue has room for a request from any client."""
        return self.queue.has_room

    def refusal(
        self, method: str, path: str, pairs: Pairs, client: tuple[str, int] | None, more: Pairs
    ) -> bytes | None:
        """Return the whole answer, with ``more`` headers, if the request is refused.

        Return None if the request is admitted, or if the middleware has to answer it: with CORS
        headers for pages of other origins, with a span for traced requests, and by closing the
        connection during shutdown.
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
        """Return the whole answer to a malformed request, from the parts that could be read."""
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
