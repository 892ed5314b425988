"""AWS's control planes of several regions, each opened when it is first asked."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aioboto3

from app.adapters.bedrock.control_plane import ControlPlane, open_control_plane
from app.adapters.bedrock.identity.credentials import Connection
from app.domain.control_plane import ControlPlaneError, UnknownToAwsError
from app.domain.errors import (
    ModelEndOfLifeError,
    ModelLegacyError,
    ModelNotFoundError,
    UpstreamError,
    UpstreamValidationError,
)

_UNKNOWN = (ModelNotFoundError, UpstreamValidationError, ModelEndOfLifeError, ModelLegacyError)


@dataclass(frozen=True, slots=True)
class ControlPlanes:
    """Reads models, profiles, guardrails and knowledge bases from AWS, in any region."""

    session: aioboto3.Session
    stack: AsyncExitStack
    endpoint_url: str | None = None
    """The address called instead of AWS's own, in all regions."""
    agent_endpoint_url: str | None = None
    """The same for knowledge bases."""
    _planes: dict[tuple[str, str], ControlPlane] = field(default_factory=dict)
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def get(self, region: str, *path: str, service: str = "bedrock") -> dict[str, Any]:
        """Return the JSON at ``path``, whose parts are encoded.

        Raises UnknownToAwsError if AWS does not know the resource, and ControlPlaneError if it
        gives no answer.
        """
        try:
            plane = await self._plane(region, service)
            return await plane.get(*path)
        except _UNKNOWN as error:
            raise UnknownToAwsError(_sentence(error)) from error
        except (UpstreamError, OSError) as error:
            raise ControlPlaneError(f"AWS gave no answer: {_sentence(error)}") from error

    async def _plane(self, region: str, service: str) -> ControlPlane:
        async with self._turn:
            plane = self._planes.get((region, service))
            if plane is None:
                own = self.endpoint_url if service == "bedrock" else self.agent_endpoint_url
                connection = Connection(region, own)
                opened = open_control_plane(self.session, connection, service)
                plane = await self.stack.enter_async_context(opened)
                self._planes[region, service] = plane
            return plane


def _sentence(error: Exception) -> str:
    """Return AWS's own message, if any."""
    message = getattr(error.__cause__, "response", {}).get("Error", {}).get("Message")
    return str(message or getattr(error, "detail", type(error).__name__))[:300]


@asynccontextmanager
async def open_control_planes(
    session: aioboto3.Session, endpoint_url: str | None, agent_endpoint_url: str | None = None
) -> AsyncIterator[ControlPlanes]:
    """Open access to all regions; connections are made on first use."""
    async with AsyncExitStack() as stack:
        yield ControlPlanes(session, stack, endpoint_url, agent_endpoint_url or endpoint_url)
