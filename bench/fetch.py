"""Ask processes on loopback for their figures: never through a proxy that the machine has set."""

from urllib.request import ProxyHandler, Request, build_opener

_OPENER = build_opener(ProxyHandler({}))


def get(url: str, headers: dict[str, str] | None = None, seconds: float = 30) -> bytes:
    """Return what is there, or raise an `OSError`."""
    with _OPENER.open(Request(url, headers=headers or {}), timeout=seconds) as reply:
        return bytes(reply.read())
