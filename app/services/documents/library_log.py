"""Logs the PDF library's messages in a worker process in the service's format."""

import logging
from functools import cache


class _LogHandler(logging.Handler):
    """Writes log lines in the service's format; the slow import waits for the first line."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write ``record`` to standard output."""
        _written().emit(record)


@cache
def _written() -> logging.Handler:
    from app.telemetry.logs import library_handler

    return library_handler()


@cache
def attach() -> None:
    """Redirect pypdfium2's log, which would go to standard error without a handler."""
    logger = logging.getLogger("pypdfium2")
    if not logger.hasHandlers():
        logger.addHandler(_LogHandler())
