"""AES-256-GCM under keys derived from a secret: each message has a key of its own.

A message is ``version (1 byte), secret's id (8), salt (16), nonce (12), ciphertext, tag (16)``. As
the salt gives each message its key, no number of messages wears a secret out.
"""

import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from app.domain.errors import DataKeyError

SECRET_BYTES = 32
OVERHEAD = 53
"""Bytes that a message has more than its plaintext."""
_VERSION = b"\x01"
_ID, _SALT, _NONCE = 8, 16, 12
_HEAD = len(_VERSION) + _ID + _SALT + _NONCE


def secret_id(secret: bytes) -> bytes:
    """Return 8 bytes that identify ``secret`` and disclose nothing about it."""
    return _derived(secret, b"", b"llama-vision key id", _ID)


def seal(secret: bytes, identity: bytes, plaintext: bytes, context: bytes) -> bytes:
    """Return ``plaintext`` encrypted; opening it takes the same ``context``."""
    salt, nonce = os.urandom(_SALT), os.urandom(_NONCE)
    head = _VERSION + identity + salt + nonce
    return head + _cipher(secret, salt).encrypt(nonce, plaintext, head + context)


def sealed_by(message: bytes) -> bytes:
    """Return the id of the secret that ``message`` was encrypted under, or raise DataKeyError."""
    if len(message) < OVERHEAD or message[:1] != _VERSION:
        raise DataKeyError("the stored data was not encrypted by this service")
    return message[1 : 1 + _ID]


def unseal(secret: bytes, message: bytes, context: bytes) -> bytes:
    """Return the plaintext of ``message``, or raise DataKeyError."""
    head = message[:_HEAD]
    salt, nonce = head[1 + _ID : -_NONCE], head[-_NONCE:]
    try:
        return _cipher(secret, salt).decrypt(nonce, message[_HEAD:], head + context)
    except InvalidTag:
        raise DataKeyError("the stored data was changed, or belongs elsewhere") from None


def _cipher(secret: bytes, salt: bytes) -> AESGCM:
    return AESGCM(_derived(secret, salt, b"llama-vision data", 32))


def _derived(secret: bytes, salt: bytes, label: bytes, length: int) -> bytes:
    return HKDF(SHA256(), length, salt, label).derive(secret)
