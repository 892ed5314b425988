"""Checks of a request's head that the parser omits."""

import re
from collections.abc import Iterable

_HOST = re.compile(rb"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~%!$&'()*+,;=-]+)(?::[0-9]{0,5})?")
_AUTHORITY = re.compile(rb"https?://([^/?#]*)", re.IGNORECASE)


def check(version: str, target: bytes, headers: Iterable[tuple[bytes, bytes]]) -> None:
    """Raise ValueError if RFC 9112 requires a refusal for the version or Host.

    The parser reads HTTP/0.9 and HTTP/2.0 as if they were HTTP/1.1. If a target names another host
    than the header, readers of the two would disagree.
    """
    if version not in ("1.1", "1.0"):
        raise ValueError("this is not HTTP/1.1")
    hosts = [value for name, value in headers if name == b"host"]
    if len(hosts) != 1 and (hosts or version == "1.1"):
        raise ValueError("a request has one Host header")
    if hosts and not _HOST.fullmatch(hosts[0]):
        raise ValueError("Host is not a host")
    if not target.startswith(b"/"):
        named = _AUTHORITY.match(target)
        if named is not None and hosts != [named[1]]:
            raise ValueError("Host is not the target's host")
