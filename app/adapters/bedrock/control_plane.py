"""Bedrock's control plane in one region, called in plain signed JSON.

The pinned SDK's service model is older than some members that its operations have by now, and
drops them; here AWS's answer is kept as it came.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

import aioboto3
import orjson
from yarl import URL

from app import __version__
from app.adapters.bedrock import errors
from app.adapters.bedrock.identity.credentials import Connection, endpoint_of
from app.adapters.bedrock.identity.sigv4 import Identity, identity
from app.adapters.bedrock.runtime import open_connections, refusal
from app.adapters.http1.sender import Answer, Sender
from app.domain.errors import UpstreamAnswerError

_HEADERS = {
    "Accept": "application/json",
    "Accept-Encoding": "identity",
    "User-Agent": f"llama-vision/{__version__}",
}


@dataclass(frozen=True, slots=True)
class ControlPlane:
    """Calls operations of the service ``bedrock``. Raises UpstreamError."""

    prefix: str
    """The path of the endpoint, before the operation's."""
    identity: Identity
    http: Sender
    headers: Mapping[str, str]

    async def get(self, *parts: str) -> dict[str, Any]:
        """Return AWS's answer for the path of ``parts``, which are encoded here."""
        path = self._path(parts)
        with errors.translated():
            signer = await self.identity.signer()
            headers = {**self.headers, **signer.sign(path, (), "GET")}
            async with self.http.get(path, headers) as answer:
                return await _document(answer)

    async def post(self, *parts: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Return AWS's answer to ``body``, which is small."""
        path, content = self._path(parts), (orjson.dumps(body or {}),)
        with errors.translated():
            signer = await self.identity.signer()
            signed = signer.sign(path, content)
            headers = {**self.headers, "Content-Type": "application/json", **signed}
            async with self.http.post(path, headers, content) as answer:
                return await _document(answer)

    def _path(self, parts: tuple[str, ...]) -> str:
        return "/".join((self.prefix, *(quote(part, safe="-._~") for part in parts)))


async def _document(answer: Answer) -> dict[str, Any]:
    content = await answer.read()
    if not 200 <= answer.status < 300:
        raise refusal(answer, content)
    try:
        document = orjson.loads(content or b"{}")
    except orjson.JSONDecodeError as error:
        raise UpstreamAnswerError("the answer of Bedrock's control plane is not JSON") from error
    if not isinstance(document, dict):
        raise UpstreamAnswerError("the answer of Bedrock's control plane is not an object")
    return document


@asynccontextmanager
async def open_control_plane(
    session: aioboto3.Session, connection: Connection, service: str = "bedrock"
) -> AsyncIterator[ControlPlane]:
    """Open the control plane in one region; ``bedrock-agent`` is the one of knowledge bases."""
    endpoint = await endpoint_of(session, connection, service)
    host = URL(endpoint).host_port_subcomponent or ""
    caller = identity(session, connection.region, host)
    async with open_connections(connection, endpoint) as http:
        yield ControlPlane(urlsplit(endpoint).path, caller, http, {"Host": host, **_HEADERS})
