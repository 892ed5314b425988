"""One line of a batch's input and output files."""

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import orjson
from pydantic_core import from_json

from app.domain.errors import ServiceError
from app.domain.json_line import on_one_line
from app.domain.work import WorkResult

KEYS = frozenset(("custom_id", "method", "url", "body"))
_PICTURES = ("images", "image_strategy")
LONGEST_ID = 256
"""Maximum length of a ``custom_id`` in characters."""


class RowError(ValueError):
    """A line is not a valid row; ``code`` and ``param`` say why."""

    def __init__(self, code: str, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.code, self.message, self.param = code, message, param


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the input file."""

    custom_id: str
    body: dict[str, Any]


def parsed(line: bytes, endpoint: str) -> Row:
    """Parse ``line`` as a row, or raise RowError."""
    try:
        # For a line that is mostly a base64 image this takes a fifth of orjson's time.
        value = from_json(line, allow_inf_nan=False)
    except ValueError as error:
        # Removes the parser's line number, which is always 1 for a single line.
        reason = str(error).replace(" at line 1 column ", " at column ")
        raise RowError("invalid_json_line", f"is not JSON: {reason}") from error
    if not isinstance(value, dict):
        raise RowError("invalid_json_line", "is not a JSON object")
    for name in value:
        if name not in KEYS:
            raise RowError("unknown_field", "there is no such field", name[:100])
    custom_id = value.get("custom_id")
    if not (isinstance(custom_id, str) and 0 < len(custom_id) <= LONGEST_ID):
        raise RowError("invalid_custom_id", f"give 1 to {LONGEST_ID} characters", "custom_id")
    if value.get("method") != "POST":
        raise RowError("invalid_method", "give POST", "method")
    if value.get("url") != endpoint:
        url = str(value.get("url"))[:100]
        raise RowError("mismatched_endpoint", f"{url!r} is not the batch's {endpoint}", "url")
    body = value.get("body")
    if not isinstance(body, dict):
        raise RowError("invalid_body", "give a JSON object", "body")
    if body.get("stream"):
        raise RowError("stream_in_batch", "rows are answered in one piece", "body.stream")
    return Row(custom_id, body)


def file_ids(value: Any, depth: int = 8) -> Iterator[str]:  # noqa: ANN401 - any JSON
    """Yield the file ids in a body, down to ``depth`` nested levels."""
    if depth == 0:
        return
    if isinstance(value, dict):
        named = value.get("file_id")
        if isinstance(named, str):
            yield named
        for part in value.values():
            if isinstance(part, dict | list):
                yield from file_ids(part, depth - 1)
    elif isinstance(value, list):
        for part in value:
            if isinstance(part, dict | list):
                yield from file_ids(part, depth - 1)


def without_pictures(body: dict[str, Any]) -> dict[str, Any]:
    """Return the body of a plain generation without its images, still valid for its endpoint."""
    bare = {name: value for name, value in body.items() if name not in _PICTURES}
    if "messages" not in body:
        return {**bare, "prompt": body.get("prompt") or "."}
    return {**bare, "messages": [_without_pictures(message) for message in body["messages"]]}


def _without_pictures(message: dict[str, Any]) -> dict[str, Any]:
    content = message.get("content")
    if not isinstance(content, list):
        return message
    return {**message, "content": [part for part in content if part["type"] == "text"] or "."}


@dataclass(frozen=True, slots=True)
class Place:
    """A row's byte range in its file, as stored on the queue."""

    start: int
    end: int
    custom_id: str
    completion: dict[str, Any] | None = None
    """The Bedrock batch job's answer to the row, as written by `kept_completion`."""

    def kept(self) -> bytes:
        """Return the stored form of the place."""
        own = [self.start, self.end, self.custom_id]
        return orjson.dumps(own if self.completion is None else [*own, self.completion])

    @classmethod
    def read(cls, kept: bytes) -> "Place":
        """Return the place stored in ``kept``."""
        return cls(*orjson.loads(kept))


def request_id(batch: str, position: int) -> str:
    """Return the request id of a row, which is the same at each attempt."""
    return "batch_req_" + sha256(f"{batch}:{position}".encode()).hexdigest()[:32]


def result(status: int, body: bytes) -> bytes:
    """Return the stored form of an answer."""
    return b"%d\n" % status + body


def answered(batch: str, item: WorkResult) -> bytes:
    """Return the line of the output file or the error file for an answered row."""
    assert item.result is not None
    status, _, body = item.result.partition(b"\n")
    identity = request_id(batch, item.position)
    return b"".join(
        (
            b'{"id":"',
            identity.encode(),
            b'","custom_id":',
            on_one_line(orjson.dumps(Place.read(item.payload).custom_id)),
            b',"response":{"status_code":',
            status,
            b',"request_id":"',
            identity.encode(),
            b'","body":',
            on_one_line(_json(body)),
            b'},"error":null}\n',
        )
    )


def unanswered(batch: str, item: WorkResult, error: ServiceError) -> bytes:
    """Return the line of the error file for a row that was never answered."""
    line = orjson.dumps(
        {
            "id": request_id(batch, item.position),
            "custom_id": Place.read(item.payload).custom_id,
            "response": None,
            "error": {"code": error.code, "message": error.detail},
        },
        option=orjson.OPT_APPEND_NEWLINE,
    )
    return on_one_line(line)


def _json(body: bytes) -> bytes:
    """Return ``body`` as JSON on one line."""
    if b"\n" not in body and body[:1] == b"{":
        return body
    try:
        return orjson.dumps(orjson.loads(body))
    except ValueError:
        return orjson.dumps(body.decode("utf-8", "replace"))
