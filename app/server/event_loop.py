"""uvloop's event loop with time limits for TLS, for which uvicorn has no options."""

from typing import TYPE_CHECKING

import uvloop

HANDSHAKE_SECONDS = 10.0
"""Seconds for a client to complete the TLS handshake, the same as for a request's head."""
FAREWELL_SECONDS = 1.0
"""Seconds for a client to close its side of TLS after the service has closed its own."""


class EventLoop(uvloop.Loop):
    """Waits ten seconds for a TLS handshake and one for the closing; uvloop waits 60 and 30."""

    # Both methods pass on their arguments, whose types are in uvloop's own signatures.
    if not TYPE_CHECKING:

        async def create_server(self, *arguments: object, **options: object) -> object:
            """Listen as uvloop does, within these limits if ``ssl`` is given."""
            return await super().create_server(*arguments, **_bounded(options))

        async def connect_accepted_socket(self, *arguments: object, **options: object) -> object:
            """Accept a connection as uvloop does, within these limits if ``ssl`` is given."""
            return await super().connect_accepted_socket(*arguments, **_bounded(options))


def _bounded(options: dict[str, object]) -> dict[str, object]:
    if options.get("ssl") is None:
        return options
    return {
        "ssl_handshake_timeout": HANDSHAKE_SECONDS,
        "ssl_shutdown_timeout": FAREWELL_SECONDS,
        **options,
    }
