"""Checks the SDK's own variables before anything starts, as the SDK uses most of them unchecked."""

from os import environ
from urllib.parse import urlsplit

import botocore.session
from botocore.exceptions import ConfigParseError
from botocore.utils import get_environ_proxies

from app.adapters.trust import trusted


def check_profile() -> None:
    """Raise ValueError if AWS's files can't be read, or lack the profile that is named."""
    session = botocore.session.Session()
    try:
        _ = session.full_config
    except (ConfigParseError, OSError) as error:
        raise ValueError(f"AWS_CONFIG_FILE or AWS_SHARED_CREDENTIALS_FILE: {error}") from error
    named = environ.get("AWS_PROFILE") or environ.get("AWS_DEFAULT_PROFILE")
    if named and named != "default" and named not in session.available_profiles:
        raise ValueError(f"AWS_PROFILE: AWS's configuration has no profile {named!r}")


def check_api_key() -> None:
    """Raise ValueError if a Bedrock API key can't be sent in a header."""
    if not _is_key(environ.get("AWS_BEARER_TOKEN_BEDROCK", "").strip()):
        raise ValueError(
            "AWS_BEARER_TOKEN_BEDROCK: holds quotes, spaces, line ends or letters that no API key "
            "has"
        )


def check_keys() -> None:
    """Raise ValueError if AWS keys in the environment are incomplete or malformed.

    The SDK uses them as they are: a line end in one would fail each request, but not the start.
    """
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        if not _is_key(environ.get(name, "")):
            raise ValueError(f"{name}: holds quotes, spaces, line ends or letters that no key has")
    if environ.get("AWS_ACCESS_KEY_ID") and not environ.get("AWS_SECRET_ACCESS_KEY"):
        raise ValueError("AWS_SECRET_ACCESS_KEY: is missing, but AWS_ACCESS_KEY_ID is set")


def _is_key(text: str) -> bool:
    return text.isascii() and text.isprintable() and not set(text) & set(" \"'")


def check_authorities() -> None:
    """Raise ValueError if the certificates to trust can't be read."""
    path = environ.get("AWS_CA_BUNDLE")
    try:
        if path:
            trusted(path)
    except OSError as error:  # a file without a certificate raises SSLError too
        raise ValueError(f"AWS_CA_BUNDLE: {path}: {error.strerror or error}") from error


def check_proxy(endpoint: str) -> None:
    """Raise ValueError if the configured proxy for ``endpoint`` is not a URL of a proxy."""
    scheme = urlsplit(endpoint).scheme
    proxy = urlsplit(get_environ_proxies(endpoint).get(scheme) or "http://none")
    if proxy.scheme not in ("http", "https") or not proxy.hostname:
        # Its value may hold a password.
        raise ValueError(f"{scheme.upper()}_PROXY: is not http://host:port")
