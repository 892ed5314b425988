"""Root keys in AWS KMS: it makes data keys, which wrap callers' secrets here.

Each worker makes a data key once an hour, and remembers it in plaintext as long as the process
lives. Its encrypted form is stored beside each secret that it wraps; only KMS can decrypt it.
"""

import asyncio
import base64
import os
import time
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from app.adapters.encryption.keys import WrappedSecret
from app.domain.errors import DataKeyError

CONTEXT = {"service": "llama-vision"}
"""KMS's encryption context; a key's policy can ask for it."""
_NONCE = 12


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "unknown")
        raise DataKeyError(f"AWS KMS refused: {code}") from error
    except (BotoCoreError, OSError) as error:
        raise DataKeyError(f"AWS KMS can't be used: {type(error).__name__}") from error


@dataclass(slots=True)
class KmsRootKeys:
    """Wraps with AES-256-GCM under data keys of one KMS key; unwraps those of any."""

    client: Any
    key_id: str
    """The key's id, alias or ARN."""
    lifetime: float = 3600
    """Seconds after which another data key wraps."""
    most: int = 1000
    """Maximum data keys in memory; the least recently used is dropped first."""
    _plain: OrderedDict[str, bytes] = field(default_factory=OrderedDict)
    """Data keys by their encrypted form, base64."""
    _wrapping: tuple[str, float] | None = None
    """The encrypted form of the one that wraps, and when it was made."""
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def current(self) -> str:
        """Return the KMS key that data keys come from."""
        return self.key_id

    async def wrap(self, secret: bytes, owner: str) -> WrappedSecret:
        """Return ``secret`` under the data key of the hour."""
        encrypted, key = await self._data_key()
        nonce = os.urandom(_NONCE)
        wrapped = nonce + AESGCM(key).encrypt(nonce, secret, owner.encode())
        return WrappedSecret(self.key_id, f"{encrypted}.{base64.b64encode(wrapped).decode()}")

    async def unwrap(self, wrapped: WrappedSecret, owner: str) -> bytes:
        """Return the secret."""
        encrypted, _, text = wrapped.text.partition(".")
        key = await self._decrypted(encrypted)
        data = base64.b64decode(text)
        try:
            return AESGCM(key).decrypt(data[:_NONCE], data[_NONCE:], owner.encode())
        except InvalidTag:
            raise DataKeyError("a caller's key was changed, or belongs to another caller") from None

    async def _data_key(self) -> tuple[str, bytes]:
        async with self._turn:
            if self._wrapping is not None:
                encrypted, made = self._wrapping
                if encrypted in self._plain and time.monotonic() - made < self.lifetime:
                    return encrypted, self._plain[encrypted]
            with _translated():
                reply = await self.client.generate_data_key(
                    KeyId=self.key_id, KeySpec="AES_256", EncryptionContext=CONTEXT
                )
            encrypted = base64.b64encode(reply["CiphertextBlob"]).decode()
            self._remember(encrypted, reply["Plaintext"])
            self._wrapping = encrypted, time.monotonic()
            return encrypted, reply["Plaintext"]

    async def _decrypted(self, encrypted: str) -> bytes:
        key = self._plain.get(encrypted)
        if key is not None:
            self._plain.move_to_end(encrypted)
            return key
        async with self._turn:
            if encrypted not in self._plain:
                with _translated():
                    reply = await self.client.decrypt(
                        CiphertextBlob=base64.b64decode(encrypted), EncryptionContext=CONTEXT
                    )
                self._remember(encrypted, reply["Plaintext"])
            return self._plain[encrypted]

    def _remember(self, encrypted: str, key: bytes) -> None:
        self._plain[encrypted] = key
        if len(self._plain) > self.most:
            self._plain.popitem(last=False)
