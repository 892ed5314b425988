"""Sets up logging: JSON lines on standard output, or readable ones on a terminal."""

import logging
import sys
import traceback
from contextlib import suppress
from datetime import UTC, datetime

import orjson
import structlog

from app.telemetry.record import RequestRecord, Sink


def frames_only(_: object, __: str, event: structlog.types.EventDict) -> structlog.types.EventDict:
    """Log an exception's type and where it was raised; its message may quote a prompt."""
    error = event.pop("exc_info", None)
    if error is True:
        error = sys.exc_info()[1]
    if isinstance(error, tuple):
        error = error[1]
    if isinstance(error, BaseException):
        event["exception"] = type(error).__qualname__
        event["frames"] = [
            f"{frame.filename}:{frame.lineno} {frame.name}"
            for frame in traceback.extract_tb(error.__traceback__)
        ]
    return event


def timestamped(_: object, __: str, event: structlog.types.EventDict) -> structlog.types.EventDict:
    """Add the time, as structlog's own `TimeStamper` does, which takes three times as long."""
    event["timestamp"] = datetime.now(UTC).isoformat().removesuffix("+00:00") + "Z"
    return event


_SHARED: tuple[structlog.types.Processor, ...] = (structlog.stdlib.add_log_level, timestamped)


def _renderer() -> structlog.types.Processor:
    if sys.stdout.isatty():
        return structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    return structlog.processors.JSONRenderer(serializer=_json)


def library_handler() -> logging.Handler:
    """Return a handler that writes a library's lines in the form of all others."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=_SHARED,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                frames_only,
                _renderer(),
            ],
        )
    )
    return handler


def configure(level: str) -> None:
    """Send every log line, the libraries' too, to standard output in one form.

    Only names, numbers and codes are logged; prompts, pictures and keys never are.
    """
    renderer, shared = _renderer(), _SHARED
    # Lines go straight to the output: the standard library's loggers would double their cost, and
    # under overload every refusal is a line.
    structlog.configure(
        processors=[*shared, frames_only, renderer],
        logger_factory=structlog.WriteLoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(level),
        # Not cached: a logger that was used before would keep its earlier level and output.
        cache_logger_on_first_use=False,
    )
    logging.basicConfig(handlers=[library_handler()], level=level.upper(), force=True)
    # These log request bodies and headers below WARNING.
    for chatty in ("botocore", "aiobotocore", "aioboto3", "httpx", "httpcore", "asyncio", "PIL"):
        logging.getLogger(chatty).setLevel(max(logging.WARNING, logging.getLogger().level))
    # One line per request is written by `request_log`, with the request's id.
    logging.getLogger("uvicorn.access").disabled = True


def _json(value: object, **_: object) -> str:
    return orjson.dumps(value, default=str).decode()


def request_log() -> Sink:
    """Return the writer of each request's canonical log line, with the current settings."""
    configured = structlog.get_config()
    processors, output = configured["processors"], configured["logger_factory"]()
    shown = structlog.get_logger().bind().is_enabled_for(logging.INFO)

    def write(record: RequestRecord) -> None:
        # Runs the processors itself: a bound logger takes as long again as they do.
        event: structlog.types.EventDict = record.fields()
        event["event"] = "request"
        with suppress(structlog.DropEvent):
            for process in processors:
                event = process(output, "info", event)
            output.msg(event)

    return write if shown else lambda _: None
