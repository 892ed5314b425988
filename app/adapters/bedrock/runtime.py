"""One region's bedrock-runtime: the AWS SDK's client, and a leaner way for what is called most.

The SDK keeps session, credentials, endpoint and every other operation. InvokeModel and its
streaming twin go over connections of our own: the SDK's way costs several times the CPU (measured
by `bench.wire`), and a small call is little else. So does ConverseStream, of whose exceptions the
SDK loses most. Both ways raise botocore's errors.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from os import environ
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

import aioboto3
import orjson
from botocore.exceptions import ClientError
from botocore.httpsession import get_cert_path
from botocore.utils import get_environ_proxies
from yarl import URL

from app import __version__
from app.adapters.bedrock.codecs.event_stream import Frame, FrameDecoder
from app.adapters.bedrock.identity.credentials import Connection, open_client
from app.adapters.bedrock.identity.sigv4 import Identity, Signer, identity
from app.adapters.http1.pool import Answer, Pool, Sender
from app.adapters.http1.proxy import open_proxied

if TYPE_CHECKING:
    from types_aiobotocore_bedrock_runtime import BedrockRuntimeClient

INLINE = 2**20
"""Bytes of a body up to which it is built and hashed on the event loop: less than 1 ms. A thread
would cost as much again."""
Pieces = tuple[bytes, ...]
"""A body."""
_HEADERS = {
    "Content-Type": "application/json",
    "Accept-Encoding": "identity",
    "User-Agent": f"llama-vision/{__version__}",
}


@dataclass(frozen=True, slots=True)
class Runtime:
    """What calls Bedrock in one region."""

    sdk: "BedrockRuntimeClient"
    endpoint: str
    identity: Identity
    http: Sender
    headers: Mapping[str, str]
    """Of every call, besides those that are signed."""

    def path(self, model_id: str, name: str) -> str:
        """Return where ``name`` (``invoke``, ``converse-stream``, …) is called."""
        return f"{urlsplit(self.endpoint).path}/model/{quote(model_id, safe='-._~')}/{name}"

    async def call(
        self, path: str, body: Callable[[], Pieces], size: int
    ) -> tuple[bytes, Mapping[str, str]]:
        """Return an answer's body and headers, or raise what the SDK would.

        ``body`` makes the request's, of about ``size`` bytes.
        """
        # Left by cancellation too, which would else leave the connection open.
        async with await self._post(path, body, size) as response:
            content = await response.read()
            if response.status != 200:
                raise _refusal(response, content)
            return content, response.headers

    @asynccontextmanager
    async def stream(
        self, path: str, body: Callable[[], Pieces], size: int
    ) -> AsyncIterator[AsyncIterator[Iterator[Frame]]]:
        """Yield an answer's event-stream frames as they arrive together.

        Leaving closes the connection, unless all came.
        """
        async with await self._post(path, body, size) as response:
            if response.status != 200:
                raise _refusal(response, await response.read())
            yield _arriving(response)

    async def _post(
        self, path: str, body: Callable[[], Pieces], size: int
    ) -> AbstractAsyncContextManager[Answer]:
        signer = await self.identity.signer()
        if size < INLINE:
            headers, content = self._signed(signer, path, body)
        else:
            headers, content = await asyncio.to_thread(self._signed, signer, path, body)
        return self.http.post(path, headers, content)

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


def _refusal(response: Answer, content: bytes) -> ClientError:
    said = _json(content)
    code = response.headers.get("x-amzn-errortype") or said.get("__type") or said.get("code") or ""
    answer: Any = {
        **said,
        "Error": {"Code": str(code), "Message": _message(said)},
        "ResponseMetadata": {
            "HTTPStatusCode": response.status,
            "HTTPHeaders": dict(response.headers),
        },
    }
    return ClientError(answer, "model")


def _exception(frame: Frame) -> ClientError:
    said, headers = _json(frame.payload), frame.headers
    code = headers.get(":exception-type") or headers.get(":error-code", "")
    message = headers.get(":error-message") or _message(said)
    answer: Any = {**said, "Error": {"Code": code, "Message": message}}
    return ClientError(answer, "streaming")


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
        host = URL(endpoint).host_port_subcomponent or ""
        http = await stack.enter_async_context(open_sender(connection, endpoint))
        caller = identity(session, connection.region, host)
        yield Runtime(sdk, endpoint, caller, http, {"Host": host, **_HEADERS})


@asynccontextmanager
async def open_sender(connection: Connection, endpoint: str) -> AsyncIterator[Sender]:
    """Open a pool of connections with the SDK's certificates, proxies and timeouts."""
    trusted = ssl.create_default_context(
        cafile=environ.get("AWS_CA_BUNDLE") or get_cert_path(verify=True)
    )
    proxy = get_environ_proxies(endpoint).get(urlsplit(endpoint).scheme)
    if proxy:
        async with open_proxied(connection, endpoint, trusted, proxy) as sender:
            yield sender
        return
    pool = Pool(endpoint, connection, trusted)
    try:
        yield pool
    finally:
        await pool.close()
