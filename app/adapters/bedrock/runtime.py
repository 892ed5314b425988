"""One region's bedrock-runtime: the AWS SDK's client, and a leaner way for what is called most.

The SDK keeps session, credentials, endpoint and every other operation. InvokeModel and its
streaming twin go straight over aiohttp: the SDK's own way costs several times the CPU (measured
by `bench.wire`), and a small call is little else. Both raise botocore's errors.
"""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from os import environ
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import aioboto3
import aiohttp
import orjson
from botocore.exceptions import ClientError
from botocore.httpsession import get_cert_path
from botocore.utils import get_environ_proxies
from multidict import CIMultiDictProxy
from yarl import URL

from app import __version__
from app.adapters.bedrock.client import Connection, open_client
from app.adapters.bedrock.frames import Frame, FrameDecoder
from app.adapters.bedrock.signing import Identity, Signer, identity

if TYPE_CHECKING:
    from types_aiobotocore_bedrock_runtime import BedrockRuntimeClient

INLINE = 2**20
"""Bytes of a body up to which it is built and hashed on the event loop: less than 1 ms. A thread
would cost as much again."""
# As the SDK has it: AWS's own servers close what is idle for longer than 20 s.
_KEEP_ALIVE = 12
_HEADERS = {
    "Content-Type": "application/json",
    "Accept-Encoding": "identity",
    "User-Agent": f"llama-vision/{__version__}",
}


@dataclass(frozen=True, slots=True)
class Operation:
    """InvokeModel or InvokeModelWithResponseStream on one model."""

    path: str
    """Percent-encoded."""
    url: URL


@dataclass(frozen=True, slots=True)
class Runtime:
    """What calls Bedrock in one region."""

    sdk: "BedrockRuntimeClient"
    endpoint: str
    identity: Identity
    http: aiohttp.ClientSession

    def operation(self, model_id: str, name: str) -> Operation:
        """Return where ``name`` (``invoke``, ``invoke-with-response-stream``) is called."""
        path = f"/model/{quote(model_id, safe='-._~')}/{name}"
        return Operation(path, URL(self.endpoint + path, encoded=True))

    async def call(
        self, operation: Operation, body: Callable[[], bytes], size: int
    ) -> tuple[bytes, CIMultiDictProxy[str]]:
        """Return an answer's body and headers, or raise what the SDK would.

        ``body`` makes the request's, of about ``size`` bytes.
        """
        # Left by cancellation too, which would else leave the connection open.
        async with await self._post(operation, body, size) as response:
            content = await response.read()
            if response.status != 200:
                raise _refusal(response, content)
            return content, response.headers

    @asynccontextmanager
    async def stream(
        self, operation: Operation, body: Callable[[], bytes], size: int
    ) -> AsyncIterator[AsyncIterator[Frame]]:
        """Yield an answer's event-stream frames. Leaving closes the connection, unless all came."""
        async with await self._post(operation, body, size) as response:
            if response.status != 200:
                raise _refusal(response, await response.read())
            yield _frames(response)

    async def _post(
        self, operation: Operation, body: Callable[[], bytes], size: int
    ) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        signer = await self.identity.signer()
        if size < INLINE:
            headers, content = _signed(signer, operation, body)
        else:
            headers, content = await asyncio.to_thread(_signed, signer, operation, body)
        return self.http.post(operation.url, data=content, headers=headers)


def _signed(
    signer: Signer, operation: Operation, body: Callable[[], bytes]
) -> tuple[dict[str, str], bytes]:
    content = body()
    return signer.sign(operation.path, content) | _HEADERS, content


async def _frames(response: aiohttp.ClientResponse) -> AsyncIterator[Frame]:
    decoder = FrameDecoder()
    while received := await response.content.readany():
        for frame in decoder.feed(received):
            if frame.headers.get(":message-type", "event") != "event":
                raise _exception(frame)
            yield frame


def _refusal(response: aiohttp.ClientResponse, content: bytes) -> ClientError:
    said = _json(content)
    code = response.headers.get("x-amzn-errortype") or said.get("__type") or said.get("code") or ""
    answer: Any = {
        **said,
        "Error": {"Code": str(code), "Message": _message(said)},
        "ResponseMetadata": {
            "HTTPStatusCode": response.status,
            "HTTPHeaders": {name.lower(): value for name, value in response.headers.items()},
        },
    }
    return ClientError(answer, "InvokeModel")


def _exception(frame: Frame) -> ClientError:
    said, headers = _json(frame.payload), frame.headers
    code = headers.get(":exception-type") or headers.get(":error-code", "")
    message = headers.get(":error-message") or _message(said)
    answer: Any = {**said, "Error": {"Code": code, "Message": message}}
    return ClientError(answer, "InvokeModelWithResponseStream")


def _json(content: bytes) -> Any:  # noqa: ANN401 - a ClientError's response has whatever AWS said
    try:
        said = orjson.loads(content)
    except orjson.JSONDecodeError:
        return {}
    return said if isinstance(said, dict) else {}


def _message(said: dict[str, Any]) -> str:
    return str(said.get("message") or said.get("Message") or "")


@asynccontextmanager
async def open_runtime(session: aioboto3.Session, connection: Connection) -> AsyncIterator[Runtime]:
    """Open both ways to Bedrock in one region."""
    async with AsyncExitStack() as stack:
        sdk = await stack.enter_async_context(open_client(session, connection))
        endpoint = sdk.meta.endpoint_url.rstrip("/")
        http = await stack.enter_async_context(open_http(connection, endpoint))
        authority = URL(endpoint).host_port_subcomponent or ""
        yield Runtime(sdk, endpoint, identity(session, connection.region, authority), http)


@asynccontextmanager
async def open_http(connection: Connection, endpoint: str) -> AsyncIterator[aiohttp.ClientSession]:
    """Open a pool of connections with the SDK's certificates, proxies and timeouts."""
    trusted = ssl.create_default_context(
        cafile=environ.get("AWS_CA_BUNDLE") or get_cert_path(verify=True)
    )
    # Looked up once: aiohttp would do so in a thread for each call.
    proxies = get_environ_proxies(endpoint)
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(
            limit=connection.max_connections,
            ssl=trusted,
            keepalive_timeout=_KEEP_ALIVE,
            socket_factory=_socket,
        ),
        timeout=aiohttp.ClientTimeout(
            sock_connect=connection.connect_timeout, sock_read=connection.read_timeout
        ),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        proxy=proxies.get(URL(endpoint).scheme),
    ) as http:
        yield http


def _socket(address: aiohttp.AddrInfoType) -> socket.socket:
    family, kind, protocol, _, _ = address
    opened = socket.socket(family, kind, protocol)
    # NAT gateways and VPC endpoints cut a connection that is silent for 350 s.
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    return opened
