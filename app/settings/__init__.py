"""Every knob by topic, with its unit and its reason."""

from app.settings.environment import (
    PREFIX,
    Settings,
    SettingsError,
    is_loopback,
    keys_file,
    load,
    origins,
)

__all__ = ["PREFIX", "Settings", "SettingsError", "is_loopback", "keys_file", "load", "origins"]
