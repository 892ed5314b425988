"""Receives a request's body within bounds, and notices when the client leaves."""

import asyncio
from dataclasses import dataclass, field

from starlette.types import Message, Receive

from app.api.errors import problem
from app.api.pipeline.connection import RequestChannel
from app.api.routing.context import RequestContext
from app.domain.errors import (
    BodyTimeoutError,
    BodyTooLargeError,
    DeadlineExceededError,
    MalformedRequestError,
    ServiceError,
)
from app.services.concurrency.budget import Reservation
from app.services.concurrency.deadline import Drain


def too_large(max_bytes: int, *, direct_uploads: bool = False) -> BodyTooLargeError:
    """Return the error for a body over ``max_bytes``; it suggests an upload if that is possible."""
    detail = f"the body has more than {max_bytes:,} bytes"
    if direct_uploads:
        detail += (
            "; POST /v1/uploads gives a form by which a picture, document or batch goes straight "
            'into the store: complete the upload and name it here as {"file_id": "file-…"}'
        )
    return BodyTooLargeError(detail)


@dataclass(frozen=True, slots=True)
class BodyTiming:
    """Time limits for a body's arrival."""

    whole: float
    """Maximum seconds for the whole body."""
    least_rate: float
    """Minimum average bytes per second, once `GRACE` is over."""


GRACE = 10.0
"""Seconds before a body's rate is checked."""


def malformed() -> MalformedRequestError:
    """Return the error for a malformed request."""
    return MalformedRequestError(
        "this is not HTTP/1.1 with one Host, its head or what follows its body is too long, or it "
        "does not say clearly where the body ends"
    )


@dataclass(slots=True)
class BoundedReceive:
    """An ASGI ``receive`` that bounds the body in size and time, and releases unneeded memory.

    Once the body is complete it watches for the client's departure and then cancels the request:
    neither Starlette nor uvicorn does, and an upstream call that continues is billed.
    """

    receive: Receive
    held: Reservation
    max_bytes: int
    timing: BodyTiming
    begun: float
    """The loop time at which the body was first awaited, plus the time spent waiting for memory."""
    due: float
    """The request's deadline, in loop time."""
    drain: Drain
    request: "asyncio.Task[object]"
    channel: RequestChannel | None
    context: RequestContext
    streamed: bool = False
    """Whether the body is streamed to its route, so that only a part of it is in memory."""
    direct_uploads: bool = False
    """Whether larger files can be uploaded directly to the store."""
    left: bool = False
    """Whether the client has left and the request was cancelled for that."""
    _read: int = 0
    _complete: bool = False
    _fault: problem.RaisedWhileReading | None = None
    _gone: asyncio.Event = field(default_factory=asyncio.Event)
    _watching: "asyncio.Task[None] | None" = None

    async def __call__(self) -> Message:
        """Return the next message."""
        if self._fault is not None:
            raise self._fault
        if self._complete:
            # The only message left is the disconnect.
            await self._gone.wait()
            return {"type": "http.disconnect"}
        if self.channel is not None and self.channel.whole:
            # The server need not be asked: the channel has the whole body.
            message: Message = {"type": "http.request"}
        else:
            message = await self._in_time()
        if self.channel is not None and self.channel.spoilt:
            raise self._refused(malformed())
        if message["type"] == "http.request":
            await self._count(message)
        elif not self.left:
            self._leave()
            # Let the cancellation arrive here: the framework would report half a body as malformed.
            await asyncio.sleep(0)
        return message

    async def _in_time(self) -> Message:
        try:
            async with self.drain.before(min(self._until(), self.due)):
                return await self.receive()
        except ServiceError as error:
            raise self._refused(self._late(error)) from error

    def _until(self) -> float:
        """Return the loop time by which more of the body must have arrived."""
        allowed = GRACE + self._read / self.timing.least_rate
        return self.begun + min(self.timing.whole, allowed)

    def _late(self, error: ServiceError) -> ServiceError:
        """Return ``error``, or a BodyTimeoutError if the body's own time limit ended first."""
        if isinstance(error, DeadlineExceededError) and self._until() < self.due:
            return BodyTimeoutError(
                f"the body did not arrive within {self.timing.whole:g} seconds, or came at less "
                f"than {self.timing.least_rate:g} bytes a second"
            )
        return error

    async def _wait_for_room(self) -> None:
        loop = asyncio.get_running_loop()
        since = loop.time()
        try:
            await self.held.wait_for(self._read, self.drain.before(self.due))
        except ServiceError as error:
            raise self._refused(error) from error
        self.begun += loop.time() - since

    async def _count(self, message: Message) -> None:
        if self.channel is not None and self.channel.parts:
            message["body"] = self.channel.take()
        body = message.get("body", b"")
        self._read += len(body)
        if self.context.digest is not None:
            self.context.digest.update(body)
            self.context.digested += len(body)
        if self._read > self.max_bytes:
            raise self._refused(too_large(self.max_bytes, direct_uploads=self.direct_uploads))
        more = message.get("more_body", False)
        if not self.streamed:
            if not more:
                self.held.expected = self._read
            if not self.held.grow_to(self._read):
                await self._wait_for_room()
        if more:
            return
        self._complete = True
        if self.channel is not None:
            self.channel.watch(self._leave)
        else:
            self._watching = asyncio.create_task(self._watch())

    def _refused(self, error: ServiceError) -> problem.RaisedWhileReading:
        # Further reads raise it again: the server has nothing more and would never answer.
        self._fault = problem.RaisedWhileReading(error)
        return self._fault

    async def _watch(self) -> None:
        await self.receive()
        self._leave()

    def _leave(self) -> None:
        self._gone.set()
        if not self.context.answered:
            self.left = True
            self.request.cancel()

    def close(self) -> None:
        """Stop watching for the client's departure."""
        if self.channel is not None:
            self.channel.end()
        if self._watching is not None:
            self._watching.cancel()
