"""One region's bedrock-runtime, called over this service's own connections.

The AWS SDK provides session, credentials and endpoint. Its own calls cost several times the CPU
(measured by `bench.micro.wire`), which is most of a small call, and lose the details of most
exceptions within a stream. Bedrock's refusals are raised as botocore's ClientError, failures of
the connection as `app.adapters.http1.errors`.
"""

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, closing
from dataclasses import dataclass
from functools import lru_cache
from os import environ
from ssl import SSLContext
from typing import Any
from urllib.parse import quote, urlsplit

import aioboto3
import orjson
from botocore.exceptions import ClientError
from botocore.httpsession import get_cert_path
from botocore.utils import get_environ_proxies
from yarl import URL

from app import __version__
from app.adapters.bedrock.codecs.event_stream import Frame, FrameDecoder
from app.adapters.bedrock.identity.credentials import Connection, endpoint_of
from app.adapters.bedrock.identity.sigv4 import AwsIdentity, Identity, Signer, identity
from app.adapters.http1.endpoint import open_sender
from app.adapters.http1.resolver import open_resolver
from app.adapters.http1.sender import Answer, Sender
from app.adapters.trust import trusted
from app.services.concurrency.threads import Threads

INLINE = 2**20
"""Bytes of a body up to which it is built and hashed on the event loop: less than 1 ms. A thread
would cost as much again."""
_THREADS = 2
Pieces = tuple[bytes, ...]
"""The pieces of a body."""
Headers = Mapping[str, str]
NO_HEADERS: Headers = {}
_HEADERS = {
    "Content-Type": "application/json",
    "Accept-Encoding": "identity",
    "User-Agent": f"llama-vision/{__version__}",
}


@dataclass(frozen=True, slots=True)
class Runtime:
    """Calls Bedrock in one region."""

    endpoint: str
    identity: Identity
    http: Sender
    headers: Mapping[str, str]
    """Headers of every call, besides those that are signed."""
    threads: Threads
    """Threads for bodies of `INLINE` bytes and more."""

    def path(self, model_id: str, name: str) -> str:
        """Return the path of the operation ``name`` (``invoke``, ``converse-stream``, …)."""
        return f"{urlsplit(self.endpoint).path}/model/{quote(model_id, safe='-._~')}/{name}"

    async def call(
        self, path: str, body: Callable[[], Pieces], size: int, headers: Headers = NO_HEADERS
    ) -> tuple[bytes, Mapping[str, str]]:
        """Return an answer's body and headers, or raise the SDK's exceptions.

        ``body`` makes the request's, of about ``size`` bytes; ``headers`` are sent beside those of
        every call.
        """
        # Closed on cancellation too, which would otherwise leave the connection open.
        async with await self._post(path, body, size, headers) as response:
            content = await response.read()
            if response.status != 200:
                raise refusal(response, content)
            return content, response.headers

    @asynccontextmanager
    async def stream(
        self, path: str, body: Callable[[], Pieces], size: int, headers: Headers = NO_HEADERS
    ) -> AsyncIterator[AsyncIterator[Iterator[Frame]]]:
        """Yield an answer's event-stream frames as they arrive together; arguments as of `call`.

        Leaving closes the connection, unless all came.
        """
        async with await self._post(path, body, size, headers) as response:
            if response.status != 200:
                raise refusal(response, await response.read())
            yield _arriving(response)

    async def _post(
        self, path: str, body: Callable[[], Pieces], size: int, more: Headers
    ) -> AbstractAsyncContextManager[Answer]:
        signer = await self.identity.signer()
        if size < INLINE:
            headers, content = self._signed(signer, path, body)
        else:
            headers, content = await self.threads.run(self._signed, signer, path, body)
        return self.http.post(path, {**headers, **more} if more else headers, content)

    def _signed(
        self, signer: Signer, path: str, body: Callable[[], Pieces]
    ) -> tuple[dict[str, str], Pieces]:
        content = body()
        return {**self.headers, **signer.sign(path, content)}, content


async def _arriving(response: Answer) -> AsyncIterator[Iterator[Frame]]:
    decoder = FrameDecoder()
    while received := await response.readany():
        yield map(_event, decoder.feed(received))


def _event(frame: Frame) -> Frame:
    if frame.headers.get(":message-type", "event") != "event":
        raise _exception(frame)
    return frame


def refusal(response: Answer, content: bytes) -> ClientError:
    """Return the exception that the SDK would raise for an unsuccessful answer."""
    body = _json(content)
    code = response.headers.get("x-amzn-errortype") or body.get("__type") or body.get("code") or ""
    answer: Any = {
        **body,
        "Error": {"Code": str(code), "Message": _message(body)},
        "ResponseMetadata": {
            "HTTPStatusCode": response.status,
            "HTTPHeaders": dict(response.headers),
        },
    }
    return ClientError(answer, "model")


def _exception(frame: Frame) -> ClientError:
    body, headers = _json(frame.payload), frame.headers
    code = headers.get(":exception-type") or headers.get(":error-code", "")
    message = headers.get(":error-message") or _message(body)
    answer: Any = {**body, "Error": {"Code": code, "Message": message}}
    return ClientError(answer, "streaming")


def _json(content: bytes) -> Any:  # noqa: ANN401 - a ClientError's response has whatever AWS said
    try:
        value = orjson.loads(content)
    except orjson.JSONDecodeError:
        return {}
    return value if isinstance(value, dict) else {}


def _message(body: dict[str, Any]) -> str:
    return str(body.get("message") or body.get("Message") or "")


@asynccontextmanager
async def open_runtime(session: aioboto3.Session, connection: Connection) -> AsyncIterator[Runtime]:
    """Open Bedrock's runtime in one region."""
    endpoint = await endpoint_of(session, connection)
    host = URL(endpoint).host_port_subcomponent or ""
    async with open_calls(
        connection, endpoint, identity(session, connection.region, host)
    ) as opened:
        yield opened


@asynccontextmanager
async def open_agent_runtime(
    session: aioboto3.Session, connection: Connection
) -> AsyncIterator[Runtime]:
    """Open the runtime of Bedrock's knowledge bases in one region.

    A Bedrock API key is not accepted there, so calls are signed with AWS credentials.
    """
    endpoint = await endpoint_of(session, connection, "bedrock-agent-runtime")
    host = URL(endpoint).host_port_subcomponent or ""
    caller = AwsIdentity(session, connection.region, host)
    async with open_calls(connection, endpoint, caller) as opened:
        yield opened


@asynccontextmanager
async def open_calls(
    connection: Connection, endpoint: str, caller: Identity
) -> AsyncIterator[Runtime]:
    """Open a client that calls ``endpoint`` as ``caller``."""
    host = URL(endpoint).host_port_subcomponent or ""
    async with AsyncExitStack() as stack:
        threads = stack.enter_context(closing(Threads("bodies", _THREADS)))
        http = await stack.enter_async_context(open_connections(connection, endpoint))
        yield Runtime(endpoint, caller, http, {"Host": host, **_HEADERS}, threads)


@asynccontextmanager
async def open_connections(connection: Connection, endpoint: str) -> AsyncIterator[Sender]:
    """Open a pool of connections with the SDK's certificates, proxies and timeouts."""
    context = _context(environ.get("AWS_CA_BUNDLE") or get_cert_path(verify=True))
    proxy = get_environ_proxies(endpoint).get(urlsplit(endpoint).scheme)
    async with (
        open_resolver() as resolver,
        open_sender(endpoint, connection.limits, context, resolver, proxy) as sender,
    ):
        yield sender


@lru_cache(maxsize=4)  # one for all regions: reading the authorities takes 20 ms of CPU
def _context(authorities: str) -> SSLContext:
    return trusted(authorities)
