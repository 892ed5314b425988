"""Finds Bedrock's endpoint, and checks that there are credentials for it."""

import asyncio
from dataclasses import dataclass, field
from os import environ

import aioboto3
import botocore.session

from app.adapters.aws_session import CheckedConfig
from app.adapters.bedrock import errors
from app.adapters.http1.sender import Limits
from app.domain.errors import NotReadyError, UpstreamError


@dataclass(frozen=True, slots=True)
class Connection:
    """How Bedrock is reached."""

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


def check_profile() -> None:
    """Raise ValueError if AWS's configuration lacks the named profile."""
    named = environ.get("AWS_PROFILE") or environ.get("AWS_DEFAULT_PROFILE")
    if named and named != "default" and named not in botocore.session.Session().available_profiles:
        raise ValueError(f"AWS_PROFILE: AWS's configuration has no profile {named!r}")


def check_api_key() -> None:
    """Raise ValueError if the Bedrock API key can't be sent in a header."""
    key = environ.get("AWS_BEARER_TOKEN_BEDROCK", "").strip()
    if key and not (key.isascii() and key.isprintable() and " " not in key):
        raise ValueError(
            "AWS_BEARER_TOKEN_BEDROCK: holds spaces, line ends or letters that no API key has"
        )


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
