"""Authenticates calls: SigV4 with AWS credentials, or a Bedrock API key.

The AWS SDK's own signer derives the day's key and sorts every header anew for each call, which
costs more than the rest of a small call. Here the key is kept for its day and the signed headers
are always the same few; a property test compares the signatures with the SDK's.

Source: AWS, "Create a signed AWS API request" (Signature Version 4).
"""

import hashlib
import hmac
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from os import environ
from typing import Protocol
from urllib.parse import quote

import aioboto3
from botocore.credentials import ReadOnlyCredentials
from botocore.exceptions import NoCredentialsError

SERVICE = "bedrock"
_ALGORITHM = "AWS4-HMAC-SHA256"


class Signer(Protocol):
    """Signs calls; may be used from any thread."""

    def sign(self, path: str, body: Iterable[bytes], method: str = "POST") -> dict[str, str]:
        """Return the headers for ``body`` to ``path`` (percent-encoded), apart from Host."""
        ...


class Identity(Protocol):
    """The identity that calls Bedrock."""

    async def signer(self) -> Signer:
        """Return a signer with credentials that have not expired."""
        ...


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A Bedrock API key: identity and signer in one, as it signs nothing."""

    key: str = field(repr=False)

    async def signer(self) -> Signer:
        """Return itself."""
        return self

    def sign(
        self,
        path: str,  # noqa: ARG002 - the port's
        body: Iterable[bytes],  # noqa: ARG002
        method: str = "POST",  # noqa: ARG002
    ) -> dict[str, str]:
        """Return the key."""
        return {"Authorization": f"Bearer {self.key}"}


@dataclass(slots=True)
class AwsIdentity:
    """Credentials from AWS's chain, refreshed by the SDK."""

    session: aioboto3.Session
    region: str
    host: str
    _credentials: ReadOnlyCredentials | None = field(default=None, repr=False)
    _signer: "SigV4 | None" = None

    async def signer(self) -> Signer:
        """Return a signer, or raise one of botocore's errors about credentials."""
        resolved = await self.session.get_credentials()
        if resolved is None:
            raise NoCredentialsError
        credentials = await resolved.get_frozen_credentials()
        if self._signer is None or credentials != self._credentials:
            self._signer = SigV4(credentials, self.region, self.host)
            self._credentials = credentials
        return self._signer


@dataclass(slots=True)
class SigV4:
    """Signs with one set of credentials."""

    credentials: ReadOnlyCredentials = field(repr=False)
    region: str
    host: str
    """The host as in the Host header."""
    _day_key: tuple[str, bytes] = field(default=("", b""), repr=False)

    def sign(self, path: str, body: Iterable[bytes], method: str = "POST") -> dict[str, str]:
        """Sign as of now. Hashes the body."""
        return self.sign_at(datetime.now(UTC), path, body, method)

    def sign_at(
        self, now: datetime, path: str, body: Iterable[bytes], method: str = "POST"
    ) -> dict[str, str]:
        """Sign as of ``now``."""
        moment = now.strftime("%Y%m%dT%H%M%SZ")
        day = moment[:8]
        token = self.credentials.token
        headers = {"x-amz-date": moment}
        if token:
            headers["x-amz-security-token"] = token
        names = ";".join(("host", *headers))
        signed = "".join([f"{name}:{value}\n" for name, value in headers.items()])
        digest = hashlib.sha256()
        for piece in body:
            digest.update(piece)
        request = (
            f"{method}\n{_encoded(path)}\n\nhost:{self.host}\n{signed}\n{names}\n"
            f"{digest.hexdigest()}"
        )
        scope = f"{day}/{self.region}/{SERVICE}/aws4_request"
        hashed = hashlib.sha256(request.encode()).hexdigest()
        text = f"{_ALGORITHM}\n{moment}\n{scope}\n{hashed}"
        signature = hmac.digest(self._key(day), text.encode(), "sha256").hex()
        headers["Authorization"] = (
            f"{_ALGORITHM} Credential={self.credentials.access_key}/{scope}, "
            f"SignedHeaders={names}, Signature={signature}"
        )
        return headers

    def _key(self, day: str) -> bytes:
        known, key = self._day_key
        if known == day:
            return key
        key = f"AWS4{self.credentials.secret_key}".encode()
        for part in (day, self.region, SERVICE, "aws4_request"):
            key = hmac.digest(key, part.encode(), "sha256")
        self._day_key = (day, key)
        return key


@lru_cache(maxsize=64)  # the same few for every call
def _encoded(path: str) -> str:
    # The path is encoded twice, for every service but S3.
    return quote(path, safe="/~")


def identity(session: aioboto3.Session, region: str, host: str) -> Identity:
    """Return the identity by the SDK's rule: a Bedrock API key takes precedence."""
    # A key read from a file ends with a line end, which no header may have.
    key = environ.get("AWS_BEARER_TOKEN_BEDROCK", "").strip()
    return ApiKey(key) if key else AwsIdentity(session, region, host)
