"""The socket that the service listens on."""

import socket
import sys

import structlog
from uvicorn.config import STARTUP_FAILURE

log = structlog.get_logger()


def bound(host: str, port: int) -> socket.socket:
    """Return a socket bound to ``host`` and ``port``, or log why there is none and end."""
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        log.error("can't listen", host=host, port=port, reason=error.strerror)
        listener.close()
        sys.exit(STARTUP_FAILURE)
    return listener


def url(listener: socket.socket, scheme: str) -> str:
    """Return the URL of ``listener`` with ``scheme``, http or https."""
    host, port = listener.getsockname()[:2]
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"
