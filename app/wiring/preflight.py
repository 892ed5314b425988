"""Checks before anything starts."""

from collections.abc import Callable
from pathlib import Path

import structlog

from app.adapters.access import key_file
from app.domain.model import ModelIdentity
from app.services.usage import pricing
from app.settings import PREFIX, Settings, SettingsError
from app.wiring.model import server_key

log = structlog.get_logger()


def check(settings: Settings) -> None:
    """Raise SettingsError, with a line for each, where files that are named can't be read.

    Asked before anything starts: of several workers each would fail by itself.
    """
    keys_file = settings.keys_file if settings.authenticates else None
    faults = (
        _fault("keys_file", key_file.read, keys_file),
        _fault("prices_file", pricing.load, settings.prices_file),
        _fault("openai_key_file", server_key, settings.openai_key_file),
    )
    if lines := [fault for fault in faults if fault]:
        raise SettingsError("\n".join(lines))


def _fault(name: str, read: Callable[[Path], object], path: Path | None) -> str | None:
    try:
        if path is not None:
            read(path)
    except OSError as error:
        return f"{PREFIX}{name.upper()}: {path}: {error.strerror}"
    except ValueError as error:
        return f"{PREFIX}{name.upper()}: {error}"
    return None


def announce(identity: ModelIdentity, settings: Settings) -> None:
    """Log which model is served, and what is odd about it."""
    log.info(
        "model configured",
        model=identity.id,
        kind=identity.kind,
        region=settings.region,
        dialect=settings.dialect_choice.dialect,
        reason=settings.dialect_choice.reason,
    )
    if identity.alias:
        log.warning("model id is an alias", configured=identity.alias, model=identity.id)
    if identity.region is None and settings.region not in identity.base.regions:
        log.warning(
            "model is not offered in this region",
            region=settings.region,
            offered=identity.base.regions,
        )
