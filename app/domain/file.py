"""Files that are kept for callers."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from os import urandom

PIECE = 256 * 1024
"""Bytes of a file that are encrypted and stored as one piece; the last one may have fewer."""
FILE, UPLOAD, COPY = "file-", "upload_", "copy_"
"""Prefixes of ids: of files, of direct uploads to the store, of the service's copies."""
_ID = re.compile(
    r"(file-|upload_|copy_)(?P<created>[0-9a-f]{11})(?P<expires>[0-9a-f]{9})(?P<rest>[0-9a-f]{16})"
)


class FilePurpose(StrEnum):
    """The purposes of files."""

    BATCH = "batch"
    """The input of a batch: JSON Lines."""
    VISION = "vision"
    """A picture or a document, which requests can name."""
    BATCH_OUTPUT = "batch_output"
    """Written by a batch."""


@dataclass(frozen=True, slots=True)
class StoredFile:
    """The facts of a file."""

    id: str
    owner: str
    """The caller's id."""
    name: str
    purpose: FilePurpose
    bytes: int
    media_type: str
    """The media type detected from the bytes."""
    sealed_piece: int
    """Bytes of a whole `PIECE` once it is encrypted; 0 if there is none."""
    sealed_bytes: int
    """Bytes of the whole encrypted file."""

    @property
    def created_at(self) -> float:
        """Return the time of creation, in seconds since the epoch."""
        return created_at(self.id)

    @property
    def expires_at(self) -> float:
        """Return the time of deletion, in seconds since the epoch."""
        return expires_at(self.id)


@dataclass(frozen=True, slots=True)
class PresignedForm:
    """A multipart form that a store accepts directly."""

    url: str
    fields: Mapping[str, str]
    """Fields to send before the file's own, which is called ``file``."""


def new_id(created: float, expires: float, prefix: str = FILE, seed: str | None = None) -> str:
    """Return a new id that contains both times, so that the order of ids is the order of age.

    The same ``seed`` gives the same id.
    """
    rest = urandom(8).hex() if seed is None else sha256(seed.encode()).hexdigest()[:16]
    return _id(prefix, created, expires, rest)


def new_upload_id(created: float, expires: float, size: int) -> str:
    """Return a new id that contains both times and the size of the upload in bytes."""
    return _id(UPLOAD, created, expires, f"{size:010x}{urandom(3).hex()}")


def announced(name: str) -> int:
    """Return the size of the upload with the id ``name``; 0 if it is no upload's."""
    return int(_parts(name)["rest"][:10], 16) if is_id(name, UPLOAD) else 0


def without_expiry(file_id: str) -> tuple[str, str]:
    """Return the parts of an id that are the same whatever the time of expiry."""
    parts = _parts(file_id)
    return parts["created"], parts["rest"]


def _id(prefix: str, created: float, expires: float, rest: str) -> str:
    return f"{prefix}{int(created * 1000):011x}{int(expires):09x}{rest}"


def is_id(text: str, prefix: str = FILE) -> bool:
    """Tell whether ``text`` has the form of an id."""
    return text.startswith(prefix) and _ID.fullmatch(text) is not None


def created_at(file_id: str) -> float:
    """Return the file's time of creation, in seconds since the epoch."""
    return int(_parts(file_id)["created"], 16) / 1000


def expires_at(file_id: str) -> float:
    """Return the file's time of expiry, in seconds since the epoch."""
    return int(_parts(file_id)["expires"], 16)


def _parts(file_id: str) -> re.Match[str]:
    match = _ID.fullmatch(file_id)
    if match is None:
        raise ValueError(f"{file_id!r} is not the id of a file")
    return match
