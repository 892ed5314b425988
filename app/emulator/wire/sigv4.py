"""AWS Signature Version 4, verified from its public description with the standard library."""

import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from urllib.parse import quote, unquote_to_bytes

from app.emulator.wire.errors import BAD_SIGNATURE, INCOMPLETE_SIGNATURE, UNKNOWN_KEY, AwsError
from app.emulator.wire.exchange import Request

ALGORITHM = "AWS4-HMAC-SHA256"
SERVICE = "bedrock"
MAX_SKEW = timedelta(minutes=5)
_UNSIGNED = "UNSIGNED-PAYLOAD"
_AUTHORIZATION = re.compile(
    rf"{ALGORITHM}\s+Credential=(?P<key>[^/,\s]+)/(?P<scope>[^,\s]+),\s*"
    r"SignedHeaders=(?P<headers>[a-z0-9;_-]+),\s*Signature=(?P<signature>[0-9a-f]{64})\s*"
)


@dataclass(frozen=True, slots=True)
class Claim:
    """The content of an Authorization header."""

    access_key: str
    scope: str
    """``yyyymmdd/region/service/aws4_request``."""
    signed_headers: tuple[str, ...]
    signature: str


def claim(authorization: str) -> Claim:
    """Parse an Authorization header, or raise a 403 for an incomplete one."""
    match = _AUTHORIZATION.fullmatch(authorization)
    if match is None:
        raise AwsError(
            INCOMPLETE_SIGNATURE,
            "Authorization header requires 'Credential', 'Signature' and 'SignedHeaders'"
            " parameters.",
        )
    return Claim(
        match["key"], match["scope"], tuple(match["headers"].split(";")), match["signature"]
    )


def verify(request: Request, keys: Mapping[str, str], region: str, now: datetime) -> str:
    """Return the access key that signed ``request``, or raise AWS's 403."""
    claimed = claim(request.headers.get(b"authorization", b"").decode("latin-1"))
    secret = keys.get(claimed.access_key)
    if secret is None:
        raise AwsError(UNKNOWN_KEY)
    date = _signed_at(request)
    _check_scope(claimed.scope, date, region)
    _check_skew(date, now)
    if not {"host", "x-amz-date"} <= set(claimed.signed_headers):
        raise AwsError(
            BAD_SIGNATURE, "'Host' or 'X-Amz-Date' must be a 'SignedHeader' in the Authorization."
        )
    expected = _signature(request, claimed, secret, date)
    if not hmac.compare_digest(expected, claimed.signature):
        raise AwsError(BAD_SIGNATURE)
    return claimed.access_key


def _signed_at(request: Request) -> str:
    date = request.headers.get(b"x-amz-date", b"").decode("latin-1")
    if not re.fullmatch(r"\d{8}T\d{6}Z", date):
        raise AwsError(
            INCOMPLETE_SIGNATURE, "Authorization header requires existence of 'X-Amz-Date' header."
        )
    return date


def _check_scope(scope: str, date: str, region: str) -> None:
    parts = scope.split("/")
    expected = [date[:8], region, SERVICE, "aws4_request"]
    if len(parts) != len(expected):
        raise AwsError(INCOMPLETE_SIGNATURE, "Credential must have exactly 5 slash-delimited parts")
    names = ("date", "region", "service", "terminator")
    for name, part, wanted in zip(names, parts, expected, strict=True):
        if part != wanted:
            raise AwsError(
                BAD_SIGNATURE, f"Credential should be scoped to correct {name}: '{wanted}'."
            )


def _check_skew(date: str, now: datetime) -> None:
    signed = datetime.strptime(date, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    current = now.strftime("%Y%m%dT%H%M%SZ")
    if signed < now - MAX_SKEW:
        raise AwsError(
            BAD_SIGNATURE, f"Signature expired: {date} is now earlier than {current} - 5 min."
        )
    if signed > now + MAX_SKEW:
        raise AwsError(
            BAD_SIGNATURE, f"Signature not yet current: {date} is still later than {current}"
        )


def _signature(request: Request, claimed: Claim, secret: str, date: str) -> str:
    canonical = "\n".join(
        (
            request.method,
            _canonical_path(request.path),
            _canonical_query(request.query),
            *(f"{name}:{_header(request, name)}" for name in claimed.signed_headers),
            "",
            ";".join(claimed.signed_headers),
            _payload_hash(request),
        )
    )
    hashed = sha256(canonical.encode()).hexdigest()
    to_sign = f"{ALGORITHM}\n{date}\n{claimed.scope}\n{hashed}"
    key = f"AWS4{secret}".encode()
    for part in claimed.scope.split("/"):
        key = hmac.digest(key, part.encode(), sha256)
    return hmac.new(key, to_sign.encode(), sha256).hexdigest()


def _payload_hash(request: Request) -> str:
    actual = sha256(request.body).hexdigest()
    declared = request.headers.get(b"x-amz-content-sha256", b"").decode("latin-1")
    if declared in ("", actual):
        return actual
    if declared == _UNSIGNED:
        return _UNSIGNED
    raise AwsError(
        BAD_SIGNATURE,
        "The provided 'x-amz-content-sha256' header does not match what was computed.",
    )


def _canonical_path(path: bytes) -> str:
    # Every service but S3 encodes the path once more: what was sent as %3A is signed as %253A.
    return quote(path, safe="/~") or "/"


def _canonical_query(query: bytes) -> str:
    pairs = (part.partition(b"=")[::2] for part in query.split(b"&") if part)
    encoded = sorted((_encoded(name), _encoded(value)) for name, value in pairs)
    return "&".join(f"{name}={value}" for name, value in encoded)


def _encoded(raw: bytes) -> str:
    return quote(unquote_to_bytes(raw), safe="-_.~")


def _header(request: Request, name: str) -> str:
    wanted = name.encode()
    values = (value.decode("latin-1") for key, value in request.raw_headers if key == wanted)
    return ",".join(" ".join(value.split()) for value in values)
