"""The `DataCipher` of a service whose operator configured no key: data is kept as it is."""


class PlainData:
    """Keeps data readable. It ignores owner and purpose."""

    async def encrypt(self, owner: str, plaintext: bytes, purpose: bytes) -> bytes:
        """Return ``plaintext``."""
        del owner, purpose
        return plaintext

    async def decrypt(self, owner: str, ciphertext: bytes, purpose: bytes) -> bytes:
        """Return ``ciphertext``."""
        del owner, purpose
        return ciphertext

    async def erase(self, owner: str) -> bool:
        """Return False: there is no key to drop."""
        del owner
        return False
