"""One Bedrock client for the life of the process."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from os import environ
from typing import TYPE_CHECKING

import aioboto3
from aiobotocore.config import AioConfig

from app.adapters.bedrock import errors
from app.domain.errors import NotReadyError, UpstreamError

if TYPE_CHECKING:
    from types_aiobotocore_bedrock_runtime import BedrockRuntimeClient


@dataclass(frozen=True, slots=True)
class Connection:
    """How Bedrock is reached."""

    region: str
    endpoint_url: str | None = None
    connect_timeout: float = 5
    """Seconds."""
    read_timeout: float = 120
    """Seconds without a byte."""
    max_connections: int = 64


@asynccontextmanager
async def open_client(
    session: aioboto3.Session, connection: Connection
) -> AsyncIterator["BedrockRuntimeClient"]:
    """Open a bedrock-runtime client that makes one attempt per call."""
    config = AioConfig(
        connect_timeout=connection.connect_timeout,
        read_timeout=connection.read_timeout,
        max_pool_connections=connection.max_connections,
        # The SDK re-sends after a read timeout, which bills twice, and knows neither 408, 424
        # nor 529: retries are ours.
        retries={"total_max_attempts": 1, "mode": "standard"},
        # NAT gateways and VPC endpoints cut a connection that is silent for 350 s.
        tcp_keepalive=True,
    )
    async with session.client(
        "bedrock-runtime",
        region_name=connection.region,
        endpoint_url=connection.endpoint_url,
        config=config,
    ) as client:
        yield client


@dataclass(frozen=True, slots=True)
class CredentialsCheck:
    """Readiness: whether AWS's chain yields credentials. Calls no operation of Bedrock."""

    session: aioboto3.Session
    timeout: float = 5
    """Seconds; the chain may ask an instance's metadata service."""

    async def check(self) -> None:
        """Return, or raise NotReadyError."""
        # The SDK's own variable for a Bedrock API key; it wins over every other credential.
        if environ.get("AWS_BEARER_TOKEN_BEDROCK"):
            return
        try:
            with errors.translated():
                async with asyncio.timeout(self.timeout):
                    credentials = await self.session.get_credentials()
                    if credentials is not None:
                        await credentials.get_frozen_credentials()
                        return
        except UpstreamError as error:
            raise NotReadyError(error.detail) from error
        raise NotReadyError(errors.CREDENTIALS)
