"""A cipher for tests that authenticates owner and purpose as the real one does."""

import hmac
from dataclasses import dataclass, field
from hashlib import sha256

from app.domain.errors import DataKeyError


@dataclass
class SealedData:
    """Hides nothing, but authenticates owner, purpose and content as the real one does."""

    lost: set[str] = field(default_factory=set)
    """Owners whose key was erased."""
    secret: bytes = b"a secret"

    async def encrypt(self, owner: str, plaintext: bytes, purpose: bytes) -> bytes:
        if owner in self.lost:
            raise DataKeyError("the key is gone")
        return self._seal(owner, plaintext, purpose) + plaintext[::-1]

    async def decrypt(self, owner: str, ciphertext: bytes, purpose: bytes) -> bytes:
        seal, plaintext = ciphertext[:32], ciphertext[32:][::-1]
        if owner in self.lost or not hmac.compare_digest(
            seal, self._seal(owner, plaintext, purpose)
        ):
            raise DataKeyError("the key is gone, or the bytes changed")
        return plaintext

    async def erase(self, owner: str) -> bool:
        known = owner not in self.lost
        self.lost.add(owner)
        return known

    def _seal(self, owner: str, plaintext: bytes, purpose: bytes) -> bytes:
        message = b"\0".join((owner.encode(), purpose, plaintext))
        return hmac.new(self.secret, message, sha256).digest()
