"""Admission: requests wait there only until their deadline."""

import asyncio
import math
from dataclasses import dataclass, field
from typing import Any

import pytest

from app.api.pipeline.admission import AdmissionMiddleware
from app.api.pipeline.authorization import Gatekeeper, Rule
from app.api.pipeline.callers import Callers
from app.api.pipeline.provenance import Provenance
from app.api.pipeline.request_body import BodyTiming
from app.domain.access import Caller
from app.services.concurrency.admission_queue import AdmissionQueue
from app.services.concurrency.budget import Budget
from app.services.concurrency.deadline import Drain
from app.services.registry import Timing
from tests.support.service.request_context import request_scope


class Silent:
    """Never finishes authentication."""

    async def authenticate(self, credential: str | None) -> Caller:
        await asyncio.Event().wait()
        raise AssertionError

    def current(self, caller: Caller) -> Caller:
        raise AssertionError


@dataclass
class Asking:
    """The part of the operations that authenticates."""

    authenticator: Silent = field(default_factory=Silent)
    remote: bool = True


@dataclass
class Opened:
    """The part of the services that admission uses."""

    drain: Drain = field(default_factory=Drain)
    room: Budget = field(default_factory=lambda: Budget("bytes", 10, 60))
    timing: Timing = field(default_factory=lambda: Timing(request=60, longest=60, heartbeat=60))
    operations: Asking = field(default_factory=lambda: Asking(remote=False))


async def status(
    queue: AdmissionQueue, services: Opened, *headers: tuple[bytes, bytes], path: str = "/open"
) -> int:
    """Return the status of a request that the application itself would answer with 200."""
    sent: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def receive() -> dict[str, Any]:
        raise AssertionError("the body was read")

    async def send(message: Any) -> None:
        sent.append(message)

    scope = request_scope(services, *headers, path=path)
    anyone = Gatekeeper((Rule("/open", public=True),))
    await AdmissionMiddleware(
        app, queue, anyone, Callers(False), Provenance((), frozenset()), 100, BodyTiming(60, 4096)
    )(scope, receive, send)
    found: int = sent[0]["status"]
    return found


async def crowded() -> tuple[AdmissionQueue, "asyncio.Future[list[None]]"]:
    """Return an admission queue with waiting requests, and their tasks."""
    queue, drain = AdmissionQueue(100, 1), Drain()
    line = asyncio.gather(*(queue.enter("someone", drain.before(math.inf)) for _ in range(20)))
    await asyncio.sleep(0)
    return queue, line


async def test_a_queued_request_is_refused_at_its_deadline():
    queue, line = await crowded()
    assert await status(queue, Opened(), (b"x-request-timeout", b"1e-9")) == 504
    await line

    assert queue.total == 20


async def test_a_queued_request_is_refused_when_the_service_closes():
    (queue, line), services = await crowded(), Opened()
    asyncio.get_running_loop().call_soon(services.drain.close)
    assert await status(queue, services) == 503
    await line

    assert queue.total == 20


async def test_a_request_still_being_authenticated_at_its_deadline_is_refused():
    services = Opened(operations=Asking())
    waits = (b"x-request-timeout", b"0.01")
    async with asyncio.timeout(5):
        assert await status(AdmissionQueue(100, 1), services, waits, path="/closed") == 504


async def test_a_request_still_being_authenticated_at_shutdown_is_refused():
    services = Opened(operations=Asking())
    asyncio.get_running_loop().call_soon(services.drain.close)
    async with asyncio.timeout(5):
        assert await status(AdmissionQueue(100, 1), services, path="/closed") == 503


async def test_a_request_that_need_not_wait_is_admitted_whatever_its_deadline():
    headers = [(b"x-request-timeout", b"1e-9"), (b"content-length", b"10")]
    assert await status(AdmissionQueue(100, 1), Opened(), *headers) == 200


@pytest.mark.parametrize("nonsense", [b"soon", b"nan", b"0", b"\xff"])
async def test_an_invalid_timeout_header_is_ignored_before_routing(nonsense):
    queue, line = await crowded()
    assert await status(queue, Opened(), (b"x-request-timeout", nonsense)) == 200
    await line
