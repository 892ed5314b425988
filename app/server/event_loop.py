"""uvloop's event loop, with bounds on TLS that uvicorn has no options for."""

from typing import TYPE_CHECKING

import uvloop

HANDSHAKE_SECONDS = 10.0
"""Seconds that a client has to complete TLS's handshake: as many as for a request's head."""
FAREWELL_SECONDS = 1.0
"""Seconds that a client has to close its side of TLS when the service has closed its own."""


class EventLoop(uvloop.Loop):
    """Waits for a client's part of TLS ten seconds, and one at the end; uvloop waits 60 and 30."""

    # Both pass on their arguments, for which uvloop's own signatures have the types.
    if not TYPE_CHECKING:

        async def create_server(self, *arguments: object, **options: object) -> object:
            """Listen as uvloop does, within these bounds where ``ssl`` is given."""
            return await super().create_server(*arguments, **_bounded(options))

        async def connect_accepted_socket(self, *arguments: object, **options: object) -> object:
            """Take a connection as uvloop does, within these bounds where ``ssl`` is given."""
            return await super().connect_accepted_socket(*arguments, **_bounded(options))


def _bounded(options: dict[str, object]) -> dict[str, object]:
    if options.get("ssl") is None:
        return options
    return {
        "ssl_handshake_timeout": HANDSHAKE_SECONDS,
        "ssl_shutdown_timeout": FAREWELL_SECONDS,
        **options,
    }
