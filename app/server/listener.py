"""The socket on which the service listens."""

import ctypes
import socket
import struct
import sys
from contextlib import suppress

import structlog
from uvicorn.config import STARTUP_FAILURE

log = structlog.get_logger()

_ATTACH_FILTER = 26
"""Linux's SO_ATTACH_FILTER, for which Python has no name."""
_NO_SYN = b"".join(
    struct.pack("HBBI", *step)
    for step in (
        (0x30, 0, 0, 13),  # load the flags of the segment
        (0x45, 0, 1, 0x02),  # where SYN is not among them, skip one
        (0x06, 0, 0, 0),  # drop the segment
        (0x06, 0, 0, 0xFFFFFFFF),  # take it
    )
)
"""A classic BPF program that drops segments with SYN."""


def bound(host: str, port: int) -> socket.socket:
    """Return a socket bound to ``host`` and ``port``, or log the reason and exit."""
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


def refuse_new(listener: socket.socket) -> None:
    """Make the kernel begin no more connections, and finish those that it has begun.

    Otherwise the kernel would reset connections made between the last `accept` and the close, and a
    client that has already sent a request could not know whether it was billed. A client whose
    connection is not begun tries again after a second and is refused. Only Linux can do this. It
    affects all processes that share the socket.
    """
    if sys.platform == "linux":
        program = ctypes.create_string_buffer(_NO_SYN)
        steps = struct.pack("HP", len(_NO_SYN) // 8, ctypes.addressof(program))
        with suppress(OSError):  # a sandbox may not allow it
            listener.setsockopt(socket.SOL_SOCKET, _ATTACH_FILTER, steps)
