"""The interface of calls to one endpoint, directly or through a proxy."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

KEEP_ALIVE = 12
"""Seconds, as the AWS SDK has it: AWS's own servers close what is idle for longer than 20 s."""
JOINED = 2**16
"""Bytes of a body up to which copying it behind its head is cheaper than a second write; a server
that reads the head has read it too."""
MAX_ANSWER = 32 * 2**20
"""Bytes of an answer that is read whole. 2,048 tokens with 20 alternatives each have about 5 MB."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Timeouts and the number of connections of an endpoint."""

    connect_timeout: float = 5
    """Seconds, look-up of the name and TLS included."""
    read_timeout: float = 120
    """Seconds without a byte."""
    max_connections: int = 64


class Answer(Protocol):
    """An answer that has begun."""

    @property
    def status(self) -> int:
        """HTTP's."""
        ...

    @property
    def headers(self) -> Mapping[str, str]:
        """Headers by names in lower case."""
        ...

    async def read(self) -> bytes:
        """Return the rest of the body, `MAX_ANSWER` bytes at most."""
        ...

    async def readany(self) -> bytes:
        """Return the bytes that arrived, waiting if there are none; empty at the end."""
        ...


class Sender(Protocol):
    """Sends to one endpoint."""

    def post(
        self, path: str, headers: Mapping[str, str], body: Sequence[bytes]
    ) -> AbstractAsyncContextManager[Answer]:
        """POST ``body``, which is in pieces, and wait for the answer's head.

        Leaving closes the connection, unless all of the answer has come. Redirects are answers
        like any other. Raises the errors of `app.adapters.http1.errors`.
        """
        ...

    def get(self, path: str, headers: Mapping[str, str]) -> AbstractAsyncContextManager[Answer]:
        """GET, as `post` does."""
        ...
