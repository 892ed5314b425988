"""The service's settings by topic, each with its unit and its reason."""

from app.settings.environment import (
    PREFIX,
    Settings,
    SettingsError,
    keys_file,
    load,
    origins,
)
from app.settings.transport import is_loopback

__all__ = ["PREFIX", "Settings", "SettingsError", "is_loopback", "keys_file", "load", "origins"]
