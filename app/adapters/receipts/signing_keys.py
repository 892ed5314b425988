"""Ed25519 keys in a file, one a line; the last one signs, all of them are published.

A line is ``name base64``, with the key's 32-byte seed, or ``name kms:base64``, with the seed as AWS
KMS encrypted it. ``name public:base64`` is a retired key: it signs nothing any more, and what it
signed can still be verified.
"""

import asyncio
import base64
import binascii
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from secrets import token_hex
from typing import Any

import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from app.services.concurrency.task_scope import running
from app.services.concurrency.threads import Threads

log = structlog.get_logger()

KMS, PUBLIC = "kms:", "public:"
RELOAD = 5
"""Seconds between checks whether the file changed."""
Decrypt = Callable[[bytes], Awaitable[bytes]]


@dataclass(frozen=True, slots=True)
class SigningKeys:
    """The keys of a file as they are now."""

    private: Ed25519PrivateKey
    key_id: str
    public: dict[str, bytes] = field(repr=False)
    """Public keys by name."""

    def sign(self, data: bytes) -> bytes:
        """Return the signature, 64 bytes."""
        return self.private.sign(data)

    def jwks(self) -> dict[str, Any]:
        """Return the public keys as a JSON Web Key Set."""
        return {"keys": [_jwk(name, key) for name, key in self.public.items()]}


def _jwk(name: str, key: bytes) -> dict[str, str]:
    x = base64.urlsafe_b64encode(key).rstrip(b"=").decode()
    return {"kty": "OKP", "crv": "Ed25519", "x": x, "kid": name, "use": "sig", "alg": "EdDSA"}


def lines(path: Path) -> list[tuple[str, str]]:
    """Return the names and values in ``path``. Raises OSError, and ValueError that names it."""
    pairs: list[tuple[str, str]] = []
    for number, line in enumerate(path.read_text("utf-8").splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        name, _, value = line.strip().partition(" ")
        _data(value, f"{path}: line {number}")
        if any(name == other for other, _ in pairs):
            raise ValueError(f"{path}: line {number}: the name {name} occurs twice")
        pairs.append((name, value.strip()))
    if not pairs or pairs[-1][1].startswith(PUBLIC):
        raise ValueError(f"{path}: no key to sign with; python -m app receipts new-key makes one")
    return pairs


def _data(value: str, where: str) -> bytes:
    kind = KMS if value.startswith(KMS) else PUBLIC if value.startswith(PUBLIC) else ""
    try:
        data = base64.b64decode(value.removeprefix(kind).strip(), validate=True)
    except binascii.Error:
        data = b""
    if not data or (kind != KMS and len(data) != 32):
        raise ValueError(f"{where}: is not a name and 32 bytes in base64")
    return data


async def load(path: Path, decrypt: Decrypt, threads: Threads) -> SigningKeys:
    """Return the keys in ``path``; raises as `lines` and ``decrypt`` do."""
    public: dict[str, bytes] = {}
    private, key_id = None, ""
    for name, value in await threads.run(lines, path):
        data = _data(value, str(path))
        if value.startswith(PUBLIC):
            public[name] = Ed25519PublicKey.from_public_bytes(data).public_bytes_raw()
            continue
        seed = await decrypt(data) if value.startswith(KMS) else data
        private, key_id = Ed25519PrivateKey.from_private_bytes(seed), name
        public[name] = private.public_key().public_bytes_raw()
    assert private is not None
    return SigningKeys(private, key_id, public)


def append(path: Path, seed: bytes, encrypted: bytes | None = None) -> str:
    """Add a key to ``path``, created if needed for its owner alone, and return its name."""
    name = f"{datetime.now(UTC):%Y-%m-%d}-{token_hex(2)}"
    value = base64.b64encode(seed if encrypted is None else encrypted).decode()
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(f"{name} {'' if encrypted is None else KMS}{value}\n")
        file.flush()
        os.fsync(file.fileno())
    return name


@dataclass(slots=True)
class ReloadedKeys:
    """The keys of a file, read again when it changes; the previous ones if that fails."""

    path: Path
    decrypt: Decrypt
    keys: SigningKeys
    threads: Threads
    _seen: tuple[int, int] = (0, 0)

    @property
    def key_id(self) -> str:
        """The name of the key that signs now."""
        return self.keys.key_id

    def sign(self, data: bytes) -> bytes:
        """Return the signature by the key that signs now."""
        return self.keys.sign(data)

    def jwks(self) -> dict[str, Any]:
        """Return the public keys as a JSON Web Key Set."""
        return self.keys.jwks()

    async def reload(self) -> None:
        """Read the file if it changed."""
        try:
            status = await self.threads.run(self.path.stat)
            if (seen := (status.st_mtime_ns, status.st_ino)) == self._seen:
                return
            self.keys, self._seen = await load(self.path, self.decrypt, self.threads), seen
        except Exception as error:  # noqa: BLE001 - whatever KMS's client raises; signing goes on
            log.warning("signing keys not reloaded", reason=type(error).__name__)

    async def watch(self) -> None:
        """Reload periodically until cancelled."""
        while True:
            await asyncio.sleep(RELOAD)
            await self.reload()


@asynccontextmanager
async def open_signing_keys(path: Path, decrypt: Decrypt) -> AsyncIterator[ReloadedKeys]:
    """Open the keys in ``path`` and follow the file's changes. Raises as `load` does."""
    threads = Threads("signing-keys")
    try:
        keys = ReloadedKeys(path, decrypt, await load(path, decrypt, threads), threads)
        await keys.reload()
        async with running(keys.watch()):
            yield keys
    finally:
        threads.close()
