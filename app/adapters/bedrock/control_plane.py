"""AWS's control planes by plain signed JSON: fields newer than the SDK's models are read too."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from os import environ
from typing import Any
from urllib.parse import quote

import aioboto3
import httpx
import orjson
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError

from app.adapters.aws_session import CheckedConfig
from app.adapters.trust import trusted
from app.domain.control_plane import ControlPlaneError, UnknownToAwsError

TIMEOUT = 10
MAX_ANSWER = 4 * 2**20


@dataclass(frozen=True, slots=True)
class ControlPlane:
    """Reads what AWS says of models, profiles, guardrails and knowledge bases, in any region."""

    session: aioboto3.Session
    http: httpx.AsyncClient
    endpoint_url: str | None = None
    """In place of AWS's own address, for all regions."""
    _endpoints: dict[tuple[str, str], str] = field(default_factory=dict)

    async def get(self, region: str, *path: str, service: str = "bedrock") -> dict[str, Any]:
        """Return the JSON at ``path``, whose parts are encoded here.

        Raises UnknownToAwsError where AWS knows no such thing, and ControlPlaneError where
        it does not say.
        """
        try:
            url = await self._endpoint(region, service)
            url += "".join(f"/{quote(part, safe='-._~')}" for part in path)
            answer = await self.http.get(url, headers=await self._signed(url, region, service))
        except (BotoCoreError, ClientError, httpx.HTTPError, OSError) as error:
            raise ControlPlaneError(f"AWS is not reached: {type(error).__name__}") from error
        content = _json(answer.content)
        if answer.status_code == httpx.codes.OK:
            return content
        said = str(content.get("message") or content.get("Message") or answer.status_code)[:300]
        if answer.status_code in (400, 404):
            raise UnknownToAwsError(said)
        raise ControlPlaneError(f"AWS refused: {said}")

    async def _endpoint(self, region: str, service: str) -> str:
        known = self._endpoints.get((region, service))
        if known is None:
            async with self.session.client(
                service,
                region_name=region,
                endpoint_url=self.endpoint_url,
                config=CheckedConfig(),
            ) as client:
                known = self._endpoints[region, service] = client.meta.endpoint_url.rstrip("/")
        return known

    async def _signed(self, url: str, region: str, service: str) -> dict[str, str]:
        key = environ.get("AWS_BEARER_TOKEN_BEDROCK", "").strip()
        # Bedrock alone takes such keys; its agents' control plane does not.
        if key and service == "bedrock":
            return {"Authorization": f"Bearer {key}"}
        credentials = await self.session.get_credentials()
        if credentials is None:
            raise NoCredentialsError
        request = AWSRequest("GET", url)
        SigV4Auth(await credentials.get_frozen_credentials(), "bedrock", region).add_auth(request)
        return dict(request.headers)


def _json(content: bytes) -> dict[str, Any]:
    try:
        said = orjson.loads(content[:MAX_ANSWER])
    except orjson.JSONDecodeError:
        return {}
    return said if isinstance(said, dict) else {}


@asynccontextmanager
async def open_control_plane(
    session: aioboto3.Session, endpoint_url: str | None
) -> AsyncIterator[ControlPlane]:
    """Open a client of the control planes; nothing is asked before it is used."""
    async with httpx.AsyncClient(
        timeout=TIMEOUT,
        verify=trusted(environ.get("AWS_CA_BUNDLE")),
        follow_redirects=False,
    ) as http:
        yield ControlPlane(session, http, endpoint_url)
