"""The lines of the PDF library, in a worker's process, in the form of all others."""

import logging
from functools import cache


class _LogHandler(logging.Handler):
    """Writes as the service does. What writes is loaded with the first line: it takes long."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write ``record`` to standard output."""
        _written().emit(record)


@cache
def _written() -> logging.Handler:
    from app.telemetry.logs import library_handler

    return library_handler()


@cache
def attach() -> None:
    """Take pypdfium2's lines from here on; without a handler they would go to standard error."""
    logger = logging.getLogger("pypdfium2")
    if not logger.hasHandlers():
        logger.addHandler(_LogHandler())
