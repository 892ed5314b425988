"""Root keys in a file, one a line: ``name base64``; the last one wraps, all of them unwrap.

The file is read whenever a secret is wrapped or unwrapped, which is seldom: a key that is added to
it is in use within a minute, and nothing has to start again.
"""

import base64
import binascii
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from app.adapters.encryption.keys import WrappedSecret
from app.domain.errors import DataKeyError
from app.services.concurrency.threads import Threads

_KEY_BYTES = 32
_NONCE = 12


def read(path: Path) -> Mapping[str, bytes]:
    """Return the keys in ``path`` by name. Raises OSError, and ValueError that names the file."""
    keys: dict[str, bytes] = {}
    for number, line in enumerate(path.read_text("utf-8").splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        name, _, text = line.strip().partition(" ")
        if name in keys:
            raise ValueError(f"{path}: line {number}: the name {name} occurs twice")
        keys[name] = _key(text, f"{path}: line {number}")
    if not keys:
        raise ValueError(f"{path}: holds no key; python -m app encryption new-key makes one")
    return keys


def _key(text: str, where: str) -> bytes:
    try:
        key = base64.b64decode(text.strip(), validate=True)
    except binascii.Error:
        key = b""
    if len(key) != _KEY_BYTES:
        raise ValueError(f"{where}: is not a name and 32 bytes in base64")
    return key


def append(path: Path) -> str:
    """Add a new key to ``path``, and return its name.

    The file is created if needed, readable by its owner alone.
    """
    names = set(read(path)) if path.exists() else set()
    name = f"{datetime.now(UTC):%Y-%m-%d}-{secrets.token_hex(2)}"
    assert name not in names
    line = f"{name} {base64.b64encode(os.urandom(_KEY_BYTES)).decode()}\n"
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(line)
        file.flush()
        os.fsync(file.fileno())
    return name


@dataclass(frozen=True, slots=True)
class FileRootKeys:
    """Wraps with AES-256-GCM under the last key of a file."""

    path: Path
    threads: Threads = field(default_factory=lambda: Threads("root-keys"))

    async def current(self) -> str:
        """Return the last key's name."""
        return list(await self._keys())[-1]

    async def wrap(self, secret: bytes, owner: str) -> WrappedSecret:
        """Return ``secret`` under the last key."""
        name, key = list((await self._keys()).items())[-1]
        nonce = os.urandom(_NONCE)
        wrapped = AESGCM(key).encrypt(nonce, secret, owner.encode())
        return WrappedSecret(name, base64.b64encode(nonce + wrapped).decode())

    async def unwrap(self, wrapped: WrappedSecret, owner: str) -> bytes:
        """Return the secret."""
        key = (await self._keys()).get(wrapped.root)
        if key is None:
            raise DataKeyError(f"the root key {wrapped.root} is no longer in the key file")
        data = base64.b64decode(wrapped.text)
        try:
            return AESGCM(key).decrypt(data[:_NONCE], data[_NONCE:], owner.encode())
        except InvalidTag:
            raise DataKeyError(f"the root key {wrapped.root} has changed since") from None

    async def _keys(self) -> Mapping[str, bytes]:
        try:
            return await self.threads.run(read, self.path)
        except (OSError, ValueError) as error:
            # The type only: the file's words may be keys.
            raise DataKeyError(f"the key file can't be read: {type(error).__name__}") from None
