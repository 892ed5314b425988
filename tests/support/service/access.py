"""API keys for tests, and a Rig that requires them."""

from pathlib import Path
from typing import Any

from app.adapters.access import key_file
from app.domain import key
from app.domain.access import Scope
from app.settings import Settings
from tests.support.service.application import Rig

RELOAD = 0.02
"""Seconds between two checks of the key file in tests."""


def add_key(path: Path, *scopes: Scope, limits: dict[str, str] | None = None) -> str:
    """Put a new key into ``path`` and return it."""
    text, record = key.issue("test", scopes or tuple(Scope), limits)
    before = key_file.read(path) if path.exists() else ()
    key_file.write(path, (*before, record))
    return text


def guarded(path: Path, *, more: dict[str, Any] | None = None, **settings: Any) -> Rig:
    """Return a rig that accepts only the keys in ``path``."""
    return Rig(
        settings=Settings(_env_file=None, keys_file=path, keys_reload=RELOAD, **settings),
        more=more or {},
    )


def bearer(text: str) -> dict[str, str]:
    """Return the header that carries a key or token."""
    return {"authorization": f"Bearer {text}"}
