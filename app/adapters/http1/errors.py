"""Errors of an HTTP call below its status."""


class Http1Error(Exception):
    """A call failed below HTTP."""


class ConnectError(Http1Error):
    """No connection could be made, so nothing was sent."""


class ConnectTimeoutError(Http1Error):
    """No connection was made in time, so nothing was sent."""


class ReadTimeoutError(Http1Error):
    """The upstream sent or accepted nothing for too long. The call may have been answered."""


class DisconnectedError(Http1Error):
    """The connection ended, or was closed for malformed data, before the answer was complete."""
