"""Raises the limit of file descriptors, and reserves some for upstream calls.

When they run out, the event loop silently drops new connections, and calls to the model fail.
"""

import asyncio
import resource
import time

import structlog

RESERVE = 64
"""Descriptors reserved for connections to Bedrock, files and pipes."""
MOST = 65_536
"""Number of descriptors to ask for, more than callers and calls can use."""
QUIET = 10.0
"""Seconds between two log lines."""

log = structlog.get_logger()


def raise_limit() -> None:
    """Raise the limit as far as possible without root rights."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST if hard == resource.RLIM_INFINITY else min(hard, MOST)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


class Exhaustion:
    """Notices when descriptors run out, and logs it at most every `QUIET` seconds."""

    def __init__(self) -> None:
        self._dropped = 0
        self._logged = float("-inf")

    def by(self, transport: asyncio.BaseTransport) -> bool:
        """Tell whether a new connection took one of the reserved descriptors.

        The system always assigns the lowest free descriptor.
        """
        connection = transport.get_extra_info("socket")
        if connection is None:
            return False
        limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        if limit == resource.RLIM_INFINITY or connection.fileno() < limit - RESERVE:
            return False
        self._count(limit)
        return True

    def _count(self, limit: int) -> None:
        self._dropped += 1
        now = time.monotonic()
        if now - self._logged < QUIET:
            return
        log.error("file descriptors run out", limit=limit, dropped_connections=self._dropped)
        self._dropped, self._logged = 0, now
