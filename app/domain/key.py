"""API keys: their records, and the check of a key.

A key is ``lvk_<id>_<secret>``. Its secret has 256 random bits, so one salted SHA-256 is as
strong as a slow password hash, and costs microseconds on each request.
"""

import hmac
import json
import re
import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import UTC, datetime
from functools import cached_property
from hashlib import sha256
from typing import Any

from app.domain import guardrail as guardrails
from app.domain import limit, metadata_filter
from app.domain.access import Caller, scope
from app.domain.cache import CacheMode

_REQUIRED = ("id", "hash", "name", "scopes")
_KEY = re.compile(r"lvk_(?P<id>[0-9a-f]{12})_(?P<secret>[A-Za-z0-9_-]{43})")
_HASH = re.compile(r"sha256\$(?P<salt>[0-9a-f]{32})\$(?P<digest>[0-9a-f]{64})")


@dataclass(frozen=True)
class KeyRecord:
    """The stored part of a key, from which the key can't be derived."""

    id: str
    hash: str
    """``sha256$<salt>$<digest of salt and secret>``, hexadecimal."""
    name: str
    scopes: tuple[str, ...]
    limits: Mapping[str, str] = field(default_factory=dict)
    filter: Mapping[str, Any] | None = None
    """The filter on documents that the holder may see, in the form for `metadata_filter.parse`."""
    created: str = ""
    """RFC 3339, UTC."""
    revoked: str | None = None
    """RFC 3339, UTC. A revoked key's record is kept, so that its id is never used again."""
    guardrail: Mapping[str, str] = field(default_factory=dict)
    """As in `Caller`."""
    cache: str | None = None
    """As in `Caller`."""

    @cached_property
    def caller(self) -> Caller:
        """The holder of the key."""
        own = None if self.filter is None else metadata_filter.parse(self.filter)
        return Caller(
            self.id,
            frozenset(self.scopes),
            self.name,
            self.limits,
            own,
            self.guardrail,
            self.cache,
        )

    def matches(self, secret: str) -> bool:
        """Tell whether ``secret`` is this key's, in a time that does not depend on it."""
        if self._salted is None:
            return False
        salt, digest = self._salted
        return hmac.compare_digest(_digest(salt, secret), digest)

    @cached_property
    def _salted(self) -> tuple[str, str] | None:
        """Salt and digest; None if the hash is malformed."""
        match = _HASH.fullmatch(self.hash)
        return (match["salt"], match["digest"]) if match else None


NO_KEY = KeyRecord("", f"sha256${'0' * 32}${'0' * 64}", "", ())
"""Compared if no key has the given id, so that the time discloses nothing."""


def issue(
    name: str,
    scopes: Iterable[str],
    limits: Mapping[str, str] | None = None,
    own_filter: Mapping[str, Any] | None = None,
    guardrail: Mapping[str, str] | None = None,
    cache: str | None = None,
) -> tuple[str, KeyRecord]:
    """Return a new key and its record. Raises ValueError for a name with control characters."""
    _check_text(name)
    key_id, secret, salt = secrets.token_hex(6), secrets.token_urlsafe(32), secrets.token_hex(16)
    record = KeyRecord(
        id=key_id,
        hash=f"sha256${salt}${_digest(salt, secret)}",
        name=name,
        scopes=tuple(scopes),
        limits=limits or {},
        filter=own_filter,
        created=_now(),
        guardrail=guardrail or {},
        cache=cache,
    )
    return f"lvk_{key_id}_{secret}", record


def revoke(record: KeyRecord) -> KeyRecord:
    """Return ``record`` as revoked."""
    return replace(record, revoked=record.revoked or _now())


def split(key: str) -> tuple[str, str] | None:
    """Return a key's id and secret; None if ``key`` is malformed."""
    match = _KEY.fullmatch(key)
    return (match["id"], match["secret"]) if match else None


def parse(text: str) -> tuple[KeyRecord, ...]:
    """Parse a JSON list of records. Raises ValueError that names the faulty entry."""
    try:
        entries = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f"is not JSON: {error}") from error
    if not isinstance(entries, list):
        raise ValueError("is not a JSON list of keys")
    records = tuple(_record(i, entry) for i, entry in enumerate(entries))
    if len({record.id for record in records}) < len(records):
        raise ValueError("has an id twice")
    return records


def render(records: Iterable[KeyRecord]) -> str:
    """Return ``records`` as the JSON that `parse` reads."""
    return json.dumps([asdict(record) for record in records], indent=2) + "\n"


def _record(position: int, entry: Any) -> KeyRecord:  # noqa: ANN401 - whatever the JSON holds
    if not isinstance(entry, dict):
        raise ValueError(f"entry {position}: is not an object")
    if missing := [name for name in _REQUIRED if name not in entry]:
        raise ValueError(f"entry {position}: has no {', '.join(missing)}")
    if unknown := entry.keys() - {member.name for member in fields(KeyRecord)}:
        raise ValueError(f"entry {position}: {', '.join(sorted(unknown))}: there is no such member")
    try:
        record = KeyRecord(
            **{**entry, "scopes": tuple(scope(name) for name in entry["scopes"])},
        )
        for text in (record.id, record.hash, record.name, record.created):
            _check_text(text)
    except (TypeError, ValueError) as error:
        raise ValueError(f"entry {position}: {error}") from error
    if not _HASH.fullmatch(record.hash):
        raise ValueError(f"entry {position}: hash is not sha256$<salt>$<digest>")
    _check_map(position, "limits", record.limits, limit.parse)
    _check_map(position, "guardrail", record.guardrail, guardrails.parse)
    if record.cache not in (None, *CacheMode):
        raise ValueError(f"entry {position}: cache is not one of {', '.join(CacheMode)}")
    try:
        _ = record.caller
    except ValueError as error:
        raise ValueError(f"entry {position}: filter: {error}") from error
    return record


def _check_map(
    position: int, name: str, value: object, parse: Callable[[Mapping[str, str]], object]
) -> None:
    if not isinstance(value, dict):
        raise ValueError(f"entry {position}: {name} is not an object")
    try:
        parse(value)
    except ValueError as error:
        raise ValueError(f"entry {position}: {name}.{error}") from error


def _check_text(text: object) -> None:
    # A name with a tab or line end would look like other entries in a list.
    if not isinstance(text, str) or not text.isprintable():
        raise ValueError(f"{text!r} is not a text that can be printed")


def _digest(salt: str, secret: str) -> str:
    return sha256(bytes.fromhex(salt) + secret.encode()).hexdigest()


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
