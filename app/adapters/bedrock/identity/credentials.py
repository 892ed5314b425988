"""Finds Bedrock's endpoint, and checks whether there are credentials for it."""

import asyncio
from dataclasses import dataclass, field
from os import environ

import aioboto3

from app.adapters.aws_session import CheckedConfig
from app.adapters.bedrock import errors
from app.adapters.bedrock.identity.variables import check_profile
from app.adapters.http1.sender import Limits
from app.domain.errors import NotReadyError, UpstreamError


@dataclass(frozen=True, slots=True)
class Connection:
    """The options of a connection to Bedrock."""

    region: str
    endpoint_url: str | None = None
    limits: Limits = field(default_factory=Limits)


async def endpoint_of(
    session: aioboto3.Session, connection: Connection, service: str = "bedrock-runtime"
) -> str:
    """Return ``service``'s address by the SDK's own rules: its variables, the profile, the region.

    ``service`` is ``bedrock-runtime``, or ``bedrock-agent-runtime`` for knowledge bases.
    """
    async with session.client(
        service,
        region_name=connection.region,
        endpoint_url=connection.endpoint_url,
        config=CheckedConfig(),
    ) as client:
        endpoint: str = client.meta.endpoint_url
        return endpoint.rstrip("/")


@dataclass(frozen=True, slots=True)
class CredentialsCheck:
    """Readiness: whether AWS's chain yields credentials. Calls no operation of Bedrock."""

    session: aioboto3.Session
    timeout: float = 5
    """Seconds; the chain may ask an instance's metadata service."""

    async def check(self) -> None:
        """Check the credentials, or raise NotReadyError."""
        # The SDK's own variable for a Bedrock API key; it wins over every other credential.
        if environ.get("AWS_BEARER_TOKEN_BEDROCK", "").strip():
            return
        try:
            check_profile()
        except ValueError as error:
            raise NotReadyError(str(error)) from error
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
