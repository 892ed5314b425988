"""Callers that each ask again as soon as they are answered, at as little cost as asyncio allows.

Bodies are made once and written as they are; replies are searched for their
marks. `bench.soak.load` has callers that ask at fixed times instead.
"""

import asyncio
import re
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import cast
from urllib.parse import urlsplit

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding: *chunked", re.IGNORECASE)
_LAST_CHUNK = b"0\r\n\r\n"
PATIENCE = 15
"""Seconds that the last replies are waited for."""
UNANSWERED = "unanswered"


@dataclass(frozen=True, slots=True)
class Expectation:
    """The marks that make a reply count as an answer."""

    mark: bytes
    times: int = 1
    """The least number of marks: the pieces of a stream."""


@dataclass(slots=True)
class Tally:
    """The outcomes of one period's requests."""

    seconds: list[float] = field(default_factory=list)
    """Latencies of right answers, from the first byte sent to the last received."""
    first: list[float] = field(default_factory=list)
    """Latencies of the same answers to the first mark."""
    outcomes: Counter[str] = field(default_factory=Counter)
    """Statuses; ``broken`` for a closed connection, ``incomplete`` for missing marks,
    `UNANSWERED` for requests given up."""
    elapsed: float = 0
    sample: bytes = b""
    """One reply that was not as expected."""

    @property
    def answered(self) -> int:
        return len(self.seconds)

    @property
    def failed(self) -> int:
        return self.outcomes.total() - self.answered


class Caller(asyncio.Protocol):
    """One connection, one request at a time."""

    def __init__(self, expectation: Expectation) -> None:
        self.expectation = expectation
        self.received = bytearray()
        self.expected = 0
        """Bytes of the whole reply; 0 until known, -1 where only its end tells."""
        self.began = 0.0
        self.first = 0.0
        self.tally: Tally | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.transport.set_write_buffer_limits(high=1 << 26)

    def begin(self, requests: Iterator[Sequence[bytes]], until: float) -> asyncio.Future[Tally]:
        """Ask until ``until``; the future has the tally."""
        self.requests, self.until, self.tally = requests, until, Tally()
        self.done: asyncio.Future[Tally] = asyncio.get_running_loop().create_future()
        self._ask()
        return self.done

    def _ask(self) -> None:
        self.received.clear()
        self.expected, self.first = 0, 0.0
        self.began = time.perf_counter()
        self.transport.writelines(next(self.requests))

    def data_received(self, data: bytes) -> None:
        self.received += data
        if not self.first and self.expectation.mark in self.received:
            self.first = time.perf_counter()
        if not self.expected:
            self.expected = _expected(self.received)
        if self.expected > 0:
            if len(self.received) >= self.expected:
                self._answered()
        elif self.expected and self.received.endswith(_LAST_CHUNK):
            self._answered()

    def _answered(self) -> None:
        assert self.tally is not None
        ended = time.perf_counter()
        status = self.received[9:12].decode()
        complete = self.received.count(self.expectation.mark) >= self.expectation.times
        if status == "200" and complete:
            self.tally.seconds.append(ended - self.began)
            self.tally.first.append(self.first - self.began)
        else:
            self.tally.sample = bytes(self.received)
            status = status if status != "200" else "incomplete"
        self.tally.outcomes[status] += 1
        if ended < self.until and not self.transport.is_closing():
            self._ask()
        else:
            self._finish()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's
        if self.tally is not None:
            self.tally.outcomes["broken"] += 1
            self._finish()

    def give_up(self) -> None:
        """Wait no longer, and hang up: a late reply must not be taken for the next one's."""
        assert self.tally is not None
        self.tally.outcomes[UNANSWERED] += 1
        self._finish()
        self.transport.abort()

    def _finish(self) -> None:
        finished, self.tally = self.tally, None
        if finished is not None and not self.done.done():
            self.done.set_result(finished)


def _expected(received: bytearray) -> int:
    end = received.find(b"\r\n\r\n")
    if end < 0:
        return 0
    head = bytes(received[:end])
    length = _LENGTH.search(head)
    if length:
        return end + 4 + int(length[1])
    return -1 if _CHUNKED.search(head) else end + 4


@dataclass(slots=True)
class Crowd:
    """A number of callers of one address."""

    url: str
    size: int
    expectation: Expectation
    callers: list[Caller] = field(default_factory=list)

    async def press(self, requests: Iterator[Sequence[bytes]], seconds: float) -> Tally:
        """Have all of them ask for so long, and wait for the last replies."""
        await self._connect()
        began = time.perf_counter()
        futures = [caller.begin(requests, began + seconds) for caller in self.callers]
        await asyncio.wait(futures, timeout=seconds + PATIENCE)
        for caller in self.callers:
            if not caller.done.done():
                caller.give_up()
        whole = _together([future.result() for future in futures])
        whole.elapsed = time.perf_counter() - began
        return whole

    async def _connect(self) -> None:
        """Replace connections that were closed."""
        self.callers = [c for c in self.callers if not c.transport.is_closing()]
        loop, address = asyncio.get_running_loop(), urlsplit(self.url)
        assert address.hostname is not None
        assert address.port is not None
        while len(self.callers) < self.size:
            _, caller = await loop.create_connection(
                lambda: Caller(self.expectation), address.hostname, address.port
            )
            self.callers.append(caller)

    def close(self) -> None:
        for caller in self.callers:
            caller.transport.abort()


def _together(tallies: Sequence[Tally]) -> Tally:
    whole = Tally()
    for tally in tallies:
        whole.seconds += tally.seconds
        whole.first += tally.first
        whole.outcomes += tally.outcomes
        whole.sample = whole.sample or tally.sample
    return whole
