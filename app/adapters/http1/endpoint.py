"""Opens a sender to an endpoint."""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from app.adapters.http1.pool import Pool
from app.adapters.http1.proxy import open_proxied
from app.adapters.http1.resolver import Resolver
from app.adapters.http1.sender import Limits, Sender


@asynccontextmanager
async def open_sender(
    endpoint: str,
    limits: Limits,
    trusted: ssl.SSLContext,
    resolver: Resolver,
    proxy: str | None = None,
) -> AsyncIterator[Sender]:
    """Open a pool of connections to ``endpoint``, a URL; through ``proxy``, if there is one."""
    if proxy:
        async with open_proxied(limits, endpoint, trusted, proxy) as sender:
            yield sender
        return
    pool = Pool(endpoint, limits, trusted, resolver)
    try:
        yield pool
    finally:
        await pool.close()
