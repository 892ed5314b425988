"""JSON Web Tokens of one OIDC issuer, checked by joserfc against the issuer's published keys."""

import json
import time
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import httpx
import structlog
from joserfc import errors as jose
from joserfc import jwt
from joserfc.jwk import Key, KeySet
from joserfc.jws import extract_compact

from app.adapters.access.issuer import Issuer
from app.adapters.trust import trusted
from app.domain.access import TOKEN_PREFIX, Caller, scope
from app.domain.errors import (
    CredentialsExpiredError,
    CredentialsInvalidError,
    CredentialsMissingError,
    IdentityProviderError,
)
from app.domain.metadata_filter import FilterError, MetadataFilter, all_of, parse
from app.services.concurrency.single_flight import SingleFlight

ALGORITHMS = ("RS256", "PS256", "ES256")
"""Asymmetric signatures only: a published key must never serve as a shared secret."""
KEY_TYPES = ("RSA", "EC")
LONGEST_TOKEN = 16_384
"""Characters; HTTP headers are seldom allowed more."""
MOST_KEYS = 100
"""Maximum number of an issuer's published keys that are read."""
LONGEST_ANSWER = 2**20
"""Bytes of an issuer's answer."""
LONGEST_SUBJECT = 255
"""Characters; OpenID Connect allows no more."""

# The errors that the library raises for malformed tokens, whose JSON, signed or not, may be nested
# too deeply for the parser or hold numbers that are no times.
_MALFORMED = (
    jose.JoseError, ValueError, TypeError, KeyError, AttributeError, RecursionError, OverflowError
)  # fmt: skip

_UNREADABLE = (httpx.HTTPError, httpx.InvalidURL, *_MALFORMED)

log = structlog.get_logger()


@dataclass(slots=True)
class IssuerKeys:
    """The issuer's keys, fetched when first needed and again when they are old or one is new."""

    client: httpx.AsyncClient
    issuer: Issuer
    max_age: float = 3_600
    """Seconds; a key that the issuer withdrew is refused after that."""
    min_age: float = 10
    """Minimum seconds between two fetches, since made-up key ids ask for one each."""
    _keys: KeySet = field(default_factory=lambda: KeySet([]))
    _fetched: float = float("-inf")
    # It outlasts the deadline of the request that asks: short ones would leave all without keys.
    _fetches: SingleFlight[None, None] = field(default_factory=lambda: SingleFlight(lasting=True))

    async def holding(self, key_id: str) -> KeySet:
        """Return the keys, fetched again if ``key_id`` is not among them.

        Raises IdentityProviderError if there are none.
        """
        if self._stale(key_id):
            await self._fetches.run(None, self._fetch)
        if not self._keys:
            raise IdentityProviderError("the token issuer's keys are not available")
        return self._keys

    def _stale(self, key_id: str) -> bool:
        age = time.monotonic() - self._fetched
        known = any(key.kid == key_id for key in self._keys)
        return age > (self.max_age if known else self.min_age)

    async def close(self) -> None:
        """Stop fetching."""
        await self._fetches.close(cancel=True)

    async def _fetch(self) -> None:
        try:
            url = self.issuer.jwks_url or await _keys_url(self.client, self.issuer)
            document = await _json(self.client, url)
            keys = [key for entry in document["keys"][:MOST_KEYS] for key in _imported(entry)]
            if not keys:
                raise ValueError("none of the keys can be read")
        except _UNREADABLE as error:
            # Keys that are known stay valid until the issuer can be reached again.
            log.warning("issuer's keys not fetched", reason=type(error).__name__)
        else:
            self._keys = KeySet(keys)
        finally:
            self._fetched = time.monotonic()


@dataclass(frozen=True, slots=True)
class TokenAuthenticator:
    """Identifies callers by their tokens' subjects."""

    issuer: Issuer
    keys: IssuerKeys

    async def authenticate(self, credential: str | None) -> Caller:
        """Return the token's subject, or raise an AccessError or IdentityProviderError."""
        if not credential:
            raise CredentialsMissingError("no token was sent; send Authorization: Bearer <token>")
        if len(credential) > LONGEST_TOKEN:
            raise CredentialsInvalidError("the token is not accepted: too long")
        keys = await self.keys.holding(_key_id(credential))
        try:
            claims = jwt.decode(credential, keys, algorithms=ALGORITHMS).claims
            self._required().validate(claims)
        except jose.ExpiredTokenError as error:
            raise CredentialsExpiredError("the token has expired") from error
        except _MALFORMED as error:
            reason = getattr(error, "error", "malformed")
            raise CredentialsInvalidError(f"the token is not accepted: {reason}") from error
        own = all_of(*(_narrowed(claims, *names) for names in self.issuer.filter_claims.items()))
        return Caller(f"{TOKEN_PREFIX}{_subject(claims)}", self._scopes(claims), filter=own)

    def current(self, caller: Caller) -> Caller:
        """Return ``caller``, of which nothing is known but its token."""
        return caller

    def _required(self) -> jwt.JWTClaimsRegistry:
        return jwt.JWTClaimsRegistry(
            leeway=self.issuer.leeway,
            iss={"essential": True, "value": self.issuer.url},
            aud={"essential": True, "value": self.issuer.audience},
            exp={"essential": True},
            sub={"essential": True},
        )

    def _scopes(self, claims: Mapping[str, Any]) -> frozenset[str]:
        values = _values(claims.get(self.issuer.scope_claim))
        names = self.issuer.scope_names
        mapped = [name for value in values for name in names.get(value, "").split()]
        return frozenset(_known(mapped if names else values))


def _narrowed(claims: Mapping[str, Any], claim: str, attribute: str) -> MetadataFilter:
    """Return the document filter of a claim, or raise CredentialsInvalidError.

    Without the claim the holder's documents are unknown.
    """
    value = claims.get(claim)
    operator = "in" if isinstance(value, list) else "equals"
    try:
        return parse({operator: {"key": attribute, "value": value}})
    except FilterError as error:
        message = f"the token is not accepted: its claim {claim} is missing or not a string"
        raise CredentialsInvalidError(message) from error


def _known(names: Iterable[str]) -> Iterator[str]:
    """Yield our scopes among an issuer's ``names``."""
    for name in names:
        with suppress(ValueError):
            yield scope(name)


def _imported(published: object) -> list[Key]:
    """Return the key that verifies signatures, or nothing if it is unreadable or for other uses.

    Issuers publish keys for other uses too, and one bad key must not make the others unusable.
    """
    if not isinstance(published, dict) or published.get("kty") not in KEY_TYPES:
        return []
    try:
        return KeySet.import_key_set({"keys": [published]}).keys
    except _MALFORMED as error:
        log.warning("issuer's key left out", reason=type(error).__name__)
        return []


def _subject(claims: Mapping[str, Any]) -> str:
    """Return the caller's subject, or raise CredentialsInvalidError.

    Nothing is cut off: a caller with a long name must not be taken for another.
    """
    subject = claims["sub"]
    if not isinstance(subject, str):
        raise CredentialsInvalidError("the token is not accepted: sub is not a string")
    # Log lines and databases can't hold unprintable characters.
    if len(subject) > LONGEST_SUBJECT or not subject.isprintable():
        raise CredentialsInvalidError(
            f"the token is not accepted: sub is not printable, or over {LONGEST_SUBJECT} characters"
        )
    return subject


def _values(claim: object) -> list[str]:
    """Return a claim's values: a text's words, or a list's texts; other types have none."""
    if isinstance(claim, str):
        return claim.split()
    return [value for value in claim if isinstance(value, str)] if isinstance(claim, list) else []


def _key_id(token: str) -> str:
    try:
        # The header is not verified yet; it only names the key to look for.
        header: object = extract_compact(token.encode()).headers()
    except _MALFORMED as error:
        raise CredentialsInvalidError("the token is not accepted: malformed") from error
    # The library takes a list, and text, for a header where `alg` is in it.
    return str(header.get("kid", "")) if isinstance(header, dict) else ""


async def discovered_keys(issuer: Issuer) -> str:
    """Return the URL of the issuer's keys by its OpenID configuration.

    Raises IdentityProviderError if it can't be fetched.
    """
    try:
        async with _client() as client:
            return await _keys_url(client, issuer)
    except _UNREADABLE as error:
        raise IdentityProviderError(
            f"the issuer's OpenID configuration can't be fetched: {type(error).__name__}"
        ) from error


async def _keys_url(client: httpx.AsyncClient, issuer: Issuer) -> str:
    configuration = await _json(
        client, f"{issuer.url.rstrip('/')}/.well-known/openid-configuration"
    )
    if configuration["issuer"] != issuer.url:
        raise ValueError("the configuration belongs to another issuer")
    url = str(configuration["jwks_uri"])
    if issuer.url.startswith("https:") and not url.startswith("https:"):
        raise ValueError("the issuer has an https URL and its keys do not")
    return url


async def _json(client: httpx.AsyncClient, url: str) -> Any:  # noqa: ANN401 - an issuer's JSON
    async with client.stream("GET", url) as answer:
        answer.raise_for_status()
        content = b""
        async for piece in answer.aiter_bytes():
            content += piece
            if len(content) > LONGEST_ANSWER:
                raise ValueError("the answer is too long")
    return json.loads(content)


def _client() -> httpx.AsyncClient:
    return httpx.AsyncClient(verify=trusted(), timeout=5, follow_redirects=False)


@asynccontextmanager
async def open_tokens(issuer: Issuer) -> AsyncIterator[TokenAuthenticator]:
    """Open the checks of the issuer's tokens. Nothing is fetched before the first."""
    async with _client() as client:
        keys = IssuerKeys(client, issuer)
        try:
            yield TokenAuthenticator(issuer, keys)
        finally:
            await keys.close()
